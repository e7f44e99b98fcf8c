"""From what the user gives to the arguments that a model is called with.

One rule: within `inputs` a row of integers is a shape, for which a tensor stands in; within `args` and
`kwargs` everything but a tensor reaches the model as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from numbers import Integral, Number
from operator import index
from types import MappingProxyType
from typing import Any, NamedTuple, cast

import torch
from torch import SymInt, Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.running.pytree import tensors_within
from inception_lab.running.stand_ins import StandIn

_LONGEST_VALUE = 80
"""Characters of an argument that results show."""

NO_KEYWORDS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class CallInputs:
    """Inputs, and the arguments beside them that reach the model as they are.

    Attributes:
        inputs: A shape, an example tensor, a sequence or a mapping of these.
        args: Positional arguments behind the inputs.
        kwargs: Keyword arguments.
        named: More inputs, by keyword.

    Raises:
        InceptionLabError: `args` is not a list or a tuple, `kwargs` not a mapping of keywords, or a keyword
            is there twice (exit code 2).
    """

    inputs: Tensor | Sequence[Any] | Mapping[str, Any]
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=lambda: NO_KEYWORDS)
    named: Mapping[str, Any] = field(default_factory=lambda: NO_KEYWORDS)

    def __post_init__(self) -> None:
        if not isinstance(self.args, (list, tuple)):
            raise InceptionLabError(
                f"args={self.args!r} is not a row of arguments", hint="write args=(value,)"
            )
        if not isinstance(self.kwargs, Mapping) or not all(isinstance(name, str) for name in self.kwargs):
            raise InceptionLabError(
                f"kwargs={self.kwargs!r} are not arguments by name", hint="write kwargs={'name': value}"
            )
        inputs = self.inputs if isinstance(self.inputs, Mapping) else {}
        for names, others in ((self.kwargs, {**inputs, **self.named}), (self.named, inputs)):
            if twice := next((name for name in names if name in others), None):
                raise InceptionLabError(f"argument {twice!r} is given twice", hint="give it once")


Inputs = Tensor | Sequence[Any] | Mapping[str, Any] | CallInputs
"""A shape, an example tensor, a sequence or mapping of inputs, or these beside other arguments."""


def with_arguments(
    inputs: Inputs, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
) -> Inputs:
    """Return the inputs beside more arguments, which reach the model as they are.

    Args:
        inputs: Of the model.
        args: Positional arguments behind the inputs.
        kwargs: Keyword arguments.

    Raises:
        InceptionLabError: See `CallInputs`.

    Example:
        >>> both = with_arguments((1, 3, 8, 8), kwargs={"out_indices": (1, 3)})
        >>> both.inputs, both.kwargs
        ((1, 3, 8, 8), {'out_indices': (1, 3)})
    """
    if isinstance(inputs, CallInputs):
        other = CallInputs([], args, NO_KEYWORDS if kwargs is None else kwargs)
        args, kwargs = (*inputs.args, *other.args), {**inputs.kwargs, **other.kwargs}
        return CallInputs(inputs.inputs, args, kwargs, inputs.named)
    # `== ()` would compare a tensor or an array element by element
    no_args = isinstance(args, (list, tuple)) and not args
    return inputs if no_args and not kwargs else CallInputs(inputs, args, kwargs or NO_KEYWORDS)


def beside_shape(shape: Sequence[int], others: Inputs) -> Inputs:
    """Return a shape with the other arguments of a model beside it.

    Args:
        shape: Of the one input.
        others: Of `with_arguments`, without an input.

    Example:
        >>> beside_shape((1, 3, 8, 8), with_arguments([], kwargs={"pool": None})).inputs
        (1, 3, 8, 8)
    """
    return replace(others, inputs=shape) if isinstance(others, CallInputs) else shape


def of_each_input(
    inputs: Sequence[Any] | CallInputs, function: Callable[[Any], Any]
) -> list[Any] | CallInputs:
    """Return the inputs with a function's result in the place of each; other arguments stay.

    Args:
        inputs: Positional ones, or those beside other arguments.
        function: Of one input.

    Example:
        >>> of_each_input([(1, 3), (1, 4)], len)
        [2, 2]
    """
    if not isinstance(inputs, CallInputs):
        return [function(one) for one in inputs]
    named = {name: function(one) for name, one in inputs.named.items()}
    return replace(inputs, inputs=[function(one) for one in inputs.inputs], named=named)


class Arguments(NamedTuple):
    """The arguments of a model.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        tensors: Each tensor among them once, by its place: `0`, `1`, a keyword, `0.mask`.
        shapes: Places of those tensors that stand in for a shape.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]
    shapes: tuple[str, ...] = ()

    @property
    def plain(self) -> tuple[str, ...]:
        """The arguments without a tensor in them, as a user would write them."""
        named = [*[("", value) for value in self.args], *self.kwargs.items()]
        return tuple(
            f"{name}={_value_text(value)}" if name else _value_text(value)
            for name, value in named
            if not any(True for _ in tensors_within(value))
        )


def _value_text(value: Any) -> str:
    """A literal or a member of an enumeration as Python writes it, cut where it is long; else the class."""
    # another object's own text may have its address in it, and so differ from run to run
    if isinstance(value, Enum):
        text = f"{type(value).__name__}.{value.name}"
    else:
        text = repr(value) if _is_literal(value) else f"<{type(value).__name__}>"
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def _is_literal(value: Any) -> bool:
    if isinstance(value, Mapping):
        return type(value) is dict and all(map(_is_literal, [*value, *value.values()]))
    if isinstance(value, (list, tuple)):
        return all(map(_is_literal, value))
    return value is None or type(value) in (bool, int, float, complex, str, bytes)


