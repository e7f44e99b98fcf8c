"""Cost of operations that read or make a sparse tensor, by the elements that it stores.

A product costs a MAC for each pair of a stored element and what it meets: stored elements x columns where a
dense matrix follows, rows x stored elements where one goes before, and of two sparse matrices the pairs of an
element in a column of the first and one in that row of the second (Gustavson, ACM TOMS 4(3), 1978). Zeros
that are stored count, as the kernels multiply them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from inception_lab.formulas.by_layout import LayoutCosts, LayoutFormula
from inception_lab.formulas.sparse_layouts import (
    COMPRESSED_COLUMNS,
    COMPRESSED_ROWS,
    dense_parts,
    is_sparse,
    stored_elements,
)
from inception_lab.formulas.terms import Cost, packets, rows, tensors_of

if TYPE_CHECKING:
    from torch._ops import OpOverloadPacket


def has_sparse(args: Sequence[Any], out: Any) -> bool:
    """Tell if an operation reads a sparse tensor or makes one."""
    return any(map(is_sparse, tensors_of((*args, out))))


def product_macs(first: Tensor, second: Tensor) -> int | None:
    """Return the multiply-accumulates of a matrix product; None where no rule tells them.

    Args:
        first: Matrix, or batch of matrices.
        second: Matrix, batch of matrices, or vector.

    Example:
        >>> eye = torch.eye(3).to_sparse()
        >>> product_macs(eye, torch.ones(3, 5)), product_macs(torch.ones(2, 3), eye), product_macs(eye, eye)
        (15, 6, 3)
    """
    if is_sparse(first) and is_sparse(second):
        return _macs_of_two(first, second)
    if is_sparse(first):
        return stored_elements(first) * (second.shape[-1] if second.dim() > 1 else 1)
    if is_sparse(second):
        return first.shape[-2] * stored_elements(second)
    return first.numel() * (second.shape[-1] if second.dim() > 1 else 1)


def _macs_of_two(first: Tensor, second: Tensor) -> int | None:
    """Pairs of an element in column k of the first and one in row k of the second, for all k."""
    # blocks are multiplied whole, and how many stand in a batch no count tells
    has_blocks = any(matrix.layout in (torch.sparse_bsr, torch.sparse_bsc) for matrix in (first, second))
    if has_blocks or first.dim() > 2 or first.is_meta or second.is_meta:
        return None
    columns = _elements_of_each(first, 1)
    return int((columns * _elements_of_each(second, 0)).sum())


def _elements_of_each(matrix: Tensor, axis: int) -> Tensor:
    """Number of stored elements in each row (axis 0) or column (axis 1)."""
    if matrix.layout is torch.sparse_coo:
        # the kernel adds up elements at one place before it multiplies
        return torch.bincount(matrix.detach().coalesce()._indices()[axis], minlength=matrix.shape[axis])
    _, compressed, plain = dense_parts(matrix)
    along = COMPRESSED_ROWS if axis == 0 else COMPRESSED_COLUMNS
    if matrix.layout in along:
        return compressed.diff()
    return torch.bincount(plain, minlength=matrix.shape[axis])


def _product(place: int = 0, additions: int = 0) -> LayoutFormula:
    """Formula for the product of two arguments, the first at `place`, with additions per output element."""

    def formula(args: Sequence[Any], out: Any) -> Cost:
        macs = product_macs(args[place], args[place + 1])
        return Cost(counted=False) if macs is None else Cost(macs, additions * stored_elements(out))

    return formula


def _sampled_product(args: Sequence[Any], out: Tensor) -> Cost:
    """A row by a column for each element that the first argument stores, and their sum with it."""
    return Cost(stored_elements(out) * args[1].shape[-1], stored_elements(out))


def _reduced_product(args: Sequence[Any], out: Any) -> Cost:
    """A product whose terms are added up, or of which the mean or an extreme is taken."""
    terms = stored_elements(args[0]) * args[1].shape[-1]
    if args[2] in ("sum", "mean"):
        return Cost(terms, out[0].numel() * (args[2] == "mean"))
    return Cost(other_flops=2 * terms)


def _coalesce(args: Sequence[Any], out: Tensor) -> Cost:
    """An addition for each element that another one stands at the place of."""
    return Cost(other_flops=stored_elements(args[0]) - stored_elements(out))


def _element_wise(args: Sequence[Any], out: Any) -> Cost:
    """An operation per element that the result stores, or where that is dense the sparse term does."""
    results = tensors_of((out,))
    stored = next(filter(is_sparse, results), None)
    stored = stored if stored is not None else next(filter(is_sparse, tensors_of(args)))
    return Cost(other_flops=stored_elements(stored))


def _per_stored_element(operations: int) -> LayoutFormula:
    return lambda args, _: Cost(other_flops=operations * stored_elements(args[0]))


SPARSE_FORMULAS: dict[OpOverloadPacket, LayoutFormula] = {
    **rows(_product(), "mm bmm mv hspmm _sparse_sparse_matmul"),
    **rows(_product(1, additions=1), "addmm addmv _sparse_addmm sspaddmm"),
    **rows(_sampled_product, "sparse_sampled_addmm"),
    **rows(_reduced_product, "_sparse_mm_reduce_impl"),
    **rows(_coalesce, "_coalesce"),
    **rows(_per_stored_element(1), "sum _sparse_sum any all"),
    **rows(_per_stored_element(5), "_sparse_softmax _sparse_log_softmax"),
}
"""Formulas by operation. To count one more, add its row."""

FREE_SPARSE_OPS = frozenset(
    packets("""
        clone copy _to_copy cat stack index_select select narrow_copy resize_as_sparse copy_sparse_to_sparse
        _to_dense _to_sparse _to_sparse_csr _to_sparse_csc _to_sparse_bsr _to_sparse_bsc sparse_mask
        _sparse_mask_projection _indices _values indices values crow_indices col_indices ccol_indices
        row_indices sparse_compressed_tensor _sparse_compressed_tensor_unsafe _sparse_csr_tensor_unsafe
        _sparse_coo_tensor_with_dims _sparse_coo_tensor_with_dims_and_tensors _sparse_coo_tensor_unsafe
        sparse_resize sparse_resize_and_clear transpose t permute empty empty_like zeros zeros_like zero
        is_coalesced _coalesced embedding _sparse_broadcast_to lift_fresh
    """)
)
"""Moves of data, changes of layout, questions and factories."""

SPARSE_COSTS = LayoutCosts(SPARSE_FORMULAS, FREE_SPARSE_OPS, _element_wise)
