"""Digits of dimensions: the places of the source's axes among those of a value."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

NO_AXIS = -1
"""The axis of digits that tell no places of the source apart."""


class Factor(NamedTuple):
    """A digit of a dimension: a position along a source axis is the sum of digit x step.

    A view may write one dimension as several digits, as windows of an attention layer do, or several
    digits as one dimension, as flattening does. Digits of no axis have the axis -1.
    """

    size: int
    axis: int
    step: int


Dim = tuple[Factor, ...]


def shape_of(dims: Sequence[Dim]) -> tuple[int, ...]:
    """The sizes of dimensions."""
    return tuple([prod([f.size for f in dim]) for dim in dims])


def plain_dim(size: int) -> Dim:
    """A dimension that carries no axis."""
    return (Factor(size, NO_AXIS, 0),) if size != 1 else ()


def axis_dim(size: int, axis: int) -> Dim:
    """A dimension that is one whole axis, even if only one position of it is left."""
    return (Factor(size, axis, 1),)


def is_mixed(dim: Dim) -> bool:
    """True where a dimension carries an axis and something else."""
    return len({f.axis == NO_AXIS for f in dim}) > 1


def take_digits(digits: list[Factor], size: int) -> Dim | None:
    """Take digits that make up a dimension of this size from the front of the list.

    The last digit is split where it is larger than what is missing: its slower part is taken, its faster
    part stays in the list.

    Returns:
        The digits, None where no row of digits has this size.
    """
    if size == 1 and digits and digits[0].size == 1:
        return (digits.pop(0),)
    while digits and digits[0].size == 1:
        digits.pop(0)  # an axis of one position that shares its dimension with others is lost
    row: list[Factor] = []
    missing = size
    while missing > 1:
        if not digits:
            return None
        digit = digits.pop(0)
        if missing % digit.size == 0:
            row.append(digit)
            missing //= digit.size
        elif digit.size % missing == 0:
            # position = slow x faster + fast, so that one slow position is `faster` positions of the digit
            faster = digit.size // missing
            row.append(Factor(missing, digit.axis, digit.step * faster))
            digits.insert(0, Factor(faster, digit.axis, digit.step))
            missing = 1
        else:
            return None
    return tuple(row) if missing == 1 else None


def broadcast_dim(dim: Dim | None, size: int) -> Dim:
    """A dimension, or one without an axis where a single position is broadcast over it."""
    return dim if dim and prod(f.size for f in dim) == size else plain_dim(size)


def axis_digits(dim: Dim) -> Dim:
    """The digits of a dimension that tell positions of an axis apart."""
    return tuple([f for f in dim if f.axis != NO_AXIS and f.size > 1])


def common_dim(dims: Sequence[Dim]) -> Dim | None:
    """The one way in which a dimension carries axes, empty where none does, None where there are two."""
    carrying = {dim for dim in dims if axis_digits(dim)}
    if len(carrying) > 1:
        return None
    single = (dim for dim in dims if any(f.axis != NO_AXIS for f in dim))
    return next(iter(carrying), None) or next(single, ())


def axis_places(axis: int, dims: tuple[Dim, ...]) -> list[tuple[int, Factor]]:
    """The digits of an axis, each with its dimension."""
    return [(d, f) for d, dim in enumerate(dims) for f in axis_digits(dim) if f.axis == axis]
