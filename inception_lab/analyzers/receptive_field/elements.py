"""The exact dependence of a value on the source, element by element.

What an element depends on is kept as the union of a few parts, each of them a box of source pixels: a span
along every axis. A part holds the spans along an axis over those dimensions alone along which they differ,
so that a feature map of a plain net has as many entries as it has rows and columns, not pixels.
Branches are parts of their own where a box around both would claim pixels that neither sees: where an
element of one sees nothing, and where one of them has been reduced over a whole axis.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp
from inception_lab.analyzers.receptive_field.cells import (
    Cells,
    Group,
    Numbers,
    Shape,
    cells_side_by_side,
    gaps_of,
    groups_of,
    nothing_of,
)
from inception_lab.analyzers.receptive_field.fills import Fill, after_write, of_any, side_by_side
from inception_lab.analyzers.receptive_field.rules.context import Filling

CHANNELS = 1
"""The dimension of channels, in tensors that have places in dimensions after it."""

HERE = -1
"""Stands for the call of the operation at hand."""

MOST_PARTS = 4
"""Parts beyond which those of a kind are joined into one with an entry for each element."""

MOST_ENTRIES = 1 << 23
"""Entries beyond which no part is made of parts that differ element by element."""


class Whole(NamedTuple):
    """One way in which an axis is seen whole.

    Attributes:
        reduced_in: The call that reduced over the axis.
        spread_in: The call that spread the result back over places of the axis; None where none has.
    """

    reduced_in: int
    spread_in: int | None = None

    def within(self, call: int) -> Whole:
        """The same with a call in place of that at hand."""
        spread_in = call if self.spread_in == HERE else self.spread_in
        return Whole(call if self.reduced_in == HERE else self.reduced_in, spread_in)


class Part(NamedTuple):
    """A box of source pixels for each element.

    Attributes:
        cells: Spans along each axis of the source.
        places: Dimensions that hold places of each axis, as against channels.
        whole: For each axis the ways in which all of it is seen; None where the part is local.
        has_gaps: True where some elements may see nothing.
    """

    cells: tuple[Cells, ...]
    places: tuple[frozenset[int], ...]
    whole: tuple[frozenset[Whole] | None, ...]
    has_gaps: bool = False

    @property
    def kind(self) -> tuple[bool, ...]:
        """True for each axis that is seen as a whole."""
        return tuple([ways is not None for ways in self.whole])

    def moved(self, cells: Iterable[Cells], renumber: Callable[[int], Iterable[int]]) -> Part:
        """The same with cells in other dimensions, and the places in those that a dimension becomes."""
        places = [frozenset(new for d in dims for new in renumber(d)) for dims in self.places]
        return self._replace(cells=tuple(cells), places=tuple(places))


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

    # -------------------------------------------------------------------------- dimensions

    def permute(self, order: Sequence[int]) -> Elements:
        """The same with its dimensions in another order."""
        if list(order) == list(range(len(self.shape))):
            return self
        numbers = {old: new for new, old in enumerate(order)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in order]))

    def drop(self, dims: Iterable[int]) -> Elements:
        """The same without dimensions of size 1."""
        gone = {d % len(self.shape) for d in dims}
        remaining = [d for d in range(len(self.shape)) if d not in gone]
        numbers = {old: new for new, old in enumerate(remaining)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in remaining]))

    def only(self, dims: Sequence[int]) -> Elements:
        """The same with some of its dimensions in this order, without the others, which have size 1."""
        numbers = {old: new for new, old in enumerate(dims)}
        return self._renumbered(numbers, tuple([self.shape[d] for d in dims]))

    def _renumbered(self, numbers: dict[int, int], shape: Shape) -> Elements:
        def renumber(dim: int) -> Iterable[int]:
            return [numbers[dim]] if dim in numbers else []

        parts = [p.moved([c.renumbered(numbers) for c in p.cells], renumber) for p in self.parts]
        fill = self.fill and self.fill._replace(cells=self.fill.cells.renumbered(numbers))
        return self._replace(shape=shape, parts=tuple(parts), fill=fill)

    def reshape(self, shape: Sequence[int]) -> Elements:
        """The same elements in another shape."""
        new_shape = tuple(shape)
        if new_shape == self.shape:
            return self
        if 0 in new_shape:
            return self._replace(shape=new_shape, parts=tuple([_emptied(p) for p in self.parts]), fill=None)
        groups = groups_of(self.shape, new_shape)
        parts = [_reshaped(part, groups, self.shape, new_shape) for part in self.parts]
        fill = self.fill
        if fill:
            fill = fill._replace(cells=fill.cells.reshaped(groups, self.shape, new_shape))
        return self._replace(shape=new_shape, parts=tuple(parts), fill=fill)

    def made_of(self, parts: Sequence[Elements]) -> Elements:
        """The union of several windows within one."""
        return Elements.union(parts, self.shape)

    def spread(self, dim: int, size: int) -> Elements:
        """The same with a dimension of size 1 repeated."""
        dim %= len(self.shape)
        return self._replace(shape=(*self.shape[:dim], size, *self.shape[dim + 1 :]))

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
            _with_gaps(part._replace(cells=tuple([c.gathered(dim, op) for c in part.cells])), dim, gaps)
            for part in self.parts
        ]
        if fill and dim in fill.cells.dims:
            moves_alone = op.taps.shape[1] == 1 and gaps is None
            fill = fill._replace(cells=fill.cells.gathered(dim, op)) if moves_alone else None
        return self.spread(dim, out)._replace(parts=tuple(parts), fill=fill)

    def taken(self, dim: int, index: NDArray[np.int64]) -> Elements:
        """Positions of a dimension, read by a table whose dimensions replace it; -1 reads nothing."""
        dim %= len(self.shape)
        shape = (*self.shape[:dim], *index.shape, *self.shape[dim + 1 :])

        def renumber(old: int) -> Iterable[int]:
            more = index.ndim - 1
            return range(dim, dim + index.ndim) if old == dim else [old + more if old > dim else old]

        new_dims = range(dim, dim + index.ndim)
        several = [d for d, n in zip(new_dims, index.shape, strict=True) if n > 1]
        repeated = several if index.ndim > 1 else ()
        parts = []
        for part in self.parts:
            cells = [along.taken(dim, index).without_repetition(repeated) for along in part.cells]
            new = _where_it_differs(part.moved(cells, renumber), several)
            parts.append(_blanked(new, tuple(new_dims), index < 0))
        fill = self.fill and self.fill._replace(cells=self.fill.cells.taken(dim, index))
        return self._replace(shape=shape, parts=tuple(map(canonical, parts)), fill=fill)

    def accumulated(self, dim: int) -> Elements:
        """Each position of a dimension and all before it."""
        dim %= len(self.shape)
        parts = [p._replace(cells=tuple([c.accumulated(dim) for c in p.cells])) for p in self.parts]
        return self._replace(parts=tuple(parts), fill=None)

    def collapse(self, dims: Iterable[int], whole_axis: object = None) -> Elements:
        """Reduce over dimensions, which stay with size 1: what remains depends on all of their positions."""
        del whole_axis
        reduced = {d % len(self.shape) for d in dims}
        shape = tuple([1 if d in reduced else n for d, n in enumerate(self.shape)])
        several = {d for d in reduced if self.shape[d] > 1}
        parts = join([_reduced(part, reduced, several) for part in self.parts], shape)
        return self._replace(shape=shape, parts=parts, fill=None)

    def mixed_channels(self, groups: int, out: int) -> Elements:
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
        blank = ~np.asarray(pattern.any(axis=-2))
        dims = _dims_of(blank, len(self.shape))
        parts = []
        for part in self.parts:
            cells = [_times(c, pattern, self.shape) for c in part.cells]
            part = part._replace(cells=tuple(cells))
            parts.append(canonical(_blanked(part, dims, _squeezed(blank))))
        return self._replace(shape=(*self.shape[:-1], pattern.shape[-1]), parts=tuple(parts), fill=None)

    # -------------------------------------------------------------------------- certain elements

    def masked(self, blank: NDArray[np.bool_], number: Filling | None) -> Elements:
        """The same with elements that see nothing.

        Args:
            blank: True for them, broadcast to the last dimensions.
            number: What they hold, where that matters.
        """
        dims, table = _dims_of(blank, len(self.shape)), _squeezed(blank)
        cells = Cells(dims, table[..., None].astype(np.int8))
        return self._masked(cells)._replace(fill=after_write(self.fill, number, cells, self.shape))

    def _masked(self, cells: Cells) -> Elements:
        blank = cells.data[..., 0].astype(np.bool_)
        parts = [canonical(_blanked(part, cells.dims, blank)) for part in self.parts]
        return self._replace(parts=tuple(parts))

    def masked_as(self, mixed: Elements) -> Elements:
        """A softmax of this: what it mixes, but 0 where this is minus infinity."""
        if not self.fill or self.fill.number != "-inf":
            return mixed._replace(fill=None)
        return mixed._masked(self.fill.cells)._replace(fill=self.fill._replace(number="0"))

    def keeps(self, numbers: Sequence[str]) -> Elements:
        """The same with no element known to hold another number than these."""
        return self if not self.fill or self.fill.number in numbers else self._replace(fill=None)

    def filled_as(self, values: Sequence[Elements], number: Filling) -> Elements:
        """The same with a number, which sees nothing, wherever one of the values that made it has it."""
        fill = of_any([value.broadcast(self.shape).fill for value in values], number, self.shape)
        return self._masked(fill.cells)._replace(fill=fill) if fill else self

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

    @staticmethod
    def union(values: Sequence[Elements], shape: Sequence[int]) -> Elements:
        """The dependence of a value that depends on several, broadcast to one shape."""
        new_shape = tuple(shape)
        parts = [part for value in values for part in value.broadcast(new_shape).parts]
        reasons = [value.bound_reason for value in values if value.bound_reason]
        fills = [value.broadcast(new_shape).fill for value in values]
        fill = fills[0] if len(fills) == 1 else None
        parts = _spread_back(parts, new_shape) if len(parts) > 1 else parts
        return Elements(new_shape, join(parts, new_shape), reasons[0] if reasons else "", fill)

    def broadcast(self, shape: Shape) -> Elements:
        """The same repeated along dimensions of size 1, and along new ones before the first."""
        more = len(shape) - len(self.shape)
        if not more:
            return self._replace(shape=shape)
        return self._renumbered({d: d + more for d in range(len(self.shape))}, shape)

    @staticmethod
    def concatenated(values: Sequence[Elements | int], dim: int) -> Elements:
        """Values put together along a dimension; a number stands for as many positions that see nothing."""
        dependent = [value for value in values if isinstance(value, Elements)]
        dim %= len(dependent[0].shape)
        sizes = [value.shape[dim] if isinstance(value, Elements) else value for value in values]
        shape = (*dependent[0].shape[:dim], sum(sizes), *dependent[0].shape[dim + 1 :])
        rows = _local_in_part([v.parts if isinstance(v, Elements) else () for v in values], dim)
        kinds = list(dict.fromkeys(part.kind for row in rows for part in row))
        parts = []
        for kind in kinds:
            columns = [[part for part in row if part.kind == kind] for row in rows]
            for k in range(max(map(len, columns))):
                pieces = [column[k] if k < len(column) else None for column in columns]
                parts.append(_side_by_side(pieces, sizes, dim, shape))
        reasons = [value.bound_reason for value in dependent if value.bound_reason]
        fills = [value.fill if isinstance(value, Elements) else None for value in values]
        fill = side_by_side(fills, sizes, dim, shape)
        return Elements(shape, join(parts, shape), reasons[0] if reasons else "", fill)

    def as_bound(self, reason: str) -> Elements:
        """The same as an upper bound, unless it is one already."""
        return self if self.bound_reason else self._replace(bound_reason=reason)

    def within(self, call: int) -> Elements:
        """The same with a call in place of that at hand."""
        if not any(ways for part in self.parts for ways in part.whole):
            return self
        return self._replace(parts=tuple([_within(part, call) for part in self.parts]))


def _pixels(size: int) -> Numbers:
    pixels = np.arange(size, dtype=np.int32)
    return np.stack([-pixels, pixels], axis=-1)


# ------------------------------------------------------------------------------ one part


def _within(part: Part, call: int) -> Part:
    ways = [w for ways_of_axis in part.whole if ways_of_axis for w in ways_of_axis]
    if not any(HERE in w for w in ways):
        return part
    whole = [ways and frozenset([w.within(call) for w in ways]) for ways in part.whole]
    return part._replace(whole=tuple(whole))


def _reshaped(part: Part, groups: Sequence[Group], shape: Shape, new_shape: Shape) -> Part:
    cells = tuple([c.reshaped(groups, shape, new_shape) for c in part.cells])
    becomes = {d: group.new for group in groups for d in group.old} | _single_places(shape, new_shape)
    places = [frozenset(n for d in dims for n in becomes.get(d, ())) for dims in part.places]
    # where a view parts channels from places again, places are the dimensions that differ
    parted = [d for group in groups if not group.is_one for d in group.new]
    new = _where_it_differs(part._replace(cells=cells, places=tuple(places)), parted)
    return canonical(new)


def _where_it_differs(part: Part, dims: Iterable[int]) -> Part:
    """The same with those of some dimensions alone as places along which an axis differs, if any."""
    places = []
    for along, old in zip(part.cells, part.places, strict=True):
        differing = {d for d in old & set(dims) if along.differs_along(d)}
        places.append((old - set(dims)) | differing if differing else old)
    return part._replace(places=tuple(places))


def _single_places(shape: Shape, new_shape: Shape) -> dict[int, tuple[int, ...]]:
    """The dimension of size 1 that one of size 1 becomes: that with as many elements beside it."""
    new = {prod(new_shape[:d]): d for d, n in enumerate(new_shape) if n == 1}
    return {d: (new[prod(shape[:d])],) for d, n in enumerate(shape) if n == 1 and prod(shape[:d]) in new}


def _emptied(part: Part) -> Part:
    """A part of a value without elements."""
    cells = [Cells((), np.full(c.data.shape[-1], nothing_of(c.data), c.data.dtype)) for c in part.cells]
    return part._replace(cells=tuple(cells), places=(frozenset(),) * len(cells), has_gaps=True)


def _with_gaps(part: Part, dim: int, gaps: NDArray[np.bool_] | None) -> Part:
    """A part of which the elements at some positions of a dimension see nothing."""
    if gaps is None:
        return part
    if any(dim in cells.dims for cells in part.cells):
        return part._replace(has_gaps=True)
    return _blanked(part, (dim,), gaps)


def _blanked(part: Part, dims: tuple[int, ...], blank: NDArray[np.bool_]) -> Part:
    """The same with elements that see nothing: an empty span along one axis is an empty box."""
    if not blank.any():
        return part
    # the axis that differs along most of these dimensions already grows least
    axis = max(range(len(part.cells)), key=lambda a: len(set(part.cells[a].dims) & set(dims)))
    cells = list(part.cells)
    cells[axis] = _emptied_where(cells[axis], dims, blank)
    return part._replace(cells=tuple(cells), has_gaps=True)


def _emptied_where(cells: Cells, dims: tuple[int, ...], blank: NDArray[np.bool_]) -> Cells:
    known = dict(zip((*cells.dims, *dims), (*cells.data.shape[:-1], *blank.shape), strict=True))
    all_dims = sorted(known)
    shape = tuple([known.get(d, 1) for d in range(max(all_dims, default=0) + 1)])
    table = Cells(dims, blank[..., None]).over(all_dims, shape)
    return Cells(tuple(all_dims), np.where(table, nothing_of(cells.data), cells.over(all_dims, shape)))


def canonical(part: Part) -> Part:
    """The same with a box that is empty along one axis empty along those that differ with it."""
    if not part.has_gaps or len(part.cells) == 1:
        return part
    cells = list(part.cells)
    for a, one in enumerate(part.cells):
        for b, other in enumerate(part.cells):
            if a != b and set(one.dims) & set(other.dims) and (nothing := one.nothing).any():
                # channels that see nothing at any place do so without a table of channels by places
                table = Cells(one.dims, nothing[..., None]).without_repetition(one.dims)
                cells[b] = _emptied_where(cells[b], table.dims, table.data[..., 0])
    return part._replace(cells=tuple(cells))


def _reduced(part: Part, dims: set[int], several: set[int]) -> Part:
    """A part reduced over dimensions, of which some have several positions."""
    cells = tuple([c.reduced(dims) for c in part.cells])
    places = tuple([dims_of_axis - dims for dims_of_axis in part.places])
    whole = tuple(
        [
            frozenset({Whole(HERE)}) if ways is None and before & several and not after else ways
            for ways, before, after in zip(part.whole, part.places, places, strict=True)
        ]
    )
    return part._replace(cells=cells, places=places, whole=whole)


def _dims_of(table: NDArray[np.bool_], rank: int) -> tuple[int, ...]:
    """The dimensions of a value along which a table differs, broadcast to the last of them."""
    return tuple([d + rank - table.ndim for d, n in enumerate(table.shape) if n != 1])


def _squeezed(table: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return table.reshape([n for n in table.shape if n != 1])


def _times(cells: Cells, pattern: NDArray[np.bool_], shape: Shape) -> Cells:
    """The maximum, for each column of a matrix, over the rows in which it has a number."""
    last = len(shape) - 1
    if last not in cells.dims:
        return cells
    # of leading dimensions, those along which the matrix differs
    leading = [d for d in _dims_of(pattern[..., 0, 0], last - 1) if d not in cells.dims]
    dims = sorted([*cells.dims, *leading])
    outer = dims[:-1]
    data = cells.over(dims, shape)
    table = pattern.reshape(
        [n for n, d in zip(_leading(pattern, len(shape)), range(last - 1), strict=True) if d in outer]
        + [1] * (last - 1 in outer)
        + list(pattern.shape[-2:])
    )
    nothing = nothing_of(data)
    joined = np.full((*data.shape[:-2], pattern.shape[-1], data.shape[-1]), nothing, data.dtype)
    for row in range(shape[last]):
        entries = data[..., row, None, :]
        np.maximum(joined, np.where(table[..., row, :, None], entries, nothing), out=joined)
    return Cells(tuple(dims), joined).without_units()


def _leading(pattern: NDArray[np.bool_], rank: int) -> Shape:
    """Sizes of a matrix along each of the dimensions before the last two."""
    leading = pattern.shape[:-2]
    return (*[1] * (rank - 2 - len(leading)), *leading)


# ------------------------------------------------------------------------------ several parts


def join(parts: Sequence[Part], shape: Shape) -> tuple[Part, ...]:
    """As few parts as tell the same."""
    if len(parts) < 2:
        return tuple(parts)
    kinds: dict[tuple[bool, ...], list[Part]] = {}
    for part in parts:
        kinds.setdefault(part.kind, []).append(part)
    joined = [part for of_kind in kinds.values() for part in _joined(of_kind, shape)]
    return tuple(joined)


def _joined(parts: Sequence[Part], shape: Shape, most: int = MOST_PARTS) -> list[Part]:
    """Parts of one kind, those as one that can be."""
    remaining: list[Part] = []
    for part in parts:
        for k, other in enumerate(remaining):
            if (both := _both(other, part, shape)) is not None:
                remaining[k] = both
                break
        else:
            remaining.append(part)
    if len(remaining) > most:
        return [reduce(lambda a, b: _element_by_element(a, b, shape), remaining)]
    return remaining


def _both(one: Part, other: Part, shape: Shape) -> Part | None:
    """Two parts as one; None where a box around both would claim what neither sees."""
    if len(one.cells) > 1 and (one.has_gaps or other.has_gaps):
        if _covers(one, other):
            return _with_ways_of(one, other)
        return _with_ways_of(other, one) if _covers(other, one) else None
    cells = []
    for a, b in zip(one.cells, other.cells, strict=True):
        if a is b or (a.dims == b.dims and a.data is b.data):
            cells.append(a)
        elif set(a.dims) <= set(b.dims) or set(b.dims) <= set(a.dims):
            dims = a.dims if len(a.dims) > len(b.dims) else b.dims
            cells.append(Cells(dims, np.maximum(a.over(dims, shape), b.over(dims, shape))))
        else:
            return None
    return _with_ways_of(one._replace(cells=tuple(cells), has_gaps=one.has_gaps and other.has_gaps), other)


def _covers(one: Part, other: Part) -> bool:
    """True where the other sees nothing that this one does not see."""
    for a, b in zip(one.cells, other.cells, strict=True):
        if a is b:
            continue
        if a.dims != b.dims or not (a.data is b.data or (a.data >= b.data).all()):
            return False
    return True


def _with_ways_of(one: Part, other: Part) -> Part:
    """The same with the places and the ways of both."""
    places = tuple([a | b for a, b in zip(one.places, other.places, strict=True)])
    whole = tuple([a | b if a and b else a for a, b in zip(one.whole, other.whole, strict=True)])
    return one._replace(places=places, whole=whole)


def _element_by_element(one: Part, other: Part, shape: Shape) -> Part:
    """Two parts as one with an entry for each element, so that those that see nothing add nothing."""
    dims = tuple(sorted({d for part in (one, other) for cells in part.cells for d in cells.dims}))
    if prod(shape[d] for d in dims) > MOST_ENTRIES:
        raise ValueError(f"{prod(shape):,} elements that differ in what they see")
    first, second = _canonical_over(one, dims, shape), _canonical_over(other, dims, shape)
    cells = tuple([Cells(dims, np.maximum(a, b)) for a, b in zip(first, second, strict=True)])
    return _with_ways_of(one._replace(cells=cells, has_gaps=True), other)


def _canonical_over(part: Part, dims: tuple[int, ...], shape: Shape) -> list[Numbers]:
    data = [cells.over(dims, shape) for cells in part.cells]
    if not part.has_gaps:
        return data
    nothing = np.logical_or.reduce([table[..., 0] == nothing_of(table) for table in data])
    return [np.where(nothing[..., None], nothing_of(table), table) for table in data]


def as_one(parts: Sequence[Part], shape: Shape) -> Part:
    """All parts as one, in which what sees nothing along one axis sees nothing along any."""
    (one,) = _joined(parts, shape, most=1)
    if not one.has_gaps or len(one.cells) == 1:
        return one
    empty = [cells for cells in one.cells if cells.nothing.any()]
    if not empty:
        return one
    dims = tuple(sorted({d for cells in empty for d in cells.dims}))
    nothing = np.logical_or.reduce([c.over(dims, shape)[..., 0] == nothing_of(c.data) for c in empty])
    return one._replace(cells=tuple([_emptied_where(c, dims, nothing) for c in one.cells]))


def _spread_back(parts: Sequence[Part], shape: Shape) -> list[Part]:
    """Parts of one value, those marked that spread a single position over an axis, all of which it sees."""
    marked = list(parts)
    for axis in range(len(parts[0].cells)):
        spanning = [p for p in parts if p.whole[axis] is None and p.places[axis] & set(p.cells[axis].dims)]
        if not spanning:
            continue
        widest = _widest(spanning, axis)
        for k, part in enumerate(marked):
            cells = part.cells[axis]
            ways = part.whole[axis]
            if ways is not None:
                spread = frozenset([Whole(w.reduced_in, HERE) if w.spread_in is None else w for w in ways])
            elif not any(shape[d] > 1 for d in part.places[axis]) and _sees(cells, widest):
                spread = frozenset({Whole(HERE, HERE)})
            else:
                continue
            marked[k] = part._replace(whole=(*part.whole[:axis], spread, *part.whole[axis + 1 :]))
    return marked


def _local_in_part(rows: Sequence[Sequence[Part]], dim: int) -> list[list[Part]]:
    """Parts of values along a dimension; what saw all of a slice is local in the whole axis."""
    local_rows = [list(row) for row in rows]
    for axis in range(len(next(row for row in rows if row)[0].cells)):
        beside = [p for row in rows for p in row if p.whole[axis] is None and dim in p.places[axis]]
        if not beside:
            continue
        widest = _widest(beside, axis)
        for row in local_rows:
            for k, part in enumerate(row):
                own = part.cells[axis].reduced(part.cells[axis].dims).data
                if part.whole[axis] is not None and not (own >= widest).all():
                    row[k] = part._replace(whole=(*part.whole[:axis], None, *part.whole[axis + 1 :]))
    return local_rows


def _sees(cells: Cells, span: Numbers) -> bool:
    """True where a single entry, the same for all elements, covers a span."""
    return not cells.dims and bool((cells.data >= span).all())


def _widest(parts: Sequence[Part], axis: int) -> Numbers:
    """The span along an axis of all elements of some parts."""
    ends = [part.cells[axis].reduced(part.cells[axis].dims).data for part in parts]
    return np.asarray(np.maximum.reduce(ends))


def _without_gaps(row: Sequence[Cells | None]) -> Sequence[Cells | None]:
    """The same with gaps that go on as what is beside them, where all of that is the same."""
    dependent = [cells for cells in row if cells is not None]
    first = dependent[0]
    is_one = all(
        c.dims == first.dims and (c.data is first.data or np.array_equal(c.data, first.data))
        for c in dependent
    )
    return [first] * len(row) if is_one else row


def _side_by_side(pieces: Sequence[Part | None], sizes: Sequence[int], dim: int, shape: Shape) -> Part:
    """Parts one after the other along a dimension; None sees nothing."""
    dependent = [piece for piece in pieces if piece is not None]
    shapes = [(*shape[:dim], size, *shape[dim + 1 :]) for size in sizes]
    has_gaps = len(dependent) < len(pieces) or any(piece.has_gaps for piece in dependent)
    rows = [[piece and piece.cells[axis] for piece in pieces] for axis in range(len(dependent[0].cells))]
    # one axis tells of a gap that the box is empty: the others need no entries along the dimension for it
    telling = max(range(len(rows)), key=lambda axis: any(c and dim in c.dims for c in rows[axis]))
    cells = tuple(
        [
            cells_side_by_side(row if axis == telling else _without_gaps(row), shapes, dim)
            for axis, row in enumerate(rows)
        ]
    )
    part = reduce(_with_ways_of, dependent)
    # positions that were taken one by one are places again beside one another; wider pieces may be features
    is_row = max(sizes) == 1
    places = [
        dims if ways or dims - {CHANNELS} or (dims and not is_row) else dims | ({dim} & set(along.dims))
        for dims, along, ways in zip(part.places, cells, part.whole, strict=True)
    ]
    part = part._replace(cells=cells, places=tuple(places), has_gaps=has_gaps)
    return canonical(part) if has_gaps else part
