"""A second run of the recorded operations whose results depend on nothing that changes.

They run on the CPU, from the contents that the trace keeps and from nothing, when somebody asks for a
value. Writes in place, through views too, are followed storage by storage.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from math import prod
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from inception_lab.analyzers.receptive_field.recorded_ops import (
    bound,
    flat,
    is_like,
    is_random,
    overload,
    unread_arguments,
    values_in,
    with_dtype,
    written_arguments,
)
from inception_lab.analyzers.receptive_field.storage_image import StorageImage, covers, dtype_of
from inception_lab.ir.trace import Op, Storage, Value

Array = np.ndarray[Any, np.dtype[Any]]

MOST_ELEMENTS = 1 << 22
"""Of a value that is computed."""
MOST_MACS = 1 << 26
"""Of an operation that runs again."""
MOST_WORK = 1 << 30
"""Elements and multiply-accumulates computed for one trace."""
MOST_KEPT = 1 << 25
"""Elements of intermediate results that are kept."""

UNINITIALISED = frozenset(
    {"empty", "empty_like", "empty_strided", "empty_permuted", "new_empty", "new_empty_strided"}
)
"""Operations whose results hold nothing until they are written."""
REFUSED = frozenset(
    {"from_file", "set", "resize", "_conj", "_neg_view"}
    | {"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"}
)
"""Operations that reach outside of the trace, give storages another meaning, or write without saying so."""


ANALYTIC = frozenset(
    {"add", "sub", "rsub", "mul", "div", "neg", "exp", "log", "sqrt", "rsqrt", "tanh", "sigmoid", "pow"}
    | {"masked_fill", "where", "tril", "triu", "copy", "clone", "_to_copy", "fill", "zero"}
    | {"cat", "stack", "index", "index_select", "gather", "index_put", "scatter", "slice_scatter"}
    | {"index_copy", "index_add", "index_fill", "scatter_add", "take"}
    | {"select_scatter", "flip", "roll", "repeat", "constant_pad_nd", "sum", "mean", "cumsum", "_softmax"}
    | {"mm", "bmm", "addmm", "baddbmm", "mv", "dot", "linalg_vector_norm", "_weight_norm_interface"}
)
"""Operations that make the same of two choices of weights only what depends on none."""


class _Write(NamedTuple):
    """One operation that makes a storage or writes to it.

    Attributes:
        op: The operation.
        value: The value written.
        argument: Name of the argument that it writes to; empty where it makes the storage.
        place: Among its results, where it makes the storage.
    """

    op: Op
    value: Value
    argument: str
    place: int


class Replay:
    """The writes into storages that may hold constants, and what has been computed of them so far.

    Args:
        ops: Of the trace.
        values: Of the trace.
        storages: Of the trace.
        contents: Give the bytes of storages from before the first operation, so many of them, by id.
        weights: Ids of those storages of which the numbers stand for any other ones. Operations that could
            make the same of different numbers do not run on them.

    Attributes:
        weights: Ids of the storages that depend on such numbers.
    """

    def __init__(
        self,
        ops: Sequence[Op],
        values: Sequence[Value],
        storages: Sequence[Storage],
        contents: Mapping[int, Callable[[int], bytes]],
        weights: Collection[int] = (),
    ) -> None:
        self.values, self.storages, self.contents = values, storages, contents
        self.weights = set(weights)
        self.foldable: set[int] = set()
        self.writes: dict[int, list[_Write]] = {}
        self._refused_since: dict[int, int] = {}
        self._arrays: dict[int, Array | None] = {}
        self._done: dict[int, int] = {}
        self._results: dict[tuple[int, int], Tensor | None] = {}
        self._images: dict[int, StorageImage] = {}
        self.work = self._kept = 0
        self._lock = RLock()
        self._candidates, self._with_contents = set(contents), set(contents)
        forward = [op for op in ops if op.phase == "forward"]
        self._end = len(forward)
        for op in forward:
            try:
                self._note(op)
            # an operation of another release of PyTorch, which takes other arguments
            except (AttributeError, LookupError, TypeError):
                self._refuse(op)

    # -------------------------------------------------------------- one pass over all operations

    def _note(self, op: Op) -> None:
        """Note what an operation writes, and if it can run again."""
        func = overload(op.name)
        if func is None or op.base_name in REFUSED:
            self._refuse(op)
            return
        read = self._storages_read(op, func)
        reads_weights = not read.isdisjoint(self.weights)
        is_foldable = (
            self._is_small(op, func)
            and read <= self._candidates
            and (not reads_weights or op.base_name in ANALYTIC)
        )
        if is_foldable:
            self.foldable.add(op.id)
        for write in self._writes_of(op, func):
            storage = write.value.storage
            self.writes.setdefault(storage, []).append(write)
            is_whole = write.argument == "" or covers(write.value, self.storages[storage])
            if is_foldable and is_whole:
                self._candidates.add(storage)
            elif is_whole:
                self._candidates.discard(storage)
            if reads_weights:
                self.weights.add(storage)

    def _refuse(self, op: Op) -> None:
        """Note that it is not known what an operation does to the storages that it is handed."""
        for value in (*op.reads, *op.writes):
            self._refused_since.setdefault(self.values[value].storage, op.id)

    def _writes_of(self, op: Op, func: Any) -> Iterator[_Write]:
        for place, value in enumerate(op.writes):
            if self.storages[self.values[value].storage].born == op.id:
                yield _Write(op, self.values[value], "", place)
        # binding is slow, and most operations write to nothing
        if names := written_arguments(func):
            arguments = self._arguments(func, op)
            for name in names:
                for target in values_in(arguments.get(name)):
                    yield _Write(op, target, name, 0)

    def _arguments(self, func: Any, op: Op) -> dict[str, Any]:
        """The arguments of an operation by name, with values in the places of tensors."""
        return bound(func, op, [self.values[read] for read in op.reads])

    def _is_small(self, op: Op, func: Any) -> bool:
        """True where an operation could run again, and what it reads and makes is not too large."""
        if func.namespace != "aten" or is_random(func) or op.macs > MOST_MACS:
            return False
        return all(prod(self.values[value].shape) <= MOST_ELEMENTS for value in (*op.reads, *op.writes))

    def _storages_read(self, op: Op, func: Any) -> set[int]:
        """The storages of which an operation reads the contents."""
        unread = unread_arguments(func, op.base_name)
        # binding is slow, and most operations read all that they are handed
        arguments = self._arguments(func, op) if unread else {}
        ignored = {value.id for name in unread for value in values_in(arguments.get(name))}
        return {self.values[read].storage for read in set(op.reads) - ignored}

    # -------------------------------------------------------------- contents on demand

    def array(self, value: int) -> Array | None:
        """The contents of a value; None where they are not known."""
        with self._lock:
            if value not in self._arrays:
                self._arrays[value] = self._computed(self.values[value])
            return self._arrays[value]

    def _computed(self, value: Value) -> Array | None:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            for op in sorted(self._needed(value), key=lambda op: op.id):
                with suppress(*_FAILURES):
                    self._run(op)
            try:
                return _as_array(self._read(value))
            except _FAILURES:
                return None
            finally:
                self._forget_when_full()

    def _needed(self, value: Value) -> list[Op]:
        """The operations that have to run for a value."""
        needed: dict[int, Op] = {}
        waiting = [value]
        while waiting:
            current = waiting.pop()
            first, stop = self._done.get(current.storage, 0), self._writes_before(current)
            self._done[current.storage] = max(first, stop)
            for write in self.writes.get(current.storage, ())[first:stop]:
                if write.op.id in self.foldable:
                    needed[write.op.id] = write.op
                    waiting += [self.values[read] for read in write.op.reads]
        return list(needed.values())

    def _writes_before(self, value: Value) -> int:
        """The number of writes into a value's storage that it has seen."""
        time = -1 if value.op is None else value.op
        return bisect_right(self.writes.get(value.storage, ()), time, key=lambda write: write.op.id)

    def _run(self, op: Op) -> None:
        """Run an operation once more; what it writes is known if all that it reads is."""
        func = overload(op.name)
        writes = list(self._writes_of(op, func))
        size = sum(prod(write.value.shape) for write in writes)
        self.work += size + op.macs
        if op.base_name in UNINITIALISED or self.work > MOST_WORK:
            return
        arguments, unread = self._arguments(func, op), unread_arguments(func, op.base_name)
        tensors = {
            name: _blank(argument) if name in unread else self._with_tensors(argument)
            for name, argument in arguments.items()
        }
        if any(tensor is _UNKNOWN for tensor in tensors.values()):
            return
        results = flat(func(**with_dtype(func, tensors, dtype_of(writes[0].value))))
        for write in writes:
            result = tensors[write.argument] if write.argument else results[write.place]
            if is_like(result, write.value):
                self._results[op.id, write.value.storage] = result
                self._kept += result.numel()
                self._with_contents.add(write.value.storage)

    def _with_tensors(self, argument: Any) -> Any:
        """The argument with a tensor for each value read; `_UNKNOWN` where one is not known."""
        if isinstance(argument, Value):
            tensor = self._read(argument)
            # the operation may write to it
            return _UNKNOWN if tensor is None else tensor.clone()
        if isinstance(argument, list):
            items = [self._with_tensors(item) for item in argument]
            return _UNKNOWN if any(item is _UNKNOWN for item in items) else items
        return argument

    def _read(self, value: Value) -> Tensor | None:
        """The contents of a value when it was read."""
        time, storage = -1 if value.op is None else value.op, value.storage
        if self._refused_since.get(storage, self._end) <= time or storage not in self._with_contents:
            return None
        writes, count = self.writes.get(storage, ()), self._writes_before(value)
        if count and writes[count - 1].value.id == value.id:
            return self._results.get((writes[count - 1].op.id, storage))
        image = self._images.get(storage)
        if image is None or image.writes > count:
            image = self._images[storage] = self._first_image(storage)
        for write in writes[image.writes : count]:
            image.write(write.value, self._results.get((write.op.id, storage)))
        return image.read(value)

    def _first_image(self, storage: int) -> StorageImage:
        size = self.storages[storage].bytes
        if size > MOST_ELEMENTS * 8:
            raise MemoryError
        return StorageImage(size, self.contents[storage](size) if storage in self.contents else None)

    def _forget_when_full(self) -> None:
        if self._kept > MOST_KEPT:
            self._done.clear()
            self._results.clear()
            self._images.clear()
            self._kept = 0


_UNKNOWN: Any = object()
_FAILURES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""Of operations that refuse what they once took, or need more memory than there is."""


def _blank(value: Value) -> Tensor:
    return torch.zeros(value.shape, dtype=dtype_of(value), device="cpu")


def _as_array(tensor: Tensor | None) -> Array | None:
    if tensor is None or tensor.is_complex():
        return None
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).contiguous().numpy()
    array.setflags(write=False)
    return array
