"""The operation as a rule is handed it, and what a rule answers of the value that the operation makes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp
from inception_lab.ir.trace import Op

Shape = tuple[int, ...]
Filling = Literal["-inf", "0"]
"""A number known to stand in some elements: what a softmax leaves out, and what a product does."""
Constant = NDArray[Any]


class Dependent(Protocol):
    """A record of what a value depends on, such as the pixels that its elements see, in the words of rules.

    Each method gives the record of what an operation makes of the value. An implementation may be exact, as
    `Elements` is, or say that it is a bound by a reason, as `Geometry` does.

    Dimensions are counted from 0, or from -1 backwards.
    """

    @property
    def shape(self) -> Shape:
        """Shape of the value."""

    def along(self, dim: int, make_op: Callable[[int], AxisOp], out: int) -> Self:
        """Apply an operation along a dimension, such as a window, that gives `out` positions."""

    def collapse(self, dims: Iterable[int], whole_axis: Callable[[int], AxisOp] = ...) -> Self:
        """Reduce over dimensions, which stay with size 1."""

    def accumulate(self, dim: int) -> Self:
        """Each position of a dimension and all before it."""

    def take(self, dim: int, index: NDArray[np.int64]) -> Self:
        """Positions of a dimension by a table whose dimensions replace it; -1 reads nothing."""

    def masked(self, blank: NDArray[np.bool_], number: Filling | None) -> Self:
        """The same with elements, among the last dimensions, that hold a number and see nothing."""

    def mix_channels(self, groups: int, out: int) -> Self:
        """Each of `out` channels, in dimension 1, depends on all channels of its group."""

    def made_of(self, parts: Sequence[Self]) -> Self:
        """The same, known to be the union of several windows within its own."""

    def spread(self, dim: int, size: int) -> Self:
        """The same with a dimension of size 1 repeated."""

    def drop(self, dims: Iterable[int]) -> Self:
        """The same without dimensions of size 1."""

    def permute(self, order: Sequence[int]) -> Self:
        """The same with its dimensions in another order."""

    def reshape(self, shape: Sequence[int]) -> Self:
        """The same elements in another shape."""

    def meets(self, shape: Shape) -> Self:
        """The same where it meets a tensor of its own size, of this shape, that sees nothing."""

    def keeps(self, numbers: Sequence[str]) -> Self:
        """The same with no element known to hold another number than these."""

    def filled_as(self, values: Sequence[Self], number: Filling) -> Self:
        """The same with a number, which sees nothing, wherever one of the values that made it has it."""

    def masked_as(self, mixed: Self) -> Self:
        """A softmax of this: what it mixes, but 0 where this is minus infinity."""

    def nonzero(self) -> NDArray[np.bool_] | None:
        """False for elements of the last dimensions that are known to be 0; None where none is."""

    def times(self, pattern: NDArray[np.bool_] | None, whole_axis: Callable[[int], AxisOp]) -> Self:
        """A product with a matrix; of the last dimension each column reads the rows that it has a number in.

        With None it reads all of them, and one column stands for all.
        """

    def as_bound(self, reason: str) -> Self:
        """The same as an upper bound, unless it is one already."""

    def within(self, call: int) -> Self:
        """The same with the call at hand named."""

    @classmethod
    def union(cls, values: Sequence[Self], shape: Sequence[int]) -> Self:
        """The sum of several values, broadcast to one shape."""

    @classmethod
    def concatenated(cls, values: Sequence[Self | int], dim: int) -> Self:
        """Values one after the other along a dimension; a number stands for as many that see nothing."""


class Unknown(NamedTuple):
    """A dependence that cannot be told.

    Attributes:
        reason: Why not.
    """

    reason: str


Dependence = Dependent | Unknown | None
"""None for a value that does not depend on the source."""


class RuleContext(NamedTuple):
    """An operation as a rule sees it.

    Attributes:
        name: Its base name.
        args: Its arguments that are not tensors, by name.
        inputs: Dependence of each tensor read; at least one depends on the source.
        shapes: Shapes of the tensors read.
        output_shape: Shape of the first value written.
        module: Class of the module in whose call it ran.
        constant: Gives the content of a tensor read, by its place; None where that is not known.
        writer: Gives the operation that wrote a tensor read; None where none did.
        certain_numbers: Gives as `constant` does, of what depends on weights the zeros and masking numbers
            alone that are there for any weights, nan elsewhere.
    """

    name: str
    args: Mapping[str, Any]
    inputs: Sequence[Dependent | None]
    shapes: Sequence[Shape]
    output_shape: Shape
    module: str = ""
    constant: Callable[[int], Constant | None] = lambda _: None
    writer: Callable[[int], Op | None] = lambda _: None
    certain_numbers: Callable[[int], Constant | None] = lambda _: None

    @property
    def first(self) -> Dependent:
        """The first of the inputs that depends on the source."""
        return next(value for value in self.inputs if value is not None)

    def union(self, values: Iterable[Dependent | None], shape: Sequence[int] | None = None) -> Dependent:
        """The sum of several of the inputs; None stands for one that sees nothing."""
        dependent = [value for value in values if value is not None]
        return type(self.first).union(dependent, self.output_shape if shape is None else shape)

    def concatenated(self, values: Sequence[Dependent | int], dim: int) -> Dependent | None:
        """Values one after the other along a dimension; a number stands for as many that see nothing."""
        if all(isinstance(value, int) for value in values):
            return None
        return type(self.first).concatenated(values, dim)


Rule = Callable[[RuleContext], Dependence | list[Dependence]]
"""Gives the dependence of the first value written, and of all others with it, or of each."""
