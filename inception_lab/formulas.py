"""What each operation costs: multiply-accumulates, or other operations by a published convention.

A MAC is one multiplication and one addition of a convolution, a linear layer or a matrix product.
Everything else is counted apart, never as MACs:

* an operation per output element for element-wise work, transcendental functions included, as XLA's
  HloCostAnalysis and DeepSpeed's flops profiler count them; the bias of a convolution or linear
  layer is one addition per output element;
* a window of k elements costs k operations per output: k - 1 comparisons or additions and, for the
  average, the division; the maximum pays the same for keeping the index;
* batch normalisation in eval mode is one multiplication and one addition per element, since mean,
  variance, weight and bias fold into a scale and a shift; in train mode 5 per element with the
  affine part, 4 without, as fvcore's `norm_flop_counter` counts every normalisation;
* softmax is 5 per element (maximum, subtraction, exponential, sum, division) and its logarithm the same.

Views, copies, factories and random masks cost nothing. Sources: fvcore `jit_handles.py`, XLA
`hlo_cost_analysis.cc`, `torch.utils.flop_counter`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils.flop_counter import conv_flop_count, flop_registry

aten = torch.ops.aten


class Cost(NamedTuple):
    """What one run of an operation costs; `counted` is False where no formula knows it."""

    macs: int = 0
    other_flops: int = 0
    counted: bool = True


Formula = Callable[[Sequence[Any], Any], Cost]
FREE = Cost()


def cost_of(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any], out: Any) -> Cost:
    """The cost of one operation.

    Args:
        func: The operation.
        args: Its positional arguments; tensors on any device.
        kwargs: Its keyword arguments.
        out: What it returned.
    """
    packet = func.overloadpacket
    if formula := FORMULAS.get(packet):
        return formula(args, out)
    if packet in FREE_OPS or func.is_view:
        return FREE
    if packet in flop_registry:
        return Cost(macs=flop_registry[packet](*args, **kwargs, out_val=out) // 2)
    if torch.Tag.pointwise in func.tags:
        return per_element(1)(args, out)
    return Cost(counted=False)


def per_element(operations: int) -> Formula:
    """So many operations for each element of the first output."""
    return lambda _, out: Cost(other_flops=operations * _first(out).numel())


def per_input_element(operations: int) -> Formula:
    """So many operations for each element of the first input."""
    return lambda args, _: Cost(other_flops=operations * args[0].numel())


def _first(out: Any) -> Tensor:
    return out if isinstance(out, Tensor) else next(t for t in out if t is not None)


def _convolution(args: Sequence[Any], out: Tensor) -> Cost:
    """MACs of the multiplications alone; the bias is an addition per output element."""
    x, weight, bias, _, _, _, transposed = args[:7]
    macs = conv_flop_count(x.shape, weight.shape, list(out.shape), transposed) // 2
    return Cost(macs, 0 if bias is None else out.numel())


def _convolution_backward(args: Sequence[Any], _: Any) -> Cost:
    """As much as the forward, once for the input's gradient and once for the weight's.

    Both gradients run over the same pairs of an output element and a weight as the forward, grouped
    or not (Rumelhart et al., 1986; torch's own formula leaves the groups out, see pytorch/pytorch
    `conv_backward_flop`). The bias's gradient is a sum.
    """
    grad, x, weight, _, _, _, _, transposed = args[:8]
    needs_input, needs_weight, _ = args[10]
    forward = conv_flop_count(x.shape, weight.shape, grad.shape, transposed) // 2
    return Cost(macs=forward * (needs_input + needs_weight))


def _addmm(args: Sequence[Any], out: Tensor) -> Cost:
    return Cost(macs=out.numel() * args[1].shape[1], other_flops=out.numel())


def _matrix_vector(args: Sequence[Any], _: Any) -> Cost:
    """A multiply-accumulate per element of the matrix, or of the first of two vectors."""
    return Cost(macs=args[0].numel())


def _group_or_layer_norm(weight_arg: int) -> Formula:
    """4 per element, and 1 more where there is a weight, in both modes: nothing can be folded."""
    return lambda args, _: Cost(other_flops=args[0].numel() * (4 + (args[weight_arg] is not None)))


def _batch_norm(training_arg: int | None) -> Formula:
    """2 per element in eval mode; in train mode 4, and 1 more where there is a weight."""

    def formula(args: Sequence[Any], _: Any) -> Cost:
        training = training_arg is not None and args[training_arg]
        affine = args[1] is not None
        return Cost(other_flops=args[0].numel() * ((4 + affine) if training else 2))

    return formula


def _window(axes: int) -> Formula:
    """The size of the window for each output element; a single number holds for every axis."""

    def formula(args: Sequence[Any], out: Any) -> Cost:
        kernel = args[1] if isinstance(args[1], (list, tuple)) else [args[1]]
        window = prod(kernel) if len(kernel) > 1 else kernel[0] ** axes
        return Cost(other_flops=_first(out).numel() * window)

    return formula


FORMULAS: dict[Any, Formula] = {
    aten.convolution: _convolution,
    aten._convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.addmm: _addmm,
    aten.mv: _matrix_vector,
    aten.dot: _matrix_vector,
    aten.vdot: _matrix_vector,
    aten.native_batch_norm: _batch_norm(5),
    aten._native_batch_norm_legit: _batch_norm(5),
    aten._native_batch_norm_legit_no_training: _batch_norm(None),
    aten.cudnn_batch_norm: _batch_norm(5),
    aten.native_group_norm: _group_or_layer_norm(1),
    aten.native_layer_norm: _group_or_layer_norm(2),
    aten.max_pool2d_with_indices: _window(2),
    aten.max_pool3d_with_indices: _window(3),
    aten.avg_pool2d: _window(2),
    aten.avg_pool3d: _window(3),
    aten._adaptive_avg_pool2d: per_input_element(1),
    aten._adaptive_avg_pool3d: per_input_element(1),
    aten.mean: per_input_element(1),
    aten.sum: per_input_element(1),
    aten.hardswish: per_element(1),
    aten.hardswish_: per_element(1),
    aten.threshold: per_element(1),
    aten.threshold_: per_element(1),
    aten._prelu_kernel: per_element(1),
    aten._softmax: per_element(5),
    aten._safe_softmax: per_element(5),
    aten._log_softmax: per_element(5),
    aten.amax: per_input_element(1),
    aten.amin: per_input_element(1),
    aten.max: per_input_element(1),
    aten.min: per_input_element(1),
    aten.prod: per_input_element(1),
    aten.cumsum: per_input_element(1),
}
"""Formulas by operation. To count one more, add its row."""

FREE_OPS = {
    aten.nll_loss_forward,
    aten.roll,
    aten.flip,
    aten.repeat,
    aten.index,
    aten.index_select,
    aten.gather,
    aten.embedding,
    aten.cat,
    aten.stack,
    aten.unsafe_split,
    aten.pixel_shuffle,
    aten.pixel_unshuffle,
    aten.channel_shuffle,
    aten.im2col,
    aten.upsample_nearest2d,
    aten.reflection_pad2d,
    aten.replication_pad2d,
    aten.constant_pad_nd,
    aten.clone,
    aten.copy_,
    aten.copy,
    aten._to_copy,
    aten._unsafe_view,
    aten._reshape_alias,
    aten.lift_fresh,
    aten.empty,
    aten.empty_like,
    aten.empty_strided,
    aten.new_empty,
    aten.new_empty_strided,
    aten.new_zeros,
    aten.new_ones,
    aten.new_full,
    aten.full,
    aten.full_like,
    aten.zeros,
    aten.zeros_like,
    aten.ones,
    aten.ones_like,
    aten.arange,
    aten.fill_,
    aten.zero_,
    aten.bernoulli_,
    aten.rand,
    aten.rand_like,
    aten.randn,
    aten.randn_like,
    aten.slice_backward,
    aten.select_backward,
    aten.native_batch_norm_backward,
    aten.cudnn_batch_norm_backward,
    aten.max_pool2d_with_indices_backward,
    aten.max_pool3d_with_indices_backward,
    aten.avg_pool2d_backward,
    aten.avg_pool3d_backward,
    aten._adaptive_avg_pool2d_backward,
    aten._adaptive_avg_pool3d_backward,
    aten.native_group_norm_backward,
    aten.native_layer_norm_backward,
    aten.upsample_nearest2d_backward,
    aten.reflection_pad2d_backward,
    aten.replication_pad2d_backward,
    aten._prelu_kernel_backward,
    aten.hardtanh_backward,
    aten.hardswish_backward,
    aten.hardsigmoid_backward,
    aten.leaky_relu_backward,
    aten.elu_backward,
    aten.softplus_backward,
    aten.nll_loss_backward,
    aten._log_softmax_backward_data,
    aten._softmax_backward_data,
}
"""Operations without MACs that are moves of data, or that run in the backward pass alone, where
only MACs are counted."""
