"""Rules of windows and of resizing along an axis: convolution, pooling, interpolation, padding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_ops import IntArray
from inception_lab.analyzers.receptive_field.placing import scattered
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Dependent, Rule, RuleContext


def _per_axis(op: RuleContext, name: str, axes: int, default: int) -> Sequence[int]:
    """An argument that is a number for all axes, a number per axis, or left out."""
    argument = op.args.get(name)
    if argument is None or argument == ():
        argument = default
    row = argument if isinstance(argument, tuple) else (argument,)
    return row * axes if len(row) == 1 else row


# ------------------------------------------------------------------------------ convolution


def convolution(op: RuleContext) -> Dependence:
    """A convolution, transposed or not, of any number of axes; all channels of a group are mixed."""
    source, weight, *biases = op.inputs
    parts = []
    if source is not None:
        parts.append(_along_each_axis(op, source.mix_channels(op.args.get("groups", 1), op.output_shape[1])))
    if weight is not None:
        parts.append(_weights_of_channels(op, weight))
    parts += [
        bias.reshape([1, *bias.shape, *[1] * len(op.output_shape[2:])]) for bias in biases if bias is not None
    ]
    return op.union(parts)


def _weights_of_channels(op: RuleContext, weight: Dependent) -> Dependent:
    """Weights that depend on the source: each output channel depends on its own, wherever it lies."""
    axes = len(op.output_shape) - 2
    if not op.args.get("transposed"):
        own = weight.collapse(range(1, axes + 2))
        return own.reshape([1, op.output_shape[1], *[1] * axes])
    # of a transposed one the channels of the output are the second dimension, for each group anew
    own = weight.collapse([0, *range(2, axes + 2)])
    groups = op.args.get("groups", 1)
    return op.union([own], [groups, *own.shape[1:]]).reshape([1, op.output_shape[1], *[1] * axes])


def _along_each_axis(op: RuleContext, value: Dependent) -> Dependent:
    taps = _certain_taps(op)
    if taps is not None:
        part = _by_boxes(op, value, boxes_of(np.asarray(taps.any(axis=0))))
        differ = op.args.get("groups", 1) > 1 and bool((taps != taps[:1]).any())
        return part.as_bound("channels read different taps") if differ else part
    kernel = op.shapes[1][2:]
    axes = len(kernel)
    stride, dilation = _per_axis(op, "stride", axes, 1), _per_axis(op, "dilation", axes, 1)
    lead = _per_axis(op, "padding", axes, 0)
    make_op = _transposed_window if op.args.get("transposed") else _window
    for dim, *numbers in zip(range(2, 2 + axes), kernel, stride, lead, dilation, strict=True):
        out = op.output_shape[dim]
        value = value.along(dim, partial(make_op, out, *numbers), out)
    return value


Box = tuple[tuple[int, int], ...]
"""First and last tap along each axis."""

MOST_BOXES = 32


def _certain_taps(op: RuleContext) -> NDArray[np.bool_] | None:
    """False for the taps of each channel's kernel that are zero for any weights; None where none are."""
    weight = op.certain_numbers(1) if op.inputs[1] is None and not op.args.get("transposed") else None
    if weight is None:
        return None
    taps = np.asarray(~(weight == 0).all(axis=1))
    return None if taps.any(axis=0).all() or not taps.any() else taps


def boxes_of(taps: NDArray[np.bool_]) -> list[Box]:
    """Split the true entries of an array into boxes.

    Example:
        >>> boxes_of(np.array([[1, 1, 1], [1, 0, 0], [1, 0, 0]], bool))
        [((0, 0), (0, 2)), ((1, 2), (0, 0))]
    """
    if not taps.ndim:
        return [()] if taps else []
    starts = [0, *(k for k in range(1, len(taps)) if (taps[k] != taps[k - 1]).any()), len(taps)]
    return [
        ((first, stop - 1), *box)
        for first, stop in pairwise(starts)
        for box in boxes_of(np.asarray(taps[first]))
    ]


