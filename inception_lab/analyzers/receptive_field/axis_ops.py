"""Operations along one axis: the positions of its input that each output position reads.

That is a table of taps, a row per output position, -1 where a tap falls into padding, made anew whenever
it is asked for: kept tables of a long signal would hold hundreds of MB. Beside it stands how the operation
changes field R and stride S of the interior, where no window meets an edge (Araujo, Norris & Sim, Distill
2019): R' = R + grow S, S' = stride S. Where rows differ in phase, as in upsampling, `grow` is the largest
row's; `spans` has the first and the last tap of each phase, and so the padding too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
        length: Output positions.
        make_taps: Makes `taps`.
        grow: What the field grows by, in strides.
        stride: What the stride is multiplied by; 0 where one row reads everything.
        regular: True where these numbers hold along the axis.
        sizes: Output sizes for other input sizes; None where the operation takes this size alone.
        moves: True where a position reads anything else than the same one.
        spans: First and last tap of each row on an axis without edges, as far as rows differ in phase: row
            i + k, of k spans, reads what row i reads, moved by `k * stride` positions. Empty rows have a
            span of (1, 0). None where rows do not repeat, and for one row that reads everything.
    """

    length: int
    make_taps: Callable[[], IntArray]
    grow: int
    stride: Fraction
    regular: bool
    sizes: SizeRule | None
    moves: bool = True
    spans: tuple[tuple[int, int], ...] | None = None

    @property
    def taps(self) -> IntArray:
        """Positions read by each output position, rows x taps, -1 for none; at least one tap."""
        taps = self.make_taps()
        # a row over an empty axis reads nothing, which a minimum over no taps cannot tell
        return taps if taps.shape[1] else np.full((self.length, 1), OUTSIDE)


# ------------------------------------------------------------------------------ windows


@_cache
def window(
    size: int, out: int, kernel: int, stride: int, lead: int, dilation: int, ceil_mode: bool
) -> AxisOp:
    """A convolution or pooling window; the last one may hang over the edge."""
    reach = dilation * (kernel - 1)

    def taps() -> IntArray:
        return _with_padding(np.arange(out)[:, None] * stride - lead + np.arange(kernel) * dilation, size)

    def sizes(n: IntArray) -> IntArray:
        count = (n + 2 * lead - reach - 1 + (stride - 1) * ceil_mode) // stride + 1
        # PyTorch drops a last window that would start in the trailing padding
        return count - (ceil_mode & ((count - 1) * stride >= n + lead))

    return AxisOp(out, taps, reach, Fraction(stride), True, sizes, spans=((-lead, reach - lead),))


