"""Places of the source's axes among the dimensions of a value, through views, products and merges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import prod
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import (
    AxisOp,
    digit_reduction,
    fixed_size,
    gather,
    reduction,
    repetition,
    zero_padding,
)
from inception_lab.analyzers.receptive_field.digits import (
    NO_AXIS,
    Dim,
    Factor,
    axis_digits,
    axis_dim,
    axis_places,
    broadcast_dim,
    common_dim,
    is_mixed,
    plain_dim,
    shape_of,
    take_digits,
)

M = TypeVar("M", bound="AxisMap")


class AxisMap(Protocol):
    """The dependence of each position along one source axis; see `axis_maps`."""

    def __len__(self) -> int:
        """Positions along the axis."""

    def after(self: M, op: AxisOp) -> M:
        """The map of what an operation makes of this."""

    def merge(self: M, other: M) -> M:
        """The map of what depends on both; one of length 1 goes with every position."""

    def covers(self: M, other: M) -> bool:
        """True where whatever depends on both depends on nothing more than this does."""


class Geometry(NamedTuple):
    """The dependence of a value on the source.

    Attributes:
        dims: The digits of each dimension, slowest first; of those of size 1 only axes are kept.
        maps: A map for each source axis; of length 1 where no digit carries the axis.
        bound_reason: Why the maps are only upper bounds; empty where they are exact.
        channels_differ: True where channels see different extents, of which the maps are the union.
    """

    dims: tuple[Dim, ...]
    maps: tuple[AxisMap, ...]
    bound_reason: str = ""
    channels_differ: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value."""
        return shape_of(self.dims)

    def axes_in(self, dims: Iterable[int]) -> list[int]:
        """The axes that these dimensions carry digits of."""
        return sorted({f.axis for d in dims for f in self.dims[d] if f.axis != NO_AXIS})

    def _is_outside(self, axis: int, dim: int) -> bool:
        """True where an axis has digits outside of a dimension."""
        return any(f.axis == axis for d, digits in enumerate(self.dims) if d != dim for f in digits)

    def as_bound(self, reason: str) -> Geometry:
        """The same as an upper bound, unless it is one already."""
        return self if self.bound_reason else self._replace(bound_reason=reason)

    def of_some_channels(self) -> Geometry:
        """The geometry of some of the channels: a bound where they differ, as the maps are of all."""
        return self.as_bound("channels of different fields are parted") if self.channels_differ else self

    def with_dim(self, dim: int, digits: Dim) -> Geometry:
        """The same with other digits in one dimension."""
        return self._with((*self.dims[:dim], digits, *self.dims[dim + 1 :]), self.maps)

    def _with(self, dims: tuple[Dim, ...], maps: tuple[AxisMap, ...]) -> Geometry:
        # made at once: `_replace` takes several times as long, for each axis of each operation
        return Geometry(dims, maps, self.bound_reason, self.channels_differ)

    def permute(self, order: Sequence[int]) -> Geometry:
        """The same with its dimensions in another order."""
        return self._replace(dims=tuple([self.dims[d] for d in order]))

    def apply(self, axis: int, op: AxisOp) -> Geometry:
        """The geometry with an operation applied to the map of one axis; the digits are the caller's."""
        maps = list(self.maps)
        maps[axis] = maps[axis].after(op)
        return self._with(self.dims, tuple(maps))

    def along(self, dim: int, make_op: Callable[[int], AxisOp], out: int) -> Geometry:
        """Apply an operation along one dimension, such as a window.

        Args:
            dim: The dimension.
            make_op: Makes the operation for a size of the axis.
            out: Size of the dimension afterwards.
        """
        dim %= len(self.dims)
        axes = self.axes_in([dim])
        if not axes:
            # the dimension may hold channels, of which a window reads some
            return (self.of_some_channels() if self.dims[dim] else self).with_dim(dim, plain_dim(out))
        # along a part of an axis, neighbours in the dimension are not neighbours in the source
        if len(axes) > 1 or self._is_outside(axes[0], dim):
            whole = self.collapse([dim]).with_dim(dim, plain_dim(out))
            return whole.as_bound("an axis is spread over dimensions")
        geometry = self._join_digits(dim, axes[0])
        op = make_op(len(geometry.maps[axes[0]]))
        return geometry.apply(axes[0], op).with_dim(dim, axis_dim(out, axes[0]))

    def join_all_digits(self) -> Geometry:
        """The same with a map entry for each position of every dimension that carries one axis alone."""
        geometry = self
        for dim in [d for d, digits in enumerate(self.dims) if len(digits) > 1]:
            axes = geometry.axes_in([dim])
            if len(axes) == 1 and not geometry._is_outside(axes[0], dim):
                geometry = geometry._join_digits(dim, axes[0])
        return geometry

    def _join_digits(self, dim: int, axis: int) -> Geometry:
        """Write the digits of a dimension, all of one axis or of none, as a single one."""
        digits = self.dims[dim]
        if len(digits) == 1:
            return self
        sizes = [f.size for f in digits]
        carrying = [place for place, f in enumerate(digits) if f.axis == axis]
        if len(carrying) == 1:
            # slower digits repeat the axis as a whole, faster ones each position of it
            inner, outer = prod(sizes[carrying[0] + 1 :]), prod(sizes[: carrying[0]])
            op = repetition(sizes[carrying[0]], inner, outer)
        else:
            # each position of the dimension, spelled in digits, names one position of the axis
            spelling = np.indices(sizes).reshape(len(sizes), -1)
            op = gather(np.array([f.step for f in digits]) @ spelling)
        return self.apply(axis, op).with_dim(dim, axis_dim(prod(sizes), axis))

    def collapse(self, dims: Iterable[int], whole_axis: Callable[[int], AxisOp] = reduction) -> Geometry:
        """Reduce over dimensions, which stay with size 1: what remains depends on all of their positions.

        Args:
            dims: The dimensions.
            whole_axis: Makes the operation along an axis all of whose digits are reduced over.
        """
        reduced_dims = {d % len(self.dims) for d in dims}
        geometry = self
        for axis in self.axes_in(reduced_dims):
            geometry = geometry._reduce(axis, reduced_dims, whole_axis)
        for dim in reduced_dims:
            geometry = geometry.with_dim(dim, ())
        return geometry

    def _reduce(self, axis: int, dims: set[int], whole_axis: Callable[[int], AxisOp]) -> Geometry:
        """Reduce one axis over those of its digits that lie in these dimensions."""
        digits = [(d, p, f) for d, dim in enumerate(self.dims) for p, f in enumerate(dim) if f.axis == axis]
        digits.sort(key=lambda place: -place[2].step)
        remaining = [place for place, (d, _, _) in enumerate(digits) if d not in dims]
        if not remaining:
            return self.apply(axis, whole_axis(len(self.maps[axis])))
        op = digit_reduction(tuple((f.size, f.step) for _, _, f in digits), tuple(remaining))
        geometry, step = self.apply(axis, op), 1
        # the map is shorter now: number its positions by the digits that remain, the fastest first
        for place in reversed(remaining):
            d, p, factor = digits[place]
            dim = geometry.dims[d]
            geometry = geometry.with_dim(d, (*dim[:p], Factor(factor.size, axis, step), *dim[p + 1 :]))
            step *= factor.size
        return geometry

    def reshape(self, shape: Sequence[int]) -> Geometry:
        """The same elements in another shape."""
        digits = [f for dim in self.dims for f in dim]
        dims: list[Dim] = []
        for size in shape:
            dim = take_digits(digits, size)
            if dim is None:
                whole = self.collapse(range(len(self.dims)))
                return whole._replace(dims=tuple(map(plain_dim, shape))).as_bound("a view mixes axes")
            dims.append(dim)
        geometry = self._replace(dims=tuple(dims))
        return geometry.of_some_channels() if any(map(is_mixed, dims)) else geometry

    def made_of(self, parts: Sequence[Geometry]) -> Geometry:
        """The same: numbers are those of one window around all."""
        del parts
        return self

    def spread(self, dim: int, size: int) -> Geometry:
        """The same with a dimension of size 1 repeated."""
        return self.with_dim(dim % len(self.dims), plain_dim(size))

    def drop(self, dims: Iterable[int]) -> Geometry:
        """The same without dimensions of size 1."""
        dropped_dims = {d % len(self.dims) for d in dims}
        return self._replace(dims=tuple([dim for d, dim in enumerate(self.dims) if d not in dropped_dims]))

    def take(self, dim: int, index: NDArray[np.int64]) -> Geometry:
        """Positions of a dimension, read by a table whose dimensions replace it; -1 reads nothing."""
        dim %= len(self.dims)
        if index.ndim == 1:
            return self.along(dim, lambda _: gather(index), len(index))
        if self.axes_in([dim]):
            geometry = self.collapse([dim]).as_bound("a table picks places of an axis")
        else:
            geometry = self.of_some_channels()
        columns = tuple(map(plain_dim, index.shape))
        return geometry._replace(dims=(*geometry.dims[:dim], *columns, *geometry.dims[dim + 1 :]))

    def accumulate(self, dim: int) -> Geometry:
        """Each position of a dimension and all before it; where it carries an axis, all are the bound."""
        dim %= len(self.dims)
        size = prod(f.size for f in self.dims[dim])
        whole = self.collapse([dim]).spread(dim, size)
        return whole.as_bound("a place sees all before it") if self.axes_in([dim]) else whole

    def masked(self, blank: NDArray[np.bool_], number: str | None) -> Geometry:
        """The same with elements that see nothing."""
        del number
        return self.as_bound("a mask hides elements") if blank.any() else self

    def masked_as(self, mixed: Geometry) -> Geometry:
        """A softmax of this: what it mixes."""
        return mixed

    def keeps(self, numbers: Sequence[str]) -> Geometry:
        """The same: the content of elements is not followed."""
        del numbers
        return self

    def filled_as(self, values: Sequence[Geometry], number: str) -> Geometry:
        """The same: the content of elements is not followed."""
        del values, number
        return self

    def nonzero(self) -> None:
        """None: the content of elements is not followed."""

    def times(
        self, pattern: NDArray[np.bool_] | None, whole_axis: Callable[[int], AxisOp] = reduction
    ) -> Geometry:
        """A product with a matrix, in which some columns may read some rows only."""
        if pattern is None or pattern.all():
            product = self.collapse([-1], whole_axis)
            # of N x C every output channel sees all input channels
            return product._replace(channels_differ=False) if len(self.dims) == 2 else product
        whole = self.collapse([-1], whole_axis).spread(-1, pattern.shape[-1])
        return whole.as_bound("a mask hides places") if self.axes_in([len(self.dims) - 1]) else whole

    def mix_channels(self, groups: int, out: int) -> Geometry:
        """Each of `out` channels, in dimension 1, depends on all channels of its group."""
        # each output channel sums over input channels, and so over an axis that a view wrote among them
        geometry = self.collapse([1]).spread(1, out)
        if groups > 1 and self.axes_in([1]):
            geometry = geometry.as_bound("an axis lies among the channels of groups")
        # without groups every output channel sees the union of all input channels
        return geometry._replace(channels_differ=geometry.channels_differ and groups > 1)

    def meets(self, shape: Sequence[int]) -> Geometry:
        """The same where it meets a tensor of this shape, whose size fixes that of an axis."""
        geometry = self
        for dim, size in zip(range(-len(shape), 0), shape, strict=True):
            if size > 1 and len(geometry.axes_in([len(geometry.dims) + dim])) == 1:
                geometry = geometry.along(dim, fixed_size, size)
        return geometry

    def within(self, call: int) -> Geometry:
        """The same: calls are not noted."""
        del call
        return self

    @classmethod
    def union(cls, values: Sequence[Geometry], shape: Sequence[int]) -> Geometry:
        """The geometry of a value that depends on several, broadcast to one shape."""
        return merge(values, shape)

    @classmethod
    def concatenated(cls, values: Sequence[Geometry | int], dim: int) -> Geometry:
        """Values put together along a dimension; a number stands for as many positions that see nothing."""
        return _put_together(values, dim)

    def per_position(self) -> Geometry:
        """The same with no digit of an axis left among the channels where the axis is elsewhere too."""
        spread = len(self.dims) > 2 and any(self._is_outside(axis, 1) for axis in self.axes_in([1]))
        return (self.collapse([1]) if spread else self).join_all_digits()


