"""Shape rules: the layout that a hot operation gives, without running its meta kernel.

PyTorch's meta kernels are Python decompositions for many operations and cost up to a millisecond.
A rule answers the plain case alone (contiguous meta tensors of one floating dtype, valid arguments)
and returns None for every other one, which the kernel then answers or refuses in its own words.
Only operations whose outputs never share storage with their inputs have a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.running.layouts import Layout, dense_layout, layout_of

if TYPE_CHECKING:
    from torch._ops import OpOverload

aten = torch.ops.aten

OutputLayouts = Layout | tuple[Layout | None, ...] | None
Rule = Callable[[Sequence[Any]], OutputLayouts]


def output_layouts(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> OutputLayouts:
    """The layouts that `func` would return, or None where no rule is sure.

    A rule that stumbles met invalid arguments, which are the kernel's to refuse.
    """
    rule = RULES.get(func)
    try:
        return rule(args) if rule and not kwargs else None
    except (ArithmeticError, LookupError, ValueError):
        return None


def _plain(*tensors: Tensor | None) -> bool:
    """Contiguous meta tensors of one floating dtype, None among them allowed."""
    layouts = [layout_of(t) for t in tensors if t is not None]
    first = layouts[0].dtype
    return first.is_floating_point and all(
        x.dense and x.numel and x.device.type == "meta" and x.dtype is first for x in layouts
    )


def _pairs(sizes: Sequence[int], axes: int) -> list[int]:
    return list(sizes) if len(sizes) == axes else list(sizes) * axes


def _convolution(args: Sequence[Any]) -> OutputLayouts:
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    # a transposed weight has the channels of its input first; an input without a batch has an axis less
    if transposed or not _plain(x, weight, bias) or x.dim() != weight.dim() or x.dim() < 3:
        return None
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        return None
    axes = x.dim() - 2
    geometry = zip(
        x.shape[2:],
        weight.shape[2:],
        *(_pairs(sizes, axes) for sizes in (stride, padding, dilation)),
        strict=True,
    )
    # places, s apart, of a window that reaches over d (k - 1) + 1 positions of the padded input
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in geometry]
    return dense_layout([x.shape[0], weight.shape[0], *size], x.dtype) if min(size) > 0 else None


def _convolution_backward(args: Sequence[Any]) -> OutputLayouts:
    grad, x, weight, bias_sizes = args[:4]
    # args[10] is the output mask; without sizes of the bias only the kernel can tell its gradient
    if not _plain(grad, x, weight) or (args[10][2] and min(bias_sizes or [0]) < 1):
        return None
    shapes = (x.shape, weight.shape, bias_sizes)
    return tuple(
        dense_layout(shape, x.dtype) if wants_gradient else None
        for shape, wants_gradient in zip(shapes, args[10], strict=True)
    )


def _pooled(size: int, kernel: int, stride: int, padding: int, ceil_mode: bool) -> int:
    """Windows along one axis; rounding up, the last one must still begin inside the padded input."""
    # pooling_output_shape in aten/src/ATen/native/Pool.h: stride - 1 more rounds the quotient up
    out = (size + 2 * padding - kernel + (stride - 1 if ceil_mode else 0)) // stride + 1
    # such a window would read nothing but trailing padding
    return out - 1 if ceil_mode and (out - 1) * stride >= size + padding else out


def _pool(
    axes: int, x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], ceil: bool
) -> list[int] | None:
    if x.dim() != axes + 2 or not _plain(x):
        return None
    k, p = _pairs(kernel, axes), _pairs(padding, axes)
    s = _pairs(stride, axes) if stride else k
    if min(k) < 1 or min(s) < 1 or any(not 0 <= 2 * pad <= window for pad, window in zip(p, k, strict=True)):
        return None
    # whether padding makes up for it is for the kernel to say, which words the refusal too
    if any(window > size for window, size in zip(k, x.shape[2:], strict=True)):
        return None
    size = [_pooled(*axis, ceil) for axis in zip(x.shape[2:], k, s, p, strict=True)]
    return [*x.shape[:2], *size] if min(size) > 0 else None


def _defaults(args: Sequence[Any], *defaults: Any) -> list[Any]:
    """The arguments, those left out at the end filled in from the defaults of the last ones."""
    missing = len(args) - len(defaults)
    return [*args, *defaults[missing:]] if missing < 0 else list(args)


def _max_pool(axes: int) -> Rule:
    def rule(args: Sequence[Any]) -> OutputLayouts:
        x, kernel, stride, padding, dilation, ceil = _defaults(args, None, None, [], [0], [1], False)
        # `_pooled` takes a window to be as long as its kernel
        if list(dilation) not in ([1], [1] * axes):
            return None
        shape = _pool(axes, x, kernel, stride, padding, ceil)
        return (shape and (dense_layout(shape, x.dtype), dense_layout(shape, torch.int64))) or None

    return rule


def _avg_pool(axes: int) -> Rule:
    def rule(args: Sequence[Any]) -> OutputLayouts:
        x, kernel, stride, padding, ceil, _, divisor = _defaults(args, None, None, [], [0], False, True, None)
        shape = _pool(axes, x, kernel, stride, padding, ceil) if divisor != 0 else None
        return (shape and dense_layout(shape, x.dtype)) or None

    return rule


def _same(args: Sequence[Any]) -> OutputLayouts:
    """One tensor in, one of the same layout out; further arguments are Python numbers."""
    if not _plain(args[0]) or not all(isinstance(a, (int, float)) for a in args[1:]):
        return None
    return layout_of(args[0])


def _elementwise(args: Sequence[Any]) -> OutputLayouts:
    """Two tensors of one shape, or a tensor and a Python number."""
    x, y = args[:2]
    if not isinstance(y, Tensor):
        # a real number never changes the dtype of a floating tensor
        return layout_of(x) if isinstance(y, (int, float)) and _plain(x) else None
    return layout_of(x) if _plain(x, y) and x.shape == y.shape else None


def _cat(args: Sequence[Any]) -> OutputLayouts:
    tensors, axis = args[0], args[1] if len(args) > 1 else 0
    if not _plain(*tensors):
        return None
    shape = list(tensors[0].shape)
    along = range(len(shape))[axis]
    rest = (*shape[:along], None, *shape[along + 1 :])
    if any((*t.shape[:along], None, *t.shape[along + 1 :]) != rest for t in tensors):
        return None
    shape[along] = sum(t.shape[along] for t in tensors)
    return dense_layout(shape, tensors[0].dtype)


def _addmm(args: Sequence[Any]) -> OutputLayouts:
    bias, a, b = args
    # the second factor need not be contiguous: of a linear layer it is the transposed view of a weight
    if not _plain(bias, a) or a.dim() != 2 or b.dim() != 2 or b.dtype is not a.dtype or not b.is_meta:
        return None
    if a.shape[1] != b.shape[0] or tuple(bias.shape) != (b.shape[1],):
        return None
    return dense_layout([a.shape[0], b.shape[1]], a.dtype)


def _per_channel(x: Tensor, *tensors: Tensor | None) -> bool:
    """All plain, in a precision that batch norm's statistics share, one element per channel of `x`."""
    if not _plain(x, *tensors) or x.dim() < 2 or x.dtype not in (torch.float32, torch.float64):
        return False
    return all(t.shape == x.shape[1:2] for t in tensors if t is not None)


