"""Rules of operations that move elements: views, slices, concatenation, shuffles, look-ups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from math import prod

import numpy as np

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import AxisMap, Geometry, merge, plain_dim
from inception_lab.analyzers.receptive_field.rules.context import Dependence, RuleContext, Unknown


def no_dependence(op: RuleContext) -> None:
    """A tensor of the same kind, whose content is another."""
    del op


def overwrite(op: RuleContext) -> Dependence:
    """The second input, broadcast over the first; None where a number is written."""
    source = op.inputs[1] if len(op.inputs) > 1 else None
    return source and merge([source], op.output_shape)


def embedding(op: RuleContext) -> Dependence:
    """A vector for each index."""
    weight, index = op.inputs[:2]
    if weight is not None:
        return Unknown("a table that depends on the input")
    return index and index._replace(dims=(*index.dims, plain_dim(op.output_shape[-1])))


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
    return merge([op.first], op.output_shape)


def repeat(op: RuleContext) -> Dependence:
    """Copies put together."""
    dims = ((),) * (len(op.output_shape) - len(op.first.dims)) + op.first.dims
    # the copies are the slowest digit of a dimension, and carry no axis
    copies = [n // prod(f.size for f in dim) for n, dim in zip(op.output_shape, dims, strict=True)]
    repeated_dims = [plain_dim(count) + dim for count, dim in zip(copies, dims, strict=True)]
    return op.first._replace(dims=tuple(repeated_dims))


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


# ------------------------------------------------------------------------------ parts of a dimension


def select(op: RuleContext) -> Dependence:
    """One position of a dimension, which goes."""
    return _position(op, op.args.get("index", 0))


def unbind(op: RuleContext) -> list[Dependence]:
    """Every position of a dimension, which goes."""
    dim = op.args.get("dim", 0) % len(op.shapes[0])
    return [_position(op, index) for index in range(op.shapes[0][dim])]


def _position(op: RuleContext, index: int) -> Geometry:
    dim = op.args.get("dim", 0) % len(op.shapes[0])
    start = index % op.shapes[0][dim]
    make_op = partial(axis_ops.axis_slice, start=start, stop=start + 1, stride=1)
    position = _source_of_part(op.first, dim).along(dim, make_op, 1)
    return position._replace(dims=position.dims[:dim] + position.dims[dim + 1 :])


def slice_of(op: RuleContext) -> Dependence:
    """A slice of a dimension."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    size = op.shapes[0][dim]
    start, stop, _ = slice(op.args.get("start"), op.args.get("end")).indices(size)
    step = op.args.get("step", 1)
    if (start, step) == (0, 1) and stop == size:
        return op.first
    # a slice that ends before it begins is empty
    make_op = partial(axis_ops.axis_slice, start=start, stop=max(stop, start), stride=step)
    return _source_of_part(op.first, dim).along(dim, make_op, op.output_shape[dim])


def split(op: RuleContext) -> list[Dependence]:
    """Pieces of a dimension."""
    dim = op.args.get("dim", 0) % len(op.shapes[0])
    widths = _piece_widths(op, op.shapes[0][dim])
    source = _source_of_part(op.first, dim)
    return [
        source.along(dim, partial(axis_ops.axis_slice, start=end - width, stop=end, stride=1), width)
        for width, end in zip(widths, accumulate(widths), strict=True)
    ]


def _piece_widths(op: RuleContext, size: int) -> Sequence[int]:
    width = op.args.get("split_size", op.args.get("split_sizes"))
    if isinstance(width, tuple):
        return width
    return [min(width, size - start) for start in range(0, size, width)]


def _source_of_part(geometry: Geometry, dim: int) -> Geometry:
    """The geometry that a part of a dimension is taken from.

    Positions of an axis have an entry each in its map; channels have none, so that some of them may see
    less than the map tells.
    """
    return geometry if geometry.axes_in([dim]) else geometry.of_some_channels()


def glu(op: RuleContext) -> Dependence:
    """One half of a dimension times a gate made of the other."""
    dim = op.args.get("dim", -1) % len(op.output_shape)
    product = op.first.collapse([dim]).with_dim(dim, plain_dim(op.output_shape[dim]))
    halves_axis = op.first.axes_in([dim])
    return product.as_bound("halves of an axis are multiplied") if halves_axis else product


# ------------------------------------------------------------------------------ values put together


def cat(op: RuleContext) -> Dependence:
    """Values put together along a dimension; along an axis, an upper bound."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    size = op.output_shape[dim]
    # `cat` skips empty tensors of one dimension, whatever the rank of the others
    rank = len(op.output_shape)
    parts = [g for g, shape in zip(op.inputs, op.shapes, strict=True) if len(shape) == rank]
    dependent = [geometry for geometry in parts if geometry is not None]
    if any(geometry.axes_in([dim]) for geometry in dependent):
        whole = [geometry.collapse([dim]).with_dim(dim, plain_dim(size)) for geometry in dependent]
        return merge(whole, op.output_shape).as_bound("pieces of an axis are put together")
    geometry = merge([g.with_dim(dim, plain_dim(size)) for g in dependent], op.output_shape)
    channels_differ = geometry.channels_differ or len(dependent) < len(parts) or not _see_the_same(dependent)
    return geometry._replace(channels_differ=channels_differ)


def stack(op: RuleContext) -> Dependence:
    """Values put together along a new dimension."""
    dim = op.args.get("dim", 0) % len(op.output_shape)
    parts = [g._replace(dims=(*g.dims[:dim], (), *g.dims[dim:])) for g in op.inputs if g is not None]
    geometry = merge(parts, op.output_shape)
    if _see_the_same(parts):
        return geometry
    # axes of which one position is left; if parts differ in these, the new dimension is that axis again
    selected_maps = [[m for m in part.maps if len(m) == 1] for part in parts]
    if _cover_each_other(selected_maps):
        return geometry._replace(channels_differ=True)
    return geometry.as_bound("selected positions are put together")


def _see_the_same(parts: Sequence[Geometry]) -> bool:
    return _cover_each_other([part.maps for part in parts])


def _cover_each_other(rows: Sequence[Sequence[AxisMap]]) -> bool:
    """True where the maps of every row see what those of the first row see."""
    return all(
        len(row) == len(rows[0])
        and all(a.covers(b) and b.covers(a) for a, b in zip(rows[0], row, strict=True))
        for row in rows
    )


# ------------------------------------------------------------------------------ positions in another order


def flip(op: RuleContext) -> Dependence:
    """Dimensions read backwards."""
    geometry = op.first
    for dim in op.args["dims"]:
        geometry = geometry.along(dim, _backwards, op.output_shape[dim])
    return geometry


def _backwards(size: int) -> axis_ops.AxisOp:
    return axis_ops.gather(np.arange(size)[::-1])


def roll(op: RuleContext) -> Dependence:
    """Dimensions shifted, the end put at the beginning."""
    geometry, dims = op.first, op.args.get("dims") or ()
    if not dims:
        return Unknown("all axes are rolled as one")
    for shift, dim in zip(op.args["shifts"], dims, strict=True):
        geometry = geometry.along(dim, partial(_shift, shift), op.output_shape[dim])
    return geometry


def _shift(shift: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.gather(np.roll(np.arange(size), shift))