# ------------------------------------------------------------------------------ putting together


def _put_together(values: Sequence[Geometry | int], dim: int) -> Geometry:
    parts = [value for value in values if isinstance(value, Geometry)]
    dim %= len(parts[0].dims)
    sizes = [value.shape[dim] if isinstance(value, Geometry) else value for value in values]
    shape = (*parts[0].shape[:dim], sum(sizes), *parts[0].shape[dim + 1 :])
    if any(part.axes_in([dim]) for part in parts):
        return _along_an_axis(values, sizes, dim, shape)
    geometry = merge([part.spread(dim, sum(sizes)) for part in parts], shape)
    alike = len(parts) == len(values) and _see_the_same([part.maps for part in parts])
    return geometry._replace(channels_differ=geometry.channels_differ or not alike)


def _along_an_axis(
    values: Sequence[Geometry | int], sizes: Sequence[int], dim: int, shape: Sequence[int]
) -> Geometry:
    """Pieces of an axis, with the numbers of the longest, which pieces beside it may continue."""
    place = max(range(len(values)), key=lambda k: (isinstance(values[k], Geometry), sizes[k]))
    longest = values[place]
    assert isinstance(longest, Geometry)
    lead, trail = sum(sizes[:place]), sum(sizes[place + 1 :])
    geometry = longest.along(dim, lambda size: zero_padding(size, lead, trail), shape[dim])
    others = [v for k, v in enumerate(values) if k != place and isinstance(v, Geometry)]
    # beyond other places the axis may be another one: the numbers have to be confirmed
    return geometry.as_bound("pieces of an axis are put together") if others else geometry


