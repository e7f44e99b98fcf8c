"""Parts of a dependence: a box of source pixels for each element of a value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.cells import Cells, Group, Shape, nothing_of

CHANNELS = 1
"""The dimension of channels, in tensors that have places in dimensions after it."""

HERE = -1
"""Stands for the call of the operation at hand."""


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

    @property
    def sees_nothing(self) -> bool:
        """True where no element sees anything."""
        return self.has_gaps and any(cells.nothing.all() for cells in self.cells)

    def moved(self, cells: Iterable[Cells], renumber: Callable[[int], Iterable[int]]) -> Part:
        """The same with cells in other dimensions, and the places in those that a dimension becomes."""
        places = [frozenset(new for d in dims for new in renumber(d)) for dims in self.places]
        return self._replace(cells=tuple(cells), places=tuple(places))

    def empty(self) -> Part:
        """The same for a value without elements."""
        cells = [Cells((), np.full(c.data.shape[-1], nothing_of(c.data), c.data.dtype)) for c in self.cells]
        return self._replace(cells=tuple(cells), places=(frozenset(),) * len(cells), has_gaps=True)

    def reshape(self, groups: Sequence[Group], shape: Shape, new_shape: Shape) -> Part:
        """The same elements in another shape, by the groups of dimensions that become one another."""
        cells = tuple([c.reshape(groups, shape, new_shape) for c in self.cells])
        becomes = {d: group.new for group in groups for d in group.old} | _single_places(shape, new_shape)
        places = [frozenset(n for d in dims for n in becomes.get(d, ())) for dims in self.places]
        # where a view splits channels from places again, places are the dimensions that differ
        split_dims = [d for group in groups if not group.is_one for d in group.new]
        return self._replace(cells=cells, places=tuple(places)).place_where_it_differs(split_dims).canonical()

    def place_where_it_differs(self, dims: Iterable[int]) -> Part:
        """The same with those of some dimensions alone as places along which an axis differs, if any."""
        places = []
        for along, old in zip(self.cells, self.places, strict=True):
            split = old & set(dims)
            differing = {d for d in split if along.differs_along(d)}
            # channels would repeat places: where nothing is there twice all dimensions hold places
            is_kept = not differing or along.tells_apart(split)
            places.append(old if is_kept else (old - set(dims)) | differing)
        return self._replace(places=tuple(places))

    def reduce(self, dims: Collection[int], shape: Shape) -> Part:
        """The same reduced over dimensions of a value; an axis of which no places remain is seen whole."""
        held = {d for cells, own in zip(self.cells, self.places, strict=True) for d in (*cells.dims, *own)}
        if held.isdisjoint(dims):  # as channels after the first convolution
            return self
        several = {d for d in dims if shape[d] > 1}
        cells = tuple([c.reduce(dims) for c in self.cells])
        places = tuple([dims_of_axis - set(dims) for dims_of_axis in self.places])
        whole = tuple(
            [
                frozenset({Whole(HERE)}) if ways is None and before & several and not after else ways
                for ways, before, after in zip(self.whole, self.places, places, strict=True)
            ]
        )
        return self._replace(cells=cells, places=places, whole=whole)

    def with_gaps(self, dim: int, gaps: NDArray[np.bool_] | None) -> Part:
        """The same after an operation along a dimension of which some positions read nothing."""
        if gaps is None:
            return self
        if any(dim in cells.dims for cells in self.cells):
            # the spans along that axis are empty there already
            return self._replace(has_gaps=True)
        return self.blank(Cells((dim,), gaps[:, None]))

    def blank(self, mask: Cells) -> Part:
        """The same with elements that see nothing wherever a mask is true."""
        if not mask.data.any():
            return self
        # one empty span makes the box empty: the axis that differs along most of the dimensions of the mask
        # grows least by it
        axis = max(range(len(self.cells)), key=lambda a: len(set(self.cells[a].dims) & set(mask.dims)))
        cells = list(self.cells)
        cells[axis] = cells[axis].blank(mask)
        return self._replace(cells=tuple(cells), has_gaps=True)

    def canonical(self) -> Part:
        """The same with a box that is empty along one axis empty along those that differ with it."""
        if not self.has_gaps or len(self.cells) == 1:
            return self
        cells = list(self.cells)
        for a, one in enumerate(self.cells):
            for b, other in enumerate(self.cells):
                if a != b and set(one.dims) & set(other.dims) and (nothing := one.nothing).any():
                    # channels that see nothing at any place do so without a table of channels by places
                    mask = Cells(one.dims, nothing[..., None]).without_repetition(one.dims)
                    cells[b] = cells[b].blank(mask)
        return self._replace(cells=tuple(cells))

    def within(self, call: int) -> Part:
        """The same with a call in place of that at hand."""
        ways = [w for ways_of_axis in self.whole if ways_of_axis for w in ways_of_axis]
        if not any(HERE in w for w in ways):
            return self
        whole = [ways and frozenset([w.within(call) for w in ways]) for ways in self.whole]
        return self._replace(whole=tuple(whole))


def _single_places(shape: Shape, new_shape: Shape) -> dict[int, tuple[int, ...]]:
    """The dimension of size 1 that one of size 1 becomes: that with as many elements beside it."""
    new = {prod(new_shape[:d]): d for d, n in enumerate(new_shape) if n == 1}
    return {d: (new[prod(shape[:d])],) for d, n in enumerate(shape) if n == 1 and prod(shape[:d]) in new}
