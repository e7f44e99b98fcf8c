"""Normalisation, activation, pooling, interpolation, reduction and losses: everything but products."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from inception_lab.formulas.terms import (
    Cost,
    Formula,
    first_output,
    optional_argument,
    per_element,
    per_input_element,
    rows,
)

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket


def _norm_of_groups(weight_arg: int) -> Formula:
    """4 per element, and 1 more where there is a weight, in both modes: nothing can be folded."""
    return lambda args, _: Cost(other_flops=args[0].numel() * (4 + (args[weight_arg] is not None)))


def _batch_norm(in_training: Callable[[Sequence[Any]], bool]) -> Formula:
    """2 per element in eval mode; in train mode 4, and 1 more where there is a weight."""

    def formula(args: Sequence[Any], _: Any) -> Cost:
        affine = args[1] is not None
        # in eval mode mean, variance, weight and bias fold into one scale and one shift
        return Cost(other_flops=args[0].numel() * ((4 + affine) if in_training(args) else 2))

    return formula


def _rms_norm(args: Sequence[Any], _: Any) -> Cost:
    """Square, sum and scale, and 1 more where there is a weight."""
    return Cost(other_flops=args[0].numel() * (3 + (optional_argument(args, 2) is not None)))


def _window(axes: int) -> Formula:
    """The size of the window for each output element; a single number holds for every axis."""

    def formula(args: Sequence[Any], out: Any) -> Cost:
        kernel = args[1] if isinstance(args[1], (list, tuple)) else [args[1]]
        window = prod(kernel) if len(kernel) > 1 else kernel[0] ** axes
        return Cost(other_flops=first_output(out).numel() * window)

    return formula


def _grid_sample(args: Sequence[Any], out: Tensor) -> Cost:
    """2 neighbours along each axis, the nearest alone, or 4."""
    # interpolation modes 0, 1 and 2 are linear, nearest and cubic; 0 to a power of axes stays 0
    neighbours = (2, 0, 4)[args[2]]
    return Cost(other_flops=out.numel() * neighbours ** (out.dim() - 2))


def _sort(args: Sequence[Any], _: Any) -> Cost:
    """A comparison per element for each halving of all elements, as XLA counts a sort."""
    size = args[0].numel()
    return Cost(other_flops=size * _halvings(size))


def _search(boundaries_arg: int) -> Formula:
    """A comparison per halving of the boundaries, for each value."""
    return lambda args, out: Cost(other_flops=out.numel() * _halvings(args[boundaries_arg].shape[-1] + 1))


def _halvings(size: int) -> int:
    """The logarithm of a size to base 2, rounded up."""
    return max(size - 1, 0).bit_length()


def _embedding_bag(args: Sequence[Any], _: Any) -> Cost:
    """An addition per element of each row that is read, and a multiplication where rows have weights."""
    has_weights = optional_argument(args, 6) is not None
    return Cost(other_flops=args[1].numel() * args[0].shape[1] * (1 + has_weights))


def _renormalised_rows(args: Sequence[Any], _: Any) -> Cost:
    """Power, sum and scale for each element of the rows that are looked up."""
    return Cost(other_flops=3 * args[1].numel() * args[0].shape[1])


def _distances(args: Sequence[Any], out: Tensor) -> Cost:
    """Difference, power and sum for each coordinate of each pair."""
    return Cost(other_flops=3 * out.numel() * args[0].shape[-1])


def _pairs_of_classes(args: Sequence[Any], _: Any) -> Cost:
    """Margin and sum for each pair of classes of a sample."""
    return Cost(other_flops=2 * args[0].numel() * args[0].shape[-1])


def _ctc_lattice(_: Sequence[Any], out: Sequence[Tensor]) -> Cost:
    """A sum of up to three predecessors and its own logarithm for each state (Graves et al., 2006)."""
    return Cost(other_flops=4 * out[1].numel())


_PER_ELEMENT = {
    1: """floor_divide rsub hardswish threshold _prelu_kernel log_sigmoid_forward
        rrelu_with_noise rrelu_with_noise_functional leaky_relu _conj_physical""",
    2: "_add_relu glu native_dropout _fused_dropout _masked_scale polar upsample_linear1d",
    3: "linalg_cross",
    4: "upsample_bilinear2d _upsample_bilinear2d_aa cudnn_grid_sampler",
    5: "_softmax _safe_softmax _log_softmax _masked_softmax",
    8: "upsample_trilinear3d",
    16: "upsample_bicubic2d _upsample_bicubic2d_aa",
}
"""Operations per output element; an interpolation has as many as it has neighbours.

