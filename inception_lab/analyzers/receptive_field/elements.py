"""The exact dependence of a value on the source, element by element.

What an element depends on is kept as the union of a few parts, each of them a box of source pixels: a span
along every axis. A part holds the spans along an axis over those dimensions alone along which they differ,
so that a feature map of a plain net has as many entries as it has rows and columns, not pixels.
Branches are parts of their own where a box around both would claim pixels that neither sees: where an
element of one sees nothing, and where one of them has been reduced over a whole axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp
from inception_lab.analyzers.receptive_field.cells import Cells, Numbers, Shape, gaps_of, groups_of, shared
from inception_lab.analyzers.receptive_field.fills import Fill, after_write, of_any, side_by_side
from inception_lab.analyzers.receptive_field.joining import join, without_empty
from inception_lab.analyzers.receptive_field.meeting import local_in_part, parts_side_by_side, spread_back
from inception_lab.analyzers.receptive_field.parts import Part
from inception_lab.analyzers.receptive_field.rules.context import Filling


class Elements(NamedTuple):
    """The dependence of each element of a value.

    Attributes:
        shape: Of the value.
        parts: Their union is what an element depends on.
        bound_reason: Why it may be less; empty where it is exact.
        fill: Elements known to hold a certain number, where that matters.
    """

    shape: Shape
    parts: tuple[Part, ...]
    bound_reason: str = ""
    fill: Fill | None = None

    @classmethod
    def identity(cls, shape: Shape, axes: Sequence[int]) -> Elements:
        """The source itself: each pixel sees itself."""
        # axes of one size share their table, and so do the tables that operations make of it
        pixels = {size: _pixels(size) for size in {shape[axis] for axis in axes}}
        cells = [Cells((axis,), pixels[shape[axis]]).without_units() for axis in axes]
        places = tuple([frozenset({axis}) for axis in axes])
        return cls(shape, (Part(tuple(cells), places, (None,) * len(axes)),))

    @classmethod
    def reach(cls, shape: Shape, axes: Sequence[int], pixels: Sequence[slice]) -> Elements:
        """The source as seen from a box of its pixels: these alone have an entry."""
        data = np.full((*[shape[axis] for axis in axes], 1), np.iinfo(np.int8).min, np.int8)
        data[tuple(pixels)] = 1
        cells = Cells(tuple(axes), data).without_units()
        return cls(shape, (Part((cells,), (frozenset(axes),), (None,), has_gaps=True),))

    @property
    def is_small(self) -> bool:
        """True where it may be kept for traces to come."""
        fill = [] if self.fill is None else [self.fill.cells]
        return all(cells.is_small for cells in (*fill, *(c for part in self.parts for c in part.cells)))

    # -------------------------------------------------------------------------- dimensions

    def permute(self, order: Sequence[int]) -> Elements:
        """The same with its dimensions in another order."""
        if list(order) == list(range(len(self.shape))):
            return self
        numbers = {old: new for new, old in enumerate(order)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in order]))

    def drop(self, dims: Iterable[int]) -> Elements:
        """The same without dimensions of size 1."""
        dropped_dims = {d % len(self.shape) for d in dims}
        remaining = [d for d in range(len(self.shape)) if d not in dropped_dims]
        numbers = {old: new for new, old in enumerate(remaining)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in remaining]))

    def only(self, dims: Sequence[int]) -> Elements:
        """The same with some of its dimensions in this order, without the others, which have size 1."""
        numbers = {old: new for new, old in enumerate(dims)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in dims]))

    def _renumbered(self, numbers: dict[int, int], shape: Shape) -> Elements:
        def renumber(dim: int) -> Iterable[int]:
            return [numbers[dim]] if dim in numbers else []

        parts = [p.moved([c.renumber(numbers) for c in p.cells], renumber) for p in self.parts]
        fill = self.fill and self.fill._replace(cells=self.fill.cells.renumber(numbers))
        return self._replace(shape=shape, parts=tuple(parts), fill=fill)

    def reshape(self, shape: Sequence[int]) -> Elements:
        """The same elements in another shape."""
        new_shape = tuple(shape)
        if new_shape == self.shape:
            return self
        if 0 in new_shape:
            return self._replace(shape=new_shape, parts=tuple([p.empty() for p in self.parts]), fill=None)
        groups = groups_of(self.shape, new_shape)
        parts = [part.reshape(groups, self.shape, new_shape) for part in self.parts]
        fill = self.fill
        if fill:
            fill = fill._replace(cells=fill.cells.reshape(groups, self.shape, new_shape))
        return self._replace(shape=new_shape, parts=tuple(parts), fill=fill)

    def made_of(self, parts: Sequence[Elements]) -> Elements:
        """The union of several windows within one."""
        return Elements.union(parts, self.shape)

    def spread(self, dim: int, size: int) -> Elements:
        """The same with a dimension of size 1 repeated."""
        dim %= len(self.shape)
        return self._with_size(dim, size, self.parts, self.fill)

    def _with_size(self, dim: int, size: int, parts: tuple[Part, ...], fill: Fill | None) -> Elements:
        # made at once, as `_replace` takes as long as all the rest of a convolution
        shape = (*self.shape[:dim], size, *self.shape[dim + 1 :])
        return Elements(shape, parts, self.bound_reason, fill)

    # -------------------------------------------------------------------------- along a dimension

    def along(self, dim: int, make_op: Callable[[int], AxisOp], out: int) -> Elements:
        """Apply an operation along one dimension, such as a window.

        Args:
            dim: The dimension.
            make_op: Makes the operation for a size of the dimension.
            out: Size of the dimension afterwards.
        """
        dim %= len(self.shape)
        op = make_op(self.shape[dim])
        if not op.moves:
            return self
        gaps, fill = gaps_of(op), self.fill
        parts = [
            part._replace(cells=tuple([c.gather(dim, op) for c in part.cells])).with_gaps(dim, gaps)
            for part in self.parts
        ]
        if fill and dim in fill.cells.dims:
            moves_alone = op.taps.shape[1] == 1 and gaps is None
            fill = fill._replace(cells=fill.cells.gather(dim, op)) if moves_alone else None
        return self._with_size(dim, out, without_empty(parts), fill)

    def take(self, dim: int, index: NDArray[np.int64]) -> Elements:
        """Positions of a dimension, read by a table whose dimensions replace it; -1 reads nothing."""
        dim %= len(self.shape)
        shape = (*self.shape[:dim], *index.shape, *self.shape[dim + 1 :])

        def renumber(old: int) -> Iterable[int]:
            more = index.ndim - 1
            return range(dim, dim + index.ndim) if old == dim else [old + more if old > dim else old]

        new_dims = range(dim, dim + index.ndim)
        several = [d for d, n in zip(new_dims, index.shape, strict=True) if n > 1]
        # a table of several dimensions often says the same all along one of them
        repetitive = several if index.ndim > 1 else ()
        gaps = Cells(tuple(new_dims), (index < 0)[..., None])
        parts = []
        for part in self.parts:
            cells = [along.take(dim, index).without_repetition(repetitive) for along in part.cells]
            moved = part.moved(cells, renumber).place_where_it_differs(several)
            parts.append(moved.blank(gaps).canonical())
        fill = self.fill and self.fill._replace(cells=self.fill.cells.take(dim, index))
        return self._replace(shape=shape, parts=without_empty(parts), fill=fill)

    def accumulate(self, dim: int) -> Elements:
        """Each position of a dimension and all before it."""
        dim %= len(self.shape)
        parts = [p._replace(cells=tuple([c.accumulate(dim) for c in p.cells])) for p in self.parts]
        return self._replace(parts=tuple(parts), fill=None)

    def collapse(self, dims: Iterable[int], whole_axis: object = None) -> Elements:
        """Reduce over dimensions, which stay with size 1: what remains depends on all of their positions."""
        del whole_axis
        reduced_dims = {d % len(self.shape) for d in dims}
        shape = tuple([1 if d in reduced_dims else n for d, n in enumerate(self.shape)])
        parts = join([part.reduce(reduced_dims, self.shape) for part in self.parts], shape)
        return Elements(shape, parts, self.bound_reason)

    def mix_channels(self, groups: int, out: int) -> Elements:
        """Each of `out` channels, in dimension 1, depends on all channels of its group."""
        if groups == 1:
            return self.collapse([1]).spread(1, out)
        n, c, *places = self.shape
        grouped = self.reshape([n, groups, c // groups, *places]).collapse([2])
        return grouped.spread(2, out // groups).reshape([n, out, *places])

    def times(self, pattern: NDArray[np.bool_] | None, whole_axis: object = None) -> Elements:
        """A product with a matrix: of the last dimension each column reads the rows that it has a number in.

        With None it reads all of them, and one column stands for all.
        """
        del whole_axis
        if pattern is None or pattern.all():
            return self.collapse([-1])
        # a column without a number sees nothing, also along axes that differ along no row
        blank = Cells.of_mask(~np.asarray(pattern.any(axis=-2, keepdims=True)), len(self.shape))
        parts = []
        for part in self.parts:
            cells = tuple([c.times(pattern, self.shape) for c in part.cells])
            parts.append(part._replace(cells=cells).blank(blank).canonical())
        return self._replace(shape=(*self.shape[:-1], pattern.shape[-1]), parts=tuple(parts), fill=None)

    # -------------------------------------------------------------------------- certain elements

    def masked(self, blank: NDArray[np.bool_], number: Filling | None) -> Elements:
        """The same with elements that see nothing.

        Args:
            blank: True for them, broadcast to the last dimensions.
            number: What they hold, where that matters.
        """
        mask = Cells.of_mask(blank, len(self.shape))
        return self._without(mask)._replace(fill=after_write(self.fill, number, mask, self.shape))

    def _without(self, mask: Cells) -> Elements:
        """The same with elements that see nothing wherever a mask is true."""
        return self._replace(parts=without_empty([part.blank(mask).canonical() for part in self.parts]))

    def masked_as(self, mixed: Elements) -> Elements:
        """A softmax of this: what it mixes, but 0 where this is minus infinity."""
        if not self.fill or self.fill.number != "-inf":
            return mixed._replace(fill=None)
        return mixed._without(self.fill.cells)._replace(fill=self.fill._replace(number="0"))

    def keeps(self, numbers: Sequence[str]) -> Elements:
        """The same with no element known to hold another number than these."""
        return self if not self.fill or self.fill.number in numbers else self._replace(fill=None)

    def filled_as(self, values: Sequence[Elements], number: Filling) -> Elements:
        """The same with a number, which sees nothing, wherever one of the values that made it has it."""
        fill = of_any([value.broadcast(self.shape).fill for value in values], number, self.shape)
        return self._without(fill.cells)._replace(fill=fill) if fill else self

    def nonzero(self) -> NDArray[np.bool_] | None:
        """False for elements of the last dimensions that are known to be 0; None where none is."""
        if not self.fill or self.fill.number != "0":
            return None
        cells = self.fill.cells
        dims = [*[d for d in cells.dims if d < len(self.shape) - 2], len(self.shape) - 2, len(self.shape) - 1]
        table = cells.over(dims, self.shape)[..., 0] == 0
        sizes = [self.shape[d] if d in dims else 1 for d in range(dims[0], len(self.shape))]
        return np.asarray(table.reshape(sizes))

    def meets(self, shape: Shape) -> Elements:
        """The same: sizes are not followed."""
        del shape
        return self

    # -------------------------------------------------------------------------- several values

    @classmethod
    def union(cls, values: Sequence[Elements], shape: Sequence[int]) -> Elements:
        """The dependence of a value that depends on several, broadcast to one shape."""
        new_shape = tuple(shape)
        if len(values) == 1 and len(values[0].parts) == 1:
            return values[0].broadcast(new_shape)
        parts = without_empty([part for value in values for part in value.broadcast(new_shape).parts])
        reasons = [value.bound_reason for value in values if value.bound_reason]
        fills = [value.broadcast(new_shape).fill for value in values]
        fill = fills[0] if len(fills) == 1 else None
        joined = join(spread_back(parts, new_shape), new_shape) if len(parts) > 1 else parts
        return Elements(new_shape, joined, reasons[0] if reasons else "", fill)

    def broadcast(self, shape: Shape) -> Elements:
        """The same repeated along dimensions of size 1, and along new ones before the first."""
        if shape == self.shape:
            return self
        more = len(shape) - len(self.shape)
        if not more:
            return self._replace(shape=shape)
        return self._renumbered({d: d + more for d in range(len(self.shape))}, shape)

    @classmethod
    def concatenated(cls, values: Sequence[Elements | int], dim: int) -> Elements:
        """Values put together along a dimension; a number stands for as many positions that see nothing."""
        dependent = [value for value in values if isinstance(value, Elements)]
        dim %= len(dependent[0].shape)
        sizes = [value.shape[dim] if isinstance(value, Elements) else value for value in values]
        shape = (*dependent[0].shape[:dim], sum(sizes), *dependent[0].shape[dim + 1 :])
        rows = local_in_part([v.parts if isinstance(v, Elements) else () for v in values], dim)
        kinds = list(dict.fromkeys(part.kind for row in rows for part in row))
        parts = []
        for kind in kinds:
            columns = [[part for part in row if part.kind == kind] for row in rows]
            for k in range(max(map(len, columns))):
                pieces = [column[k] if k < len(column) else None for column in columns]
                parts.append(parts_side_by_side(pieces, sizes, dim, shape))
        reasons = [value.bound_reason for value in dependent if value.bound_reason]
        fills = [value.fill if isinstance(value, Elements) else None for value in values]
        fill = side_by_side(fills, sizes, dim, shape)
        return cls(shape, join(parts, shape), reasons[0] if reasons else "", fill)

    def as_bound(self, reason: str) -> Elements:
        """The same as an upper bound, unless it is one already."""
        return self if self.bound_reason else self._replace(bound_reason=reason)

    def within(self, call: int) -> Elements:
        """The same with a call in place of that at hand."""
        if not any(ways for part in self.parts for ways in part.whole):
            return self
        return self._replace(parts=tuple([part.within(call) for part in self.parts]))


def _pixels(size: int) -> Numbers:
    pixels = np.arange(size, dtype=np.int32)
    return shared(np.stack([-pixels, pixels], axis=-1))
