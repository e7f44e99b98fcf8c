"""Maps from the positions of a value along one axis to the source's pixels along that axis."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp
from inception_lab.analyzers.receptive_field.spans import ITSELF, Span


class Interior(NamedTuple):
    """Field, stride and leading padding where no window meets an edge, in source pixels.

    A unit at position i sees the pixels from i x stride - padding on, `field` of them. Where the stride is
    not whole, neighbours see fields of different size: then `field` is the widest, and `padding` puts the
    centres of all phases where they are in the mean.

    Attributes:
        field: Pixels from the first to the last.
        stride: Pixels between the fields of neighbours.
        padding: Pixels by which the first unit's field begins before the first pixel.
        is_aligned: True where all paths share the centre; else the field spans paths of several centres.
    """

    field: int
    stride: Fraction
    padding: Fraction
    is_aligned: bool = True

    def centre(self, position: int) -> Fraction:
        """The middle of a unit's field."""
        return position * self.stride - self.padding + Fraction(self.field - 1, 2)


class Interiors:
    """The three numbers of the local paths along an axis; what sees all of it adds nothing to them.

    Attributes:
        everything: True where a single position stands for all, after a reduction over the axis.
    """

    __slots__ = ("_is_aligned", "_size", "_span", "everything")

    def __init__(
        self, span: Span | None, size: int, everything: bool = False, is_aligned: bool = True
    ) -> None:
        self._span, self._size, self.everything, self._is_aligned = span, size, everything, is_aligned

    @classmethod
    def identity(cls, size: int) -> Interiors:
        """Each pixel sees itself."""
        return cls(ITSELF, size)

    def __len__(self) -> int:
        return self._size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Interiors) and self._facts == other._facts

    def __hash__(self) -> int:
        return hash(self._facts)

    @property
    def _facts(self) -> tuple[object, ...]:
        return self._span, self._is_aligned, self._size, self.everything

    @property
    def interior(self) -> Interior | None:
        """The three numbers, None where no such numbers hold."""
        span = self._span
        # in whole steps, but each of another length, as behind two dilated convolutions side by side
        if span is None or not span.field or (len(span.first) > 1 and span.stride.denominator == 1):
            return None
        padding = Fraction(span.field - 1, 2) - span.mean_centre
        return Interior(span.field, span.stride, padding, self._is_aligned)

    def after(self, op: AxisOp) -> Interiors:
        """The numbers of a value that an operation makes of this one."""
        size = op.length
        if not op.moves:
            return self
        if self.everything or not op.stride:
            return Interiors(None, size, True)
        span = self._span and self._span.after(op)
        return Interiors(span if isinstance(span, Span) else None, size, is_aligned=self._is_aligned)

    def merge(self, other: Interiors) -> Interiors:
        """The numbers of a value that depends on both."""
        if self.everything != other.everything:
            return other if self.everything else self
        size = max(len(self), len(other))
        # a single position broadcast over many has no stride
        if len(self) != len(other) or not self._span or not other._span:
            return Interiors(None, size, self.everything)
        span = self._span.merge(other._span)
        if not isinstance(span, Span):
            return Interiors(None, size)
        shares_centre = self._span.mean_centre == other._span.mean_centre
        return Interiors(span, size, False, self._is_aligned and other._is_aligned and shares_centre)

    def covers(self, other: Interiors) -> bool:
        """True where the other adds nothing to the numbers of this."""
        return (
            self is other
            or other.everything
            or (self._span is not None and (self._span, self._is_aligned) == (other._span, other._is_aligned))
        )
