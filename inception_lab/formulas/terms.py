"""Cost, formula, and the terms in which the tables of formulas are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket

aten = torch.ops.aten


class Cost(NamedTuple):
    """Cost of one run of an operation.

    Attributes:
        macs: Multiply-accumulates of convolutions and matrix products: 1 multiplication and 1 addition
            are 1.
        other_flops: Operations of everything else.
        counted: False where no formula knows the operation, whose figures then are 0.

    Example:
        >>> Cost(macs=4 * 10 * 20), Cost(other_flops=80).counted
        (Cost(macs=800, other_flops=0, counted=True), True)
    """

    macs: int = 0
    other_flops: int = 0
    counted: bool = True


Formula = Callable[[Sequence[Any], Any], Cost]
"""Gives the cost from the positional arguments and the output of an operation."""
FREE = Cost()
ABSENT: set[str] = set()
"""Names in the tables for which this PyTorch does not have an operation; a newer one may."""


def packets(names: str) -> list[OpOverloadPacket]:
    """Return the operations of these names that this PyTorch has, each with all its overloads."""
    name_list = names.split()
    ABSENT.update(name for name in name_list if not hasattr(aten, name))
    return [getattr(aten, name) for name in name_list if hasattr(aten, name)]


def rows(formula: Formula, names: str) -> dict[OpOverloadPacket, Formula]:
    """Return a table of one formula for every operation of these names."""
    return dict.fromkeys(packets(names), formula)


def optional_argument(args: Sequence[Any], place: int) -> Any:
    """Return an argument, None where it has its default: the dispatcher cuts those off at the end."""
    return args[place] if place < len(args) else None


COMPLEX_MAC = 4
"""Real multiply-accumulates in one of complex numbers: (a + bi)(c + di) = (ac - bd) + (ad + bc)i."""


def in_real_macs(cost: Cost, args: Sequence[Any]) -> Cost:
    """Return the cost of products of complex numbers in multiply-accumulates of real ones.

    PyTorch multiplies no complex matrix by a real one, so that one complex factor tells of both.
    """
    if not cost.macs or not any(tensor.is_complex() for tensor in tensors_of(args)):
        return cost
    return cost._replace(macs=COMPLEX_MAC * cost.macs)


def tensors_of(args: Sequence[Any]) -> Iterator[Tensor]:
    """The tensors among arguments and in their lists."""
    for arg in args:
        if isinstance(arg, Tensor):
            yield arg
        elif isinstance(arg, (list, tuple)):
            yield from tensors_of(arg)


def first_output(out: Any) -> Tensor:
    """Return the output, or the first of several."""
    return out if isinstance(out, Tensor) else next(tensor for tensor in out if tensor is not None)


def per_element(operations: int) -> Formula:
    """Return a formula of so many operations for each element of the first output."""
    return lambda _, out: Cost(other_flops=operations * first_output(out).numel())


def per_input_element(operations: int, place: int = 0) -> Formula:
    """Return a formula of so many operations for each element of the input at `place`."""
    return lambda args, _: Cost(other_flops=operations * args[place].numel())