Each holds for all overloads and for those of the in-place form. The last two of the first row are tagged as
element-wise by newer releases than PyTorch 2.11.
"""

_PER_INPUT_ELEMENT = {
    1: """mean sum nansum prod amax amin max min aminmax argmax argmin all any count_nonzero trace
        median nanmedian kthvalue mode topk histc bincount unique_consecutive unique_dim_consecutive
        segment_reduce cumsum cumprod cummax cummin _adaptive_avg_pool2d _adaptive_avg_pool3d
        mkldnn_adaptive_avg_pool2d adaptive_max_pool2d adaptive_max_pool3d""",
    2: """linalg_vector_norm norm native_norm mse_loss smooth_l1_loss huber_loss soft_margin_loss
        multi_margin_loss binary_cross_entropy binary_cross_entropy_with_logits batch_norm_elemt equal""",
    3: """var std var_mean std_mean batch_norm_stats batch_norm_update_stats renorm dist
        _weight_norm_interface""",
    4: "logsumexp logcumsumexp",
}
"""Operations per input element, by what an element goes through:

* 1: a reduction, a scan, a selection in linear time;
* 2: a norm (power and sum), a loss (its term, one as for any element-wise work, and the sum), and a
  test of equality (comparison and conjunction);
* 3: a variance (sum, square, sum of squares), a norm that scales its input;
* 4: a logarithm of a sum of exponentials (maximum, subtraction, exponential, sum).
"""


def _rows_by_number(
    make: Callable[[int], Formula], names: Mapping[int, str]
) -> dict[OpOverloadPacket, Formula]:
    """Return a table of the formulas that `make` makes of each number, for the operations beside it."""
    return {
        packet: formula
        for number, operations in names.items()
        for packet, formula in rows(make(number), operations).items()
    }


OTHER_FLOPS: dict[OpOverloadPacket, Formula] = {
    **_rows_by_number(per_element, _PER_ELEMENT),
    **_rows_by_number(per_input_element, _PER_INPUT_ELEMENT),
    **rows(_window(2), "max_pool2d_with_indices avg_pool2d mkldnn_max_pool2d fractional_max_pool2d"),
    **rows(_window(3), "max_pool3d_with_indices avg_pool3d mkldnn_max_pool3d fractional_max_pool3d"),
    **rows(
        _batch_norm(lambda args: bool(args[5])),
        """native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_functional cudnn_batch_norm
        miopen_batch_norm""",
    ),
    **rows(_batch_norm(lambda _: False), "_native_batch_norm_legit_no_training"),
    **rows(_batch_norm(lambda _: True), "_batch_norm_with_update _batch_norm_with_update_functional"),
    **rows(_batch_norm(lambda args: args[3] is None), "_batch_norm_no_update"),
    **_rows_by_number(_norm_of_groups, {1: "native_group_norm", 2: "native_layer_norm"}),
    **rows(_rms_norm, "_fused_rms_norm"),
    **rows(_grid_sample, "grid_sampler_2d grid_sampler_3d _grid_sampler_2d_cpu_fallback"),
    **rows(_sort, "sort _unique2 unique_dim"),
    **_rows_by_number(_search, {0: "searchsorted", 1: "bucketize"}),
    **rows(per_input_element(1, place=3), "scatter_add scatter_reduce index_add index_reduce"),
    **rows(_embedding_bag, "_embedding_bag _embedding_bag_forward_only"),
    **rows(_renormalised_rows, "embedding_renorm"),
    **rows(_distances, "_cdist_forward _pdist_forward"),
    **rows(_pairs_of_classes, "multilabel_margin_loss_forward"),
    **rows(_ctc_lattice, "_ctc_loss _cudnn_ctc_loss"),
}
