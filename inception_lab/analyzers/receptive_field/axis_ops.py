"""Operations along one axis: the positions of its input that each output position reads.

That is a table of taps, a row per output position, -1 where a tap falls into padding. Beside it stand
three numbers that say how the operation changes field R, stride S and leading padding P of the interior,
where no window meets an edge (Araujo, Norris & Sim, Distill 2019): R' = R + grow S, P' = P + lead S,
S' = stride S. Where rows differ in phase, as in upsampling, `grow` is the largest row's and `lead` puts
the centre at the mean over the phases.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise
from math import prod

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
SizeRule = Callable[[IntArray], IntArray]
"""Output sizes for a row of input sizes, below 1 where the operation takes no input of that size."""

OUTSIDE = -1
"""A tap that falls into padding."""

_NO_TAP = np.iinfo(np.int64).min // 2
"""Fills the rows that read fewer positions than others; far from any position, also after arithmetic."""

_cache = lru_cache(4096)


@dataclass(frozen=True, eq=False, slots=True)
class AxisOp:
    """One operation along one axis.

    Attributes:
        taps: Positions read by each output position, rows x taps, -1 for none.
        grow: What the field grows by, in strides.
        lead: What the leading padding grows by, in strides.
        stride: What the stride is multiplied by; 0 where one row reads everything.
        regular: True where the three numbers hold along the axis.
        sizes: Output sizes for other input sizes; None where the operation takes this size alone.
        moves: True where a position reads anything else than the same one.
    """

    taps: IntArray
    grow: int
    lead: Fraction
    stride: Fraction
    regular: bool
    sizes: SizeRule | None
    moves: bool = True


# ------------------------------------------------------------------------------ windows


@_cache
def window(
    size: int, out: int, kernel: int, stride: int, lead: int, dilation: int, ceil_mode: bool
) -> AxisOp:
    """A convolution or pooling window; the last one may hang over the edge."""
    taps = np.arange(out)[:, None] * stride - lead + np.arange(kernel) * dilation
    reach = dilation * (kernel - 1)

    def sizes(n: IntArray) -> IntArray:
        count = (n + 2 * lead - reach - 1 + (stride - 1) * ceil_mode) // stride + 1
        # PyTorch drops a last window that would start in the trailing padding
        return count - (ceil_mode & ((count - 1) * stride >= n + lead))

    return AxisOp(_with_padding(taps, size), reach, Fraction(lead), Fraction(stride), True, sizes)


@_cache
def transposed_window(size: int, out: int, kernel: int, stride: int, lead: int, dilation: int) -> AxisOp:
    """A transposed convolution: each input position is spread over a window of outputs."""

    def taps_of(rows: IntArray) -> IntArray:
        # output o is written by input i where o = i stride - lead + k dilation
        spread = rows[:, None] + lead - np.arange(kernel) * dilation
        return np.where(spread % stride == 0, spread // stride, _NO_TAP)

    beyond = out - stride * (size - 1)

    def sizes(n: IntArray) -> IntArray:
        return (n - 1) * stride + beyond

    return _periodic(taps_of, size, out, Fraction(1, stride), sizes)


@_cache
def adaptive_window(size: int, out: int) -> AxisOp:
    """Adaptive pooling, whose windows may differ in size and overlap."""
    rows = np.arange(out)
    first, last = rows * size // out, -((rows + 1) * -size // out) - 1
    offsets = np.arange(int((last - first).max()) + 1)
    taps = np.where(offsets <= (last - first)[:, None], first[:, None] + offsets, OUTSIDE)
    share = max(size // out, 1)
    even = size % out == 0
    return AxisOp(taps, share - 1, Fraction(0), Fraction(share), even, lambda n: np.where(n > 0, out, 0))


# ------------------------------------------------------------------------------ interpolation


@_cache
def interpolation(
    size: int, out: int, scale: Fraction, taps: int, align_corners: bool, half_pixel: bool
) -> AxisOp:
    """Interpolation by 1 (nearest), 2 (linear) or 4 (cubic) taps along the axis.

    Args:
        size: Of the input.
        out: Of the output.
        scale: Input positions per output position.
        taps: Number of neighbours that are mixed.
        align_corners: True where the first and the last positions of both coincide.
        half_pixel: True where pixels are areas (linear, cubic, nearest-exact), not points (nearest).
    """
    scale = Fraction(size - 1, max(out - 1, 1)) if align_corners else scale
    # output o lies at o scale + shift, in input positions
    shift = Fraction(0) if align_corners or not half_pixel else (scale - 1 + (taps == 1)) / 2
    taps_of = partial(_neighbours, scale=scale, shift=shift, taps=taps)

    def sizes(n: IntArray) -> IntArray:
        return n * 0 + out if align_corners else n * scale.denominator // scale.numerator

    rows = np.arange(out)
    neighbours = _nearest(size, out, scale, half_pixel) if taps == 1 else taps_of(rows)
    # beyond the edges the pixel at the edge is repeated, which is no padding
    within = np.where(neighbours > _NO_TAP, np.clip(neighbours, 0, size - 1), OUTSIDE)
    return replace(_periodic(taps_of, size, out, scale, sizes), taps=within)


def _neighbours(rows: IntArray, scale: Fraction, shift: Fraction, taps: int) -> IntArray:
    """The input positions next to each output position, also those beyond the edges."""
    # in whole numbers over a common denominator, as floats would misplace taps
    unit = scale.denominator * shift.denominator
    place = rows * scale.numerator * shift.denominator + shift.numerator * scale.denominator
    before = max(taps // 2 - 1, 0)
    neighbours = place[:, None] // unit + np.arange(taps) - before
    # an output that coincides with an input position weights all other neighbours by 0
    weightless = (place % unit == 0)[:, None] & (np.arange(taps) != before)
    return np.where(weightless, _NO_TAP, neighbours)


def _nearest(size: int, out: int, scale: Fraction, half_pixel: bool) -> IntArray:
    """Positions in single precision, as PyTorch computes them (aten/src/ATen/native/UpSample.h)."""
    rows = np.arange(out, dtype=np.float32) + np.float32(0.5 * half_pixel)
    positions: IntArray = np.floor(rows * np.float32(scale)).astype(np.int64)
    return np.minimum(positions, size - 1)[:, None]


def _periodic(
    taps_of: Callable[[IntArray], IntArray], size: int, out: int, stride: Fraction, sizes: SizeRule
) -> AxisOp:
    """An operation whose rows repeat after `stride.denominator` of them, numbers taken over one period."""
    # far enough from position 0 that no tap of the period is negative
    period = np.arange(stride.denominator) + 64 * stride.denominator
    rows = [(int(o), row[row > _NO_TAP]) for o, row in zip(period, taps_of(period), strict=True)]
    reading = [(o, row) for o, row in rows if len(row)]
    grow = max(int(row.max() - row.min()) for _, row in reading)
    # the middle of each row's taps, relative to where the stride alone puts it
    centres = [Fraction(int(row.max() + row.min()), 2) - o * stride for o, row in reading]
    lead = Fraction(grow, 2) - sum(centres, Fraction(0)) / len(centres)
    return AxisOp(_with_padding(taps_of(np.arange(out)), size), grow, lead, stride, True, sizes)


# ------------------------------------------------------------------------------ moved positions


def gather(positions: IntArray) -> AxisOp:
    """Each output position reads one input position, or none where it is -1."""
    return AxisOp(positions[:, None], 0, Fraction(0), Fraction(1), False, None)


@_cache
def axis_slice(size: int, start: int, stop: int, stride: int) -> AxisOp:
    """A slice of an axis."""
    positions = np.arange(size)[start:stop:stride]
    to_the_end = stop >= size

    def sizes(n: IntArray) -> IntArray:
        end = n if to_the_end else np.minimum(n, stop)
        return np.maximum(-((start - end) // stride), 0)

    return AxisOp(positions[:, None], 0, Fraction(-start), Fraction(stride), True, sizes)


@_cache
def zero_padding(size: int, lead: int, trail: int) -> AxisOp:
    """Constants before and after; negative numbers cut off."""
    taps = _with_padding(np.arange(-lead, size + trail)[:, None], size)
    return AxisOp(taps, 0, Fraction(lead), Fraction(1), True, lambda n: n + lead + trail)


@_cache
def edge_padding(size: int, lead: int, trail: int, mode: str) -> AxisOp:
    """Padding made of the input: `reflection` or `replication`."""
    positions = np.pad(np.arange(size), (lead, trail), mode=_NUMPY_MODES[mode])  # type: ignore[call-overload]
    # a reflection leaves out the edge itself, so that it needs a pixel more than it adds
    least = max(lead, trail) + 1 if mode == "reflection" else 1

    def sizes(n: IntArray) -> IntArray:
        return np.where(n >= least, n + lead + trail, 0)

    return AxisOp(positions[:, None], 0, Fraction(lead), Fraction(1), True, sizes)


_NUMPY_MODES = {"reflection": "reflect", "replication": "edge"}


@_cache
def repetition(size: int, inner: int, outer: int) -> AxisOp:
    """Each position `inner` times, and all of it `outer` times over."""
    positions = np.tile(np.repeat(np.arange(size), inner), outer)
    mean = Fraction(inner - 1, 2 * inner)
    return AxisOp(positions[:, None], 0, mean, Fraction(1, inner), outer == 1, lambda n: n * inner * outer)


# ------------------------------------------------------------------------------ in place, and reductions


@_cache
def identity(size: int) -> AxisOp:
    """A window of one position, as that of a 1x1 convolution."""
    return _pointwise(size, lambda n: n)


@_cache
def fixed_size(size: int) -> AxisOp:
    """Arithmetic with a tensor of this very size."""
    return _pointwise(size, None)


def _pointwise(size: int, sizes: SizeRule | None) -> AxisOp:
    taps = np.arange(size)[:, None]
    return AxisOp(taps, 0, Fraction(0), Fraction(1), True, sizes, moves=False)


@_cache
def reduction(size: int) -> AxisOp:
    """One output that reads everything, for inputs of any size."""
    return AxisOp(np.arange(size)[None], 0, Fraction(0), Fraction(0), True, lambda n: np.minimum(n, 1))


@_cache
def contraction(size: int) -> AxisOp:
    """One output that reads everything by a weight for each position, so that the size is fixed."""
    return AxisOp(np.arange(size)[None], 0, Fraction(0), Fraction(0), True, None)


@_cache
def digit_reduction(factors: tuple[tuple[int, int], ...], remaining: tuple[int, ...]) -> AxisOp:
    """A reduction over some digits of an axis: each row reads all values of those digits.

    Args:
        factors: Size and step of each digit, the position being the sum of digit x step.
        remaining: Digits that make up the rows, the first the slowest.
    """
    # an array with a dimension per digit, which holds the position that the digits spell
    positions = np.zeros((1,) * len(factors), dtype=np.int64)
    for place, (size, step) in enumerate(factors):
        shape = [1] * len(factors)
        shape[place] = size
        positions = positions + (np.arange(size) * step).reshape(shape)
    reduced_digits = [place for place in range(len(factors)) if place not in remaining]
    count = prod(factors[place][0] for place in remaining)
    rows = positions.transpose(*remaining, *reduced_digits).reshape(count, -1)
    steps = [factors[k][1] for k in remaining if factors[k][0] > 1]
    # rows are evenly spaced where each digit's step is the whole range of the next faster one
    regular = all(factors[a][1] == factors[b][1] * factors[b][0] for a, b in pairwise(remaining))
    grow = sum((factors[place][0] - 1) * factors[place][1] for place in reduced_digits)
    return AxisOp(rows, grow, Fraction(0), Fraction(steps[-1] if steps else 1), regular, None)


def _with_padding(taps: IntArray, size: int) -> IntArray:
    """The taps, `OUTSIDE` where they leave an axis of this size."""
    return np.where((taps >= 0) & (taps < size), taps, OUTSIDE)
