"""Rules of operations that mix channels: convolution, windows, reductions, products."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.channel_labels import (
    NOTHING,
    LabelArray,
    full_along,
    thin,
    with_rank,
)
from inception_lab.analyzers.receptive_field.channel_rules.context import Move, MoveContext, Outputs
from inception_lab.analyzers.receptive_field.channel_rules.layouts import stay


def convolution(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """All channels of a group mixed; places stay where they are."""
    inner = _inner(op, array, range(2, array.ndim))
    if place or inner is None:
        return None
    groups, out = op.op.arg("groups", 1), op.output_shapes[0][1]
    if inner.shape[1] == 1:
        return [inner]
    by_group = inner.reshape(inner.shape[0], groups, -1, *inner.shape[2:])
    joined = op.labels.join_over(by_group, [2]).squeeze(2)
    return [thin(np.repeat(joined, out // groups, axis=1))]


def _inner(op: MoveContext, array: LabelArray, dims: Iterable[int]) -> LabelArray | None:
    """The labels of inner units along dimensions over which windows slide."""
    for dim in dims:
        inner = op.labels.inner_along(array, dim)
        if inner is None:
            return None
        array = inner
    return array


def window(axes: int) -> Move:
    """Windows over the last dimensions, which may hold channels, as those of a local response norm do."""

    def move(op: MoveContext, place: int, array: LabelArray) -> Outputs:
        geometry = op.geometries[place]
        for axis, dim in enumerate(range(array.ndim - axes, array.ndim)):
            if array.shape[dim] == 1:
                continue
            if geometry is None or geometry.axes_in([dim]):
                inner = op.labels.inner_along(array, dim)
                if inner is None:
                    return None
                array = inner
                continue
            array = op.labels.join_over(_windows(op, place, array, axis, dim), [array.ndim])
            array = array.squeeze(-1)
        return [thin(array)]

    return move


def _windows(op: MoveContext, place: int, array: LabelArray, axis: int, dim: int) -> LabelArray:
    """The labels that each window along a dimension reads, in one more dimension at the end."""

    def number(name: str, default: int) -> int:
        argument = op.op.arg(name) or default
        return int(argument[axis % len(argument)] if isinstance(argument, tuple) else argument)

    kernel = number("kernel_size", 1)
    taps = axis_ops.window(
        op.shapes[place][dim],
        op.output_shapes[0][dim],
        kernel,
        number("stride", kernel),
        number("padding", 0),
        number("dilation", 1),
        bool(op.op.arg("ceil_mode")),
    ).taps
    edge = np.full([1 if d == dim else n for d, n in enumerate(array.shape)], NOTHING)
    return np.moveaxis(np.concatenate([array, edge], axis=dim).take(taps, axis=dim), dim + 1, -1)


def resized(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Windows over all but the first two dimensions."""
    del place
    inner = _inner(op, array, range(2, array.ndim))
    return None if inner is None else [inner]


def padding(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Constants put before and after; along dimensions where labels do not differ, they count as them."""
    geometry, pads = op.geometries[place], op.op.arg("pad", ())
    for pair, (lead, trail) in enumerate(zip(pads[::2], pads[1::2], strict=True)):
        dim = array.ndim - 1 - pair
        if not (lead or trail):
            continue
        if geometry is None or geometry.axes_in([dim]):
            inner = op.labels.inner_along(array, dim)
            if inner is None:
                return None
            array = inner
            continue
        array = full_along(array, [dim], op.shapes[place])
        array = _cropped(array, dim, max(-lead, 0), max(-trail, 0))
        added = [(max(lead, 0), max(trail, 0)) if d == dim else (0, 0) for d in range(array.ndim)]
        array = thin(np.pad(array, added, constant_values=NOTHING))
    return [array]


def _cropped(array: LabelArray, dim: int, lead: int, trail: int) -> LabelArray:
    return array.take(range(lead, array.shape[dim] - trail), axis=dim)


def over_dim(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """All positions along `dim` mixed, all dimensions where none is named."""
    dims = op.op.arg("dim", range(array.ndim))
    joined = op.labels.join_over(array, _row(dims, array.ndim))
    kept = len(op.output_shapes[0]) == len(op.shapes[place])
    return [joined if kept else joined.reshape(_without(joined.shape, _row(dims, array.ndim)))]


def along_dim(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Each position depends on all of `dim`, which stays."""
    del place
    return [op.labels.join_over(array, [op.op.arg("dim", -1)])]


def _row(dims: object, rank: int) -> list[int]:
    if isinstance(dims, int):
        return [dims % rank] if rank else []
    return [d % rank for d in dims] if isinstance(dims, (tuple, range)) and dims else list(range(rank))


def _without(shape: Sequence[int], dims: Sequence[int]) -> list[int]:
    return [n for d, n in enumerate(shape) if d not in dims]


def product(first: int, second: int) -> Move:
    """Rows of one matrix times columns of another; what stands before them is added.

    Args:
        first: Place of the first factor among the inputs.
        second: Place of the second one.
    """

    def move(op: MoveContext, place: int, array: LabelArray) -> Outputs:
        if place == first:
            return [op.labels.join_over(array, [-1])]
        if place == second:
            return [op.labels.join_over(array, [-2])]
        return stay(op, place, array)

    return move


def vector_product(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """The last two inputs are the matrix and the vector; what stands before them is added."""
    if place < len(op.shapes) - 2:
        return stay(op, place, array)
    joined = op.labels.join_over(array, [-1]).squeeze(-1)
    return [with_rank(joined, len(op.output_shapes[0]))]


def attention(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Each query's result depends on all keys and values."""
    if place == 0:
        return [op.labels.join_over(array, [-1])]
    if place == 1:
        return [op.labels.join_over(array, [-2, -1])]
    return [op.labels.join_over(array, [-2])] if place == 2 else None


def layer_norm(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """Statistics over the last dimensions mix them, unless a whole axis is among these.

    Then that dependence is on everything along the axis, apart from the local one.
    """
    geometry = op.geometries[place]
    normalised = op.op.arg("normalized_shape")
    dims = range(array.ndim - len(normalised), array.ndim)
    if place or normalised is None or geometry is None:
        return None
    return [array if geometry.axes_in(dims) else op.labels.join_over(array, dims)]


def embedding(op: MoveContext, place: int, array: LabelArray) -> Outputs:
    """A vector for each index."""
    del op
    return [array[..., None]] if place == 1 else None
