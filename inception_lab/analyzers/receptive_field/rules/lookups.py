"""Rules of look-ups: elements read by tables of positions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from inception_lab.analyzers.receptive_field.placing import Places, part
from inception_lab.analyzers.receptive_field.rules.context import (
    Constant,
    Dependence,
    Dependent,
    RuleContext,
    Unknown,
)
from inception_lab.analyzers.receptive_field.rules.tables import (
    dims_side_by_side,
    everything_of,
    flat_places,
    positions_of,
    tables_of,
)


def embedding(op: RuleContext) -> Dependence:
    """A vector for each index."""
    weight, index = op.inputs[:2]
    if weight is not None:
        return Unknown("a table that depends on the input")
    return None if index is None else op.union([index.reshape([*index.shape, 1])])


def index_select(op: RuleContext) -> Dependence:
    """Positions of a dimension by a list of them."""
    dim = op.args.get("dim", 0) % max(len(op.shapes[0]), 1)
    places = op.constant(1)
    if places is None or op.inputs[0] is None:
        return _any_position(op, [dim])
    return op.first.take(dim, places.reshape(-1) % op.shapes[0][dim])


def index(op: RuleContext) -> Dependence:
    """Elements by tables of positions along some dimensions, as `x[:, table]` has it."""
    dims, tables = tables_of(op, len(op.inputs) - 1)
    if op.inputs[0] is None or tables is None:
        return _any_position(op, dims)
    flat, first, places = _picked_dims(op.inputs[0], dims, tables)
    return flat.take(first, places)


def _picked_dims(
    value: Dependent, dims: Sequence[int], tables: Sequence[Constant]
) -> tuple[Dependent, int, Places]:
    """A value with the dimensions that are picked from as one, its place, and the positions in it."""
    order, first = dims_side_by_side(len(value.shape), dims)
    sizes = [value.shape[d] for d in dims]
    moved = value.permute(order)
    flat = moved.reshape([*moved.shape[:first], prod(sizes), *moved.shape[first + len(dims) :]])
    return flat, first, flat_places(tables, sizes)


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
        return value.take(dim, row % op.shapes[0][dim])
    flat, first, places = _picked_dims(value, range(table.ndim), positions_of(table, dim))
    return flat.take(first, places)


def _row_along(table: Constant, dim: int) -> Places | None:
    """The one row of positions that a table holds along a dimension; None where rows differ."""
    row = np.moveaxis(table, dim, -1)[(0,) * (table.ndim - 1)]
    shape = [1] * table.ndim
    shape[dim] = -1
    return np.asarray(row) if (table == row.reshape(shape)).all() else None


def _any_position(op: RuleContext, dims: Sequence[int]) -> Dependence:
    """Elements whose place the data decides: any along some dimensions."""
    parts = [everything_of(value) for value in op.inputs[1:] if value is not None]
    if op.inputs[0] is not None:
        parts.append(_all_positions(op.inputs[0], dims, op.output_shape))
    return op.union(parts).as_bound("the data decides which places are read")


def _all_positions(value: Dependent, dims: Sequence[int], shape: Sequence[int]) -> Dependent:
    """A value in which the dimensions of a table replace some, of all of whose positions they see.

    Args:
        value: The value.
        dims: The dimensions that are replaced.
        shape: Of the result.
    """
    order, first = dims_side_by_side(len(value.shape), dims)
    replaced_dims = range(first, first + len(dims))
    others = value.permute(order).collapse(replaced_dims).drop(replaced_dims)
    new_dims = len(shape) - len(others.shape)
    placed = others.reshape([*others.shape[:first], *[1] * new_dims, *others.shape[first:]])
    # the table of `gather` may be smaller than the value along the other dimensions
    is_larger = any(n not in (1, out) for n, out in zip(placed.shape, shape, strict=True))
    return everything_of(value) if is_larger else placed
