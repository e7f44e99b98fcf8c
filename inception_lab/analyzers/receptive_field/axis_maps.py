"""Maps from the positions of a value along one axis to the source's pixels along that axis."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp, IntArray


class Interior(NamedTuple):
    """Field, stride and leading padding where no window meets an edge, in source pixels.

    A unit at position i sees the pixels from i x stride - padding on, `field` of them.

    Attributes:
        field: Pixels from the first to the last.
        stride: Pixels between the fields of neighbours.
        padding: Pixels by which the first unit's field begins before the first pixel.
        is_aligned: True where all paths share the centre; else the field spans paths of several centres.
        has_phases: True where positions were spread, so that the numbers are means over phases.
    """

    field: int
    stride: Fraction
    padding: Fraction
    is_aligned: bool = True
    has_phases: bool = False

    def after(self, op: AxisOp) -> Interior:
        """The numbers after one more operation."""
        return Interior(
            ceil(self.field + op.grow * self.stride),
            self.stride * op.stride,
            self.padding + op.lead * self.stride,
            self.is_aligned,
            self.has_phases or op.stride.denominator > 1,
        )

    def merge(self, other: Interior) -> Interior | None:
        """The numbers that span both, None where no such numbers are, because strides differ."""
        if self == other:
            return self
        if self.stride != other.stride:
            return None
        # the span begins at the earlier first pixel and ends at the later last one
        padding = max(self.padding, other.padding)
        last = max(self.field - self.padding, other.field - other.padding)
        is_aligned = self.is_aligned and other.is_aligned and self.centre(0) == other.centre(0)
        has_phases = self.has_phases or other.has_phases
        return Interior(int(padding + last), self.stride, padding, is_aligned, has_phases)

    def centre(self, position: int) -> Fraction:
        """The middle of a unit's field."""
        return position * self.stride - self.padding + Fraction(self.field - 1, 2)

    def as_seen(self, first: IntArray, last: IntArray, size: int) -> Interior | None:
        """The numbers as the extents of inner units show them, where these were means over phases.

        Args:
            first: The first pixel that each unit sees.
            last: The last one.
            size: Pixels of the source along the axis.
        """
        if not self.has_phases:
            return self
        inner = np.flatnonzero((first > 0) & (last < size - 1) & (last >= first))
        begin, end = first[inner], last[inner]
        if self.stride.denominator > 1:
            # neighbours of different phase see fields of different size; the widest is the field
            widest = int((end - begin).max()) + 1 if len(inner) else self.field
            return self._replace(field=widest)
        if len(inner) < 2:
            return self if self._is_cut_of(first, last, size) else None
        # spread and strided again, as by a deconvolution and a pool: one phase may be left
        stride = int(begin[1] - begin[0]) // int(inner[1] - inner[0])
        padding = inner * stride - begin
        if stride < 1 or len(set(padding)) > 1 or len(set(end - begin)) > 1:
            return None
        return Interior(
            int(end[0] - begin[0]) + 1, Fraction(stride), Fraction(int(padding[0])), self.is_aligned
        )

    def _is_cut_of(self, first: IntArray, last: IntArray, size: int) -> bool:
        """True where the numbers, cut off at the edges, give the extents."""
        begin = np.arange(len(first)) * float(self.stride) - float(self.padding)
        end = begin + self.field - 1
        return bool((np.maximum(begin, 0) == first).all() and (np.minimum(end, size - 1) == last).all())


class Interiors:
    """The three numbers of the local paths along an axis; what sees all of it adds nothing to them.

    Attributes:
        interior: The three numbers, None where no such numbers hold.
        everything: True where a single position stands for all, after a reduction over the axis.
    """

    __slots__ = ("_size", "everything", "interior")

    def __init__(self, interior: Interior | None, size: int, everything: bool = False) -> None:
        self.interior, self._size, self.everything = interior, size, everything

    @classmethod
    def identity(cls, size: int) -> Interiors:
        """Each pixel sees itself."""
        return cls(Interior(1, Fraction(1), Fraction(0)), size)

    def __len__(self) -> int:
        return self._size

    def after(self, op: AxisOp) -> Interiors:
        """The numbers of a value that an operation makes of this one."""
        size = op.length
        if not op.moves:
            return self
        if self.everything or not op.stride:
            return Interiors(None, size, True)
        return Interiors(self.interior.after(op) if self.interior and op.regular else None, size)

    def merge(self, other: Interiors) -> Interiors:
        """The numbers of a value that depends on both."""
        if self.everything != other.everything:
            return other if self.everything else self
        size = max(len(self), len(other))
        # a single position broadcast over many has no stride
        if len(self) != len(other) or not self.interior or not other.interior:
            return Interiors(None, size, self.everything)
        return Interiors(self.interior.merge(other.interior), size)

    def covers(self, other: Interiors) -> bool:
        """True where the other adds nothing to the numbers of this."""
        return (
            self is other
            or other.everything
            or (self.interior is not None and self.interior == other.interior)
        )
