"""Rules of operations that move elements: views, slices, concatenation, shuffles, look-ups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import accumulate
from math import prod

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.placing import Places, part, put
from inception_lab.analyzers.receptive_field.rules.arithmetic import written_number
from inception_lab.analyzers.receptive_field.rules.context import (
    Constant,
    Dependence,
    Dependent,
    RuleContext,
    Unknown,
)
from inception_lab.ir.trace import TENSOR


def no_dependence(op: RuleContext) -> None:
    """A tensor of the same kind, whose content is another."""
    del op


def overwrite(op: RuleContext) -> Dependence:
    """The second input, broadcast over the first; None where a number is written."""
    source = op.inputs[1] if len(op.inputs) > 1 else None
    return None if source is None else op.union([source])


# ------------------------------------------------------------------------------ views


def view(op: RuleContext) -> Dependence:
    """The same elements in another shape."""
    return op.first.reshape(op.output_shape)


def permute(op: RuleContext) -> Dependence:
    """Dimensions in the order named."""
    rank = len(op.output_shape)
    return op.first.permute([d % rank for d in op.args["dims"]])


def transpose(op: RuleContext) -> Dependence:
    """Two dimensions swapped."""
    order = list(range(len(op.output_shape)))
    one, other = (op.args.get("dim0", 0), op.args.get("dim1", 1)) if order else (0, 0)
    if len(order) > 1:
        order[one], order[other] = order[other], order[one]
    return op.first.permute(order)


def expand(op: RuleContext) -> Dependence:
    """Dimensions of size 1 repeated."""
    return op.union([op.first])


def with_parts(op: RuleContext) -> Dependence:
    """Complex numbers as a last dimension of their two parts."""
    return op.union([op.first.reshape([*op.first.shape, 1])])


def of_parts(op: RuleContext) -> Dependence:
    """The last dimension, of two parts, as complex numbers."""
    return op.first.collapse([-1]).drop([len(op.shapes[0]) - 1])


def repeat(op: RuleContext) -> Dependence:
    """Copies put together."""
    shape = (*[1] * (len(op.output_shape) - len(op.shapes[0])), *op.shapes[0])
    copies = [out // max(n, 1) for n, out in zip(shape, op.output_shape, strict=True)]
    parted = [size for pair in zip(copies, shape, strict=True) for size in pair]
    single = [size for n in shape for size in (1, n)]
    # the copies are a dimension of their own beside each, before both become one
    return op.union([op.first.reshape(single)], parted).reshape(op.output_shape)


def pixel_shuffle(op: RuleContext) -> Dependence:
    """Channels moved into space."""
    *batch, c, h, w = op.shapes[0]
    r = op.args["upscale_factor"]
    k = len(batch)
    digits = op.first.reshape([*batch, c // r**2, r, r, h, w])
    # channels are c x r x r: the first r becomes the fast digit of the height, the second that of the width
    return digits.permute([*range(k), k, k + 3, k + 1, k + 4, k + 2]).reshape(op.output_shape)


def pixel_unshuffle(op: RuleContext) -> Dependence:
    """Space moved into channels."""
    *batch, c, h, w = op.shapes[0]
    r = op.args["downscale_factor"]
    k = len(batch)
    digits = op.first.reshape([*batch, c, h // r, r, w // r, r])
    # the other way round: the fast digits of height and width become digits of the channels
    return digits.permute([*range(k), k, k + 2, k + 4, k + 1, k + 3]).reshape(op.output_shape)


def channel_shuffle(op: RuleContext) -> Dependence:
    """The channels of groups in turn."""
    n, c, *places = op.shapes[0]
    parted = op.first.reshape([n, op.args["groups"], c // op.args["groups"], *places])
    return parted.permute([0, 2, 1, *range(3, len(places) + 3)]).reshape(op.output_shape)


# ------------------------------------------------------------------------------ parts of a dimension


def select(op: RuleContext) -> Dependence:
    """One position of a dimension, which goes."""
    return _position(op, op.args.get("index", 0))


def unbind(op: RuleContext) -> list[Dependence]:
    """Every position of a dimension, which goes."""
    return [_position(op, index) for index in range(op.shapes[0][op.args.get("dim", 0)])]


def _position(op: RuleContext, index: int) -> Dependent:
    dim = op.args.get("dim", 0)
    start = index % op.shapes[0][dim]
    return part(op.first, dim, start, start + 1).drop([dim])


def slice_of(op: RuleContext) -> Dependence:
    """A slice of a dimension."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    size = op.shapes[0][dim]
    start, stop, _ = slice(op.args.get("start"), op.args.get("end")).indices(size)
    # a slice that ends before it begins is empty
    return part(op.first, dim, start, max(stop, start), op.args.get("step", 1))


