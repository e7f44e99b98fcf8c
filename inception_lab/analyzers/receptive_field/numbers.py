"""Field, stride and padding along one axis, as far as they describe the extents of units."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field.axis_field import AxisField, Pixels
from inception_lab.analyzers.receptive_field.axis_layout import AxisMap, Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Interior, Interiors


class Followed(NamedTuple):
    """What operations passed on of the numbers of units along each axis of the source.

    Attributes:
        maps: Of each axis.
        is_certain: True where they follow from every operation; else the extents have to confirm them.
    """

    maps: tuple[AxisMap, ...]
    is_certain: bool

    @classmethod
    def of_units(cls, geometry: Geometry) -> Followed:
        """The numbers of the units that a value holds."""
        # positions that a view wrote among the channels belong to the unit that holds those channels
        positions = geometry.per_position()
        return cls(positions.maps, not positions.bound_reason)


def numbers_of(followed: Followed | None, along: AxisField, size: int) -> Interior | None:
    """The numbers of local paths along an axis; None where none describe the extents.

    Args:
        followed: Of the units, where the numbers were followed.
        along: The spans of the units along it.
        size: Pixels of the source along the axis.
    """
    first, last = along.first, along.last
    numbers = _from_operations(followed, along) if followed is not None else None
    if followed is not None and numbers is not None:
        if _describes(numbers, followed.is_certain, first, last, size):
            return numbers
        # of several centres no unit shows the three numbers, whose field spans those of all
        if followed.is_certain and not numbers.is_aligned:
            return numbers
    return _fitted(first, last, size)


def _from_operations(followed: Followed, along: AxisField) -> Interior | None:
    """The numbers that operations passed on, if they did so for as many units."""
    numbers = followed.maps[along.dim] if along.dim is not None else None
    if not isinstance(numbers, Interiors) or len(numbers) != along.units:
        return None
    return numbers.interior


def _describes(numbers: Interior, is_certain: bool, first: Pixels, last: Pixels, size: int) -> bool:
    """True where numbers agree with the extents of all units whose windows meet no edge.

    Args:
        numbers: Field, stride and padding.
        is_certain: True where they follow from every operation; else the extents have to confirm them.
        first: The first pixel that each unit sees.
        last: The last one.
        size: Pixels of the source along the axis.
    """
    if numbers.stride.denominator > 1 or numbers.padding.denominator > 1:
        return is_certain  # means over phases, which no single unit shows
    begin = np.arange(len(first)) * int(numbers.stride) - int(numbers.padding)
    end = begin + numbers.field - 1
    width, is_inner = last - first + 1, (begin >= 0) & (end < size)
    is_full = is_inner & (width == numbers.field)
    # an inner unit may see less, where branches see padding alone, but nothing beside its window
    if (is_full & (first != begin)).any() or (is_inner & (width > numbers.field)).any():
        return False
    if is_certain:
        return True
    # one unit confirms any stride: it takes two, and none that sees pixels where its window has none
    sees_something, is_outside = last >= first, (end < 0) | (begin >= size)
    return bool(is_full.sum() >= min(2, len(first)) and not (sees_something & is_outside).any())


def _fitted(first: Pixels, last: Pixels, size: int) -> Interior | None:
    """The numbers that the extents of the units show that see neither the first nor the last pixel."""
    inner = np.flatnonzero((first > 0) & (last < size - 1) & (last >= first))
    if len(inner) < 2 or inner[-1] - inner[0] != len(inner) - 1:
        return None
    steps, widths = np.diff(first[inner]), (last - first)[inner]
    if len({*steps.tolist()}) > 1 or len({*widths.tolist()}) > 1 or steps[0] < 1:
        return None
    stride = int(steps[0])
    return Interior(
        int(widths[0]) + 1, Fraction(stride), Fraction(int(inner[0]) * stride - int(first[inner[0]]))
    )