def _batch_norm(args: Sequence[Any]) -> OutputLayouts:
    x, weight, bias, mean, variance, training = args[:6]
    if not _per_channel(x, weight, bias, mean, variance):
        return None
    # one value per channel has no variance; eval mode normalises by the running statistics alone
    if x.numel() == x.shape[1] if training else mean is None or variance is None:
        return None
    statistics = dense_layout(x.shape[1:2], x.dtype)
    return layout_of(x), statistics, statistics


def _batch_norm_backward(args: Sequence[Any]) -> OutputLayouts:
    """None for what the mask leaves out, as by the kernels of real devices; the meta kernel makes it too.

    In half precision, weights and statistics may be of full precision.
    """
    grad, x, weight, *statistics, training = args[:8]
    mask = args[9]
    # running mean and variance come first, then mean and inverse deviation as the forward pass saved them
    normalised_by = statistics[2:] if training else statistics[:2]
    if not _plain(grad, x) or grad.shape != x.shape or x.dim() < 2:
        return None
    if not all(_plain(t) and t.shape == x.shape[1:2] for t in (weight, *statistics) if t is not None):
        return None
    if any(t is None for t in normalised_by) or (weight is None and any(mask[1:])):
        return None
    channels = dense_layout(x.shape[1:2], x.dtype if weight is None else weight.dtype)
    layouts = (layout_of(x), channels, channels)
    return tuple(
        layout if wants_gradient else None for layout, wants_gradient in zip(layouts, mask, strict=True)
    )


def _pad(args: Sequence[Any]) -> OutputLayouts:
    x, pad = args[:2]
    if not _plain(x) or min(pad) < 0 or not any(pad):
        return None
    shape = list(x.shape)
    # pairs go from the last axis to the first
    for axis, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True), start=1):
        shape[-axis] += before + after
    return dense_layout(shape, x.dtype)


def _mean(args: Sequence[Any]) -> OutputLayouts:
    """Over some axes of a tensor, each named once."""
    x, axes, keep = _defaults(args, None, None, False)
    if not _plain(x) or not axes:
        return None
    mean_axes = {axis % x.dim() for axis in axes}
    # the kernel refuses an axis that is named twice, also as 1 and -1, or that is not there
    if len(mean_axes) < len(axes) or not all(-x.dim() <= axis < x.dim() for axis in axes):
        return None
    remaining = [axis for axis in range(x.dim()) if keep or axis not in mean_axes]
    sizes = [1 if axis in mean_axes else x.shape[axis] for axis in remaining]
    return dense_layout(sizes, x.dtype)


RULES: dict[OpOverload, Rule] = {
    aten.convolution.default: _convolution,
    aten.convolution_backward.default: _convolution_backward,
    aten.max_pool2d_with_indices.default: _max_pool(2),
    aten.avg_pool2d.default: _avg_pool(2),
    aten.avg_pool3d.default: _avg_pool(3),
    aten.relu.default: _same,
    aten.pow.Tensor_Scalar: _same,
    aten.threshold_backward.default: lambda args: _elementwise(args[:2]),
    aten.add.Tensor: _elementwise,
    aten.mul.Tensor: _elementwise,
    aten.div.Tensor: _elementwise,
    aten.cat.default: _cat,
    aten.mean.dim: _mean,
    aten.addmm.default: _addmm,
    aten.native_batch_norm.default: _batch_norm,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
    aten.constant_pad_nd.default: _pad,
}
"""Rules by operation. Each is compared with its meta kernel by the tests."""
