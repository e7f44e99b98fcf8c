"""Rules of writes by tables of positions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.placing import Places, part, put, scattered
from inception_lab.analyzers.receptive_field.rules.arithmetic import written_number
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Dependent, RuleContext
from inception_lab.analyzers.receptive_field.rules.tables import (
    dims_side_by_side,
    everything_of,
    flat_places,
    positions_of,
    tables_of,
)

_MASKS = {"lt", "le", "gt", "ge", "eq", "ne", "isnan", "isinf"} | {
    f"{family}_{name}" for family in ("logical", "bitwise") for name in ("and", "or", "not")
}
"""Operations whose results, as an index, are masks."""


def index_put(op: RuleContext) -> Dependence:
    """Elements written over, or added to, by tables of positions."""
    dims, tables = tables_of(op, len(op.inputs) - 2)
    base, rows, shape = op.inputs[0], op.inputs[-1], op.shapes[0]
    if tables is None:
        return op.union(op.inputs, shape) if _is_own_mask(op) else _written_anywhere(op)
    sizes = [shape[d] for d in dims]
    places = flat_places(tables, sizes)
    if base is not None and written_number(op) == "-inf" and not op.args.get("accumulate"):
        return base.masked(_blank_at(places.ravel(), dims, shape), "-inf")
    order, first = dims_side_by_side(len(shape), dims)
    others = [shape[d] for d in order if d not in dims]
    before, after = others[:first], others[first:]
    # the dimensions that the tables stand for as one, in which all positions are a single list
    flat_base = base and base.permute(order).reshape([*before, prod(sizes), *after])
    flat_rows = rows and op.union([rows], [*before, *places.shape, *after])
    flat_rows = flat_rows and flat_rows.reshape([*before, places.size, *after])
    result = _overwrite(op, flat_base, flat_rows, first, places.ravel(), prod(sizes))
    if result is None:
        return None
    return result.reshape([shape[d] for d in order]).permute([order.index(d) for d in range(len(order))])


def _is_own_mask(op: RuleContext) -> bool:
    """True where a single number is written, or added, wherever a mask of the value's own shape is true."""
    if len(op.inputs) != 3 or op.shapes[1] != op.shapes[0] or prod(op.shapes[2]) != 1:
        return False
    # whole numbers of that shape would be positions
    writer = op.writer(1)
    return writer is not None and writer.base_name.removesuffix("_") in _MASKS


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
    size = op.output_shape[dim]
    rows = op.inputs[2] if len(op.inputs) > 2 else None
    if rows is not None:
        # `index_fill` writes a single number to all positions
        rows = op.union([rows], (*op.output_shape[:dim], places.size, *op.output_shape[dim + 1 :]))
    return _overwrite(op, op.inputs[0], rows, dim, places.reshape(-1) % size, size)


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
    places = flat_places(positions_of(table, dim), op.output_shape).ravel()
    size = prod(op.output_shape)
    base = None if op.inputs[0] is None else op.inputs[0].reshape([size])
    result = _overwrite(op, base, rows, 0, places, size)
    return None if result is None else result.reshape(op.output_shape)


def _overwrite(
    op: RuleContext, base: Dependent | None, rows: Dependent | None, dim: int, places: Places, size: int
) -> Dependent | None:
    """Positions of a dimension of a value written over, or added to where the operation adds."""
    adds = "add" in op.name or op.args.get("accumulate") or op.args.get("reduce")
    if not adds:
        # of a position that is written twice, the last one stands
        last = len(places) - 1 - np.unique(places[::-1], return_index=True)[1]
        last.sort()
        return put(base, None if rows is None else rows.take(dim, last), dim, places[last], size)
    if rows is None:
        return base
    spread = scattered(rows, dim, places, size)
    return spread if base is None else op.union([base, spread], base.shape)


def _written_anywhere(op: RuleContext) -> Dependence:
    """Elements written over where the data decides."""
    parts = [] if op.inputs[0] is None else [op.inputs[0]]
    parts += [everything_of(value) for value in op.inputs[1:] if value is not None]
    return op.union(parts).as_bound("the data decides which places are written")
