"""The bytes of a storage while its writes are gone through again, and which of them are known."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from inception_lab.ir.trace import Storage, Value


class StorageImage:
    """The bytes of a storage after some of its writes, and which of them are known.

    Args:
        size: Bytes of the storage.
        content: Its bytes before the first write; None where they are not known.

    Attributes:
        writes: Number of writes so far.
    """

    def __init__(self, size: int, content: bytes | None) -> None:
        padded = -(-size // _ALIGNMENT) * _ALIGNMENT
        self.data = torch.zeros(padded, dtype=torch.uint8, device="cpu")
        self.known = torch.zeros_like(self.data)
        self.writes = 0
        if content:
            self.data[:size] = torch.frombuffer(bytearray(content), dtype=torch.uint8)
            self.known.fill_(255)

    def write(self, value: Value, result: Tensor | None) -> None:
        """Write a value into its place; None makes it unknown."""
        self.writes += 1
        known = _part(self.known, value, _MASKS[dtype_of(value).itemsize]).fill_(0)
        if result is not None:
            # known only once it is written, which fails where elements share a place
            _part(self.data, value, dtype_of(value)).copy_(result)
            known.fill_(_ALL_BITS)

    def read(self, value: Value) -> Tensor | None:
        """A copy of a value; None where a part of it is not known."""
        known = _part(self.known, value, _MASKS[dtype_of(value).itemsize])
        return _part(self.data, value, dtype_of(value)).clone() if bool((known == _ALL_BITS).all()) else None


_ALIGNMENT = 16
_ALL_BITS = -1
_MASKS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers of as many bytes as an element has."""


def _part(memory: Tensor, value: Value, dtype: torch.dtype) -> Tensor:
    return memory.view(dtype).as_strided(value.shape, value.strides, value.offset)


def dtype_of(value: Value) -> torch.dtype:
    """The element type of a value."""
    dtype: torch.dtype = getattr(torch, value.dtype)
    return dtype


def covers(value: Value, storage: Storage) -> bool:
    """True where a value holds all elements of its storage."""
    return prod(value.shape) * dtype_of(value).itemsize >= storage.bytes and 0 not in value.strides
