"""Where the source's axes lie among the dimensions of a value, through views, products and merges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import NamedTuple, Protocol, TypeVar

import numpy as np

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp, collapsed, folded, picked, repeated

M = TypeVar("M", bound="Map")
NO_AXIS = -1


class Map(Protocol):
    """What is known of each position along one source axis; see `axis_maps`."""

    def __len__(self) -> int:
        """Positions along the axis."""

    def after(self: M, op: AxisOp) -> M:
        """The map of what an operation makes of this."""

    def merged(self: M, other: M) -> M:
        """The map of what depends on both; one of length 1 goes with every position."""

    def covers(self: M, other: M) -> bool:
        """Whether whatever depends on both depends on nothing more than this does."""


class Factor(NamedTuple):
    """A digit of a dimension: a position along a source axis is the sum of digit x step.

    A view may write one dimension as several digits, as windows of an attention layer do, or several
    digits as one dimension, as flattening does. Digits of no axis have the axis -1.
    """

    size: int
    axis: int
    step: int


Dim = tuple[Factor, ...]


class Geometry(NamedTuple):
    """How a value depends on the source.

    Attributes:
        dims: The digits of each dimension, slowest first; of those of size 1 only axes are kept.
        maps: A map for each source axis; of length 1 where no digit carries the axis.
        bound_reason: Why the maps are only upper bounds; empty where they are exact.
        uneven: Whether channels see different extents, of which the maps are the union.
    """

    dims: tuple[Dim, ...]
    maps: tuple[Map, ...]
    bound_reason: str = ""
    uneven: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return tuple([prod(f.size for f in dim) for dim in self.dims])

    @property
    def size(self) -> int:
        """Elements of the value."""
        return prod(self.shape)

    def axes_in(self, dims: Iterable[int]) -> list[int]:
        """The axes that these dimensions carry digits of."""
        return sorted({f.axis for d in dims for f in self.dims[d] if f.axis != NO_AXIS})

    def as_bound(self, why: str) -> Geometry:
        """The same as an upper bound, unless it is one already."""
        return self if self.bound_reason else self._replace(bound_reason=why)

    def along(self, dim: int, make: Callable[[int], AxisOp], out: int) -> Geometry:
        """Apply an operation along one dimension, such as a window; `make` gives it for a size."""
        dim %= len(self.dims)
        axes = self.axes_in([dim])
        if not axes:
            return (self.parted() if self.dims[dim] else self).with_dim(dim, none(out))
        if len(axes) > 1 or self._elsewhere(axes[0], dim):
            return self.collapse([dim]).with_dim(dim, none(out)).as_bound("an axis is spread over dimensions")
        whole = self._as_one(dim, axes[0])
        op = make(len(whole.maps[axes[0]]))
        return whole.mapped(axes[0], op).with_dim(dim, digit(out, axes[0]))

    def _as_one(self, dim: int, axis: int) -> Geometry:
        """Write the digits of a dimension, all of one axis or of none, as a single one."""
        if len(self.dims[dim]) == 1:
            return self
        sizes = [f.size for f in self.dims[dim]]
        carried = [place for place, f in enumerate(self.dims[dim]) if f.axis == axis]
        if len(carried) == 1:
            inner, outer = prod(sizes[carried[0] + 1 :]), prod(sizes[: carried[0]])
            op = repeated(sizes[carried[0]], inner, outer)
        else:
            digits = np.indices(sizes).reshape(len(sizes), -1)
            widths = np.array([f.step for f in self.dims[dim]])
            op = picked(widths @ digits)
        return self.mapped(axis, op).with_dim(dim, digit(prod(sizes), axis))

    def written_out(self) -> Geometry:
        """The same with a map entry for each position of every dimension that carries one axis alone."""
        found = self
        for dim in range(len(self.dims)):
            axes = found.axes_in([dim])
            if len(axes) == 1 and not found._elsewhere(axes[0], dim):
                found = found._as_one(dim, axes[0])
        return found

    def is_whole(self, axis: int) -> bool:
        """Whether an axis is a dimension of its own, with several positions."""
        return digit(len(self.maps[axis]), axis) in self.dims and len(self.maps[axis]) > 1

    def _elsewhere(self, axis: int, dim: int) -> bool:
        """Whether an axis has digits outside of a dimension."""
        return any(f.axis == axis for d, digits in enumerate(self.dims) if d != dim for f in digits)

    def mapped(self, axis: int, op: AxisOp) -> Geometry:
        """The geometry with an operation applied to the map of one axis; the digits are the caller's."""
        maps = list(self.maps)
        maps[axis] = maps[axis].after(op)
        return self._replace(maps=tuple(maps))

    def with_dim(self, dim: int, new: Dim) -> Geometry:
        """The same with other digits in one dimension."""
        return self._replace(dims=(*self.dims[:dim], new, *self.dims[dim + 1 :]))

    def collapse(self, dims: Iterable[int], whole: Callable[[int], AxisOp] = collapsed) -> Geometry:
        """Reduce over dimensions, which stay with size 1: what is left depends on all of their positions.

        Args:
            dims: The dimensions.
            whole: Makes the operation along an axis that goes as a whole.
        """
        gone = {d % len(self.dims) for d in dims}
        found = self
        for axis in self.axes_in(gone):
            found = found._reduced(axis, gone, whole)
        for dim in gone:
            found = found.with_dim(dim, ())
        return found

    def _reduced(self, axis: int, gone: set[int], whole: Callable[[int], AxisOp]) -> Geometry:
        """Reduce one axis over those of its digits that lie in the dimensions `gone`."""
        digits = [(d, p, f) for d, x in enumerate(self.dims) for p, f in enumerate(x) if f.axis == axis]
        digits.sort(key=lambda found: -found[2].step)
        kept = [place for place, (d, _, _) in enumerate(digits) if d not in gone]
        if not kept:
            return self.mapped(axis, whole(len(self.maps[axis])))
        op = folded(tuple((f.size, f.step) for _, _, f in digits), tuple(kept))
        found, width = self.mapped(axis, op), 1
        for place in reversed(kept):
            d, p, f = digits[place]
            new = (*found.dims[d][:p], Factor(f.size, axis, width), *found.dims[d][p + 1 :])
            found, width = found.with_dim(d, new), width * f.size
        return found

    def reshaped(self, shape: Sequence[int]) -> Geometry:
        """The same elements in another shape."""
        left = [f for dim in self.dims for f in dim]
        dims: list[Dim] = []
        for size in shape:
            dim = _take(left, size)
            if dim is None:
                everything = self.collapse(range(len(self.dims)))
                return everything._replace(dims=tuple(map(none, shape))).as_bound("a view mixes axes")
            dims.append(dim)
        found = self._replace(dims=tuple(dims))
        return found.parted() if any(map(_is_mixed, dims)) else found

    def parted(self) -> Geometry:
        """What is left when only some of the channels are taken."""
        return self.as_bound("channels of different fields are parted") if self.uneven else self

    def per_position(self) -> Geometry:
        """The same with no digit of an axis left among the channels where the axis is elsewhere too."""
        shared = (
            [axis for axis in self.axes_in([1]) if self._elsewhere(axis, 1)] if len(self.dims) > 2 else []
        )
        return (self.collapse([1]) if shared else self).written_out()

    def permuted(self, order: Sequence[int]) -> Geometry:
        """The same with its dimensions in another order."""
        return self._replace(dims=tuple([self.dims[d] for d in order]))