def arguments(inputs: Inputs, dtype: torch.dtype, stand_in: StandIn) -> Arguments:
    """Put a tensor in the place of each shape and of each example tensor.

    Args:
        inputs: A shape with the batch, an example tensor, a sequence of positional inputs (empty for
            none), or a mapping of keyword inputs. Inputs may be lists, tuples and mappings of shapes
            and tensors in turn; anything else is passed on as it is. Arguments beside them are.
        dtype: Element type of the inputs that are given as shapes.
        stand_in: Makes the tensor that stands in for an example.

    Raises:
        InceptionLabError: A shape is not a row of sizes of 1 or more (exit code 2), or too large (3).
    """
    prepare = _Preparation(dtype, stand_in)
    call = inputs if isinstance(inputs, CallInputs) else CallInputs(inputs)
    row, kwargs = _by_keyword(call.inputs, dtype)
    args = [prepare(value, str(place)) for place, value in enumerate(row)]
    kwargs = {name: prepare(value, name) for name, value in {**kwargs, **call.named}.items()}
    verbatim = prepare.as_they_are()
    args += [verbatim(value, str(place)) for place, value in enumerate(call.args, len(row))]
    kwargs |= {name: verbatim(value, name) for name, value in call.kwargs.items()}
    return Arguments(tuple(args), kwargs, prepare.tensors, tuple(prepare.shapes))


def _by_keyword(inputs: Any, dtype: torch.dtype) -> tuple[Sequence[Any], Mapping[str, Any]]:
    """Positional and keyword inputs, one of them empty."""
    if isinstance(inputs, Mapping):
        return (), inputs
    if not isinstance(inputs, (Tensor, list, tuple)):
        raise InceptionLabError(f"{inputs!r} is not an input", hint="give a shape such as (1, 3, 224, 224)")
    if isinstance(inputs, Tensor):
        return [inputs], {}
    if is_row_of_numbers(inputs):
        of_shape(inputs, dtype)  # refuses what is not a shape
        return [tuple(inputs)], {}
    return inputs, {}


class _Preparation:
    """Stands tensors in for shapes and examples, one for each example however often it is given."""

    def __init__(self, dtype: torch.dtype, stand_in: StandIn) -> None:
        self.dtype, self.stand_in = dtype, stand_in
        self.tensors: dict[str, Tensor] = {}
        self.shapes: list[str] = []
        self._by_example: dict[int, Tensor] = {}
        self._takes_shapes = True

    def as_they_are(self) -> _Preparation:
        """The same for values among which a row of integers is not a shape."""
        other = copy(self)
        other._takes_shapes = False
        return other

    def __call__(self, item: Any, name: str) -> Any:
        if isinstance(item, Tensor):
            return self._like(item, name)
        if isinstance(item, Mapping):
            return self._mapping(item, name)
        if is_dataclass(item) and not isinstance(item, type):
            return self._dataclass(item, name)
        if not isinstance(item, (list, tuple)):
            return item
        if self._takes_shapes and is_shape(item):
            self.shapes.append(name)
            self.tensors[name] = tensor = self.stand_in(of_shape(item, self.dtype))
            return tensor
        parts = [self(value, f"{name}.{place}") for place, value in enumerate(item)]
        return type(item)(*parts) if hasattr(item, "_fields") else type(item)(parts)

    def _mapping(self, item: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
        # A copy is of the same class, as a model may ask for; a plain dictionary need not be copied first.
        prepared: Any = {} if type(item) is dict else copy(item)
        for key, value in item.items():
            prepared[key] = self(value, f"{name}.{key}")
        return cast("Mapping[Any, Any]", prepared)

    def _dataclass(self, item: Any, name: str) -> Any:
        prepared = copy(item)
        for part in fields(item):
            value = self(getattr(item, part.name), f"{name}.{part.name}")
            object.__setattr__(prepared, part.name, value)  # frozen ones too
        return prepared

    def _like(self, example: Tensor, name: str) -> Tensor:
        if id(example) not in self._by_example:
            self._by_example[id(example)] = self.tensors[name] = self.stand_in(example)
        return self._by_example[id(example)]


def is_row_of_numbers(shape: Sequence[Any]) -> bool:
    """True for a row of numbers rather than of inputs, be they sizes or not."""
    return bool(shape) and all(isinstance(part, (Number, SymInt)) for part in shape)


def is_shape(item: object) -> bool:
    """True for a row of integers among inputs, be they sizes or not; a row of booleans is not one.

    Example:
        >>> is_shape((1, 3, 8, 8)), is_shape([True, False]), is_shape((0.5, 2)), is_shape(())
        (True, False, False, False)
    """
    return (
        isinstance(item, (list, tuple))
        and bool(item)
        and all(isinstance(part, (Integral, SymInt)) for part in item)
        and not all(isinstance(part, bool) for part in item)
    )


def of_shape(shape: Sequence[Any], dtype: torch.dtype) -> Tensor:
    """A meta tensor of this shape; sizes may be other libraries' integers.

    Raises:
        InceptionLabError: It is not a row of sizes of 1 or more (exit code 2), or too large (3).
    """
    try:
        sizes = tuple(index(size) for size in shape)
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1 or any(isinstance(size, bool) for size in shape):
        raise InceptionLabError(
            f"input shape {shape!r} is not a row of sizes of 1 or more",
            hint="write it like (1, 3, 224, 224); pass other integers by args= or kwargs=",
        )
    try:
        return torch.empty(sizes, dtype=dtype, device="meta")
    except (RuntimeError, TypeError) as error:
        raise InceptionLabError(
            f"an input of {len(sizes)} axes up to {max(sizes):.2e} is too large",
            hint="take a smaller one",
            exit_code=MODEL_FAILED,
        ) from error
