"""Rules of windows and of what changes the size of an axis: convolution, pooling, resizing, padding."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.axis_layout import none
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Rule, RuleContext, Unknown


def _sizes(op: RuleContext, name: str, axes: int, default: int) -> Sequence[int]:
    """An argument that is a number for all axes, a number per axis, or left out."""
    given = op.args.get(name)
    if given is None or given == ():
        given = default
    row = given if isinstance(given, tuple) else (given,)
    return row * axes if len(row) == 1 else row


def convolution(op: RuleContext) -> Dependence:
    """A convolution, transposed or not, of any number of axes; all channels of a group are mixed."""
    if op.given[0] is None or any(given is not None for given in op.given[1:]):
        return Unknown("a convolution by weights that depend on the input")
    kernel = op.shapes[1][2:]
    defaults = {"stride": 1, "padding": 0, "dilation": 1}
    stride, lead, dilation = (_sizes(op, name, len(kernel), least) for name, least in defaults.items())
    make = _spread if op.args.get("transposed") else _window
    groups, found = op.args.get("groups", 1), op.given[0].collapse([1]).with_dim(1, none(op.out[1]))
    if groups > 1 and op.given[0].axes_in([1]):
        found = found.as_bound("an axis lies among the channels of groups")
    for dim, *numbers in zip(range(2, len(op.out)), kernel, stride, lead, dilation, strict=True):
        found = found.along(dim, partial(make, op.out[dim], *numbers), op.out[dim])
    return found._replace(uneven=found.uneven and groups > 1)


def _window(out: int, kernel: int, stride: int, lead: int, dilation: int, size: int) -> axis_ops.AxisOp:
    if kernel == stride == 1 and not lead:
        return axis_ops.unmoved(size)
    return axis_ops.window(size, out, kernel, stride, lead, dilation, False)


def _spread(out: int, kernel: int, stride: int, lead: int, dilation: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.spread(size, out, kernel, stride, lead, dilation)


def pool(axes: int) -> Rule:
    """Pooling by a window, its last one rounded up where asked for."""

    def rule(op: RuleContext) -> Dependence:
        kernel = _sizes(op, "kernel_size", axes, 1)
        stride = _sizes(op, "stride", axes, 1) if op.args.get("stride") else kernel
        lead, dilation = _sizes(op, "padding", axes, 0), _sizes(op, "dilation", axes, 1)
        up, found = bool(op.args.get("ceil_mode")), op.first
        for dim, *numbers in zip(range(-axes, 0), kernel, stride, lead, dilation, strict=True):
            if numbers[:3] != [1, 1, 0]:
                found = found.along(dim, partial(_pooling_window, up, op.out[dim], *numbers), op.out[dim])
        return found

    return rule


def _pooling_window(
    rounding_up: bool, out: int, kernel: int, stride: int, lead: int, dilation: int, size: int
) -> axis_ops.AxisOp:
    return axis_ops.window(size, out, kernel, stride, lead, dilation, rounding_up)


def adaptive(axes: int) -> Rule:
    """Pooling to a given size."""

    def rule(op: RuleContext) -> Dependence:
        found = op.first
        for dim in range(-axes, 0):
            out = op.out[dim]
            make = partial(_adaptive_windows, out)
            found = found.collapse([dim]) if out == 1 else found.along(dim, make, out)
        return found

    return rule


def _adaptive_windows(out: int, size: int) -> axis_ops.AxisOp:
    return axis_ops.adaptive(size, out)


def resize(taps: int, centred: bool = True) -> Rule:
    """Interpolation by 1, 2 or 4 neighbours per axis."""

    def rule(op: RuleContext) -> Dependence:
        found, corners = op.first, bool(op.args.get("align_corners"))
        for axis, dim in enumerate(range(2, len(op.out))):
            out, factor = op.out[dim], _scale(op, axis)
            scale = 1 / factor if factor else Fraction(op.shapes[0][dim], out)
            make = partial(_neighbours, out, scale, taps, corners, centred)
            found = found.along(dim, make, out)
        return found

    return rule


def _neighbours(
    out: int, scale: Fraction, taps: int, corners: bool, centred: bool, size: int
) -> axis_ops.AxisOp:
    return axis_ops.resized(size, out, scale, taps, corners, centred)


def _scale(op: RuleContext, axis: int) -> Fraction | None:
    """The factor that was asked for along an axis, None where the sizes decide."""
    axes = len(op.out) - 2
    names = ["scales"] if axes == 1 else [f"scales_{letter}" for letter in "dhw"[-axes:]]
    given = (op.args.get("scale_factors") or [op.args.get(name) for name in names])[axis]
    return Fraction(given).limit_denominator(4096) if given else None


def pad(op: RuleContext) -> Dependence:
    """Constants put before and after."""
    pads, found = op.args["pad"], op.first
    for i in range(len(pads) // 2):
        lead, trail = pads[2 * i : 2 * i + 2]
        if lead or trail:
            dim = len(op.out) - 1 - i
            found = found.along(dim, partial(axis_ops.padded, lead=lead, trail=trail), op.out[dim])
    return found


def mirror(how: str) -> Rule:
    """The edge repeated or mirrored before and after."""

    def rule(op: RuleContext) -> Dependence:
        pads, found = op.args["padding"], op.first
        for i in range(len(pads) // 2):
            lead, trail = pads[2 * i : 2 * i + 2]
            dim = len(op.out) - 1 - i
            make = partial(axis_ops.mirrored, lead=lead, trail=trail, how=how)
            found = found.along(dim, make, op.out[dim])
        return found

    return rule
