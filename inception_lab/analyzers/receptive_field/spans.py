"""Spans on an axis without edges: the source pixels that each unit of a period sees."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import gcd, lcm
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp

LONGEST_PERIOD = 4096
"""Units after which a span has to repeat; resizing by odd factors one after another may exceed it."""

_FAR = 1 << 60
"""First pixel, and less the last one, of a unit that sees nothing."""


class Unevenness(NamedTuple):
    """Says that units do not repeat, so that no one span describes them."""

    def after(self, op: AxisOp) -> Unevenness | None:
        """The span after one more operation."""
        return self if op.stride else None


UNEVEN = Unevenness()


class Span(NamedTuple):
    """First and last source pixel of each unit of a period.

    Unit i + k, of a period of k units, sees what unit i sees, moved by `step` pixels. Unlike the numbers
    of a window, which are means over phases, these are exact after upsampling too.

    Attributes:
        first: By unit.
        last: By unit; below the first where a unit sees nothing.
        step: Source pixels per period.
        is_cut: True where units are left out at the ends of the axis.
    """

    first: tuple[int, ...]
    last: tuple[int, ...]
    step: int
    is_cut: bool = False

    @property
    def field(self) -> int:
        """Pixels from the first to the last of the unit that sees most, 0 where none sees any."""
        return max(max(b - a for a, b in zip(self.first, self.last, strict=True)) + 1, 0)

    @property
    def stride(self) -> Fraction:
        """Source pixels between neighbours, in the mean."""
        return Fraction(self.step, len(self.first))

    @property
    def mean_centre(self) -> Fraction:
        """The middle of a unit's field less its position times the stride, in the mean over a period."""
        return _mean_centre(self)

    def after(self, op: AxisOp) -> AnySpan:
        """The span of what an operation makes of this, None where a unit then sees everything."""
        if not op.stride:
            # all that is left of a cut axis is a part of it, and so a field of its own
            return UNEVEN if self.is_cut else None
        if op.spans is None:
            return UNEVEN
        if len(self.first) == len(op.spans) == 1:  # as everywhere before the first upsampling
            (first, last), step = op.spans[0], self.step
            begin, end = self.first[0] + first * step, self.last[0] + last * step
            return Span((begin,), (end,), int(op.stride) * step, self.is_cut)
        rows = len(op.spans)
        advance = int(op.stride * rows)
        period = len(self.first)
        # so many periods of the operation's rows end where a period of this ends
        repeats = period // gcd(advance, period)
        if rows * repeats > LONGEST_PERIOD:
            return UNEVEN
        ends = [
            self._over(first + k * advance, last + k * advance)
            for k in range(repeats)
            for first, last in op.spans
        ]
        step = repeats * advance // period * self.step
        return _shortened(Span(tuple([a for a, _ in ends]), tuple([b for _, b in ends]), step, self.is_cut))

    def _over(self, start: int, stop: int) -> tuple[int, int]:
        """First and last pixel that the units from `start` to `stop` see."""
        # one period further on all units see later pixels
        period = len(self.first)
        leading = range(start, min(stop, start + period - 1) + 1)
        trailing = range(max(start, stop - period + 1), stop + 1)
        first = min((self.first[i % period] + i // period * self.step for i in leading), default=_FAR)
        last = max((self.last[i % period] + i // period * self.step for i in trailing), default=-_FAR)
        return (first, last) if first <= last else (_FAR, -_FAR)

    def moved(self, units: int) -> Span:
        """The span of units that were put so many places further on, among others of the axis."""
        ends = [self._over(i - units, i - units) for i in range(len(self.first))]
        return Span(tuple([a for a, _ in ends]), tuple([b for _, b in ends]), self.step)

    @property
    def shape(self) -> Span:
        """The same, begun at pixel 0: of spans that differ by their place alone it is one."""
        start = min(self.first)
        return Span(tuple([a - start for a in self.first]), tuple([b - start for b in self.last]), self.step)

    def merge(self, other: Span) -> Span | Unevenness:
        """The span of a unit that sees both; uneven where strides differ."""
        if self == other:
            return self
        one, two = len(self.first), len(other.first)
        is_cut = self.is_cut or other.is_cut
        if one == two == 1 and self.step == other.step:
            ends = (min(self.first[0], other.first[0]),), (max(self.last[0], other.last[0]),)
            return Span(*ends, self.step, is_cut)
        period = lcm(one, two)
        if self.step * two != other.step * one or period > LONGEST_PERIOD:
            return UNEVEN
        both = [(self._over(i, i), other._over(i, i)) for i in range(period)]
        first, last = [min(a[0], b[0]) for a, b in both], [max(a[1], b[1]) for a, b in both]
        return _shortened(Span(tuple(first), tuple(last), self.step * (period // one), is_cut))


AnySpan = Span | Unevenness | None
"""None for what depends on no place of its own: on nothing, or on everything alike."""

ITSELF = Span((0,), (0,), 1)
"""Each unit sees the pixel at its own place."""


def merge_spans(one: AnySpan, other: AnySpan) -> AnySpan:
    """The span of a unit that sees both."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, Unevenness) or isinstance(other, Unevenness):
        return UNEVEN
    return one.merge(other)


@lru_cache(4096)  # of few spans, each of which meets many others
def _mean_centre(span: Span) -> Fraction:
    seeing = [
        Fraction(a + b, 2) - i * span.stride
        for i, (a, b) in enumerate(zip(span.first, span.last, strict=True))
        if a <= b
    ]
    return sum(seeing, Fraction(0)) / max(len(seeing), 1)


def _shortened(span: Span) -> Span:
    """The span with its shortest period."""
    period = len(span.first)
    for shorter in range(1, period):
        repeats = period // shorter
        if period % shorter or span.step % repeats:
            continue
        step = span.step // repeats
        if all(
            end[i] + step * (abs(end[i]) < _FAR // 2) == end[i + shorter]
            for end in (span.first, span.last)
            for i in range(period - shorter)
        ):
            return Span(span.first[:shorter], span.last[:shorter], step, span.is_cut)
    return span
