"""Python's data that PyTorch puts on meta at once: `x[:, [0, 2]]`, `torch.tensor(data, device=x.device)`.

Such tensors have no data when the dispatcher first meets them. A second run of the forward watches the
functions that make them, which the first one must not: a function that is watched holds its arguments for
longer, so that tensors would die at other moments.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from inception_lab.running.layouts import Layout, layout_of
from inception_lab.tracing.storages import Storages

DATA_ARGUMENTS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {"tensor": (0, "data"), "as_tensor": (0, "data"), "asarray": (0, "obj"), "new_tensor": (1, "data")}
)
"""Place and name of the data among the arguments of the functions that make a tensor of it."""
INDEXING = frozenset({"__getitem__", "__setitem__"})
DTYPES: Mapping[torch.dtype, type[np.generic]] = MappingProxyType(
    {
        torch.bool: np.bool_,
        torch.uint8: np.uint8,
        torch.int8: np.int8,
        torch.int16: np.int16,
        torch.int32: np.int32,
        torch.int64: np.int64,
        torch.float16: np.float16,
        torch.float32: np.float32,
        torch.float64: np.float64,
    }
)


class WatchPythonData(TorchFunctionMode):
    """Notes the data of the tensors that functions make on meta while it is active.

    Args:
        storages: Of the run; its contents tell which of them have lost their data.
    """

    def __init__(self, storages: Storages) -> None:
        super().__init__()
        self._storages = storages
        self._indices: dict[int, bytes | None] = {}
        self._indexed: set[int] = set()
        # the tensors too, so that no other storage takes the address of theirs
        self._made: dict[int, tuple[Tensor, Any]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a function, and note the data of which it makes a tensor."""
        del types
        name = getattr(func, "__name__", "")
        before = len(self._storages.states)
        out = func(*args, **(kwargs or {}))
        if name in INDEXING:
            self._note_indices(before, args[1])
        elif name in DATA_ARGUMENTS and isinstance(out, Tensor) and out.is_meta:
            place, keyword = DATA_ARGUMENTS[name]
            data = args[place] if place < len(args) else (kwargs or {}).get(keyword)
            self._made[out.untyped_storage()._cdata] = out, data
        return out

    def _note_indices(self, before: int, index: Any) -> None:
        """Pair the storages that indexing has met with its lists, in order, where there are as many."""
        contents = self._storages.contents
        lost = [state for state in self._storages.states[before:] if state.id in contents.lost]
        # tensors that another function made are met here too
        lost = [state for state in lost if state.address not in self._made]
        self._indexed.update(state.id for state in lost)
        lists = [item for item in (index if isinstance(index, tuple) else (index,)) if _is_data(item)]
        if len(lost) == len(lists):
            for state, data in zip(lost, lists, strict=True):
                self._indices[state.id] = _bytes_of(state.current[0].layout, data)

    def storages(self) -> set[int]:
        """The ids of the storages that functions made of Python's data."""
        alive = self._storages.alive
        return self._indexed | {alive[address].id for address in self._made if address in alive}

    def by_storage(self) -> dict[int, bytes]:
        """The bytes of the storages of which the data are known, by id, as long as the run has them."""
        # the tensors are still there, so that no dead storage of this address is meant
        made = {
            self._storages.alive[address].id: _bytes_of(layout_of(tensor), data)
            for address, (tensor, data) in self._made.items()
            if address in self._storages.alive
        }
        contents = (self._indices | made).items()
        return {storage: content for storage, content in contents if content}


def _bytes_of(layout: Layout, data: Any) -> bytes | None:
    """Data as a tensor holds them; None where they are not plain, or not of its shape."""
    is_plain = isinstance(data, (int, float)) or _is_data(data)
    if not (is_plain and layout.dense and layout.dtype in DTYPES):
        return None
    array = np.asarray(data).astype(DTYPES[layout.dtype])
    return array.tobytes() if array.shape == tuple(layout.shape) else None


def _is_data(item: Any) -> bool:
    """True for an array, and for a sequence of numbers, of any nesting."""
    if isinstance(item, (np.ndarray, range)):
        return True
    if not isinstance(item, (list, tuple)):
        return False
    return all(isinstance(part, (int, float, np.generic)) or _is_data(part) for part in item)
