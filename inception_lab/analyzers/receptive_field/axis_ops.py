"""What one operation does along one axis: which of its input's positions each output position reads.

It is a table of taps, a row per output position, -1 where a tap falls into padding. Beside it stand
three numbers that say how it changes field R, stride S and leading padding P of the interior, where no
window meets an edge (Araujo, Norris & Sim, Distill 2019): R' = R + grow S, P' = P + lead S,
S' = stride S. Where rows differ in phase, as in upsampling, `grow` is the largest row's and `lead` puts
the centre at the mean over the phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
Sizes = Callable[[IntArray], IntArray]
"""Output sizes for a row of input sizes, below 1 where the operation takes no input of that size."""

OUTSIDE = -1
_cached = lru_cache(4096)


@dataclass(frozen=True, eq=False, slots=True)
class AxisOp:
    """One operation along one axis.

    Attributes:
        taps: Positions read by each output position, rows x taps, -1 for none.
        grow: What the field grows by, in strides.
        lead: What the leading padding grows by, in strides.
        stride: What the stride is multiplied by; 0 where one row reads everything.
        regular: Whether the three numbers hold along the axis.
        sizes: Output sizes for other input sizes; None where the operation takes this size alone.
        moves: Whether a position reads anything else than the same one.
    """

    taps: IntArray
    grow: int
    lead: Fraction
    stride: Fraction
    regular: bool
    sizes: Sizes | None
    moves: bool = True


@_cached
def window(
    size: int, out: int, kernel: int, stride: int, lead: int, dilation: int, rounding_up: bool
) -> AxisOp:
    """A convolution or pooling window; the last one may hang over the edge."""
    taps = np.arange(out)[:, None] * stride - lead + np.arange(kernel) * dilation
    reach = dilation * (kernel - 1)

    def sizes(n: IntArray) -> IntArray:
        made = (n + 2 * lead - reach - 1 + (stride - 1) * rounding_up) // stride + 1
        return made - (rounding_up & ((made - 1) * stride >= n + lead))

    return AxisOp(_within(taps, size), reach, Fraction(lead), Fraction(stride), True, sizes)


@_cached
def spread(size: int, out: int, kernel: int, stride: int, lead: int, dilation: int) -> AxisOp:
    """A transposed convolution: each input position is spread over a window of outputs."""

    def read(rows: IntArray) -> IntArray:
        reached = rows[:, None] + lead - np.arange(kernel) * dilation
        return np.where(reached % stride == 0, reached // stride, _NOWHERE)

    beyond = out - stride * (size - 1)

    def sizes(n: IntArray) -> IntArray:
        return (n - 1) * stride + beyond

    return _phased(read, size, out, Fraction(1, stride), sizes)


@_cached
def resized(size: int, out: int, scale: Fraction, taps: int, corners: bool, centred: bool) -> AxisOp:
    """Interpolation by 1 (nearest), 2 (linear) or 4 (cubic) taps along the axis.

    Args:
        size: Of the input.
        out: Of the output.
        scale: Input positions per output position.
        taps: How many neighbours are mixed.
        corners: Whether the corner pixels of both are aligned.
        centred: Whether pixels are areas (linear, cubic, nearest-exact) rather than points (nearest).
    """
    scale = Fraction(size - 1, max(out - 1, 1)) if corners else scale
    shift = Fraction(0) if corners or not centred else (scale - 1 + (taps == 1)) / 2

    unit = scale.denominator * shift.denominator
    before = max(taps // 2 - 1, 0)

    def read(rows: IntArray) -> IntArray:
        place = rows * scale.numerator * shift.denominator + shift.numerator * scale.denominator
        found = place[:, None] // unit + np.arange(taps) - before
        unweighted = (place % unit == 0)[:, None] & (np.arange(taps) != before)
        return np.where(unweighted, _NOWHERE, found)

    def sizes(n: IntArray) -> IntArray:
        return n * 0 + out if corners else n * scale.denominator // scale.numerator

    read_all = _nearest(size, out, scale, centred) if taps == 1 else read(np.arange(out))
    taps_within = np.where(read_all > _NOWHERE, np.clip(read_all, 0, size - 1), OUTSIDE)
    return replace(_phased(read, size, out, scale, sizes), taps=taps_within)


def _nearest(size: int, out: int, scale: Fraction, centred: bool) -> IntArray:
    """In single precision, as PyTorch computes it (aten/src/ATen/native/UpSample.h)."""
    rows = np.arange(out, dtype=np.float32) + np.float32(0.5 * centred)
    found: IntArray = np.floor(rows * np.float32(scale)).astype(np.int64)
    return np.minimum(found, size - 1)[:, None]


@_cached
def adaptive(size: int, out: int) -> AxisOp:
    """Adaptive pooling, whose windows may differ in size and overlap."""
    rows = np.arange(out)
    first, last = rows * size // out, -((rows + 1) * -size // out) - 1
    offsets = np.arange(int((last - first).max()) + 1)
    taps = np.where(offsets <= (last - first)[:, None], first[:, None] + offsets, OUTSIDE)
    share = max(size // out, 1)
    even = size % out == 0
    return AxisOp(taps, share - 1, Fraction(0), Fraction(share), even, lambda n: np.where(n > 0, out, 0))


def picked(positions: IntArray) -> AxisOp:
    """Each output position reads one input position, or none where it is -1."""
    return AxisOp(positions[:, None], 0, Fraction(0), Fraction(1), False, None)


@_cached
def sliced(size: int, start: int, stop: int, stride: int) -> AxisOp:
    """A slice of an axis."""
    positions = np.arange(size)[start:stop:stride]
    whole_tail = stop >= size

    def sizes(n: IntArray) -> IntArray:
        end = n if whole_tail else np.minimum(n, stop)
        return np.maximum(-((start - end) // stride), 0)

    return AxisOp(positions[:, None], 0, Fraction(-start), Fraction(stride), True, sizes)


@_cached
def padded(size: int, lead: int, trail: int) -> AxisOp:
    """Zeros before and after; negative numbers cut off."""
    taps = _within(np.arange(-lead, size + trail)[:, None], size)
    return AxisOp(taps, 0, Fraction(lead), Fraction(1), True, lambda n: n + lead + trail)


@_cached
def mirrored(size: int, lead: int, trail: int, how: str) -> AxisOp:
    """Reflection, replication or circular padding."""
    positions = np.pad(np.arange(size), (lead, trail), mode=_PADDING[how])  # type: ignore[call-overload]
    least = max(lead, trail) + (how == "reflection")

    def sizes(n: IntArray) -> IntArray:
        return np.where(n >= max(least, 1), n + lead + trail, 0)

    return AxisOp(positions[:, None], 0, Fraction(lead), Fraction(1), True, sizes)


@_cached
def unmoved(size: int) -> AxisOp:
    """A window of one position, as that of a 1x1 convolution."""
    return _pointwise(size, lambda n: n)


@_cached
def fixed(size: int) -> AxisOp:
    """Arithmetic with a tensor of this very size."""
    return _pointwise(size, None)


def _pointwise(size: int, sizes: Sizes | None) -> AxisOp:
    taps = np.arange(size)[:, None]
    return AxisOp(taps, 0, Fraction(0), Fraction(1), True, sizes, moves=False)


@_cached
def collapsed(size: int) -> AxisOp:
    """One output that reads everything, however much that is."""
    return AxisOp(np.arange(size)[None], 0, Fraction(0), Fraction(0), True, lambda n: np.minimum(n, 1))


@_cached
def contracted(size: int) -> AxisOp:
    """One output that reads everything, by a weight for each position."""
    return AxisOp(np.arange(size)[None], 0, Fraction(0), Fraction(0), True, None)


@_cached
def folded(factors: tuple[tuple[int, int], ...], kept: tuple[int, ...]) -> AxisOp:
    """An axis written in digits, of which only some are kept: each row reads all values of the others.

    Args:
        factors: Size and step of each digit, the position being the sum of digit x step.
        kept: Which digits make up the rows, the first the slowest.
    """
    positions = np.zeros((1,) * len(factors), dtype=np.int64)
    for place, (size, step) in enumerate(factors):
        shape = [1] * len(factors)
        shape[place] = size
        positions = positions + (np.arange(size) * step).reshape(shape)
    gone = [place for place in range(len(factors)) if place not in kept]
    rows = positions.transpose(*kept, *gone).reshape(int(np.prod([factors[k][0] for k in kept])), -1)
    steps = [factors[k][1] for k in kept if factors[k][0] > 1]
    regular = all(factors[a][1] == factors[b][1] * factors[b][0] for a, b in pairwise(kept))
    grow = sum((factors[g][0] - 1) * factors[g][1] for g in gone)
    return AxisOp(rows, grow, Fraction(0), Fraction(steps[-1] if steps else 1), regular, None)


@_cached
def repeated(size: int, inner: int, outer: int) -> AxisOp:
    """Each position `inner` times, and all of it `outer` times over."""
    positions = np.tile(np.repeat(np.arange(size), inner), outer)
    mean = Fraction(inner - 1, 2 * inner)
    return AxisOp(positions[:, None], 0, mean, Fraction(1, inner), outer == 1, lambda n: n * inner * outer)


_NOWHERE = np.iinfo(np.int64).min // 2
_PADDING = {"reflection": "reflect", "replication": "edge", "circular": "wrap"}


def _within(taps: IntArray, size: int) -> IntArray:
    return np.where((taps >= 0) & (taps < size), taps, OUTSIDE)


def _phased(
    read: Callable[[IntArray], IntArray], size: int, out: int, stride: Fraction, sizes: Sizes
) -> AxisOp:
    """An operation whose rows repeat after `stride.denominator` of them, numbers taken over one period."""
    period = np.arange(stride.denominator) + 64 * stride.denominator
    taps = read(period)
    seen = [row[row > _NOWHERE] for row in taps]
    spans = [int(row.max() - row.min()) for row in seen if len(row)]
    centres = [
        Fraction(int(row.max() + row.min()), 2) - int(o) * stride
        for o, row in zip(period, seen, strict=True)
        if len(row)
    ]
    grow = max(spans)
    lead = Fraction(grow, 2) - sum(centres, Fraction(0)) / len(centres)
    return AxisOp(_within(read(np.arange(out)), size), grow, lead, stride, True, sizes)