def none(size: int) -> Dim:
    """A dimension that carries no axis."""
    return (Factor(size, NO_AXIS, 0),) if size != 1 else ()


def digit(size: int, axis: int) -> Dim:
    """A dimension that is one whole axis, even if only one position of it is left."""
    return (Factor(size, axis, 1),)


def _is_mixed(dim: Dim) -> bool:
    """Whether a dimension carries an axis and something else."""
    return len({f.axis == NO_AXIS for f in dim}) > 1


def _take(left: list[Factor], size: int) -> Dim | None:
    """Take digits that make up a dimension of this size from the front, splitting the last where needed."""
    taken: list[Factor] = []
    if size == 1 and left and left[0].size == 1:
        return (left.pop(0),)
    while left and left[0].size == 1:
        left.pop(0)  # an axis of one position that shares its dimension with others is lost
    while size > 1:
        if not left:
            return None
        first = left.pop(0)
        if size % first.size == 0:
            taken.append(first)
            size //= first.size
        elif first.size % size == 0:
            inner = first.size // size
            taken.append(Factor(size, first.axis, first.step * inner))
            left.insert(0, Factor(inner, first.axis, first.step))
            size = 1
        else:
            return None
    return tuple(taken) if size == 1 else None


def merge(parts: Sequence[Geometry], shape: Sequence[int]) -> Geometry:
    """The geometry of a value that depends on several, broadcast to one shape."""
    aligned = [part._replace(dims=((),) * (len(shape) - len(part.dims)) + part.dims) for part in parts]
    first = aligned[0]
    if all(part.dims == first.dims for part in aligned) and first.shape == tuple(shape):
        return _with_maps(aligned, first.dims)
    dims = [_common(part.dims[d] for part in aligned) for d in range(len(shape))]
    if None not in dims:
        filled = tuple([_of_size(d, size) for d, size in zip(dims, shape, strict=True)])
        if all(_fits(part, axis, filled) for part in aligned for axis in range(len(part.maps))):
            return _with_maps(aligned, filled)
    apart = [d for d in range(len(shape)) if len({_carried(part.dims[d]) for part in aligned}) > 1]
    whole = [part.collapse(apart) for part in aligned]
    filled = tuple([_of_size(_common(part.dims[d] for part in whole), n) for d, n in enumerate(shape)])
    if not all(_fits(part, axis, filled) for part in whole for axis in range(len(part.maps))):
        whole = [part.collapse(range(len(shape))) for part in aligned]
        filled = tuple(map(none, shape))
    return _with_maps(whole, filled).as_bound("two places of one axis meet")


