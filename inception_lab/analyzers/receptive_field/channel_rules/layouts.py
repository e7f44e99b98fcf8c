"""Rules of views, and of parts of a dimension."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.channel_labels import (
    LabelArray,
    Shape,
    full_along,
    thin,
    with_rank,
)
from inception_lab.analyzers.receptive_field.channel_rules.context import MoveContext, Outputs
from inception_lab.ir.trace import TENSOR

_MOST_ELEMENTS = 1 << 22
"""Labels of one value up to which they are laid out one by one, where a view mixes its dimensions."""


def stay(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Element by element, broadcast where that is needed."""
    del place
    return [with_rank(array, max(array.ndim, len(op.output_shapes[0])))]


def view(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """The same elements in another shape."""
    return _listed(reshaped(array, op.shapes[place], op.output_shapes[0]))


def permute(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions in the order named."""
    del place
    return [array.transpose([d % array.ndim for d in op.op.arg("dims")])]


def transpose(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Two dimensions swapped."""
    del place
    return [array.swapaxes(op.op.arg("dim0", 0), op.op.arg("dim1", 1)) if array.ndim > 1 else array]


def repeat(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Copies put together."""
    whole = with_rank(array, len(op.output_shapes[0]))
    sizes = (1,) * (whole.ndim - len(op.shapes[place])) + tuple(op.shapes[place])
    copies = [
        1 if n == 1 else out // size
        for n, size, out in zip(whole.shape, sizes, op.output_shapes[0], strict=True)
    ]
    return [np.tile(whole, copies)]


def pixel_shuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Channels moved into space."""
    *batch, c, h, w = op.shapes[place]
    r, k = op.op.arg("upscale_factor"), len(batch)
    order = [*range(k), k, k + 3, k + 1, k + 4, k + 2]
    return _by_digits(array, op.shapes[place], [*batch, c // r**2, r, r, h, w], order, op.output_shapes[0])


def pixel_unshuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Space moved into channels."""
    *batch, c, h, w = op.shapes[place]
    r, k = op.op.arg("downscale_factor"), len(batch)
    order = [*range(k), k, k + 2, k + 4, k + 1, k + 3]
    digits = [*batch, c, h // r, r, w // r, r]
    return _by_digits(array, op.shapes[place], digits, order, op.output_shapes[0])


def channel_shuffle(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Groups of channels dealt out one by one."""
    n, c, *axes = op.shapes[place]
    groups = op.op.arg("groups")
    order = [0, 2, 1, *range(3, 3 + len(axes))]
    return _by_digits(array, op.shapes[place], [n, groups, c // groups, *axes], order, op.output_shapes[0])


def _by_digits(
    array: LabelArray, shape: Shape, digits: Sequence[int], order: Sequence[int], output_shape: Shape
) -> Outputs:
    """The elements in the order of the digits of their dimensions."""
    parted = reshaped(array, shape, digits)
    if parted is None:
        return None
    permuted_shape = [digits[d] for d in order]
    return _listed(reshaped(parted.transpose(order), permuted_shape, output_shape))


def _listed(array: LabelArray | None) -> Outputs:
    return None if array is None else [array]


def reshaped(array: LabelArray, shape: Sequence[int], new_shape: Sequence[int]) -> LabelArray | None:
    """An array for another shape of its value; None where it would take too many labels."""
    if array.size == 1:
        return array.reshape((1,) * len(new_shape))
    dims: list[int] = []
    sizes: list[int] = []
    for old, new in _groups(shape, new_shape):
        differs = any(array.shape[d] > 1 for d in old)
        dims += old if differs else []
        sizes += [new_shape[d] if differs else 1 for d in new]
    if prod(sizes) > _MOST_ELEMENTS:
        return None
    return thin(full_along(array, dims, tuple(shape)).reshape(sizes))


def _groups(shape: Sequence[int], new_shape: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """The dimensions of two shapes in the smallest groups that have as many elements in both."""
    old, new = list(range(len(shape))), list(range(len(new_shape)))
    groups = []
    while old or new:
        left, right = old[:1], new[:1]
        del old[:1], new[:1]
        while (a := prod(shape[d] for d in left)) != (b := prod(new_shape[d] for d in right)):
            (left if a < b else right).append((old if a < b else new).pop(0))
        groups.append((left, right))
    return groups


# ------------------------------------------------------------------------------ parts of a dimension


def slice_of(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """A slice of a dimension."""
    dim = op.dim(0, array.ndim)
    positions = range(op.shapes[place][dim])[op.op.arg("start") : op.op.arg("end") : op.op.arg("step", 1)]
    return [_taken(array, dim, positions)]


def select(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """One position of a dimension, which goes."""
    dim = op.dim(0, array.ndim)
    index = op.op.arg("index", 0) % op.shapes[place][dim]
    return [_taken(array, dim, [index]).squeeze(dim)]


def unbind(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Every position of a dimension, which goes."""
    dim = op.dim(0, array.ndim)
    return [_taken(array, dim, [index]).squeeze(dim) for index in range(op.shapes[place][dim])]


def split(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Pieces of a dimension."""
    del place
    dim = op.dim(0, array.ndim)
    ends = accumulate(shape[dim] for shape in op.output_shapes)
    return [
        _taken(array, dim, range(end - shape[dim], end))
        for end, shape in zip(ends, op.output_shapes, strict=True)
    ]


def flip(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions read backwards."""
    del place
    return [np.flip(array, op.op.arg("dims"))]


def roll(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Dimensions shifted, the end put at the beginning."""
    del place
    dims = op.op.arg("dims")
    if dims:
        return [np.roll(array, op.op.arg("shifts"), dims)]
    return [array] if array.size == 1 else None


def glu(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """One half of a dimension times a gate made of the other."""
    dim = op.dim(-1, array.ndim)
    half = op.shapes[place][dim] // 2
    halves = [_taken(array, dim, range(start, start + half)) for start in (0, half)]
    return [op.labels.join_arrays(halves, array.ndim)]


def _taken(array: LabelArray, dim: int, positions: Sequence[int]) -> LabelArray:
    """The labels at some positions of a dimension."""
    return array if array.shape[dim] == 1 else thin(array.take(list(positions), axis=dim))


def index_select(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Positions of a dimension by a list of them."""
    positions = op.constant(1)
    dim = op.dim(0, array.ndim)
    if place:
        return None
    if array.shape[dim] == 1:
        return [array]
    return None if positions is None else [thin(array.take(positions.ravel(), axis=dim))]


def index(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Elements by one table of positions; by several, where labels do not differ along their dimensions."""
    dims, tables = _tables(op)
    if place or dims is None:
        return None
    if len(dims) == 1 and array.shape[dims[0]] > 1:
        return None if tables[0] is None else [thin(array.take(tables[0], axis=dims[0]))]
    if any(array.shape[dim] > 1 for dim in dims):
        return None
    more = len(op.output_shapes[0]) - array.ndim + len(dims)
    # of dimensions that lie apart PyTorch puts what is picked first
    first = dims[0] if list(dims) == list(range(dims[0], dims[0] + len(dims))) else 0
    others = [n for d, n in enumerate(array.shape) if d not in dims]
    return [array.reshape([*others[:first], *[1] * more, *others[first:]])]


def _tables(op: MoveContext) -> tuple[list[int] | None, list[NDArray[Any] | None]]:
    """The dimensions that are picked from, None where a mask stands for several, and the positions."""
    given = op.op.arg("indices") or (TENSOR,) * (len(op.shapes) - 1)
    dims = [dim for dim, position in enumerate(given) if position == TENSOR]
    tables = [op.constant(place) for place in range(1, len(dims) + 1)]
    if any(table is not None and table.dtype == np.bool_ and table.ndim > 1 for table in tables):
        return None, []
    return dims, [table if table is None else positions_of(table) for table in tables]


def positions_of(table: NDArray[Any]) -> NDArray[Any]:
    """The positions that a table names, or a mask of one dimension."""
    return np.flatnonzero(table) if table.dtype == np.bool_ else table
