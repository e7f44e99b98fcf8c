"""Multiply-accumulates of products with a sparse matrix, counted by the kernel that multiplies them.

A product of matrices that hold a one for each element that is stored adds up a one for each
multiply-accumulate: a witness that knows nothing of our formulas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from inception_lab.formulas.sparse_layouts import dense_parts, is_sparse
from inception_lab.ir.operation_name import parse_operation_name

_FIRST_FACTOR: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("mm", "bmm", "mv", "hspmm", "_sparse_sparse_matmul"), 0),
        **dict.fromkeys(("addmm", "addmv", "_sparse_addmm", "sspaddmm"), 1),
    }
)
"""Place of the first factor among the arguments of each product, by base name."""


def sparse_product(operation: str, args: Sequence[Any]) -> int | None:
    """Return the multiply-accumulates of a product with a sparse factor; None of any other operation.

    Args:
        operation: Its name.
        args: Its positional arguments, on a device with data.

    Example:
        >>> sparse_product("aten.mm.default", [torch.eye(3).to_sparse(), torch.zeros(3, 5)])
        15
    """
    place = _FIRST_FACTOR.get(parse_operation_name(operation).base)
    if place is None:
        return None
    first, second = args[place : place + 2]
    if not is_sparse(first) and not is_sparse(second):
        return None
    both = is_sparse(first) and is_sparse(second)
    product = torch.matmul(_ones_like(first, both), _ones_like(second, both))
    # of integers, which floats hold exactly as long as there are fewer than 2 ** 53
    return int(dense_parts(product)[0].sum())


def _ones_like(matrix: Tensor, as_one: bool) -> Tensor:
    """A one for each stored element; `as_one` where the kernel adds up elements at one place first."""
    matrix = matrix.detach()
    if not is_sparse(matrix):
        return torch.ones(matrix.shape, dtype=torch.float64)
    if matrix.layout is torch.sparse_coo and as_one:
        matrix = matrix.coalesce()
    values, first, *second = dense_parts(matrix)
    ones = torch.ones(values.shape, dtype=torch.float64)
    if matrix.layout is torch.sparse_coo:
        return torch.sparse_coo_tensor(first, ones, matrix.shape)
    return torch.sparse_compressed_tensor(first, second[0], ones, matrix.shape, layout=matrix.layout)
