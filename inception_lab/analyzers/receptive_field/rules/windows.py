"""Rules of windows and of resizing along an axis: convolution, pooling, interpolation, padding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import Geometry, plain_dim
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Rule, RuleContext, Unknown


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
    source = op.inputs[0]
    if source is None or any(weight is not None for weight in op.inputs[1:]):
        return Unknown("a convolution by weights that depend on the input")
    groups = op.args.get("groups", 1)
    # each output channel sums over input channels, and so over an axis that a view wrote among them
    geometry = source.collapse([1]).with_dim(1, plain_dim(op.output_shape[1]))
    if groups > 1 and source.axes_in([1]):
        geometry = geometry.as_bound("an axis lies among the channels of groups")
    geometry = _along_each_axis(op, geometry)
    # without groups every output channel sees the union of all input channels
    return geometry._replace(channels_differ=geometry.channels_differ and groups > 1)


def _along_each_axis(op: RuleContext, geometry: Geometry) -> Geometry:
    kernel = op.shapes[1][2:]
    axes = len(kernel)
    stride, dilation = _per_axis(op, "stride", axes, 1), _per_axis(op, "dilation", axes, 1)
    lead = _per_axis(op, "padding", axes, 0)
    make_op = _transposed_window if op.args.get("transposed") else _window
    for dim, *numbers in zip(range(2, 2 + axes), kernel, stride, lead, dilation, strict=True):
        out = op.output_shape[dim]
        geometry = geometry.along(dim, partial(make_op, out, *numbers), out)
    return geometry


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
        ceil_mode, geometry = bool(op.args.get("ceil_mode")), op.first
        for dim, *numbers in zip(range(-axes, 0), kernel, stride, lead, dilation, strict=True):
            out = op.output_shape[dim]
            # a window of one pixel changes nothing, as along the axis that `max_pool1d` adds
            if numbers[:3] != [1, 1, 0]:
                geometry = geometry.along(dim, partial(_pooling_window, ceil_mode, out, *numbers), out)
        return geometry

    return rule


def _pooling_window(
    ceil_mode: bool, out: int, kernel: int, stride: int, lead: int, dilation: int, size: int
) -> axis_ops.AxisOp:
    return axis_ops.window(size, out, kernel, stride, lead, dilation, ceil_mode)


def adaptive_pool(axes: int) -> Rule:
    """Pooling to a given size."""

    def rule(op: RuleContext) -> Dependence:
        geometry = op.first
        for dim in range(-axes, 0):
            out = op.output_shape[dim]
            # one window over the whole axis, whatever its size: all units are one
            if out == 1:
                geometry = geometry.collapse([dim])
            else:
                geometry = geometry.along(dim, partial(_adaptive_window, out), out)
        return geometry

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
        geometry, align_corners = op.first, bool(op.args.get("align_corners"))
        # the cubic kernel copies where all axes keep their size, as those of fewer taps do axis by axis
        reach = 1 if op.shapes[0][2:] == op.output_shape[2:] else taps
        for axis, dim in enumerate(range(2, len(op.output_shape))):
            out, factor = op.output_shape[dim], _scale_factor(op, axis)
            scale = 1 / factor if factor else Fraction(op.shapes[0][dim], out)
            make_op = partial(_neighbours, out, scale, reach, align_corners, half_pixel)
            geometry = geometry.along(dim, make_op, out)
        return geometry

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
    geometry = op.first
    for dim, lead, trail in _padded_dims(op, "pad"):
        if lead or trail:
            make_op = partial(axis_ops.zero_padding, lead=lead, trail=trail)
            geometry = geometry.along(dim, make_op, op.output_shape[dim])
    return geometry


def edge_padding(mode: str) -> Rule:
    """The edge repeated or mirrored before and after.

    Args:
        mode: `reflection` or `replication`.
    """

    def rule(op: RuleContext) -> Dependence:
        geometry = op.first
        for dim, lead, trail in _padded_dims(op, "padding"):
            make_op = partial(axis_ops.edge_padding, lead=lead, trail=trail, mode=mode)
            geometry = geometry.along(dim, make_op, op.output_shape[dim])
        return geometry

    return rule


def _padded_dims(op: RuleContext, name: str) -> list[tuple[int, int, int]]:
    """Each padded dimension with its leading and trailing padding; PyTorch lists the last one first."""
    pads = op.args[name]
    last = len(op.output_shape) - 1
    return [(last - i, *pads[2 * i : 2 * i + 2]) for i in range(len(pads) // 2)]
