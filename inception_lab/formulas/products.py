"""Convolutions and matrix products: the operations that are made of multiply-accumulates."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.utils.flop_counter import conv_flop_count

from inception_lab.formulas.terms import Cost, Formula, aten, optional_argument, rows

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket


def _convolution(args: Sequence[Any], out: Tensor) -> Cost:
    """Multiplications of the window at every output element; the bias is an addition to each of these."""
    x, weight, bias, _, _, _, transposed = args[:7]
    macs = conv_flop_count(x.shape, weight.shape, list(out.shape), transposed) // 2
    return Cost(macs, 0 if bias is None else out.numel())


def _kernel_of_a_backend(bias_arg: int | None, transposed: bool = False, extra: int = 0) -> Formula:
    """Formula for the convolution of one backend, which may fuse `extra` element-wise operations.

    Args:
        bias_arg: Place of the bias among the arguments; None where it does not take one.
        transposed: True for a transposed convolution.
        extra: Operations per output element after the bias.
    """

    def formula(args: Sequence[Any], out: Tensor) -> Cost:
        has_bias = bias_arg is not None and optional_argument(args, bias_arg) is not None
        macs = conv_flop_count(args[0].shape, args[1].shape, list(out.shape), transposed) // 2
        return Cost(macs, out.numel() * (has_bias + extra))

    return formula


def _convolution_backward(transposed_arg: int) -> Formula:
    """Cost of the forward, once for the input's gradient and once for the weight's.

    Both gradients run over the same pairs of an output element and a weight as the forward, grouped
    or not (Rumelhart et al., 1986; torch's own formula leaves the groups out, see pytorch/pytorch
    `conv_backward_flop`). The bias's gradient is a sum.
    """

    def formula(args: Sequence[Any], _: Any) -> Cost:
        grad, x, weight = args[:3]
        # the output mask comes after `transposed`, `output_padding` and `groups`
        needs_input, needs_weight, _ = args[transposed_arg + 3]
        forward = conv_flop_count(x.shape, weight.shape, grad.shape, args[transposed_arg]) // 2
        return Cost(macs=forward * (needs_input + needs_weight))

    return formula


def _convolution_over_time(args: Sequence[Any], out: Tensor) -> Cost:
    """Input of time x batch x channels, weight of kernel x channels in x channels out."""
    return Cost(out.numel() * prod(args[1].shape[:2]), out.numel())


def _product(args: Sequence[Any], out: Tensor) -> Cost:
    """A sum along the last axis of the first factor for each output element."""
    return Cost(macs=out.numel() * args[0].shape[-1])


def _linear(bias_arg: int) -> Formula:
    """A product, and an addition per output element where there is a bias."""

    def formula(args: Sequence[Any], out: Tensor) -> Cost:
        biases = 0 if optional_argument(args, bias_arg) is None else out.numel()
        return Cost(out.numel() * args[0].shape[-1], biases)

    return formula


def _sum_with_product(operations: int) -> Formula:
    """Formula for the second argument times the third, and so many operations per output element."""

    def formula(args: Sequence[Any], out: Tensor) -> Cost:
        columns = args[2].shape[-1] if args[2].dim() > 1 else 1
        return Cost(args[1].numel() * columns, operations * out.numel())

    return formula


def _outer(args: Sequence[Any], out: Tensor) -> Cost:
    """The product of a column and a row, added to a matrix."""
    return Cost(args[1].numel() * args[2].numel(), out.numel())


def _grouped_product(args: Sequence[Any], out: Tensor) -> Cost:
    """Products of groups, which divide the rows, the columns, or of two matrices the axis summed over."""
    # two matrices make one product for each group; else each row or column is in a single group
    groups = out.shape[0] if out.dim() > args[0].dim() else 1
    return Cost(macs=out.numel() // groups * args[0].shape[-1])


def _products(args: Sequence[Any], out: Sequence[Tensor]) -> Cost:
    return Cost(macs=sum(_product((x,), y).macs for x, y in zip(args[0], out, strict=True)))


def _linear_backward(grad_arg: int, input_arg: int) -> Formula:
    """Cost of the forward for each of the two gradients that the output mask asks for."""

    def formula(args: Sequence[Any], _: Any) -> Cost:
        forward: int = args[grad_arg].numel() * args[input_arg].shape[-1]
        output_mask = args[3]
        return Cost(macs=forward * sum(output_mask[:2]))

    return formula


def _one_gradient_of_linear(grad_arg: int) -> Formula:
    return lambda args, _: Cost(macs=args[grad_arg].numel() * args[2].shape[-1])


def _trilinear(args: Sequence[Any], _: Any) -> Cost:
    """Two factors multiplied and summed over the axes that the third lacks, then that by the third.

    This is the order in which PyTorch's kernel contracts (`Linear.cpp`, `_trilinear`).
    """
    new_axes = [set(axes) for axes in args[3:6]]
    shapes = [_with_ones(x.shape, axes) for x, axes in zip(args[:3], new_axes, strict=True)]
    # the third factor does not have these axes, so the sum over them comes before it
    summed_first = set(args[6]) & new_axes[2]
    first_product = list(map(max, shapes[0], shapes[1]))
    sums = [1 if axis in summed_first else size for axis, size in enumerate(first_product)]
    return Cost(macs=prod(first_product) + prod(map(max, sums, shapes[2])))


def _with_ones(shape: Sequence[int], axes: set[int]) -> list[int]:
    sizes = iter(shape)
    return [1 if axis in axes else next(sizes) for axis in range(len(shape) + len(axes))]


def _euclidean_distances(args: Sequence[Any], out: Tensor) -> Cost:
    """`torch.cdist` of more than 25 vectors: |a|^2 - 2ab + |b|^2 as a single product.

    The squared norms are two more coordinates of vectors of D, hence D + 2 (`Distance.cpp`). Both
    factors are squared and summed up, the first is scaled; the result is clamped, and its root taken.
    """
    first, second = args
    norms = 3 * first.numel() + 2 * second.numel()
    return Cost(out.numel() * (first.shape[-1] + 2), norms + 2 * out.numel())


_BACKENDS: dict[str, Formula] = {
    "cudnn_convolution": _kernel_of_a_backend(None),
    "cudnn_convolution_transpose": _kernel_of_a_backend(None, transposed=True),
    "cudnn_convolution_relu": _kernel_of_a_backend(2, extra=1),
    "cudnn_convolution_add_relu": _kernel_of_a_backend(4, extra=2),
    "mkldnn_convolution": _kernel_of_a_backend(2),
    "miopen_convolution": _kernel_of_a_backend(2),
    "miopen_depthwise_convolution": _kernel_of_a_backend(2),
    "miopen_convolution_transpose": _kernel_of_a_backend(2, transposed=True),
    "miopen_convolution_relu": _kernel_of_a_backend(2, extra=1),
    "miopen_convolution_add_relu": _kernel_of_a_backend(4, extra=2),
    "_nnpack_spatial_convolution": _kernel_of_a_backend(2),
    "_conv_depthwise2d": _kernel_of_a_backend(3),
    "conv_depthwise3d": _kernel_of_a_backend(3),
    "_slow_conv2d_forward": _kernel_of_a_backend(3),
    "slow_conv3d_forward": _kernel_of_a_backend(3),
    "slow_conv_dilated2d": _kernel_of_a_backend(3),
    "slow_conv_dilated3d": _kernel_of_a_backend(3),
    "slow_conv_transpose2d": _kernel_of_a_backend(3, transposed=True),
    "slow_conv_transpose3d": _kernel_of_a_backend(3, transposed=True),
}

PRODUCTS: dict[OpOverloadPacket, Formula] = {
    **rows(_convolution, "convolution _convolution convolution_overrideable"),
    **rows(_convolution_backward(7), "convolution_backward"),
    **rows(_convolution_backward(6), "convolution_backward_overrideable"),
    **{getattr(aten, name): formula for name, formula in _BACKENDS.items()},
    **rows(_convolution_over_time, "conv_tbc"),
    **rows(_product, "mm bmm mv dot vdot matmul _int_mm _weight_int8pack_mm _weight_int4pack_mm"),
    **rows(_product, "_weight_int4pack_mm_for_cpu affine_grid_generator"),
    **rows(_linear(2), "linear mkldnn_linear"),
    **rows(_linear(4), "_scaled_mm"),
    **rows(_linear(8), "_scaled_mm_v2"),
    **rows(_sum_with_product(1), "addmm addmv addbmm baddbmm"),
    **rows(_sum_with_product(2), "_addmm_activation"),
    **rows(_outer, "addr"),
    **rows(_grouped_product, "_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2"),
    **rows(_products, "_foreach_mm"),
    **rows(_linear_backward(1, 0), "linear_backward mkldnn_linear_backward"),
    **rows(_linear_backward(0, 1), "matmul_backward"),
    **rows(_one_gradient_of_linear(1), "mkldnn_linear_backward_input"),
    **rows(_one_gradient_of_linear(0), "mkldnn_linear_backward_weights"),
    **rows(_trilinear, "_trilinear"),
    **rows(_euclidean_distances, "_euclidean_dist"),
}
