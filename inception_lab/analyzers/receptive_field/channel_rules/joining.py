"""Rules of operations that put parts together, each at a place of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.channel_labels import (
    NOTHING,
    LabelArray,
    Shape,
    full_along,
    thin,
    with_rank,
)
from inception_lab.analyzers.receptive_field.channel_rules.context import MoveContext, Outputs, is_axis
from inception_lab.analyzers.receptive_field.channel_rules.layouts import positions_of
from inception_lab.ir.trace import TENSOR


def as_it_is(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Nothing is moved before `combine` puts the parts together."""
    del op, place
    return [array]


def cat(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Values put together along a dimension."""
    rank = len(op.output_shapes[0])
    dim = op.dim(0, rank)
    # `cat` skips empty tensors of one dimension, whatever the rank of the others
    parts = [(a, shape) for a, shape in zip(arrays, op.shapes, strict=True) if len(shape) == rank]
    axes = {axis for geometry in op.geometries if geometry for axis in geometry.axes_in([dim])}
    if axes:
        return _one_behind_another(op, parts, dim, axes)
    sizes = [max(a.shape[d] for a, _ in parts) for d in range(rank)]
    whole = [
        np.broadcast_to(a, [shape[d] if d == dim else n for d, n in enumerate(sizes)]) for a, shape in parts
    ]
    return thin(np.concatenate(whole, axis=dim))


def _one_behind_another(
    op: MoveContext, parts: Sequence[tuple[LabelArray, Shape]], dim: int, axes: Collection[int]
) -> LabelArray | None:
    """Values put together along an axis: each begins where the one before it ends."""
    if len(axes) > 1 or not all(geometry is None or is_axis(geometry, dim) for geometry in op.geometries):
        return None
    (axis,) = axes
    moved, start = [], 0
    for array, shape in parts:
        moved.append(full_along(op.labels.map_moved(array, axis, start), [dim], shape))
        start += shape[dim]
    sizes = [max(a.shape[d] for a in moved) for d in range(len(op.output_shapes[0]))]
    whole = [np.broadcast_to(a, [a.shape[d] if d == dim else n for d, n in enumerate(sizes)]) for a in moved]
    return thin(np.concatenate(whole, axis=dim))


def stack(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Values put together along a new dimension; None where they are positions of one axis."""
    rank = len(op.output_shapes[0])
    stacked = thin(np.stack(np.broadcast_arrays(*arrays), axis=op.dim(0, rank)))
    selected = {axis for g in op.geometries if g for axis, along in enumerate(g.maps) if len(along) == 1}
    labels = [op.labels[number] for number in np.unique(stacked).tolist() if number != NOTHING]
    # of such an axis the new dimension is that axis again, over which windows may slide
    differ = any(len({label.spans[axis] for label in labels}) > 1 for axis in selected)
    return None if differ else stacked


def chosen(op: MoveContext, arrays: Sequence[LabelArray], rank: int) -> LabelArray | None:
    """Elements of one tensor or another by a mask."""
    place = 0 if op.name == "where" else 1
    mask = op.constant(place)
    if mask is None or (op.geometries[place] is not None):
        return op.labels.join_arrays(arrays, rank)
    blank = np.full((1,) * rank, NOTHING)
    others = [with_rank(array, rank) for k, array in enumerate(arrays) if k != place] + [blank, blank]
    # a mask that differs by batch or place alone would have a label for each of them
    differing = thin(with_rank(np.asarray(mask, dtype=np.int64), rank)).astype(np.bool_)
    first, second = (others[1], others[0]) if op.name == "masked_fill" else (others[0], others[1])
    return thin(np.asarray(np.where(differing, first, second)))


def index_write(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Positions of a dimension written over, or added to, by a list of them."""
    positions = op.constant(1)
    return None if positions is None else _written(op, arrays, op.dim(0, arrays[0].ndim), positions.ravel())


def index_put(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """Positions of one dimension written over, or added to, by a table of them."""
    given = op.op.arg("indices") or (TENSOR,) * (len(op.shapes) - 2)
    dims, table = [dim for dim, position in enumerate(given) if position == TENSOR], op.constant(1)
    if len(dims) > 1 or table is None or table.ndim > 1:
        return None
    return _written(op, arrays, dims[0], positions_of(table))


def slice_scatter(op: MoveContext, arrays: Sequence[LabelArray]) -> LabelArray | None:
    """A slice of a dimension written over."""
    dim = op.dim(0, arrays[0].ndim)
    run = range(op.shapes[0][dim])[op.op.arg("start") : op.op.arg("end") : op.op.arg("step", 1)]
    return _written(op, arrays, dim, np.array(run))


def _written(
    op: MoveContext, arrays: Sequence[LabelArray], dim: int, positions: NDArray[Any]
) -> LabelArray | None:
    """Some positions of a dimension without an axis, each as the row written there."""
    rank = len(op.shapes[0])
    for geometry in (op.geometries[0], op.geometries[-1]):
        own_dim = dim - rank + len(geometry.dims) if geometry else -1  # rows may lack leading dimensions
        if geometry and own_dim >= 0 and geometry.axes_in([own_dim]):
            return None
    base, rows = arrays[0], with_rank(arrays[-1], arrays[0].ndim)
    if op.name == "index_add" or op.op.arg("accumulate"):
        whole_rows = full_along(rows, [dim], [len(positions)] * rows.ndim)
        rows = op.labels.join_arrays(
            [full_along(base, [dim], op.shapes[0]).take(positions, dim), whole_rows], rows.ndim
        )
    varied = [d for d, n in enumerate(rows.shape) if n > 1]
    written = np.array(full_along(base, {dim, *varied}, op.shapes[0]))
    written[(slice(None),) * dim + (positions,)] = rows
    return thin(written)


WRITES: Mapping[str, Callable[[MoveContext, Sequence[LabelArray]], LabelArray | None]] = {
    "index_put": index_put,
    **dict.fromkeys(("index_copy", "index_add"), index_write),
    "slice_scatter": slice_scatter,
}
"""Operations that write some positions of their first input."""
