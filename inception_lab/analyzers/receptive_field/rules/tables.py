"""Tables of positions, by which look-ups and writes name elements of a value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inception_lab.analyzers.receptive_field.placing import Places
from inception_lab.analyzers.receptive_field.rules.context import Constant, Dependent, RuleContext
from inception_lab.ir.trace import TENSOR


def tables_of(op: RuleContext, count: int) -> tuple[list[int], list[Constant] | None]:
    """The dimensions that tables of positions stand for, and the tables, where all are known."""
    indices = op.args.get("indices") or (TENSOR,) * count
    contents = [op.constant(place) for place in range(1, count + 1)]
    dims: list[int] = []
    tables: list[Constant] = []
    dim = 0
    shapes = iter(zip(op.shapes[1 : count + 1], contents, strict=True))
    for entry in indices:
        if entry != TENSOR:
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


def dims_side_by_side(rank: int, dims: Sequence[int]) -> tuple[list[int], int]:
    """The dimensions with those that are picked from side by side, and the place of the first of these."""
    order = [d for d in range(rank) if d not in dims]
    # of dimensions that lie apart PyTorch puts what is picked first
    first = dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0
    order[first:first] = dims
    return order, first


def flat_places(tables: Sequence[Constant], sizes: Sequence[int]) -> Places:
    """Positions in several dimensions as one; in each of them negative ones count from the end."""
    positions = np.broadcast_arrays(*tables)
    wrapped = [position % size for position, size in zip(positions, sizes, strict=True)]
    return np.asarray(np.ravel_multi_index(wrapped, sizes))


def positions_of(table: Constant, dim: int) -> list[Constant]:
    """The position of each element of a table along all dimensions, along one by the table."""
    grids: list[Constant] = list(np.indices(table.shape, sparse=True))
    grids[dim] = table
    return grids


def everything_of(value: Dependent) -> Dependent:
    """All that any element of a value sees, as a single number."""
    dims = range(len(value.shape))
    return value.collapse(dims).drop(dims)
