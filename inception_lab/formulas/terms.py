"""What a cost is, what a formula is, and how the tables name operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverloadPacket

aten = torch.ops.aten


class Cost(NamedTuple):
    """What one run of an operation costs; `counted` is False where no formula knows it."""

    macs: int = 0
    other_flops: int = 0
    counted: bool = True


Formula = Callable[[Sequence[Any], Any], Cost]
"""Gives the cost from the positional arguments and from what was returned."""
FREE = Cost()
UNKNOWN: set[str] = set()
"""Names in the tables that this PyTorch has no operation for; a newer one may."""


def packets(names: str) -> list[OpOverloadPacket]:
    """The operations of these names that this PyTorch has, each with all its overloads."""
    listed = names.split()
    UNKNOWN.update(name for name in listed if not hasattr(aten, name))
    return [getattr(aten, name) for name in listed if hasattr(aten, name)]


def rows(formula: Formula, names: str) -> dict[OpOverloadPacket, Formula]:
    """One formula for every operation of these names."""
    return dict.fromkeys(packets(names), formula)


def given(args: Sequence[Any], place: int) -> Any:
    """An argument, None where it was left at its default: the dispatcher cuts those off at the end."""
    return args[place] if place < len(args) else None


def first_output(out: Any) -> Tensor:
    """The output, or the first of several."""
    return out if isinstance(out, Tensor) else next(t for t in out if t is not None)


def per_element(operations: int) -> Formula:
    """So many operations for each element of the first output."""
    return lambda _, out: Cost(other_flops=operations * first_output(out).numel())


def per_input_element(operations: int, place: int = 0) -> Formula:
    """So many operations for each element of an input, the first where none is named."""
    return lambda args, _: Cost(other_flops=operations * args[place].numel())
