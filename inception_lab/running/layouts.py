"""Layouts: shape, strides and dtype of a tensor as one object, made once and compared by identity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from inception_lab.formulas.sparse_layouts import is_sparse
from inception_lab.ir.strides import row_major


class Layout:
    """Shape, strides and dtype of tensors of one device kind; equal layouts are the same object."""

    __slots__ = ("dense", "device", "dtype", "dtype_name", "nbytes", "numel", "on_meta", "shape", "strides")

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype, device: str):
        self.shape, self.strides, self.dtype, self.device = shape, strides, dtype, torch.device(device)
        self.on_meta = device == "meta"
        self.dtype_name = str(dtype).removeprefix("torch.")
        self.numel = 1
        for size in shape:
            self.numel *= size
        self.nbytes = self.numel * dtype.itemsize
        self.dense = strides == row_major(shape)

    def make(self) -> Tensor:
        """A new tensor of this layout, in a storage of its own."""
        return torch.empty_strided(self.shape, self.strides, dtype=self.dtype, device=self.device)


_interned: dict[tuple[tuple[int, ...], tuple[int, ...], torch.dtype, str], Layout] = {}


def intern_layout(
    shape: tuple[int, ...], strides: tuple[int, ...], dtype: torch.dtype, device: str
) -> Layout:
    """The one layout of this shape, strides, dtype and device kind."""
    key = (shape, strides, dtype, device)
    layout = _interned.get(key)
    if layout is None:
        layout = _interned[key] = Layout(tuple(shape), strides, dtype, device)
    return layout


def layout_of(tensor: Tensor) -> Layout:
    """The layout of a tensor; a sparse one has -1 for strides, and a nested one the layout of its buffer."""
    device = "meta" if tensor.is_meta else tensor.device.type
    if tensor.is_nested:
        return intern_layout((tensor.numel(),), (1,), tensor.dtype, device)
    strides = (-1,) * tensor.dim() if is_sparse(tensor) else tensor.stride()
    return intern_layout(tensor.shape, strides, tensor.dtype, device)


def dense_layout(shape: Sequence[int], dtype: torch.dtype) -> Layout:
    """The layout of a contiguous meta tensor."""
    size = tuple(shape)
    return intern_layout(size, row_major(size), dtype, "meta")


def forget_layouts() -> None:
    """Forget every layout; those still in use then equal no new one."""
    _interned.clear()
