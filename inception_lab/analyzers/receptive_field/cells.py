"""Arrays over some dimensions of a value: one entry for all elements along the dimensions left out.

Entries are joined by their maximum, number by number. A span of source pixels is kept as (-first, last),
so that the maximum of two is the span of both; `NOTHING`, the least number there is, is the span of what
sees nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, wraps
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp

Numbers = NDArray[Any]
Shape = tuple[int, ...]

_FEW_TAPS = 16
"""Taps of a window up to which they are joined one after the other."""

_GATHERED_AT_ONCE = 1 << 20
"""Entries up to which all taps of a window are gathered at once; beyond it they are, tap by tap."""


class Cells(NamedTuple):
    """Numbers for each element of a value, over those of its dimensions along which they differ.

    Attributes:
        dims: The dimensions, in order.
        data: An axis for each of them, and a last one for the numbers of an entry; read-only.
    """

    dims: tuple[int, ...]
    data: Numbers

    def __eq__(self, other: object) -> bool:
        """True where both share their data, as all small cells of one content do; see `is_same`."""
        return isinstance(other, Cells) and self.data is other.data and self.dims == other.dims

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.dims, id(self.data)))

    @property
    def is_small(self) -> bool:
        """True where they may be kept for traces to come."""
        return self.data.nbytes <= _SMALL

    @classmethod
    def of_mask(cls, mask: NDArray[np.bool_], rank: int) -> Cells:
        """A mask of a value of a rank, broadcast to its last dimensions: 1 where it is true."""
        dims = [d + rank - mask.ndim for d, n in enumerate(mask.shape) if n != 1]
        sizes = [n for n in mask.shape if n != 1]
        return cls(tuple(dims), mask.reshape(*sizes, 1).astype(np.int8))

    @property
    def nothing(self) -> Numbers:
        """True where an entry sees nothing, an axis for each dimension."""
        return np.asarray(self.data[..., 0] == nothing_of(self.data))

    def is_same(self, other: Cells) -> bool:
        """True where both have the same entries along the same dimensions."""
        return self.dims == other.dims and (self.data is other.data or np.array_equal(self.data, other.data))

    def over(self, dims: Sequence[int], shape: Shape) -> Numbers:
        """The data with an axis for each of more dimensions, broadcast over those that are new."""
        if self.dims == tuple(dims):
            return self.data
        sizes = [shape[d] if d in self.dims else 1 for d in dims]
        all_sizes = [shape[d] for d in dims]
        return np.broadcast_to(self.data.reshape(*sizes, -1), (*all_sizes, self.data.shape[-1]))

    def renumber(self, numbers: Mapping[int, int]) -> Cells:
        """The same with its dimensions under other numbers."""
        dims = [numbers[d] for d in self.dims]
        order = sorted(range(len(dims)), key=dims.__getitem__)
        if order == list(range(len(dims))):
            return Cells(tuple(dims), self.data)
        return Cells(tuple([dims[k] for k in order]), shared(self.data.transpose(*order, len(dims))))

    def reduce(self, dims: Collection[int]) -> Cells:
        """The maximum over dimensions."""
        reduced_axes = tuple([k for k, d in enumerate(self.dims) if d in dims])
        if not reduced_axes:
            return self
        remaining = tuple([d for d in self.dims if d not in dims])
        return Cells(remaining, _reduce(_Array(self.data), reduced_axes))

    def gather(self, dim: int, op: AxisOp) -> Cells:
        """The maximum over what each position reads of a dimension by an operation along it."""
        if dim not in self.dims:
            return self
        data = _gather(_Array(self.data), self.dims.index(dim), op)
        return Cells(self.dims, data).without_units()

    def take(self, dim: int, index: NDArray[np.int64]) -> Cells:
        """The entries at positions of a dimension, which the dimensions of the table replace."""
        more = index.ndim - 1
        dims = [d + more if d > dim else d for d in self.dims]
        if dim not in self.dims:
            return Cells(tuple(dims), self.data)
        axis = self.dims.index(dim)
        dims[axis : axis + 1] = range(dim, dim + index.ndim)
        return Cells(tuple(dims), shared(np.take(_padded(self.data, axis), index, axis=axis))).without_units()

    def accumulate(self, dim: int) -> Cells:
        """The maximum over each position of a dimension and all before it."""
        if dim not in self.dims:
            return self
        return Cells(self.dims, shared(np.maximum.accumulate(self.data, axis=self.dims.index(dim))))

    def reshape(self, groups: Sequence[Group], shape: Shape, new_shape: Shape) -> Cells:
        """The same elements in another shape, by the groups of dimensions that become one another."""
        groups = [group for group in groups if any(d in self.dims for d in group.old)]
        # only dimensions that are joined or parted need an entry for each position
        dims = sorted({*self.dims, *[d for group in groups if not group.is_one for d in group.old]})
        new_dims = [d for group in groups for d in group.new]
        data = self.over(dims, shape).reshape(*[new_shape[d] for d in new_dims], -1)
        parted = [d for group in groups if not group.is_one for d in group.new if len(group.new) > 1]
        # a dimension that is parted again may hold copies only
        return Cells(tuple(new_dims), shared(data)).without_repetition(parted)

    def blank(self, mask: Cells) -> Cells:
        """The same with entries that see nothing wherever a mask is true."""
        sizes = dict(
            zip((*self.dims, *mask.dims), (*self.data.shape[:-1], *mask.data.shape[:-1]), strict=True)
        )
        dims = sorted(sizes)
        shape = tuple([sizes.get(d, 1) for d in range(max(dims, default=0) + 1)])
        data = np.where(mask.over(dims, shape), nothing_of(self.data), self.over(dims, shape))
        # a mask may lie in a dimension of one position
        return Cells(tuple(dims), shared(data)).without_units()

    def times(self, pattern: NDArray[np.bool_], shape: Shape) -> Cells:
        """The maximum, for each column of a matrix, over the rows in which it has a number.

        Args:
            pattern: True for the numbers of the matrix, whose rows are the last dimension of the value.
                Its dimensions before the last two are those of the value.
            shape: Of the value.
        """
        last = len(shape) - 1
        if last not in self.dims:
            return self
        dims, table = _with_leading_dims(self.dims, pattern, last)
        data = self.over(dims, shape)
        nothing = nothing_of(data)
        joined = np.full((*data.shape[:-2], pattern.shape[-1], data.shape[-1]), nothing, data.dtype)
        # row by row: all at once would take an entry for each number of the matrix
        for row in range(shape[last]):
            entries = np.where(table[..., row, :, None], data[..., row, None, :], nothing)
            np.maximum(joined, entries, out=joined)
        return Cells(tuple(dims), shared(joined)).without_units()

    def differs_along(self, dim: int) -> bool:
        """True where entries that see something are not the same all along a dimension."""
        if dim not in self.dims:
            return False
        widest = self.data.max(axis=self.dims.index(dim), keepdims=True)
        return not bool(((self.data == widest) | (self.data == nothing_of(self.data))).all())

    def tells_apart(self, dims: Collection[int]) -> bool:
        """True where no two positions along some dimensions have the same entry, but for empty ones."""
        if not set(dims) <= set(self.dims):
            return False
        cells = self.reduce([d for d in self.dims if d not in dims])
        entries = cells.data.reshape(-1, cells.data.shape[-1])
        seeing = entries[entries[:, 0] != nothing_of(entries)]
        return len(np.unique(seeing, axis=0)) == len(seeing)

    def without_units(self) -> Cells:
        """The same without dimensions of one position."""
        if 1 not in self.data.shape[:-1]:
            return self
        dims = [d for d, n in zip(self.dims, self.data.shape, strict=False) if n != 1]
        sizes = [n for n in self.data.shape[:-1] if n != 1]
        return Cells(tuple(dims), shared(self.data.reshape(*sizes, self.data.shape[-1])))

    def without_repetition(self, dims: Collection[int]) -> Cells:
        """The same without those of some dimensions along which nothing differs."""
        cells = self
        for dim in dims:
            if dim in cells.dims:
                axis = cells.dims.index(dim)
                first = cells.data.take([0], axis=axis)
                if (cells.data == first).all():
                    remaining = tuple([d for d in cells.dims if d != dim])
                    cells = Cells(remaining, shared(first.reshape(*np.delete(first.shape, axis))))
        return cells


def _with_leading_dims(
    dims: Sequence[int], pattern: NDArray[np.bool_], last: int
) -> tuple[list[int], NDArray[np.bool_]]:
    """Dimensions of cells and those along which a matrix differs, and the matrix with an axis for each.

    Args:
        dims: Of the cells, the last one of the value among them.
        pattern: The matrix, whose dimensions before the last two are the value's.
        last: The last dimension of the value, that of the rows.
    """
    leading = (*[1] * (last + 1 - pattern.ndim), *pattern.shape[:-2])
    differing = [d for d, n in enumerate(leading) if n != 1]
    all_dims = sorted({*dims, *differing})
    # the dimension before the last is none of the matrix, which differs along that of its columns instead
    sizes = [leading[d] if d < last - 1 else 1 for d in all_dims[:-1]]
    return all_dims, pattern.reshape(*sizes, *pattern.shape[-2:])


class Group(NamedTuple):
    """Neighbouring dimensions that a view writes as others of as many elements, those of size 1 left out."""

    old: tuple[int, ...]
    new: tuple[int, ...]

    @property
    def is_one(self) -> bool:
        """True where a single dimension stays as it is."""
        return len(self.old) == len(self.new) == 1


def groups_of(shape: Shape, new_shape: Shape) -> list[Group]:
    """Split the dimensions of two shapes of as many elements into the smallest groups of as many each.

    Example:
        >>> groups_of((2, 6, 5), (2, 3, 10))
        [Group(old=(0,), new=(0,)), Group(old=(1, 2), new=(1, 2))]
    """
    old = [d for d, n in enumerate(shape) if n != 1]
    new = [d for d, n in enumerate(new_shape) if n != 1]
    groups = []
    while old or new:
        from_old, from_new = [old.pop(0)], [new.pop(0)]
        while (a := prod(shape[d] for d in from_old)) != (b := prod(new_shape[d] for d in from_new)):
            if a < b:
                from_old.append(old.pop(0))
            else:
                from_new.append(new.pop(0))
        groups.append(Group(tuple(from_old), tuple(from_new)))
    return groups


def nothing_of(data: Numbers) -> int:
    """The number that adds nothing to a maximum."""
    return int(np.iinfo(data.dtype).min)


# ------------------------------------------------------------------------------ windows


class _Array:
    """An array that is one and the same by identity, as a key."""

    __slots__ = ("data",)

    def __init__(self, data: Numbers) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Array) and self.data is other.data

    def __hash__(self) -> int:
        return id(self.data)


_SMALL = 1 << 13
"""Bytes up to which arrays, such as the spans along one axis of an image, are kept for traces to come."""

_MOST_KEPT = 4096
_of_large = lru_cache(16)
"""Axes of one size share their data: what is made of one is asked for again for the other at once."""


@lru_cache(_MOST_KEPT)
def _one_of(content: bytes, dtype: np.dtype[Any], shape: Shape) -> Numbers:
    return np.frombuffer(content, dtype).reshape(shape)


def shared(data: Numbers) -> Numbers:
    """One array for all small ones of its content, read-only, so that what is made of it is found by it."""
    return data if data.nbytes > _SMALL else _one_of(data.tobytes(), data.dtype, data.shape)


def _remembered(function: Callable[..., Numbers]) -> Callable[..., Numbers]:
    """Remember what was made of arrays: nets, and most of all variants of one, share sizes of their maps."""

    def made(*args: Any) -> Numbers:
        return shared(function(*args))

    @lru_cache(_MOST_KEPT)
    def small_or_none(*args: Any) -> Numbers | None:
        # of few pixels an interpolation makes many, of which thousands would be kept
        result = made(*args)
        return result if result.nbytes <= _SMALL else None

    of_large = _of_large(made)

    @wraps(function)
    def remembered(entries: _Array, *args: Any) -> Numbers:
        result = small_or_none(entries, *args) if _are_small(entries, *args) else None
        return of_large(entries, *args) if result is None else result

    return remembered


def _are_small(entries: _Array, *args: Any) -> bool:
    """True where what is made may be remembered beside thousands of others, by these as its key."""
    # of an operation that makes many positions of few, the table of its taps is large too
    lengths = [arg.length for arg in args if isinstance(arg, AxisOp)]
    return max([entries.data.nbytes, *lengths]) <= _SMALL


@_remembered
def _reduce(entries: _Array, axes: tuple[int, ...]) -> Numbers:
    data = entries.data
    if 0 in [data.shape[k] for k in axes]:
        sizes = [n for k, n in enumerate(data.shape) if k not in axes]
        return np.full(sizes, nothing_of(data), data.dtype)
    return np.asarray(data.max(axis=axes))


def cells_side_by_side(pieces: Sequence[Cells | None], shapes: Sequence[Shape], dim: int) -> Cells:
    """Entries of several values one after the other along a dimension.

    Args:
        pieces: Of each value; None for one that sees nothing, of which there are others.
        shapes: Of each value.
        dim: The dimension.
    """
    first = next(piece for piece in pieces if piece is not None)
    is_one = all(piece is not None and piece.is_same(first) for piece in pieces)
    if is_one and dim not in first.dims:
        return first
    dims = sorted({dim, *[d for piece in pieces if piece is not None for d in piece.dims]})
    sizes = tuple([tuple([shape[d] for d in dims]) for shape in shapes])
    entries = tuple([piece and _Array(piece.data) for piece in pieces])
    axes = tuple([piece and tuple([dims.index(d) for d in piece.dims]) for piece in pieces])
    return Cells(tuple(dims), _concatenate(entries, axes, sizes, dims.index(dim))).without_units()


@_of_large
def _concatenate(
    entries: tuple[_Array | None, ...],
    axes: tuple[tuple[int, ...] | None, ...],
    sizes: tuple[Shape, ...],
    axis: int,
) -> Numbers:
    like = next(each.data for each in entries if each is not None)
    tables = [
        np.full((*size, like.shape[-1]), nothing_of(like), like.dtype)
        if each is None or own is None
        else Cells(own, each.data).over(range(len(size)), size)
        for each, own, size in zip(entries, axes, sizes, strict=True)
    ]
    return np.concatenate(tables, axis=axis)


@_remembered
def _gather(entries: _Array, axis: int, op: AxisOp) -> Numbers:
    data, taps = _padded(entries.data, axis), op.taps
    out, width = taps.shape
    if width == 1:
        return np.take(data, taps[:, 0], axis=axis)
    if width > _FEW_TAPS and out * width * data.size <= _GATHERED_AT_ONCE * data.shape[axis]:
        return np.asarray(np.take(data, taps, axis=axis).max(axis=axis + 1))
    joined = np.take(data, taps[:, 0], axis=axis)
    for column in taps.T[1:]:
        np.maximum(joined, np.take(data, column, axis=axis), out=joined)
    return joined


@lru_cache(512)
def gaps_of(op: AxisOp) -> NDArray[np.bool_] | None:
    """True for positions that read nothing; None where there is none."""
    gaps: NDArray[np.bool_] = np.all(op.taps < 0, axis=1)
    return gaps if gaps.any() else None


def _padded(data: Numbers, axis: int) -> Numbers:
    """The data with one more position, which a tap of -1 reads and which sees nothing."""
    shape = list(data.shape)
    shape[axis] = 1
    return np.concatenate([data, np.full(shape, nothing_of(data), data.dtype)], axis=axis)
