"""Cost of operations on nested tensors of the strided layout, whose components differ in size.

Those of layout `torch.jagged` are dense operations on all their values, and are met as such.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from inception_lab.formulas.by_layout import LayoutCosts, LayoutFormula
from inception_lab.formulas.terms import (
    Cost,
    first_output,
    optional_argument,
    packets,
    rows,
    tensors_of,
)

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket


def has_nested(args: Sequence[Any], out: Any) -> bool:
    """Tell if an operation reads a nested tensor or makes one."""
    return any(tensor.is_nested for tensor in tensors_of((*args, out)))


def _linear(args: Sequence[Any], out: Tensor) -> Cost:
    """Each output element is a row of the weight by one of the input, and a bias where there is one."""
    biases = 0 if optional_argument(args, 2) is None else out.numel()
    return Cost(out.numel() * args[1].shape[-1], biases)


def _linear_backward(args: Sequence[Any], _: Any) -> Cost:
    """The forward once for each of the two gradients that the output mask asks for."""
    _, gradient, weight, output_mask = args[:4]
    return Cost(macs=gradient.numel() * weight.shape[-1] * sum(output_mask[:2]))


def _matmul(args: Sequence[Any], out: Tensor) -> Cost:
    """A product for each pair of components."""
    pairs = zip(args[0].unbind(), out.unbind(), strict=True)
    return Cost(macs=sum(product.numel() * factor.shape[-1] for factor, product in pairs))


NESTED_FORMULAS: dict[OpOverloadPacket, LayoutFormula] = {
    **rows(_linear, "linear"),
    **rows(_linear_backward, "linear_backward"),
    **rows(_matmul, "matmul bmm"),
    **rows(lambda args, _: Cost(other_flops=5 * args[0].numel()), "_softmax _safe_softmax"),
}
"""Formulas by operation. To count one more, add its row."""

FREE_NESTED_OPS = frozenset(
    packets("""
        _nested_tensor_from_tensor_list _nested_tensor_size _nested_tensor_strides
        _nested_tensor_storage_offsets _nested_from_padded _nested_view_from_buffer_copy
        _nested_tensor_from_mask _nested_tensor_from_mask_left_aligned to_padded_tensor is_same_size unbind
        clone copy _to_copy empty_like zeros_like ones_like transpose detach values cat fill zero dropout
        native_dropout embedding select
    """)
)
"""Moves of data, questions and factories."""

NESTED_COSTS = LayoutCosts(
    NESTED_FORMULAS, FREE_NESTED_OPS, lambda _, out: Cost(other_flops=first_output(out).numel())
)
