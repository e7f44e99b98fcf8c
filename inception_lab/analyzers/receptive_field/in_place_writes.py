"""What is known of a tensor that was written over, part by part, through views of it."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry, merge, none
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Unknown
from inception_lab.ir.strides import row_major
from inception_lab.ir.trace import Value


class Piece(NamedTuple):
    """Neighbouring channels that were written at once.

    Attributes:
        start: The first of them.
        stop: The one after the last.
        known: What they see; None where that is nothing of the source.
        whole: Whether none of them has been overwritten since.
    """

    start: int
    stop: int
    known: Geometry | None
    whole: bool = True


def patched(base: Dependence, value: Value, patches: Sequence[tuple[Dependence, Value]]) -> Dependence:
    """What is known of a value after parts of it were written over.

    Args:
        base: What is known of it before.
        value: The value.
        patches: What was written since, in order, and the views through which it was.
    """
    if not patches:
        return base
    for known in (base, *(known for known, _ in patches)):
        if isinstance(known, Unknown):
            return known
    dim = _cut_along(value, patches)
    if dim is None:
        return _upper_bound(base, value, patches)
    pieces = [Piece(0, value.shape[dim], base if isinstance(base, Geometry) else None)]
    for known, written in patches:
        start = (written.offset - value.offset) // max(value.strides[dim], 1)
        piece = Piece(start, start + written.shape[dim], known if isinstance(known, Geometry) else None)
        pieces = [*_without(pieces, piece), piece]
    return _joined(pieces, value, dim)


def _cut_along(value: Value, patches: Sequence[tuple[Dependence, Value]]) -> int | None:
    """The one dimension without an axis along which all patches are slices; None where there is none."""
    if any(len(v.shape) != len(value.shape) or v.strides != value.strides for _, v in patches):
        return None
    cuts = {d for _, v in patches for d in range(len(v.shape)) if v.shape[d] != value.shape[d]} or {0}
    dim = min(cuts)
    apart = all(not isinstance(known, Geometry) or not known.axes_in([dim]) for known, _ in patches)
    aligned = all((v.offset - value.offset) % max(value.strides[dim], 1) == 0 for _, v in patches)
    return dim if len(cuts) == 1 and apart and aligned else None


def _without(pieces: Sequence[Piece], new: Piece) -> list[Piece]:
    """What is left of the pieces where a new one takes their place."""
    left = []
    for piece in pieces:
        sides = (piece.start, min(piece.stop, new.start)), (max(piece.start, new.stop), piece.stop)
        kept = [piece._replace(start=a, stop=b) for a, b in sides if a < b]
        cut = sum(b.stop - b.start for b in kept) < piece.stop - piece.start
        left += [part._replace(whole=piece.whole and not cut) for part in kept]
    return left


def _joined(pieces: Sequence[Piece], value: Value, dim: int) -> Dependence:
    """The pieces side by side; which channels are left of an uneven one that was cut is not known."""
    found = [
        (piece.known if piece.whole else piece.known.parted()).with_dim(dim, none(value.shape[dim]))
        for piece in pieces
        if piece.known is not None
    ]
    if not found:
        return None
    uneven = len(pieces) > 1 or found[0].uneven
    return merge(found, value.shape)._replace(uneven=uneven)


def _upper_bound(base: Dependence, value: Value, patches: Sequence[tuple[Dependence, Value]]) -> Dependence:
    """All that was ever written, as an upper bound; the last patch alone where it covers everything."""
    last, written = patches[-1]
    if _same_elements(value, written):
        return last.reshaped(value.shape) if isinstance(last, Geometry) else last
    known = [base, *(patch for patch, _ in patches)]
    whole = [
        part.collapse(range(len(part.dims)))._replace(dims=tuple(map(none, value.shape)))
        for part in known
        if isinstance(part, Geometry)
    ]
    return merge(whole, value.shape).as_bound("it was written over in parts") if whole else None


def _same_elements(one: Value, other: Value) -> bool:
    """Whether two views hold the same elements in the same order."""
    if one.shape == other.shape:
        return (one.strides, one.offset) == (other.strides, other.offset)
    whole = prod(one.shape) == prod(other.shape) and one.offset == other.offset
    return whole and all(v.strides == row_major(v.shape) for v in (one, other))
