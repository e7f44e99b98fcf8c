"""Recorded operations as PyTorch runs them: the overload, and its arguments by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from inception_lab.analyzers.receptive_field.storage_image import dtype_of
from inception_lab.ir.trace import TENSOR, Op, Value

UNREAD = frozenset(
    {"copy", "fill", "zero", "zeros_like", "ones_like", "full_like", "empty_like"}
    | {"new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"}
)
"""Operations that do not read the contents of their first input, but its shape."""


@cache
def overload(name: str) -> Any:
    """The operation of a name; None where this process does not have it."""
    try:
        return attrgetter(name)(torch.ops)
    except AttributeError:
        return None


@cache
def is_random(func: Any) -> bool:
    """True where an operation draws numbers."""
    takes_generator = any(argument.name == "generator" for argument in func._schema.arguments)
    return takes_generator or torch.Tag.nondeterministic_seeded in func.tags


@cache
def unread_arguments(func: Any, base_name: str) -> frozenset[str]:
    """Names of the arguments whose contents an operation does not read."""
    arguments = func._schema.arguments
    outputs = [a.name for a in arguments if a.kwarg_only and a.alias_info and a.alias_info.is_write]
    return frozenset([*outputs, *([arguments[0].name] if base_name in UNREAD else [])])


@cache
def written_arguments(func: Any) -> tuple[str, ...]:
    """Names of the arguments that an operation writes to."""
    if torch.Tag.inplace_view in func.tags:  # such an operation gives a tensor another shape alone
        return ()
    return tuple(a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write)


def bound(func: Any, op: Op, tensors: Sequence[Any]) -> dict[str, Any]:
    """The arguments of an operation by name, the tensors among them in their places.

    Raises:
        LookupError: There are more or fewer tensors than arguments.
    """
    plain, waiting = dict(op.args), list(tensors)
    slots = [a for a in func._schema.arguments if _takes_tensors(a) and a.name not in plain]
    required = sum(not a.has_default_value() for a in slots)
    bound: dict[str, Any] = {}
    for argument in func._schema.arguments:
        name = argument.name
        if name in plain:
            bound[name] = _argument(name, plain[name], waiting)
        elif argument in slots:
            required -= not argument.has_default_value()
            if _takes_list(argument):
                count = len(waiting) - required
                bound[name] = [waiting.pop(0) for _ in range(count)]
            elif len(waiting) > required or not argument.has_default_value():
                bound[name] = waiting.pop(0)
    if waiting:
        raise LookupError(f"{op.name} reads more than its arguments")
    return bound


def _takes_tensors(argument: Any) -> bool:
    return "Tensor" in str(argument.type)


def _takes_list(argument: Any) -> bool:
    return "List" in str(argument.type)


def _argument(name: str, value: Any, waiting: list[Any]) -> Any:
    """An argument as PyTorch takes it, of what a trace keeps of it."""
    if name == "device":
        return torch.device("cpu")
    if isinstance(value, tuple):
        return [waiting.pop(0) if item == TENSOR else item for item in value]
    if isinstance(value, str) and value.startswith("torch."):
        return getattr(torch, value.removeprefix("torch."))
    return value


def with_dtype(func: Any, arguments: dict[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """The arguments with the dtype that a factory gave, whatever is the default now."""
    names = {argument.name for argument in func._schema.arguments}
    if "dtype" in names and arguments.get("dtype") is None:
        return arguments | {"dtype": dtype}
    return arguments


def values_in(argument: Any) -> list[Value]:
    """The values among the items of a list argument, or the one of another."""
    items = argument if isinstance(argument, list) else [argument]
    return [item for item in items if isinstance(item, Value)]


def flat(results: Any) -> list[Tensor]:
    """The tensors among an operation's results, in the order in which a trace writes them down."""
    if isinstance(results, Tensor):
        return [results]
    return [x for x in results if isinstance(x, Tensor)] if isinstance(results, (list, tuple)) else []


def is_like(result: Any, value: Value) -> bool:
    """True for a plain tensor on the CPU that could be the value."""
    return (
        type(result) is Tensor
        and result.device.type == "cpu"
        and tuple(result.shape) == value.shape
        and result.dtype is dtype_of(value)
    )
