"""Parts of several values that meet in one: added up, or put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from inception_lab.analyzers.receptive_field.cells import (
    Cells,
    Numbers,
    Shape,
    cells_side_by_side,
    nothing_of,
)
from inception_lab.analyzers.receptive_field.joining import with_ways_of
from inception_lab.analyzers.receptive_field.parts import CHANNELS, HERE, Part, Whole


def spread_back(parts: Sequence[Part], shape: Shape) -> list[Part]:
    """Parts of one value, those marked that spread a single position over an axis, all of which it sees."""
    marked = list(parts)
    for axis in range(len(parts[0].cells)):
        # parts whose places along the axis differ: without such a part nothing tells places of it apart
        spanning = [p for p in parts if p.whole[axis] is None and p.places[axis] & set(p.cells[axis].dims)]
        if not spanning:
            continue
        widest = _widest(spanning, axis)
        for k, part in enumerate(marked):
            cells = part.cells[axis]
            ways = part.whole[axis]
            if ways is not None:
                spread = frozenset([Whole(w.reduced_in, HERE) if w.spread_in is None else w for w in ways])
            # a window as wide as the axis reduces over it too, if it leaves a single place
            elif not any(shape[d] > 1 for d in part.places[axis]) and _sees(cells, widest):
                spread = frozenset({Whole(HERE, HERE)})
            else:
                continue
            marked[k] = part._replace(whole=(*part.whole[:axis], spread, *part.whole[axis + 1 :]))
    return marked


def local_in_part(rows: Sequence[Sequence[Part]], dim: int) -> list[list[Part]]:
    """Parts of values along a dimension; what saw all of a slice is local in the whole axis."""
    local_rows = [list(row) for row in rows]
    for axis in range(len(next(row for row in rows if row)[0].cells)):
        beside = [p for row in rows for p in row if p.whole[axis] is None and dim in p.places[axis]]
        if not beside:
            continue
        widest = _widest(beside, axis)
        for row in local_rows:
            for k, part in enumerate(row):
                own = _widest([part], axis)
                # of a slice the places beside it see the rest, of an axis put together with another one all
                if part.whole[axis] is not None and not ((own >= widest).all() or _cover(beside, axis, own)):
                    row[k] = part._replace(whole=(*part.whole[:axis], None, *part.whole[axis + 1 :]))
    return local_rows


def _cover(parts: Sequence[Part], axis: int, span: Numbers) -> bool:
    """True where each pixel of a span is seen by some element of some parts."""
    if len(span) == 1:  # marks, not spans
        return True
    first, last = -span[0], span[1]
    ends = np.concatenate([part.cells[axis].data.reshape(-1, 2) for part in parts])
    ends = ends[ends[:, 0] != nothing_of(ends)] * (-1, 1)
    begins, stops = (np.clip(pixels - first, 0, last + 1 - first) for pixels in (ends[:, 0], ends[:, 1] + 1))
    steps = np.bincount(begins, minlength=last + 2 - first) - np.bincount(stops, minlength=last + 2 - first)
    return bool((steps.cumsum()[:-1] > 0).all())


def _sees(cells: Cells, span: Numbers) -> bool:
    """True where a single entry, the same for all elements, covers a span."""
    return not cells.dims and bool((cells.data >= span).all())


def _widest(parts: Sequence[Part], axis: int) -> Numbers:
    """The span along an axis of all elements of some parts."""
    ends = [part.cells[axis].reduce(part.cells[axis].dims).data for part in parts]
    return np.asarray(np.maximum.reduce(ends))


def _without_gaps(row: Sequence[Cells | None], dim: int) -> Sequence[Cells | None]:
    """The same with gaps that go on as what is beside them, where all of that is the same."""
    dependent = [cells for cells in row if cells is not None]
    first = dependent[0]
    # entries along the dimension are as many as a piece has places
    is_one = dim not in first.dims and all(cells.is_same(first) for cells in dependent)
    return [first] * len(row) if is_one else row


def parts_side_by_side(pieces: Sequence[Part | None], sizes: Sequence[int], dim: int, shape: Shape) -> Part:
    """Parts one after the other along a dimension; None sees nothing."""
    dependent = [piece for piece in pieces if piece is not None]
    shapes = [(*shape[:dim], size, *shape[dim + 1 :]) for size in sizes]
    has_gaps = len(dependent) < len(pieces) or any(piece.has_gaps for piece in dependent)
    rows = [[piece and piece.cells[axis] for piece in pieces] for axis in range(len(dependent[0].cells))]
    # one axis tells of a gap that the box is empty: the others need no entries along the dimension for it
    telling = max(range(len(rows)), key=lambda axis: any(c and dim in c.dims for c in rows[axis]))
    cells = tuple(
        [
            cells_side_by_side(row if axis == telling else _without_gaps(row, dim), shapes, dim)
            for axis, row in enumerate(rows)
        ]
    )
    part = reduce(with_ways_of, dependent)
    # positions that were taken one by one are places again beside one another; wider pieces may be features
    is_row = max(sizes) == 1
    places = [
        dims if ways or dims - {CHANNELS} or (dims and not is_row) else dims | ({dim} & set(along.dims))
        for dims, along, ways in zip(part.places, cells, part.whole, strict=True)
    ]
    part = part._replace(cells=cells, places=tuple(places), has_gaps=has_gaps)
    return part.canonical() if has_gaps else part