def split(op: RuleContext) -> list[Dependence]:
    """Pieces of a dimension."""
    dim = op.args.get("dim", 0)
    widths = _piece_widths(op, op.shapes[0][dim])
    return [
        part(op.first, dim, end - width, end) for width, end in zip(widths, accumulate(widths), strict=True)
    ]


def _piece_widths(op: RuleContext, size: int) -> Sequence[int]:
    width = op.args.get("split_size", op.args.get("split_sizes"))
    if isinstance(width, tuple):
        return width
    return [min(width, size - start) for start in range(0, size, width)]


def glu(op: RuleContext) -> Dependence:
    """One half of a dimension times a gate made of the other."""
    dim = op.args.get("dim", -1)
    half = op.output_shape[dim]
    return op.union([part(op.first, dim, 0, half), part(op.first, dim, half, 2 * half)])


# ------------------------------------------------------------------------------ values put together


def cat(op: RuleContext) -> Dependence:
    """Values put together along a dimension."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    # `cat` skips empty tensors of one dimension, whatever the rank of the others
    rank = len(op.output_shape)
    pieces = [
        shape[dim] if value is None else value
        for value, shape in zip(op.inputs, op.shapes, strict=True)
        if len(shape) == rank
    ]
    return op.concatenated(pieces, dim)


def stack(op: RuleContext) -> Dependence:
    """Values put together along a new dimension."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    rows = [
        1 if value is None else value.reshape([*value.shape[:dim], 1, *value.shape[dim:]])
        for value in op.inputs
    ]
    return op.concatenated(rows, dim)


def slice_scatter(op: RuleContext) -> Dependence:
    """A slice of a dimension written over."""
    dim = op.args.get("dim", 0)
    start, stop, _ = slice(op.args.get("start"), op.args.get("end")).indices(op.shapes[0][dim])
    base, rows = op.inputs
    return _put(op, base, rows, dim, np.arange(start, stop, op.args.get("step", 1)))