def _by_boxes(op: RuleContext, value: Dependent, boxes: Sequence[Box]) -> Dependent:
    """A convolution with some of its taps alone."""
    axes = len(op.output_shape) - 2
    kernel, stride = op.shapes[1][2:], _per_axis(op, "stride", axes, 1)
    lead, dilation = _per_axis(op, "padding", axes, 0), _per_axis(op, "dilation", axes, 1)

    def through(box: Box) -> Dependent:
        part = value
        for dim, numbers in enumerate(zip(kernel, stride, lead, dilation, strict=True), start=2):
            out = op.output_shape[dim]
            part = part.along(dim, partial(_window_part, out, *numbers, *box[dim - 2]), out)
        return part

    ends = list(zip(*boxes, strict=True))
    hull = through(tuple([(min(a for a, _ in row), max(b for _, b in row)) for row in ends]))
    if len(boxes) > MOST_BOXES:
        return hull.as_bound("its kernel has holes")
    return hull if len(boxes) == 1 else hull.made_of([through(box) for box in boxes])


def _window_part(
    out: int, kernel: int, stride: int, lead: int, dilation: int, first: int, last: int, size: int
) -> axis_ops.AxisOp:
    return axis_ops.window_part(size, out, kernel, stride, lead, dilation, first, last)


def _window(out: int, kernel: int, stride: int, lead: int, dilation: int, size: int) -> axis_ops.AxisOp:
    if kernel == stride == 1 and not lead:
        return axis_ops.identity(size)
    return axis_ops.window(size, out, kernel, stride, lead, dilation, False)


def _transposed_window(
    out: int, kernel: int, stride: int, lead: int, dilation: int, size: int
) -> axis_ops.AxisOp:
    return axis_ops.transposed_window(size, out, kernel, stride, lead, dilation)


# ------------------------------------------------------------------------------ pooling


def pool(axes: int) -> Rule:
    """Pooling by a window, its last one rounded up in ceil mode."""

    def rule(op: RuleContext) -> Dependence:
        kernel = _per_axis(op, "kernel_size", axes, 1)
        stride = _per_axis(op, "stride", axes, 1) if op.args.get("stride") else kernel
        lead, dilation = _per_axis(op, "padding", axes, 0), _per_axis(op, "dilation", axes, 1)
        ceil_mode, value = bool(op.args.get("ceil_mode")), op.first
        for dim, *numbers in zip(range(-axes, 0), kernel, stride, lead, dilation, strict=True):
            out = op.output_shape[dim]
            # a window of one pixel changes nothing, as along the axis that `max_pool1d` adds
            if numbers[:3] != [1, 1, 0]:
                value = value.along(dim, partial(_pooling_window, ceil_mode, out, *numbers), out)
        return value

    return rule


def _pooling_window(
    ceil_mode: bool, out: int, kernel: int, stride: int, lead: int, dilation: int, size: int
) -> axis_ops.AxisOp:
    return axis_ops.window(size, out, kernel, stride, lead, dilation, ceil_mode)


def adaptive_pool(axes: int) -> Rule:
    """Pooling to a given size."""

    def rule(op: RuleContext) -> Dependence:
        value = op.first
        for dim in range(-axes, 0):
            out = op.output_shape[dim]
            # one window over the whole axis, whatever its size: all units are one
            if out == 1:
                value = value.collapse([dim])
            else:
                value = value.along(dim, partial(_adaptive_window, out), out)
        return value

    return rule


