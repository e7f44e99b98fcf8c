"""Outputs of the CPU's kernels where PyTorch's meta and fake kernels give others.

For many operations these are Python decompositions, which keep the order of an input's axes where a kernel
writes row by row or channels last, and make gradients that the output mask leaves out. A layout decides what
later operations have to copy. Every rule was found by running each operator and module of PyTorch's own test
databases on both kinds of tensors, and is compared with the real kernel by the tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.ir.strides import row_major
from inception_lab.running.layouts import Layout, intern_layout

if TYPE_CHECKING:
    from torch._ops import OpOverload

aten = torch.ops.aten

Layouts = tuple[Layout | None, ...]
Rule = Callable[[Sequence[Any], Layouts], Layouts]


def cpu_layouts(func: OpOverload, args: Sequence[Any], layouts: Layouts) -> Layouts:
    """The layouts of an operation's outputs as the CPU's kernel gives them.

    Args:
        func: The operation.
        args: Its positional arguments.
        layouts: Of its outputs, as PyTorch's meta or fake kernel gives them; None for an output that is not
            a tensor.
    """
    rule = RULES.get(func)
    return rule(args, layouts) if rule else layouts


def _with_strides(layout: Layout, strides: tuple[int, ...]) -> Layout:
    return intern_layout(layout.shape, strides, layout.dtype, layout.device.type)


def _row_by_row(args: Sequence[Any], layouts: Layouts) -> Layouts:
    """Outputs in row-major order, whatever that of the inputs."""
    del args
    return tuple(x and _with_strides(x, row_major(x.shape)) for x in layouts)


def _as_suggested(*places: int) -> Rule:
    """The first output channels last where one of these arguments suggests it, else in row-major order."""

    def rule(args: Sequence[Any], layouts: Layouts) -> Layouts:
        output, *others = layouts
        if output is None:
            return layouts
        last = any(suggests_channels_last(args[place]) for place in places)
        strides = _channels_last(output.shape) if last else row_major(output.shape)
        return (_with_strides(output, strides), *others)

    return rule


def _unchanged(args: Sequence[Any], layouts: Layouts) -> Layouts:
    """Outputs that lie as the meta kernel says, but are tensors of their own."""
    del args
    return layouts


def _like(place: int) -> Rule:
    """The first output in the order of this argument's axes."""

    def rule(args: Sequence[Any], layouts: Layouts) -> Layouts:
        output, *others = layouts
        strides = torch.empty_like(args[place], device="meta").stride()
        return (output and _with_strides(output, strides), *others)

    return rule


def _batch_norm_backward(args: Sequence[Any], layouts: Layouts) -> Layouts:
    """Only the outputs that the mask has; the gradient of the input lies as the input suggests."""
    return tuple(
        layout if is_needed else None
        for layout, is_needed in zip(_as_suggested(1)(args, layouts), args[9], strict=True)
    )


def _group_norm_backward(args: Sequence[Any], layouts: Layouts) -> Layouts:
    """The gradient of the input lies as the input suggests, in its dtype: by autocast not that of weights."""
    gradient, *others = _as_suggested(1)(args, layouts)
    dtype = args[1].dtype
    return (
        gradient and intern_layout(gradient.shape, gradient.strides, dtype, gradient.device.type),
        *others,
    )


def _convolution(args: Sequence[Any], layouts: Layouts) -> Layouts:
    """Channels last where source or weight is: `_determine_backend_memory_format` of Convolution.cpp."""
    # with three axes float64 takes the one kernel that writes row by row
    is_slow_3d = args[0].dim() == 5 and args[0].dtype is torch.float64
    return layouts if is_slow_3d else _as_suggested(0, 1)(args, layouts)


def suggests_channels_last(tensor: Tensor) -> bool:
    """True where kernels take a tensor of four or five axes to be channels last.

    That is `suggest_memory_format` of PyTorch's c10/core/TensorImpl.h: its axes lie in this order, gaps
    between them allowed.

    Args:
        tensor: Of any shape.

    Example:
        >>> images = torch.zeros(2, 8, 5, 5).to(memory_format=torch.channels_last)
        >>> suggests_channels_last(images[:, :4]), suggests_channels_last(images.contiguous())
        (True, False)
    """
    if tensor.dim() not in (4, 5) or tensor.stride(1) == 0 or tensor.numel() == 0:
        return False
    least = 0
    for axis in (1, *range(tensor.dim() - 1, 1, -1), 0):
        size, stride = tensor.shape[axis], tensor.stride(axis)
        # N111 and N11C lie in both orders: such tensors are row by row
        if stride < least or (axis == 0 and least == tensor.stride(1)):
            return False
        least = stride * max(size, 1)
    return True


def _channels_last(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of this shape with channels, the second axis, next to each other."""
    batch, channels, *size = shape
    first, *inner, last = row_major((batch, *size, channels))
    return (first, last, *inner)


_LIKE_SOURCE = _as_suggested(0)
# backward operations take the gradient first, then the input that its own gradient is like
_LIKE_INPUT = _as_suggested(1)

RULES: Mapping[OpOverload, Rule] = {
    aten.native_batch_norm.default: _LIKE_SOURCE,
    aten._native_batch_norm_legit.no_stats: _LIKE_SOURCE,
    aten._native_batch_norm_legit_no_training.default: _LIKE_SOURCE,
    aten.native_batch_norm_backward.default: _batch_norm_backward,
    aten.batch_norm_backward.default: _batch_norm_backward,
    aten.native_group_norm_backward.default: _group_norm_backward,
    aten.convolution.default: _convolution,
    aten.log_sigmoid_forward.default: _row_by_row,
    aten._log_softmax_backward_data.default: _row_by_row,
    aten.mse_loss_backward.default: _row_by_row,
    aten.huber_loss_backward.default: _row_by_row,
    aten.smooth_l1_loss_backward.default: _row_by_row,
    aten.mkldnn_rnn_layer_backward.default: _unchanged,
    aten.pow.Scalar: _row_by_row,
    aten.native_dropout_backward.default: _like(0),
    aten.pixel_shuffle.default: _LIKE_SOURCE,
    aten.channel_shuffle.default: _LIKE_SOURCE,
    aten.roll.default: _LIKE_SOURCE,
    aten.max_unpool2d.default: _LIKE_SOURCE,
    aten.reflection_pad2d.default: _LIKE_SOURCE,
    aten.reflection_pad3d.default: _LIKE_SOURCE,
    aten.replication_pad2d.default: _LIKE_SOURCE,
    aten.replication_pad3d.default: _LIKE_SOURCE,
    aten.reflection_pad2d_backward.default: _LIKE_INPUT,
    aten.reflection_pad3d_backward.default: _LIKE_INPUT,
    aten.replication_pad2d_backward.default: _LIKE_INPUT,
    aten.replication_pad3d_backward.default: _LIKE_INPUT,
}
"""Rules by operation."""
