"""The dependence of a tensor that was written over, part by part, through views of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry, merge, plain_dim
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Unknown
from inception_lab.ir.strides import row_major
from inception_lab.ir.trace import Value


class Write(NamedTuple):
    """One write into the storage of a tensor.

    Attributes:
        dependence: Of what was written.
        view: The value written, whose strides and offset tell where it lies.
    """

    dependence: Dependence
    view: Value


class Piece(NamedTuple):
    """Neighbouring channels that were written at once.

    Attributes:
        start: The first of them.
        stop: The one after the last.
        geometry: Their dependence; None where they see nothing of the source.
        is_whole: True where none of them has been overwritten since.
    """

    start: int
    stop: int
    geometry: Geometry | None
    is_whole: bool = True


def after_writes(base: Dependence, value: Value, writes: Sequence[Write]) -> Dependence:
    """The dependence of a value after parts of it were written over.

    Args:
        base: Its dependence before.
        value: The value.
        writes: The writes since, in order.
    """
    if not writes:
        return base
    for dependence in (base, *(write.dependence for write in writes)):
        if isinstance(dependence, Unknown):
            return dependence
    dim = _sliced_dim(value, writes)
    if dim is None:
        return _upper_bound(base, value, writes)
    pieces = [Piece(0, value.shape[dim], base if isinstance(base, Geometry) else None)]
    for dependence, view in writes:
        # views of equal strides lie apart by whole slices along the dimension
        start = (view.offset - value.offset) // max(value.strides[dim], 1)
        geometry = dependence if isinstance(dependence, Geometry) else None
        piece = Piece(start, start + view.shape[dim], geometry)
        pieces = [*_without(pieces, piece), piece]
    return _side_by_side(pieces, value, dim)


def _sliced_dim(value: Value, writes: Sequence[Write]) -> int | None:
    """The one dimension without an axis along which all writes are slices; None where there is none."""
    views = [write.view for write in writes]
    if any(len(view.shape) != len(value.shape) or view.strides != value.strides for view in views):
        return None
    # a write over everything is a slice along any dimension
    cut_dims = {d for v in views for d, size in enumerate(value.shape) if v.shape[d] != size} or {0}
    if len(cut_dims) > 1:
        return None
    (dim,) = cut_dims
    stride = max(value.strides[dim], 1)
    geometries = [write.dependence for write in writes if isinstance(write.dependence, Geometry)]
    carries_axis = any(geometry.axes_in([dim]) for geometry in geometries)
    is_aligned = all((view.offset - value.offset) % stride == 0 for view in views)
    return dim if is_aligned and not carries_axis else None


def _without(pieces: Sequence[Piece], latest: Piece) -> list[Piece]:
    """The parts of pieces that remain where a later one takes their place."""
    remaining = []
    for piece in pieces:
        sides = (piece.start, min(piece.stop, latest.start)), (max(piece.start, latest.stop), piece.stop)
        parts = [piece._replace(start=start, stop=stop) for start, stop in sides if start < stop]
        # a piece that is cut has the field of all its channels, of which only some remain
        is_cut = sum(part.stop - part.start for part in parts) < piece.stop - piece.start
        remaining += [part._replace(is_whole=piece.is_whole and not is_cut) for part in parts]
    return remaining


def _side_by_side(pieces: Sequence[Piece], value: Value, dim: int) -> Dependence:
    """The pieces as one value; a piece that was cut is some of the channels it was written with."""
    geometries = [
        piece.geometry if piece.is_whole else piece.geometry.of_some_channels()
        for piece in pieces
        if piece.geometry is not None
    ]
    if not geometries:
        return None
    whole = [geometry.with_dim(dim, plain_dim(value.shape[dim])) for geometry in geometries]
    # each piece has a map of its own, their merge is the union
    channels_differ = len(pieces) > 1 or whole[0].channels_differ
    return merge(whole, value.shape)._replace(channels_differ=channels_differ)


def _upper_bound(base: Dependence, value: Value, writes: Sequence[Write]) -> Dependence:
    """All that was ever written, as an upper bound; the last write alone where it covers everything."""
    # the order of writes through views that overlap in other ways is not followed
    last, view = writes[-1]
    if _same_elements(value, view):
        return last.reshape(value.shape) if isinstance(last, Geometry) else last
    whole = [
        dependence.collapse(range(len(dependence.dims)))._replace(dims=tuple(map(plain_dim, value.shape)))
        for dependence in (base, *(write.dependence for write in writes))
        if isinstance(dependence, Geometry)
    ]
    return merge(whole, value.shape).as_bound("it was written over in parts") if whole else None


def _same_elements(one: Value, other: Value) -> bool:
    """True where two views hold the same elements in the same order."""
    if one.shape == other.shape:
        return (one.strides, one.offset) == (other.strides, other.offset)
    whole = prod(one.shape) == prod(other.shape) and one.offset == other.offset
    return whole and all(v.strides == row_major(v.shape) for v in (one, other))
