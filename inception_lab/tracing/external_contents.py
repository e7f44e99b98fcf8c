"""Contents of tensors that a model has not registered, kept from before an operation can write to them."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

import torch
from torch import Tensor

from inception_lab.formulas.sparse_layouts import is_sparse
from inception_lab.running.layouts import Layout, layout_of

MOST_ELEMENTS = 1 << 22
"""Of a tensor whose contents are kept."""


class ExternalContents:
    """Contents of tensors that the model has not registered, from before they are first used.

    Args:
        originals: The tensor behind each stand-in, by the id of the stand-in.
        trusts_python: True where Python's data is the same in every run, as no tensor can be read.

    Attributes:
        by_storage: The bytes of each storage, by its id.
        stand_ins: Layout and original of the stand-in in each storage, by its id.
        lost: Ids of the storages that had no data when they were met, as PyTorch has put it on meta.
    """

    def __init__(self, originals: Mapping[int, Tensor], trusts_python: bool) -> None:
        self._originals, self._trusts_python = originals, trusts_python
        self.by_storage: dict[int, bytes] = {}
        self.stand_ins: dict[int, tuple[Layout, Tensor]] = {}
        self.lost: set[int] = set()

    def keep(self, storage: int, tensor: Tensor) -> None:
        """Keep the contents of a tensor's whole storage, unless they are weights or too many."""
        if id(tensor) in self._originals:
            self.stand_ins[storage] = layout_of(tensor), self._originals[id(tensor)]
        elif not self._trusts_python or may_be_trained(tensor):
            return
        elif tensor.is_meta:
            self.lost.add(storage)
        elif has_plain_data(tensor):
            memory = tensor.untyped_storage()
            # fake tensors have storages on meta
            if memory.device.type == "cpu" and memory.nbytes() <= MOST_ELEMENTS * tensor.dtype.itemsize:
                self.by_storage[storage] = bytes_in(memory)


def has_plain_data(tensor: Tensor) -> bool:
    """True for a strided tensor with numbers, which lie in its storage."""
    return not (tensor.is_meta or tensor.is_nested or is_sparse(tensor))


def may_be_trained(tensor: Tensor) -> bool:
    """True for weights, whose numbers no analysis may use."""
    return tensor.requires_grad or (isinstance(tensor, torch.nn.Parameter) and tensor.dtype.is_floating_point)


def bytes_in(memory: torch.UntypedStorage) -> bytes:
    """A copy of the bytes of a storage in the host's memory."""
    # not by operations on tensors, which would be recorded, or run on fake ones
    return ctypes.string_at(memory.data_ptr(), memory.nbytes()) if memory.nbytes() else b""