def _see_the_same(rows: Sequence[Sequence[AxisMap]]) -> bool:
    """True where the maps of every row see what those of the first row see."""
    return all(
        len(row) == len(rows[0])
        and all(a.covers(b) and b.covers(a) for a, b in zip(rows[0], row, strict=True))
        for row in rows
    )


# ------------------------------------------------------------------------------ merging


def merge(parts: Sequence[Geometry], shape: Sequence[int]) -> Geometry:
    """The geometry of a value that depends on several, broadcast to one shape."""
    if len(parts) == 1 and parts[0].shape == tuple(shape):
        return parts[0]
    of_rank = [part._replace(dims=((),) * (len(shape) - len(part.dims)) + part.dims) for part in parts]
    first = of_rank[0]
    # the usual case: element-wise work on tensors of one shape
    if all(part.dims == first.dims for part in of_rank) and first.shape == tuple(shape):
        return _merge_maps(of_rank, first.dims)
    dims = _common_dims(of_rank, shape)
    if dims is not None:
        return _merge_maps(of_rank, dims)
    return _merge_as_bound(of_rank, shape)


def _merge_as_bound(parts: Sequence[Geometry], shape: Sequence[int]) -> Geometry:
    """An upper bound where parts carry an axis in different places.

    Dimensions that they carry differently are reduced over, all dimensions where that is not enough.
    """
    # reducing over a dimension makes each position see all of it: too much, but nothing is left out
    differing = [d for d in range(len(shape)) if len({axis_digits(part.dims[d]) for part in parts}) > 1]
    collapsed_parts = [part.collapse(differing) for part in parts]
    dims = _common_dims(collapsed_parts, shape)
    if dims is None:
        collapsed_parts = [part.collapse(range(len(shape))) for part in parts]
        dims = tuple(map(plain_dim, shape))
    return _merge_maps(collapsed_parts, dims).as_bound("two places of one axis meet")