@_cache
def window_part(
    size: int, out: int, kernel: int, stride: int, lead: int, dilation: int, first: int, last: int
) -> AxisOp:
    """Some neighbouring taps of a window, from the first to the last one."""
    whole = window(size, out, kernel, stride, lead, dilation, False)
    begin, reach = lead - first * dilation, dilation * (last - first)

    def taps() -> IntArray:
        return whole.taps[:, first : last + 1]

    return AxisOp(
        out,
        taps,
        reach,
        Fraction(stride),
        True,
        whole.sizes,
        spans=((-begin, reach - begin),),
    )


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
    share = max(size // out, 1)
    even = size % out == 0

    def taps() -> IntArray:
        rows = np.arange(out)
        first, last = rows * size // out, -((rows + 1) * -size // out) - 1
        offsets = np.arange(int((last - first).max()) + 1)
        return np.where(offsets <= (last - first)[:, None], first[:, None] + offsets, OUTSIDE)

    def sizes(n: IntArray) -> IntArray:
        return np.where(n > 0, out, 0)

    spans = ((0, share - 1),) if even else None
    return AxisOp(out, taps, share - 1, Fraction(share), even, sizes, spans=spans)


# ------------------------------------------------------------------------------ interpolation


@_cache
def interpolation(
    size: int, out: int, scale: Fraction, taps: int, align_corners: bool, half_pixel: bool
) -> AxisOp:
    """Interpolation by 1 (nearest), 2 (linear) or 4 (cubic) taps along the axis, as the CPU does it.

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

    def taps_within() -> IntArray:
        neighbours = _nearest(size, out, scale, half_pixel) if taps == 1 else taps_of(np.arange(out))
        # beyond the edges the pixel at the edge is repeated, which is no padding
        return np.where(neighbours > _NO_TAP, np.clip(neighbours, 0, size - 1), OUTSIDE)

    sizes = _interpolated_sizes(out, scale, align_corners)
    return replace(_periodic(taps_of, size, out, scale, sizes), make_taps=taps_within)


@_cache
def interpolation_to_same_size(size: int, scale: Fraction, align_corners: bool) -> AxisOp:
    """Interpolation that copies an axis, as it keeps its size; arguments as of `interpolation`."""
    return _pointwise(size, _interpolated_sizes(size, scale, align_corners))


def _interpolated_sizes(out: int, scale: Fraction, align_corners: bool) -> SizeRule:
    def sizes(n: IntArray) -> IntArray:
        return n * 0 + out if align_corners else n * scale.denominator // scale.numerator

    return sizes


@_cache
def antialiased(size: int, out: int, scale: Fraction, radius: int) -> AxisOp:
    """Interpolation by a filter that is widened where it shrinks, as `antialias=True` has it.

    Args:
        size: Of the input.
        out: Of the output.
        scale: Input positions per output position.
        radius: Of the filter: 1 for a triangle, 2 for a cubic one, both 0 at their edges and the cubic
            one at whole numbers too.
    """

    def taps() -> IntArray:
        rows = [_within_filter(size, scale, radius, row) for row in range(out)]
        width = max(map(len, rows))
        return np.array([np.pad(row, (0, width - len(row)), constant_values=OUTSIDE) for row in rows])

    def sizes(n: IntArray) -> IntArray:
        return n * scale.denominator // scale.numerator

    return AxisOp(out, taps, 0, scale, False, sizes)


def _within_filter(size: int, scale: Fraction, radius: int, row: int) -> IntArray:
    """The input positions to which the filter of an output position gives a weight."""
    step = max(scale, Fraction(1))
    centre = scale * (row + Fraction(1, 2))
    # aten/src/ATen/native/cpu/UpSampleKernel.cpp, _compute_indices_min_size_weights_aa
    first = max(int(centre - radius * step + Fraction(1, 2)), 0)
    stop = min(int(centre + radius * step + Fraction(1, 2)), size)
    distances = [abs(position - centre + Fraction(1, 2)) / step for position in range(first, stop)]
    weighs = [d < radius and (d == 0 or radius == 1 or d.denominator > 1) for d in distances]
    return first + np.flatnonzero(weighs)


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
    rows = [row[row > _NO_TAP] for row in taps_of(period)]
    grow = max(int(row.max() - row.min()) for row in rows if len(row))
    back = 64 * stride.numerator
    spans = tuple([(int(row.min()) - back, int(row.max()) - back) if len(row) else (1, 0) for row in rows])

    def taps() -> IntArray:
        return _with_padding(taps_of(np.arange(out)), size)

    return AxisOp(out, taps, grow, stride, True, sizes, spans=spans)


# ------------------------------------------------------------------------------ moved positions


def gather(positions: IntArray, sizes: SizeRule | None = None) -> AxisOp:
    """Each output position reads one input position, or none where it is -1.

    Args:
        positions: Read by each output position.
        sizes: Output sizes for other input sizes, where the positions of these are known too.
    """
    return AxisOp(len(positions), lambda: positions[:, None], 0, Fraction(1), False, sizes)


def permutation(positions: IntArray) -> AxisOp:
    """The positions of an axis in another order, as inputs of any size have one."""
    return gather(positions, lambda n: n)


def scatter(places: IntArray, out: int) -> AxisOp:
    """Each input position is added to the output position that a list names, to none where that is -1.

    Example:
        >>> scatter(np.array([2, 0, -1, 2]), 3).taps.tolist()
        [[1, -1], [-1, -1], [0, 3]]
    """
    return AxisOp(out, partial(_writers, places, out), 0, Fraction(1), False, None)


def _writers(places: IntArray, out: int) -> IntArray:
    """The entries of a list that name each position, a row per position."""
    entries = np.flatnonzero(places >= 0)
    # a stable sort leaves the entries that name one position in their order
    entries = entries[np.argsort(places[entries], kind="stable")]
    rows = places[entries]
    counts = np.bincount(rows, minlength=out)
    columns = np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    writers = np.full((out, max(1, counts.max(initial=0))), OUTSIDE)
    writers[rows, columns] = entries
    return writers


@_cache
def axis_slice(size: int, start: int, stop: int, stride: int) -> AxisOp:
    """A slice of an axis."""
    positions = range(size)[start:stop:stride]
    to_the_end = stop >= size

    def taps() -> IntArray:
        return np.array(positions, dtype=np.int64)[:, None]

    def sizes(n: IntArray) -> IntArray:
        end = n if to_the_end else np.minimum(n, stop)
        return np.maximum(-((start - end) // stride), 0)

    return AxisOp(len(positions), taps, 0, Fraction(stride), True, sizes, spans=((start, start),))


@_cache
def zero_padding(size: int, lead: int, trail: int) -> AxisOp:
    """Constants before and after; negative numbers cut off."""

    def taps() -> IntArray:
        return _with_padding(np.arange(-lead, size + trail)[:, None], size)

    def sizes(n: IntArray) -> IntArray:
        return n + lead + trail

    return AxisOp(size + lead + trail, taps, 0, Fraction(1), True, sizes, spans=((-lead, -lead),))


@_cache
def edge_padding(size: int, lead: int, trail: int, mode: str) -> AxisOp:
    """Padding made of the input: `reflection` or `replication`."""
    # a reflection leaves out the edge itself, so that it needs a pixel more than it adds
    least = max(lead, trail) + 1 if mode == "reflection" else 1

    def sizes(n: IntArray) -> IntArray:
        return np.where(n >= least, n + lead + trail, 0)

    def taps() -> IntArray:
        # numpy pads by a negative width no more than PyTorch pads an empty axis
        widths = max(lead, 0), max(trail, 0)
        positions: IntArray = np.pad(np.arange(size), widths, mode=_NUMPY_MODES[mode])  # type: ignore[call-overload]
        return positions[max(-lead, 0) : len(positions) - max(-trail, 0), None]

    length = size + lead + trail
    return AxisOp(length, taps, 0, Fraction(1), True, sizes, spans=((-lead, -lead),))


_NUMPY_MODES = {"reflection": "reflect", "replication": "edge"}


@_cache
def repetition(size: int, inner: int, outer: int) -> AxisOp:
    """Each position `inner` times, and all of it `outer` times over."""

    def taps() -> IntArray:
        return np.tile(np.repeat(np.arange(size), inner), outer)[:, None]

    def sizes(n: IntArray) -> IntArray:
        return n * inner * outer

    is_regular = outer == 1
    spans = ((0, 0),) * inner if is_regular else None
    length = size * inner * outer
    return AxisOp(length, taps, 0, Fraction(1, inner), is_regular, sizes, spans=spans)


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

    def taps() -> IntArray:
        return np.arange(size)[:, None]

    return AxisOp(size, taps, 0, Fraction(1), True, sizes, moves=False, spans=((0, 0),))


@_cache
def reduction(size: int) -> AxisOp:
    """One output that reads everything, for inputs of any size."""
    return _over_everything(size, lambda n: np.minimum(n, 1))


@_cache
def contraction(size: int) -> AxisOp:
    """One output that reads everything by a weight for each position, so that the size is fixed."""
    return _over_everything(size, None)


def _over_everything(size: int, sizes: SizeRule | None) -> AxisOp:
    return AxisOp(1, lambda: np.arange(size)[None], 0, Fraction(0), True, sizes)


@_cache
def digit_reduction(factors: tuple[tuple[int, int], ...], remaining: tuple[int, ...]) -> AxisOp:
    """A reduction over some digits of an axis: each row reads all values of those digits.

    Args:
        factors: Size and step of each digit, the position being the sum of digit x step.
        remaining: Digits that make up the rows, the first the slowest.
    """
    reduced_digits = [place for place in range(len(factors)) if place not in remaining]
    count = prod(factors[place][0] for place in remaining)
    steps = [factors[k][1] for k in remaining if factors[k][0] > 1]
    # rows are evenly spaced where each digit's step is the whole range of the next faster one
    regular = all(factors[a][1] == factors[b][1] * factors[b][0] for a, b in pairwise(remaining))
    grow = sum((factors[place][0] - 1) * factors[place][1] for place in reduced_digits)

    def taps() -> IntArray:
        # an array with a dimension per digit, which holds the position that the digits spell
        positions = _spelled(factors)
        return positions.transpose(*remaining, *reduced_digits).reshape(count, -1)

    spans = ((0, grow),) if regular else None
    stride = Fraction(steps[-1] if steps else 1)
    return AxisOp(count, taps, grow, stride, regular, None, spans=spans)


def _spelled(digits: Sequence[tuple[int, int]]) -> IntArray:
    """The sum of digit x step, in an array with a dimension per digit."""
    positions = np.zeros((1,) * len(digits), dtype=np.int64)
    for place, (size, step) in enumerate(digits):
        shape = [1] * len(digits)
        shape[place] = size
        positions = positions + (np.arange(size) * step).reshape(shape)
    return positions


def _with_padding(taps: IntArray, size: int) -> IntArray:
    """The taps, `OUTSIDE` where they leave an axis of this size."""
    return np.where((taps >= 0) & (taps < size), taps, OUTSIDE)