def _adaptive_window(out: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.adaptive_window(size, out)


# ------------------------------------------------------------------------------ interpolation


def interpolation(taps: int, half_pixel: bool = True) -> Rule:
    """Interpolation by 1, 2 or 4 neighbours per axis.

    Args:
        taps: Number of neighbours.
        half_pixel: True where pixels are areas, not points.
    """

    def rule(op: RuleContext) -> Dependence:
        value, align_corners = op.first, bool(op.args.get("align_corners"))
        for axis, dim in enumerate(range(2, len(op.output_shape))):
            out, factor = op.output_shape[dim], _scale_factor(op, axis)
            scale = 1 / factor if factor else Fraction(op.shapes[0][dim], out)
            if _copies(op, dim, taps, half_pixel):
                copy = partial(axis_ops.interpolation_to_same_size, scale=scale, align_corners=align_corners)
                value = value.along(dim, copy, out)
            else:
                make_op = partial(_neighbours, out, scale, taps, align_corners, half_pixel)
                value = value.along(dim, make_op, out)
        return value

    return rule


def _copies(op: RuleContext, dim: int, taps: int, half_pixel: bool) -> bool:
    """True where the kernel passes by the arithmetic along an axis, whatever the scale."""
    same = [before == after for before, after in zip(op.shapes[0][2:], op.output_shape[2:], strict=True)]
    # by experiment: linear ones axis by axis, cubic ones where all axes keep their size; of the nearest
    # ones that of images alone, and never the one that takes pixels for areas
    always = taps == 2 or (taps == 1 and not half_pixel and len(same) == 2)
    return same[dim - 2] if always else taps == 4 and all(same)


def antialiased(radius: int) -> Rule:
    """Interpolation by a filter that is widened where it shrinks.

    Args:
        radius: Of the filter.
    """

    def rule(op: RuleContext) -> Dependence:
        value = op.first
        for axis, dim in enumerate(range(2, len(op.output_shape))):
            out, factor, size = op.output_shape[dim], _scale_factor(op, axis), op.shapes[0][dim]
            scale = 1 / factor if factor else Fraction(size, out)
            if op.args.get("align_corners"):
                scale = Fraction(size - 1, max(out - 1, 1))
            value = value.along(dim, partial(axis_ops.antialiased, out=out, scale=scale, radius=radius), out)
        return value

    return rule


def _neighbours(
    out: int, scale: Fraction, taps: int, align_corners: bool, half_pixel: bool, size: int
) -> axis_ops.AxisOp:
    return axis_ops.interpolation(size, out, scale, taps, align_corners, half_pixel)


def _scale_factor(op: RuleContext, axis: int) -> Fraction | None:
    """The factor that the user gave along an axis, None where the sizes decide."""
    axes = len(op.output_shape) - 2
    names = ["scales"] if axes == 1 else [f"scales_{letter}" for letter in "dhw"[-axes:]]
    factor = (op.args.get("scale_factors") or [op.args.get(name) for name in names])[axis]
    # a factor such as 1.3 is meant as 13 / 10, not as the float nearest to it
    return Fraction(factor).limit_denominator(4096) if factor else None


# ------------------------------------------------------------------------------ padding


def zero_padding(op: RuleContext) -> Dependence:
    """Constants put before and after."""
    value = op.first
    for dim, lead, trail in _padded_dims(op, "pad"):
        if lead or trail:
            make_op = partial(axis_ops.zero_padding, lead=lead, trail=trail)
            value = value.along(dim, make_op, op.output_shape[dim])
    return value


def edge_padding(mode: str) -> Rule:
    """The edge repeated or mirrored before and after.

    Args:
        mode: `reflection` or `replication`.
    """

    def rule(op: RuleContext) -> Dependence:
        value = op.first
        for dim, lead, trail in _padded_dims(op, "padding"):
            make_op = partial(axis_ops.edge_padding, lead=lead, trail=trail, mode=mode)
            value = value.along(dim, make_op, op.output_shape[dim])
        return value

    return rule


def _padded_dims(op: RuleContext, name: str) -> list[tuple[int, int, int]]:
    """Each padded dimension with its leading and trailing padding; PyTorch lists the last one first."""
    pads = op.args[name]
    last = len(op.output_shape) - 1
    return [(last - i, *pads[2 * i : 2 * i + 2]) for i in range(len(pads) // 2)]


# ------------------------------------------------------------------------------ windows taken apart


def unfolding(op: RuleContext) -> Dependence:
    """The windows along one dimension, each as a row of a new last dimension."""
    dim, size, step = op.args.get("dimension", 0), op.args["size"], op.args["step"]
    value = op.first
    if not value.shape:
        return value.reshape([1])
    dim %= len(value.shape)
    count = (value.shape[dim] - size) // step + 1
    windows = value.take(dim, np.arange(count)[:, None] * step + np.arange(size))
    rank = len(windows.shape)
    return windows.permute([d for d in range(rank) if d != dim + 1] + [dim + 1])


def im2col(op: RuleContext) -> Dependence:
    """Every window's content as a column: channels and places of the window by windows."""
    value = op.first if len(op.shapes[0]) == 4 else op.first.reshape([1, *op.shapes[0]])
    tables = [_window_table(op, axis, op.shapes[0][axis - 2]) for axis in range(2)]
    # from the last dimension on, so that the first keeps its place: N x C x k x h x l x w
    value = value.take(3, tables[1].T).take(2, tables[0].T)
    return value.permute([0, 1, 2, 4, 3, 5]).reshape(op.output_shape)


def _window_table(op: RuleContext, axis: int, size: int) -> IntArray:
    """The positions that each window reads along an axis, a row per window; -1 in the padding."""
    kernel, dilation, lead, stride = (
        _per_axis(op, name, 2, default)[axis]
        for name, default in (("kernel_size", 1), ("dilation", 1), ("padding", 0), ("stride", 1))
    )
    count = (size + 2 * lead - dilation * (kernel - 1) - 1) // stride + 1
    taps = np.arange(count)[:, None] * stride - lead + np.arange(kernel) * dilation
    return np.where((taps >= 0) & (taps < size), taps, axis_ops.OUTSIDE)


def col2im(op: RuleContext) -> Dependence:
    """The columns that `im2col` makes, added up where windows overlap."""
    sizes = op.args["output_size"]
    tables = [_window_table(op, axis, sizes[axis]) for axis in range(2)]
    (rows, height), (columns, width) = tables[0].shape, tables[1].shape
    *batch, channels, _ = op.shapes[0]
    value = op.first.reshape([*(batch or [1]), channels // (height * width), height, width, rows, columns])
    # C x k x h x l x w: the places of a window beside the windows, axis by axis
    value = value.permute([0, 1, 4, 2, 5, 3])
    value = value.reshape([*value.shape[:2], rows * height, columns * width])
    for dim, table, size in zip((2, 3), tables, sizes, strict=True):
        value = scattered(value, dim, table.ravel(), size)
    return value.reshape(op.output_shape)


def max_unpool(op: RuleContext) -> Dependence:
    """Each value at one of the places of the window that it was pooled from; the data decides at which."""
    pool = op.writer(1)
    value = op.union(op.inputs[:1], op.shapes[0])
    if pool is None or "max_pool" not in pool.base_name or "adaptive" in pool.base_name:
        dims = range(2, len(op.output_shape))
        everywhere = op.union([value.collapse(dims)])
        return everywhere.as_bound("the data decides the place of a value")
    axes = len(op.output_shape) - 2
    window = RuleContext(pool.base_name, dict(pool.args), op.inputs, op.shapes, op.output_shape)
    kernel = _per_axis(window, "kernel_size", axes, 1)
    stride = _per_axis(window, "stride", axes, 1) if pool.arg("stride") else kernel
    lead, dilation = _per_axis(window, "padding", axes, 0), _per_axis(window, "dilation", axes, 1)
    rows = list(zip(kernel, stride, lead, dilation, strict=True))
    # `max_pool1d` puts the axis that it adds before its own, `max_unpool1d` behind it
    if rows[0] == (1, 1, 0, 1) and op.output_shape[2:] == (op.output_shape[2], 1):
        rows.reverse()
    for dim, numbers in enumerate(rows, 2):
        out = op.output_shape[dim]
        value = value.along(dim, partial(_transposed_window, out, *numbers), out)
    return value
