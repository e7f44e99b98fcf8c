"""Rules of operations that move elements: views, slices, concatenation, shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate

import numpy as np

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.placing import Places, part, put
from inception_lab.analyzers.receptive_field.rules.context import (
    Dependence,
    Dependent,
    RuleContext,
)


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
    return axis_ops.permutation(np.arange(size)[::-1])


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
    return axis_ops.permutation(np.roll(np.arange(size), shift))
