"""The dependence of a tensor that was written over, part by part, through views of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.placing import Places, pick, put
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Dependent, Filling, Unknown
from inception_lab.ir.strides import row_major
from inception_lab.ir.trace import Value

MOST_ELEMENTS = 1 << 20
"""Elements up to which a view of any kind is followed, element by element."""


class Write(NamedTuple):
    """One write into the storage of a tensor.

    Attributes:
        dependence: Of what was written.
        view: The value written, whose strides and offset tell where it lies.
        number: Of minus infinity, which a softmax leaves out; None of any other one.
    """

    dependence: Dependence
    view: Value
    number: Filling | None = None


class Region(NamedTuple):
    """The positions of a value that a write covers, dimension by dimension.

    Attributes:
        of_view: For each dimension of the value the one of the view that runs along it, or None.
        starts: The first position.
        steps: From one position to the next.
    """

    of_view: tuple[int | None, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]


def after_writes(base: Dependence, value: Value, writes: Sequence[Write]) -> Dependence:
    """The dependence of a value after parts of it were written over.

    Args:
        base: Its dependence before.
        value: The value.
        writes: The writes since, in order.
    """
    for write in writes:
        base = _after(base, value, write)
    return base


def _after(base: Dependence, value: Value, write: Write) -> Dependence:
    dependence, view, number = write
    if _same_elements(value, view):
        if dependence is None or isinstance(dependence, Unknown):
            return dependence
        return dependence.reshape(value.shape)
    if _lie_apart(value, view):
        return base
    if isinstance(base, Unknown) or isinstance(dependence, Unknown):
        return base if isinstance(base, Unknown) else dependence
    if base is None and dependence is None:
        return None
    region = region_of(value, view)
    if region is None:
        return _element_by_element(base, dependence, value, view, number)
    if base is not None and number is not None:
        return base.masked(_box(_places_of(region, view, value), value), number)
    return _overwrite_box(base, value, _along_dims(dependence, region, view), region, view)


# ------------------------------------------------------------------------------ a box of positions


def region_of(value: Value, view: Value) -> Region | None:
    """The positions of a value that a view covers; None where they are not a box of evenly spaced ones.

    Some of them may lie beyond the value, where the view does.
    """
    of_view: list[int | None] = [None] * len(value.shape)
    steps = [1] * len(value.shape)
    for d, (size, stride) in enumerate(zip(view.shape, view.strides, strict=True)):
        if size == 1:
            continue
        dim = _dim_along(value, stride, of_view)
        if dim is None:
            return None
        of_view[dim], steps[dim] = d, stride // value.strides[dim]
    sizes = [1 if d is None else view.shape[d] for d in of_view]
    dims = sorted([d for d, n in enumerate(value.shape) if n > 1], key=lambda d: -value.strides[d])
    for starts in _all_starts(value, view.offset - value.offset, dims, sizes, steps):
        first = tuple([starts.get(d, 0) for d in range(len(value.shape))])
        region = Region(tuple(of_view), first, tuple(steps))
        if _stays_in_rows(value, region, dims, sizes):
            return region
    return None


def _dim_along(value: Value, stride: int, of_view: Sequence[int | None]) -> int | None:
    """The dimension of a value along which a view of it runs in steps of a stride."""
    free = [d for d, n in enumerate(value.shape) if n > 1 and of_view[d] is None and value.strides[d] > 0]
    fitting = [d for d in free if stride >= value.strides[d] and stride % value.strides[d] == 0]
    # the widest step that divides: a smaller one would run on into the next row
    return max(fitting, key=lambda d: value.strides[d], default=None)


def _all_starts(
    value: Value, offset: int, dims: Sequence[int], sizes: Sequence[int], steps: Sequence[int]
) -> Iterator[dict[int, int]]:
    """First positions along the dimensions, whose strides add up to an offset, in every way there is."""
    if not dims:
        if offset == 0:
            yield {}
        return
    dim, rest = dims[0], dims[1:]
    stride = value.strides[dim]
    if stride <= 0:
        return
    # a view may begin before the value along a faster dimension, which the next position of this one tells
    for start in (offset // stride, offset // stride + 1):
        if -(sizes[dim] - 1) * steps[dim] <= start < value.shape[dim]:
            for others in _all_starts(value, offset - start * stride, rest, sizes, steps):
                yield {dim: start, **others}


def _stays_in_rows(value: Value, region: Region, dims: Sequence[int], sizes: Sequence[int]) -> bool:
    """True where no position beyond the value is the place of one within, such as one of the next row.

    Args:
        value: The value.
        region: The positions.
        dims: The dimensions of the value, slowest first.
        sizes: Positions of the region along each dimension.
    """
    extent = 0
    for dim in reversed(dims):
        last = region.starts[dim] + region.steps[dim] * (sizes[dim] - 1)
        if value.strides[dim] <= extent:
            return False
        # from the first to the last of all positions, of the value and of the region
        extent += value.strides[dim] * (max(last, value.shape[dim] - 1) - min(region.starts[dim], 0))
    return True


def _along_dims(dependence: Dependent | None, region: Region, view: Value) -> Dependent | None:
    """The write, with a dimension for each of the value, of size 1 where the view has none."""
    if dependence is None:
        return None
    view_dims = [d for d in region.of_view if d is not None]
    view_rows = dependence.drop([d for d in range(len(view.shape)) if d not in view_dims])
    order = sorted(view_dims)
    rows = view_rows.permute([order.index(d) for d in view_dims]) if view_dims else view_rows
    return rows.reshape([1 if d is None else view.shape[d] for d in region.of_view])


def _overwrite_box(
    base: Dependent | None, value: Value, patch: Dependent | None, region: Region, view: Value
) -> Dependent | None:
    """A value with a box of its positions written over, one dimension within the other."""
    size_of = [1 if d is None else view.shape[d] for d in region.of_view]
    places: list[Places] = []
    for dim, (start, step, count) in enumerate(zip(region.starts, region.steps, size_of, strict=True)):
        positions = start + step * np.arange(count)
        within = np.flatnonzero((positions >= 0) & (positions < value.shape[dim]))
        # of a view that reaches beyond the value, the part that lies in it
        patch = pick(patch, dim, within) if len(within) < count else patch
        places.append(positions[within])
    if not all(map(len, places)):
        return base
    cut = [d for d, row in enumerate(places) if len(row) < value.shape[d]]
    return _put_within(base, patch, cut, places, value.shape)


def _places_of(region: Region, view: Value, value: Value) -> list[Places]:
    """The positions that a view covers along each dimension of a value."""
    rows = []
    for dim, (start, step, along) in enumerate(zip(region.starts, region.steps, region.of_view, strict=True)):
        positions = start + step * np.arange(1 if along is None else view.shape[along])
        rows.append(positions[(positions >= 0) & (positions < value.shape[dim])])
    return rows


def _box(places: Sequence[Places], value: Value) -> NDArray[np.bool_]:
    """True for the positions of a value that are among those along every dimension."""
    box = np.ones([1] * len(places), np.bool_)
    for dim, (row, size) in enumerate(zip(places, value.shape, strict=True)):
        if len(row) < size:
            along = np.isin(np.arange(size), row)
            box = box & along.reshape([size if d == dim else 1 for d in range(len(places))])
    return box


def _put_within(
    base: Dependent | None,
    patch: Dependent | None,
    dims: Sequence[int],
    places: Sequence[Places],
    shape: Sequence[int],
) -> Dependent | None:
    if not dims:
        return patch
    dim, rest = dims[0], dims[1:]
    rows = _put_within(pick(base, dim, places[dim]), patch, rest, places, shape)
    return put(base, rows, dim, places[dim], shape[dim])


# ------------------------------------------------------------------------------ views of any kind


def _element_by_element(
    base: Dependent | None, patch: Dependent | None, value: Value, view: Value, number: Filling | None
) -> Dependence:
    """A value of which a view of another layout, such as a diagonal, was written over."""
    if max(prod(value.shape), prod(view.shape)) > MOST_ELEMENTS:
        return Unknown("a large tensor is written over through a view of another layout")
    places, written = _positions(value), _positions(view).ravel()
    order = np.argsort(written, kind="stable")
    rank = np.minimum(np.searchsorted(written[order], places), len(written) - 1)
    index = np.where(written[order][rank] == places, order[rank], -1)
    parts = []
    if base is not None:
        parts.append(base.masked(index >= 0, number))
    if patch is not None:
        parts.append(patch.reshape([prod(view.shape)]).take(0, index))
    return type(parts[0]).union(parts, value.shape)


def _positions(value: Value) -> Places:
    """The place in the storage of each element."""
    place = np.full(value.shape, value.offset, dtype=np.int64)
    for dim, (size, stride) in enumerate(zip(value.shape, value.strides, strict=True)):
        steps = [1] * len(value.shape)
        steps[dim] = size
        place = place + (np.arange(size) * stride).reshape(steps)
    return place


def _lie_apart(one: Value, other: Value) -> bool:
    """True where two views of a storage have no place in common, as their bounds tell."""
    if 0 in one.shape or 0 in other.shape:
        return True
    return _last(one) < other.offset or _last(other) < one.offset


def _last(value: Value) -> int:
    return value.offset + sum((n - 1) * s for n, s in zip(value.shape, value.strides, strict=True))


def _same_elements(one: Value, other: Value) -> bool:
    """True where two views hold the same elements in the same order."""
    if one.shape == other.shape:
        return (one.strides, one.offset) == (other.strides, other.offset)
    whole = prod(one.shape) == prod(other.shape) and one.offset == other.offset
    return whole and all(v.strides == row_major(v.shape) for v in (one, other))
