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
    """What a model is called with.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        tensors: Each tensor among them once, by its place: `0`, `1`, a keyword, `0.mask`.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    tensors: dict[str, Tensor]


def arguments(given: Inputs, dtype: torch.dtype, stand_in: StandIn) -> Arguments:
    """Put a tensor in the place of each shape and of each example tensor.

    Args:
        given: A shape with the batch, an example tensor, a sequence of positional inputs (empty for
            none), or a mapping of keyword inputs. Inputs may be lists, tuples and mappings of shapes
            and tensors in turn; what is none of these is passed on as it is.
        dtype: Element type of the inputs that are given as shapes.
        stand_in: Makes the tensor that stands in for an example.

    Raises:
        InceptionLabError: A shape is no row of sizes of 1 or more (exit code 2), or too large (3).
    """
    prepare = _Preparation(dtype, stand_in)
    if isinstance(given, Mapping):
        kwargs = {name: prepare(value, name) for name, value in given.items()}
        return Arguments((), kwargs, prepare.tensors)
    if not isinstance(given, (Tensor, list, tuple)):
        raise InceptionLabError(f"{given!r} is no input", hint="give a shape such as (1, 3, 224, 224)")
    several = [given] if isinstance(given, Tensor) else given
    if _is_shape(several):
        several = [of_shape(several, dtype)]
    args = tuple([prepare(value, str(place)) for place, value in enumerate(several)])
    return Arguments(args, {}, prepare.tensors)


class _Preparation:
    """Stands tensors in for shapes and examples, one for each example however often it is given."""

    def __init__(self, dtype: torch.dtype, stand_in: StandIn) -> None:
        self.dtype, self.stand_in = dtype, stand_in
        self.tensors: dict[str, Tensor] = {}
        self._known: dict[int, Tensor] = {}

    def __call__(self, given: Any, name: str) -> Any:
        if isinstance(given, Tensor):
            return self._like(given, name)
        if isinstance(given, Mapping):
            return self._mapping(given, name)
        if is_dataclass(given) and not isinstance(given, type):
            return self._dataclass(given, name)
        if not isinstance(given, (list, tuple)):
            return given
        if given and all(isinstance(part, (Integral, SymInt)) for part in given):
            self.tensors[name] = made = self.stand_in(of_shape(given, self.dtype))
            return made
        parts = [self(value, f"{name}.{place}") for place, value in enumerate(given)]
        return type(given)(*parts) if hasattr(given, "_fields") else type(given)(parts)

    def _mapping(self, given: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
        found: Any = {} if type(given) is dict else copy(given)
        for key, value in given.items():
            found[key] = self(value, f"{name}.{key}")
        return cast("Mapping[Any, Any]", found)

    def _dataclass(self, given: Any, name: str) -> Any:
        found = copy(given)
        for part in fields(given):
            value = self(getattr(given, part.name), f"{name}.{part.name}")
            object.__setattr__(found, part.name, value)  # frozen ones too
        return found

    def _like(self, example: Tensor, name: str) -> Tensor:
        if id(example) not in self._known:
            self._known[id(example)] = self.tensors[name] = self.stand_in(example)
        return self._known[id(example)]


def _is_shape(given: Sequence[Any]) -> bool:
    """Whether a sequence is a row of numbers rather than of inputs, even if they are no sizes."""
    return bool(given) and all(isinstance(part, (Number, SymInt)) for part in given)


def of_shape(given: Sequence[Any], dtype: torch.dtype) -> Tensor:
    """A meta tensor of this shape; sizes may be other libraries' integers.

    Raises:
        InceptionLabError: It is no row of sizes of 1 or more (exit code 2), or too large (3).
    """
    try:
        sizes = tuple(index(size) for size in given)
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1 or any(isinstance(size, bool) for size in given):
        raise InceptionLabError(
            f"input shape {given!r} is no row of sizes of 1 or more", hint="write it like (1, 3, 224, 224)"
        )
    try:
        return torch.empty(sizes, dtype=dtype, device="meta")
    except (RuntimeError, TypeError) as error:
        raise InceptionLabError(
            f"an input of {len(sizes)} axes up to {max(sizes):.2e} is too large",
            hint="take a smaller one",
            exit_code=MODEL_FAILED,
        ) from error