def select_scatter(op: RuleContext) -> Dependence:
    """One position of a dimension written over."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    base, row = op.inputs
    row = row and row.reshape([*row.shape[:dim], 1, *row.shape[dim:]])
    return _put(op, base, row, dim, np.array([op.args.get("index", 0) % op.output_shape[dim]]))


def _put(
    op: RuleContext, base: Dependent | None, rows: Dependent | None, dim: int, places: Places
) -> Dependence:
    dim %= len(op.output_shape)
    shape = (*op.output_shape[:dim], len(places), *op.output_shape[dim + 1 :])
    return put(base, rows and op.union([rows], shape), dim, places, op.output_shape[dim])


# ------------------------------------------------------------------------------ positions in another order


def flip(op: RuleContext) -> Dependence:
    """Dimensions read backwards."""
    return flipped(op.first, op.args["dims"])


def flipped(value: Dependent, dims: Sequence[int]) -> Dependent:
    """A value with dimensions read backwards."""
    for dim in dims:
        value = value.along(dim, _backwards, value.shape[dim])
    return value


def _backwards(size: int) -> axis_ops.AxisOp:
    return axis_ops.gather(np.arange(size)[::-1])


def rot90(op: RuleContext) -> Dependence:
    """A quarter turn in the plane of two dimensions, several times."""
    rank, times = len(op.output_shape), op.args.get("k", 1) % 4
    one, other = (d % rank for d in op.args.get("dims", (0, 1)))
    value = op.first
    if times == 2:
        return flipped(value, (one, other))
    if times == 0:
        return value
    order = list(range(rank))
    order[one], order[other] = other, one
    return flipped(value.permute(order), (one,) if times == 1 else (other,))


def roll(op: RuleContext) -> Dependence:
    """Dimensions shifted, the end put at the beginning."""
    value, dims = op.first, op.args.get("dims") or ()
    if not dims:
        size = int(np.prod(op.output_shape))
        (shift,) = op.args["shifts"]
        return value.reshape([size]).along(0, partial(_shift, shift), size).reshape(op.output_shape)
    for shift, dim in zip(op.args["shifts"], dims, strict=True):
        value = value.along(dim, partial(_shift, shift), op.output_shape[dim])
    return value


def _shift(shift: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.gather(np.roll(np.arange(size), shift))


# ------------------------------------------------------------------------------ look-ups


def embedding(op: RuleContext) -> Dependence:
    """A vector for each index."""
    weight, index = op.inputs[:2]
    if weight is not None:
        return Unknown("a table that depends on the input")
    return None if index is None else op.union([index.reshape([*index.shape, 1])])


def index_select(op: RuleContext) -> Dependence:
    """Positions of a dimension by a list of them."""
    dim = op.args.get("dim", 0)
    places = op.constant(1)
    if places is None or op.inputs[0] is None:
        return _any_position(op, [dim])
    return op.first.taken(dim, places.reshape(-1) % op.shapes[0][dim])


def index(op: RuleContext) -> Dependence:
    """Elements by tables of positions along some dimensions, as `x[:, table]` has it."""
    dims, tables = _tables(op, len(op.inputs) - 1)
    if op.inputs[0] is None or tables is None:
        return _any_position(op, dims)
    flat, first, places = _picked_dims(op.inputs[0], dims, tables)
    return flat.taken(first, places)


def _tables(op: RuleContext, count: int) -> tuple[list[int], list[Constant] | None]:
    """The dimensions that tables of positions stand for, and the tables, where all are known."""
    given = op.args.get("indices") or (TENSOR,) * count
    contents = [op.constant(place) for place in range(1, count + 1)]
    dims: list[int] = []
    tables: list[Constant] = []
    dim = 0
    shapes = iter(zip(op.shapes[1 : count + 1], contents, strict=True))
    for place in given:
        if place != TENSOR:
            dim += 1
            continue
        shape, content = next(shapes)
        if content is not None and content.dtype == np.bool_:
            # a mask stands for as many dimensions as it has
            dims += range(dim, dim + len(shape))
            tables += list(np.nonzero(content))
            dim += len(shape)
            continue
        dims.append(dim)
        tables += [] if content is None else [content]
        dim += 1
    return dims, tables if all(content is not None for content in contents) else None


def _picked_dims(
    value: Dependent, dims: Sequence[int], tables: Sequence[Constant]
) -> tuple[Dependent, int, Places]:
    """A value with the dimensions that are picked from as one, its place, and the positions in it."""
    order, first = _picking_order(len(value.shape), dims)
    sizes = [value.shape[d] for d in dims]
    moved = value.permute(order)
    flat = moved.reshape([*moved.shape[:first], prod(sizes), *moved.shape[first + len(dims) :]])
    return flat, first, _flat_places(tables, sizes)


def _picking_order(rank: int, dims: Sequence[int]) -> tuple[list[int], int]:
    """The dimensions with those that are picked from side by side, and the place of the first of these."""
    order = [d for d in range(rank) if d not in dims]
    # of dimensions that lie apart PyTorch puts what is picked first
    first = dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0
    order[first:first] = dims
    return order, first


def _flat_places(tables: Sequence[Constant], sizes: Sequence[int]) -> Places:
    positions = np.broadcast_arrays(*tables)
    wrapped = [position % size for position, size in zip(positions, sizes, strict=True)]
    return np.asarray(np.ravel_multi_index(wrapped, sizes))


def gather(op: RuleContext) -> Dependence:
    """For each element of a table of positions, that position along `dim`."""
    dim = op.args.get("dim", 0) % max(len(op.shapes[0]), 1)
    table = op.constant(1)
    if table is None or op.inputs[0] is None:
        return _any_position(op, [dim])
    value = op.inputs[0]
    row = _row_along(table, dim)
    if row is not None:
        sizes = zip(range(table.ndim), table.shape, strict=True)
        for other, size in sizes:
            value = value if other == dim else part(value, other, 0, size)
        return value.taken(dim, row % op.shapes[0][dim])
    flat, first, places = _picked_dims(value, range(table.ndim), _grid(table, dim))
    return flat.taken(first, places)


def _row_along(table: Constant, dim: int) -> Places | None:
    """The one row of positions that a table holds along a dimension; None where rows differ."""
    row = np.moveaxis(table, dim, -1)[(0,) * (table.ndim - 1)]
    shape = [1] * table.ndim
    shape[dim] = -1
    return np.asarray(row) if (table == row.reshape(shape)).all() else None


def _grid(table: Constant, dim: int) -> list[Constant]:
    """The position of each element of a table along all dimensions, along one by the table."""
    grids: list[Constant] = list(np.indices(table.shape, sparse=True))
    grids[dim] = table
    return grids


# ------------------------------------------------------------------------------ written by tables


def index_put(op: RuleContext) -> Dependence:
    """Elements written over, or added to, by tables of positions."""
    dims, tables = _tables(op, len(op.inputs) - 2)
    base, rows = op.inputs[0], op.inputs[-1]
    if tables is None:
        return _written_anywhere(op)
    sizes = [op.shapes[0][d] for d in dims]
    order, first = _picking_order(len(op.shapes[0]), dims)
    others = [op.shapes[0][d] for d in order if d not in dims]
    places = _flat_places(tables, sizes)
    picked_shape = [*others[:first], *places.shape, *others[first:]]
    flat_rows = None
    if rows is not None:
        flat_rows = op.union([rows], picked_shape).reshape([*others[:first], places.size, *others[first:]])
    flat_shape = [*others[:first], prod(sizes), *others[first:]]
    if base is not None and written_number(op) == "-inf" and not op.args.get("accumulate"):
        return base.masked(_blank_at(places.ravel(), dims, op.shapes[0]), "-inf")
    flat_base = None if base is None else base.permute(order).reshape(flat_shape)
    written = _written(op, flat_base, flat_rows, first, places.ravel(), prod(sizes))
    if written is None:
        return None
    moved = written.reshape([op.shapes[0][d] for d in order])
    return moved.permute([order.index(d) for d in range(len(order))])


def _blank_at(places: Places, dims: Sequence[int], shape: Sequence[int]) -> NDArray[np.bool_]:
    """True at positions of some dimensions, which are counted as one, whatever those of the others are."""
    blank = np.zeros(prod(shape[d] for d in dims), np.bool_)
    blank[places] = True
    table = blank.reshape([shape[d] for d in dims]).transpose(np.argsort(dims))
    return table.reshape([n if d in dims else 1 for d, n in enumerate(shape)])


def index_write(op: RuleContext) -> Dependence:
    """Positions of a dimension written over, or added to, by a list of them."""
    dim = op.args.get("dim", 0) % max(len(op.output_shape), 1)
    places = op.constant(1) if op.inputs[1] is None else None
    if places is None:
        return _written_anywhere(op)
    rows = op.inputs[2] if len(op.inputs) > 2 and op.shapes[2] else None
    size = op.output_shape[dim]
    return _written(op, op.inputs[0], rows, dim, places.reshape(-1) % size, size)


def scatter(op: RuleContext) -> Dependence:
    """Elements written over, or added to, by a table of positions along `dim`."""
    dim = op.args.get("dim", 0) % max(len(op.output_shape), 1)
    table = op.constant(1) if op.inputs[1] is None else None
    if table is None:
        return _written_anywhere(op)
    rows = op.inputs[2] if len(op.inputs) > 2 else None
    if rows is not None:
        for other, size in enumerate(table.shape):
            rows = part(rows, other, 0, size)
        rows = rows.reshape([table.size])
    places = _flat_places(_grid(table, dim), op.output_shape).ravel()
    size = prod(op.output_shape)
    base = None if op.inputs[0] is None else op.inputs[0].reshape([size])
    written = _written(op, base, rows, 0, places, size)
    return None if written is None else written.reshape(op.output_shape)


def _written(
    op: RuleContext, base: Dependent | None, rows: Dependent | None, dim: int, places: Places, size: int
) -> Dependent | None:
    """Positions of a dimension of a value written over, or added to where the operation adds."""
    adds = "add" in op.name or op.args.get("accumulate") or op.args.get("reduce")
    if not adds:
        # of a position that is written twice, the last one stands
        last = len(places) - 1 - np.unique(places[::-1], return_index=True)[1]
        last.sort()
        return put(base, None if rows is None else rows.taken(dim, last), dim, places[last], size)
    if rows is None:
        return base
    spread = rows.along(dim, partial(_added_up, axis_ops.readers(places, size)), size)
    return spread if base is None else op.union([base, spread], base.shape)


def _added_up(taps: Places, size: int) -> axis_ops.AxisOp:
    del size
    return axis_ops.irregular(taps)


def _written_anywhere(op: RuleContext) -> Dependence:
    """Elements written over where the data decides."""
    parts = [] if op.inputs[0] is None else [op.inputs[0]]
    others = [value for value in op.inputs[1:] if value is not None]
    parts += [value.collapse(range(len(value.shape))).drop(range(len(value.shape))) for value in others]
    return op.union(parts).as_bound("the data decides which places are written")


def _any_position(op: RuleContext, dims: Iterable[int]) -> Dependence:
    """Elements whose place the data decides: any along some dimensions."""
    parts = []
    if op.inputs[0] is not None:
        whole = op.inputs[0].collapse(dims)
        parts.append(whole.drop(dims) if len(whole.shape) > len(op.output_shape) else whole)
        rank = len(parts[0].shape)
        sizes = [1] * (len(op.output_shape) - rank)
        fits = all(
            n in (1, out) for n, out in zip(parts[0].shape, op.output_shape[len(sizes) :], strict=False)
        )
        if not fits:
            parts[0] = op.inputs[0].collapse(range(len(op.shapes[0]))).drop(range(len(op.shapes[0])))
    parts += [
        v.collapse(range(len(v.shape))).drop(range(len(v.shape))) for v in op.inputs[1:] if v is not None
    ]
    return op.union(parts).as_bound("the data decides which places are read")