def _of_size(dim: Dim | None, size: int) -> Dim:
    """A dimension, or one without an axis where a single position is broadcast over it."""
    return dim if dim and prod(f.size for f in dim) == size else none(size)


def _carried(dim: Dim) -> Dim:
    """The digits of a dimension that tell positions of an axis apart."""
    return tuple([f for f in dim if f.axis != NO_AXIS and f.size > 1])


def _common(dims: Iterable[Dim]) -> Dim | None:
    """The one way in which a dimension carries axes, empty where none does, None where there are two."""
    seen = list(dims)
    carrying = {dim for dim in seen if _carried(dim)}
    if len(carrying) > 1:
        return None
    single = (dim for dim in seen if any(f.axis != NO_AXIS for f in dim))
    return next(iter(carrying), None) or next(single, ())


def _fits(part: Geometry, axis: int, dims: tuple[Dim, ...]) -> bool:
    """Whether a part carries an axis where the merged value does, or not at all."""
    own = [(d, f) for d, dim in enumerate(part.dims) for f in _carried(dim) if f.axis == axis]
    return not own or own == [(d, f) for d, dim in enumerate(dims) for f in _carried(dim) if f.axis == axis]


def _with_maps(parts: Sequence[Geometry], dims: tuple[Dim, ...]) -> Geometry:
    """Parts that carry their axes alike, as one; a bound is exact where exact parts cover it."""
    exact = [part for part in parts if not part.bound_reason]
    bounds = [part for part in parts if part.bound_reason]
    maps = _merged(exact) if exact else ()
    uneven = any(part.uneven for part in parts)
    if not bounds:
        return Geometry(dims, maps, "", uneven)
    if exact and all(own.covers(m) for part in bounds for own, m in zip(maps, part.maps, strict=True)):
        return Geometry(dims, maps, "", uneven)
    return Geometry(dims, _merged(parts), bounds[0].bound_reason, uneven)


def _merged(parts: Sequence[Geometry]) -> tuple[Map, ...]:
    maps = list(parts[0].maps)
    for part in parts[1:]:
        maps = [m if m is o else m.merged(o) for m, o in zip(maps, part.maps, strict=True)]
    return tuple(maps)