def _common_dims(parts: Sequence[Geometry], shape: Sequence[int]) -> tuple[Dim, ...] | None:
    """The one way in which parts carry their axes, None where there are two."""
    dims = [common_dim([part.dims[d] for part in parts]) for d in range(len(shape))]
    if None in dims:
        return None
    broadcast = tuple([broadcast_dim(dim, size) for dim, size in zip(dims, shape, strict=True)])
    fits = all(_fits(part, axis, broadcast) for part in parts for axis in range(len(part.maps)))
    return broadcast if fits else None


def _fits(part: Geometry, axis: int, dims: tuple[Dim, ...]) -> bool:
    """True where a part carries an axis in the same places as the merged value, or not at all."""
    own = axis_places(axis, part.dims)
    return not own or own == axis_places(axis, dims)


def _merge_maps(parts: Sequence[Geometry], dims: tuple[Dim, ...]) -> Geometry:
    """Parts that carry their axes alike, as one."""
    exact = [part for part in parts if not part.bound_reason]
    bounds = [part for part in parts if part.bound_reason]
    channels_differ = any(part.channels_differ for part in parts)
    if exact:
        maps = _union(exact)
        # a bound adds nothing where the exact parts see all that it might see
        if all(own.covers(m) for part in bounds for own, m in zip(maps, part.maps, strict=True)):
            return Geometry(dims, maps, "", channels_differ)
    return Geometry(dims, _union(parts), bounds[0].bound_reason, channels_differ)


def _union(parts: Sequence[Geometry]) -> tuple[AxisMap, ...]:
    """The maps of a value that depends on all parts; of maps shared by parts, as of a residual, once."""
    maps = list(parts[0].maps)
    for part in parts[1:]:
        maps = [m if m is other else m.merge(other) for m, other in zip(maps, part.maps, strict=True)]
    return tuple(maps)
