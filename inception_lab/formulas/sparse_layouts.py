"""Sparse and nested tensors: the dense tensors of which they are made, and the elements that they store."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

_INDICES: Mapping[torch.layout, tuple[str, ...]] = MappingProxyType(
    {
        torch.sparse_coo: ("_indices",),
        torch.sparse_csr: ("crow_indices", "col_indices"),
        torch.sparse_bsr: ("crow_indices", "col_indices"),
        torch.sparse_csc: ("ccol_indices", "row_indices"),
        torch.sparse_bsc: ("ccol_indices", "row_indices"),
    }
)
"""The methods that give the indices of each layout."""

COMPRESSED_ROWS = frozenset({torch.sparse_csr, torch.sparse_bsr})
COMPRESSED_COLUMNS = frozenset({torch.sparse_csc, torch.sparse_bsc})
COMPRESSED = COMPRESSED_ROWS | COMPRESSED_COLUMNS


def is_sparse(tensor: Tensor) -> bool:
    """Tell if a tensor is of a sparse layout: COO, CSR, CSC, BSR or BSC.

    Example:
        >>> is_sparse(torch.eye(2).to_sparse()), is_sparse(torch.eye(2))
        (True, False)
    """
    return tensor.layout in _INDICES


def has_parts(tensor: Tensor) -> bool:
    """Tell if a tensor is made of several: a sparse one, or a nested one of layout `torch.jagged`.

    Example:
        >>> has_parts(torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged))
        True
    """
    return tensor.layout in _INDICES or tensor.layout is torch.jagged


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """Return the shape of a tensor; of a nested one that of its longest components, one behind another.

    Example:
        >>> shape_of(torch.nested.nested_tensor([torch.ones(2, 8), torch.ones(3, 8)], layout=torch.jagged))
        (2, 3, 8)
    """
    if not tensor.is_nested:
        return tuple(tensor.shape)
    shapes = [tuple(component.shape) for component in tensor.detach().unbind()]
    return (len(shapes), *map(max, zip(*shapes, strict=True)))


def dense_parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """Return the dense tensors in which a sparse or jagged one is stored, its values first.

    Of any other tensor that is itself.

    Example:
        >>> [tuple(part.shape) for part in dense_parts(torch.eye(3).to_sparse())]
        [(3,), (2, 3)]
    """
    if not has_parts(tensor):
        return (tensor,)
    if tensor.layout is torch.jagged:
        return _parts_of_jagged(tensor)
    with torch.no_grad():
        detached = tensor.detach()
        # those of a COO tensor that is not coalesced have underscores
        values = detached._values() if tensor.layout is torch.sparse_coo else detached.values()
        return (values, *(getattr(detached, name)() for name in _INDICES[tensor.layout]))


def _parts_of_jagged(tensor: Any) -> tuple[Tensor, ...]:
    with torch.no_grad():
        detached = tensor.detach()
        lengths = detached.lengths()
        return (detached.values(), detached.offsets(), *(() if lengths is None else (lengths,)))


def stored_elements(tensor: Tensor) -> int:
    """Return the number of elements that a tensor stores, zeros among them included; of a dense one all.

    Example:
        >>> stored_elements(torch.eye(3).to_sparse()), stored_elements(torch.eye(3))
        (3, 9)
    """
    return dense_parts(tensor)[0].numel()


def stored_bytes(tensor: Tensor) -> int:
    """Return the bytes of values and indices together.

    Example:
        >>> stored_bytes(torch.eye(3).to_sparse())  # 3 values of 4 bytes, 2 x 3 indices of 8
        60
    """
    return sum(part.numel() * part.element_size() for part in dense_parts(tensor))
