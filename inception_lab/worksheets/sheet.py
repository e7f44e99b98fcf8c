"""The arithmetic of one module as data: the working of each layer, branch by branch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Context
from inception_lab.report.text import subject_text


class Sums(NamedTuple):
    """Costs of some layers.

    Attributes:
        macs: Multiplies, each with an addition, in one forward.
        weights: Of convolutions and matrix products.
        biases: Of these.
        other_params: All other parameters, such as those of normalisation.
    """

    macs: int
    weights: int
    biases: int
    other_params: int

    @property
    def params(self) -> int:
        """All parameters."""
        return self.weights + self.biases + self.other_params


@dataclass(frozen=True)
class Window:
    """The window that a convolution or a pool moves over its input, one number per axis.

    Attributes:
        kernel: Elements of the window.
        stride: Distance between two positions.
        padding: Zeros on each side.
        dilation: Distance between two elements.
        ceil_mode: True where a position counts that the last window fills in part.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool = False

    def positions(self, axis: int, size: int) -> int:
        """Return the positions of the window along an axis.

        Example:
            >>> Window((7,), (2,), (3,), (1,)).positions(0, 224)
            112
        """
        room = size + 2 * self.padding[axis] - self.extent(axis)
        return (-(-room // self.stride[axis]) if self.ceil_mode else room // self.stride[axis]) + 1

    def extent(self, axis: int) -> int:
        """Return the elements that the window covers along an axis."""
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1


@dataclass(frozen=True)
class Working:
    """The working of one layer.

    Attributes:
        layer: Its path within its branch.
        operation: Such as `5x5 convolution`.
        input_shape: Batch and channels first.
        output_shape: The same of its output.
        window: Of a convolution or pool, else None.
        transposed: True for a transposed convolution, which multiplies every input by its kernel.
        places: Factors of the number of outputs (of inputs where transposed); empty where the multiplies
            are known as a number alone.
        each: Factors of the multiplies for each of these.
        sums: Its costs; `macs` is the product of `places` and `each`.
    """

    layer: str
    operation: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    window: Window | None
    transposed: bool
    places: tuple[int, ...]
    each: tuple[int, ...]
    sums: Sums


def channels_last(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    """Return a shape with its channels behind its last axes, and without a batch of one.

    Args:
        shape: Batch and channels first.
        axes: Axes of the image; 0 leaves the order as it is.

    Example:
        >>> channels_last((1, 192, 28, 27), 2), channels_last((8, 192, 28), 1), channels_last((1, 1000), 0)
        ((28, 27, 192), (8, 28, 192), (1000,))
    """
    first = len(shape) - axes - 1
    order = (*shape[:first], *shape[first + 1 :], *shape[first : first + 1]) if axes else shape
    return order[1:] if len(order) > axes + 1 and order[0] == 1 else order


@dataclass(frozen=True)
class Branch:
    """The layers of one branch.

    Attributes:
        name: Its path within the module; empty for layers in no branch.
        workings: Of its layers, in order of execution.
        naive_workings: Of the layers of its naive counterpart.
    """

    name: str
    workings: tuple[Working, ...]
    naive_workings: tuple[Working, ...]

    @property
    def reduced(self) -> Sums:
        """Costs of the branch as it is."""
        return add(working.sums for working in self.workings)

    @property
    def naive(self) -> Sums:
        """Costs of its naive counterpart."""
        return add(working.sums for working in self.naive_workings)


@dataclass(frozen=True)
class Worksheet:
    """The working of one module, as traced and in its naive counterpart on the same input.

    Attributes:
        module: Path of the module, `(model)` for the model itself.
        context: Of the trace.
        input_shape: Of the module's first call, batch and channels first; empty for a container.
        output_shape: The same of its output.
        branches: Of the module, and of modules inside it; one without a name holds what is in no branch.
        joined_channels: Of each tensor that the module joins to its output; empty where it joins none.
        naive_joined_channels: The same of the naive counterpart.
        uncounted_ops: How often each operation ran in it that no formula knows, by name.
        is_design: True for a module of free numbers, whose name tells its input.
    """

    module: str
    context: Context
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    branches: tuple[Branch, ...]
    joined_channels: tuple[int, ...]
    naive_joined_channels: tuple[int, ...]
    uncounted_ops: Mapping[str, int]
    is_design: bool = False

    @property
    def title(self) -> str:
        """Its module, the model that it is a part of, and the input and step of that."""
        context = self.context
        if self.is_design:
            return context.model
        facts = {name: getattr(context, name) for name in ("model", "input_shapes", "arguments", "mode")}
        subject = subject_text(facts | {"optimizer": context.optimizer, "autocast": context.autocast})
        return subject if self.module == ROOT else f"{self.module} of {subject}"

    @property
    def branched(self) -> bool:
        """True where it has parallel branches."""
        return any(branch.name for branch in self.branches)

    @property
    def has_reductions(self) -> bool:
        """True where the naive counterpart is another one than the module itself."""
        return any(branch.workings != branch.naive_workings for branch in self.branches)

    @property
    def has_counterpart(self) -> bool:
        """True where it has parallel branches, or is one with a reduction."""
        return self.branched or self.has_reductions

    @property
    def axes(self) -> int:
        """Axes of the images in it, 0 where it has none."""
        windows = [w.window for branch in self.branches for w in branch.workings if w.window]
        return len(windows[0].kernel) if windows else 0

    @property
    def reduced(self) -> Sums:
        """Costs of the module as it is."""
        return add(branch.reduced for branch in self.branches)

    @property
    def naive(self) -> Sums:
        """Costs of its naive counterpart."""
        return add(branch.naive for branch in self.branches)


def add(costs: Iterable[Sums]) -> Sums:
    """Return the sums of several costs.

    Example:
        >>> add([Sums(1, 2, 3, 4), Sums(10, 20, 30, 40)])
        Sums(macs=11, weights=22, biases=33, other_params=44)
    """
    return Sums(*map(sum, zip(Sums(0, 0, 0, 0), *costs, strict=True)))


def ratio(naive: int, reduced: int) -> float | None:
    """Return naive over reduced; None where the second is zero."""
    return naive / reduced if reduced else None
