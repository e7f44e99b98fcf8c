"""From what the user gives to the arguments that a model is called with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import fields, is_dataclass
from numbers import Integral, Number
from operator import index
from typing import Any, NamedTuple, cast

import torch
from torch import SymInt, Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.running.stand_ins import StandIn

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]
"""A shape, an example tensor, a sequence of inputs, or a mapping of keyword inputs."""


class Arguments(NamedTuple):
    """The arguments of a model.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        tensors: Each tensor among them once, by its place: `0`, `1`, a keyword, `0.mask`.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]


def arguments(inputs: Inputs, dtype: torch.dtype, stand_in: StandIn) -> Arguments:
    """Put a tensor in the place of each shape and of each example tensor.

    Args:
        inputs: A shape with the batch, an example tensor, a sequence of positional inputs (empty for
            none), or a mapping of keyword inputs. Inputs may be lists, tuples and mappings of shapes
            and tensors in turn; anything else is passed on as it is.
        dtype: Element type of the inputs that are given as shapes.
        stand_in: Makes the tensor that stands in for an example.

    Raises:
        InceptionLabError: A shape is not a row of sizes of 1 or more (exit code 2), or too large (3).
    """
    prepare = _Preparation(dtype, stand_in)
    if isinstance(inputs, Mapping):
        kwargs = {name: prepare(value, name) for name, value in inputs.items()}
        return Arguments((), kwargs, prepare.tensors)
    if not isinstance(inputs, (Tensor, list, tuple)):
        raise InceptionLabError(f"{inputs!r} is not an input", hint="give a shape such as (1, 3, 224, 224)")
    several = [inputs] if isinstance(inputs, Tensor) else inputs
    if _is_shape(several):
        several = [of_shape(several, dtype)]
    args = tuple([prepare(value, str(place)) for place, value in enumerate(several)])
    return Arguments(args, {}, prepare.tensors)


class _Preparation:
    """Stands tensors in for shapes and examples, one for each example however often it is given."""

    def __init__(self, dtype: torch.dtype, stand_in: StandIn) -> None:
        self.dtype, self.stand_in = dtype, stand_in
        self.tensors: dict[str, Tensor] = {}
        self._by_example: dict[int, Tensor] = {}

    def __call__(self, item: Any, name: str) -> Any:
        if isinstance(item, Tensor):
            return self._like(item, name)
        if isinstance(item, Mapping):
            return self._mapping(item, name)
        if is_dataclass(item) and not isinstance(item, type):
            return self._dataclass(item, name)
        if not isinstance(item, (list, tuple)):
            return item
        if item and all(isinstance(part, (Integral, SymInt)) for part in item):
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


def _is_shape(shape: Sequence[Any]) -> bool:
    """True for a row of numbers rather than of inputs, be they sizes or not."""
    return bool(shape) and all(isinstance(part, (Number, SymInt)) for part in shape)


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
            f"input shape {shape!r} is not a row of sizes of 1 or more", hint="write it like (1, 3, 224, 224)"
        )
    try:
        return torch.empty(sizes, dtype=dtype, device="meta")
    except (RuntimeError, TypeError) as error:
        raise InceptionLabError(
            f"an input of {len(sizes)} axes up to {max(sizes):.2e} is too large",
            hint="take a smaller one",
            exit_code=MODEL_FAILED,
        ) from error
