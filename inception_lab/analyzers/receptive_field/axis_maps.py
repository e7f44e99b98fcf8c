"""Maps from the positions of a value along one axis to the source's pixels along that axis."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp, IntArray

_NO_FIRST = np.int64(np.iinfo(np.int64).max)
_NO_LAST = np.int64(-1)


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


class Extents:
    """First and last source pixel that each position depends on, exact at the borders too.

    Attributes:
        first: The first pixel, by position; read-only.
        last: The last pixel; below the first where a position sees nothing but padding; read-only.
        interior: The three numbers, None where no such numbers hold.
        everything: True where a single position stands for all, after a reduction over the axis.
    """

    __slots__ = ("everything", "first", "interior", "last")

    def __init__(self, first: IntArray, last: IntArray, interior: Interior | None, everything: bool = False):
        # readers of one trace share its maps
        first.flags.writeable = last.flags.writeable = False
        self.first, self.last, self.interior, self.everything = first, last, interior, everything

    @classmethod
    def identity(cls, size: int) -> Extents:
        """Each pixel sees itself."""
        pixels = np.arange(size)
        return cls(pixels, pixels, Interior(1, Fraction(1), Fraction(0)))

    def __len__(self) -> int:
        return len(self.first)

    def after(self, op: AxisOp) -> Extents:
        """The map of a value that an operation makes of this one."""
        if not op.moves:
            return self
        # a tap outside is -1, which reads the entry appended: neutral to the minimum and the maximum
        taps = op.taps
        first = np.append(self.first, _NO_FIRST)[taps].min(axis=1)
        last = np.append(self.last, _NO_LAST)[taps].max(axis=1)
        everything = self.everything or not op.stride
        if everything:
            return Extents(first, last, None, True)
        interior = self.interior.after(op) if self.interior and op.regular else None
        return Extents(first, last, interior)

    def merge(self, other: Extents) -> Extents:
        """The map of a value that depends on both."""
        first, last = np.minimum(self.first, other.first), np.maximum(self.last, other.last)
        everything = self.everything or other.everything
        # a single position broadcast over many has no stride
        broadcast = len(self) != len(other)
        if everything or broadcast or not self.interior or not other.interior:
            return Extents(first, last, None, everything)
        return Extents(first, last, self.interior.merge(other.interior))

    def exact_interior(self, size: int) -> Interior | None:
        """The numbers as the extents of inner units show them, where those were means over phases.

        Args:
            size: Pixels of the source along the axis.
        """
        if self.interior is None or not self.interior.has_phases:
            return self.interior
        inner = np.flatnonzero((self.first > 0) & (self.last < size - 1))
        first, last = self.first[inner], self.last[inner]
        if self.interior.stride.denominator > 1:
            # neighbours of different phase see fields of different size; the widest is the field
            widest = int((last - first).max()) + 1 if len(inner) else self.interior.field
            return self.interior._replace(field=widest)
        if len(inner) < 2:
            return self.interior if self._is_cut_of(self.interior, size) else None
        # spread and strided again, as by a deconvolution and a pool: one phase may be left
        stride = int(first[1] - first[0]) // int(inner[1] - inner[0])
        padding = inner * stride - first
        if stride < 1 or len(set(padding)) > 1 or len(set(last - first)) > 1:
            return None
        field = int(last[0] - first[0]) + 1
        return Interior(field, Fraction(stride), Fraction(int(padding[0])), self.interior.is_aligned)

    def _is_cut_of(self, interior: Interior, size: int) -> bool:
        """True where the numbers, cut off at the edges, give the extents."""
        first = np.arange(len(self)) * float(interior.stride) - float(interior.padding)
        last = first + interior.field - 1
        return bool(
            (np.maximum(first, 0) == self.first).all() and (np.minimum(last, size - 1) == self.last).all()
        )

    def covers(self, other: Extents) -> bool:
        """True where no position of the other sees anything outside of this one's extent."""
        return self is other or bool(((self.first <= other.first) & (self.last >= other.last)).all())


class Support:
    """Every single source pixel that each position depends on.

    Attributes:
        pixels: A table of positions x pixels, True where a position depends on a pixel.
    """

    __slots__ = ("pixels",)

    def __init__(self, pixels: NDArray[np.bool_]) -> None:
        self.pixels = pixels

    @classmethod
    def identity(cls, size: int) -> Support:
        """Each pixel sees itself."""
        return cls(np.eye(size, dtype=np.bool_))

    def __len__(self) -> int:
        return len(self.pixels)

    def after(self, op: AxisOp) -> Support:
        """The map of a value that an operation makes of this one."""
        if not op.moves:
            return self
        # a tap outside is -1, which reads the row appended
        nothing = np.zeros((1, self.pixels.shape[1]), dtype=np.bool_)
        rows = np.concatenate([self.pixels, nothing])
        # tap by tap, as a table of rows x taps x pixels would not fit for large windows
        columns = op.taps.T
        pixels = rows[columns[0]]
        for taps in columns[1:]:
            pixels = pixels | rows[taps]
        return Support(pixels)

    def merge(self, other: Support) -> Support:
        """The map of a value that depends on both."""
        return Support(self.pixels | other.pixels)

    def covers(self, other: Support) -> bool:
        """True where the other sees nothing that this one does not see."""
        return not (other.pixels & ~self.pixels).any()
