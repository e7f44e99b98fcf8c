"""Tensors within whatever a model takes or returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor


def tensors_within(item: Any) -> Iterator[Tensor]:
    """The tensors in an item: itself, or those in its lists, tuples, sets, mappings and dataclasses.

    Example:
        >>> import torch
        >>> [t.item() for t in tensors_within({"a": [torch.tensor(1)], "b": (torch.tensor(2), "c")})]
        [1, 2]
    """
    if isinstance(item, Tensor):
        yield item
    elif isinstance(item, Mapping):
        for value in item.values():
            yield from tensors_within(value)
    elif isinstance(item, (list, tuple, set, frozenset, deque)):
        for value in item:
            yield from tensors_within(value)
    elif is_dataclass(item) and not isinstance(item, type):
        for field in fields(item):
            yield from tensors_within(getattr(item, field.name, None))
