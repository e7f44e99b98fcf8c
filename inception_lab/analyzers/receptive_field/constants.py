"""Contents of values that depend neither on the input nor on weights: masks, indices, tables of numbers.

The recorded operations that make such a value run once more, on the CPU, from the contents that the trace
keeps and from nothing. Writes in place, through views too, are followed storage by storage.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from math import prod
from operator import attrgetter
from threading import RLock
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from inception_lab.ir.contents import unpacked
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import TENSOR, Op, Storage, Trace, Value

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
UNREAD = frozenset(
    {"copy", "fill", "zero", "zeros_like", "ones_like", "full_like", "empty_like"}
    | {"new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided"}
)
"""Operations that do not read the contents of their first input, but its shape."""
REFUSED = frozenset(
    {"from_file", "set", "resize", "_conj", "_neg_view"}
    | {"native_batch_norm", "cudnn_batch_norm", "miopen_batch_norm"}
)
"""Operations that reach outside of the trace, give storages another meaning, or write without saying so."""


def constant_of(trace: Trace, value: int, source: int | None = None) -> Array | None:
    """Return the contents of a value, where they are the same for every input and all weights.

    Args:
        trace: Of any mode; contents are told in its forward pass.
        value: Id of the value.
        source: Id of the input from which dependence is followed; masks and indices among the other inputs
            count as they were given then. None where no input counts.

    Returns:
        An array of the value's shape that cannot be written to, or None: it depends on the input, a
        weight or chance, the model has no data (it was built on meta), or it is too large. Numbers of
        bfloat16 come as float32.

    Example:
        >>> import inception_lab as il, torch
        >>> class Causal(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.masked_fill(torch.ones(2, 2).triu(1) > 0, 0.0)
        >>> trace = il.trace(Causal(), (1, 2, 2))
        >>> constant_of(trace, trace.ops[-1].reads[1]).tolist()
        [[False, True], [False, False]]
    """
    return _constants(trace, None if source is None else trace.values[source].storage).array(value)


@once_per_trace
def _constants(trace: Trace, source: int | None) -> _Constants:
    """The constants beside the input that lies in a storage."""
    contents = {
        storage: data
        for storage, data in trace.contents
        if trace.storages[storage].kind != "input" or source not in (None, storage)
    }
    return _Constants(trace.ops, trace.values, trace.storages, contents)


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


class _Constants:
    """The writes into storages that may hold constants, and what has been computed of them so far."""

    def __init__(
        self,
        ops: Sequence[Op],
        values: Sequence[Value],
        storages: Sequence[Storage],
        contents: Mapping[int, str],
    ) -> None:
        self.values, self.storages, self.contents = values, storages, contents
        self.foldable: set[int] = set()
        self.writes: dict[int, list[_Write]] = {}
        self._refused_since: dict[int, int] = {}
        self._arrays: dict[int, Array | None] = {}
        self._done: dict[int, int] = {}
        self._results: dict[tuple[int, int], Tensor | None] = {}
        self._images: dict[int, _Image] = {}
        self._work = self._kept = 0
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
        func = _overload(op.name)
        if func is None or op.base_name in REFUSED:
            self._refuse(op)
            return
        is_foldable = self._is_foldable(op, func)
        if is_foldable:
            self.foldable.add(op.id)
        for write in self._writes_of(op, func):
            storage = write.value.storage
            self.writes.setdefault(storage, []).append(write)
            covers = write.argument == "" or _covers(write.value, self.storages[storage])
            if is_foldable and covers:
                self._candidates.add(storage)
            elif covers:
                self._candidates.discard(storage)

    def _refuse(self, op: Op) -> None:
        """Note that it is not known what an operation does to the storages that it is handed."""
        for value in (*op.reads, *op.writes):
            self._refused_since.setdefault(self.values[value].storage, op.id)

    def _writes_of(self, op: Op, func: Any) -> Iterator[_Write]:
        for place, value in enumerate(op.writes):
            if self.storages[self.values[value].storage].born == op.id:
                yield _Write(op, self.values[value], "", place)
        # binding is slow, and most operations write to nothing
        if names := _written_arguments(func):
            arguments = self._arguments(func, op)
            for name in names:
                for target in _values_in(arguments.get(name)):
                    yield _Write(op, target, name, 0)

    def _arguments(self, func: Any, op: Op) -> dict[str, Any]:
        """The arguments of an operation by name, with values in the places of tensors."""
        return _bound(func, op, [self.values[read] for read in op.reads])

    def _is_foldable(self, op: Op, func: Any) -> bool:
        """True where all that an operation reads may be known, and its results are not too large."""
        if func.namespace != "aten" or _is_random(func) or op.macs > MOST_MACS:
            return False
        if any(prod(self.values[value].shape) > MOST_ELEMENTS for value in (*op.reads, *op.writes)):
            return False
        unread = _unread_arguments(func, op.base_name)
        arguments = self._arguments(func, op) if unread else {}
        ignored = {value.id for name in unread for value in _values_in(arguments.get(name))}
        return all(self.values[read].storage in self._candidates for read in set(op.reads) - ignored)

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
        func = _overload(op.name)
        writes = list(self._writes_of(op, func))
        size = sum(prod(write.value.shape) for write in writes)
        self._work += size + op.macs
        if op.base_name in UNINITIALISED or self._work > MOST_WORK:
            return
        arguments, unread = self._arguments(func, op), _unread_arguments(func, op.base_name)
        tensors = {
            name: _blank(argument) if name in unread else self._with_tensors(argument)
            for name, argument in arguments.items()
        }
        if any(tensor is _UNKNOWN for tensor in tensors.values()):
            return
        results = _flat(func(**_with_dtype(func, tensors, writes)))
        for write in writes:
            result = tensors[write.argument] if write.argument else results[write.place]
            if _is_like(result, write.value):
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

    def _first_image(self, storage: int) -> _Image:
        size = self.storages[storage].bytes
        if size > MOST_ELEMENTS * 8:
            raise MemoryError
        data = self.contents.get(storage)
        return _Image(size, None if data is None else unpacked(data, size))

    def _forget_when_full(self) -> None:
        if self._kept > MOST_KEPT:
            self._done.clear()
            self._results.clear()
            self._images.clear()
            self._kept = 0


class _Image:
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
        known = _part(self.known, value, _MASKS[_dtype(value).itemsize]).fill_(0)
        if result is not None:
            # known only once it is written, which fails where elements share a place
            _part(self.data, value, _dtype(value)).copy_(result)
            known.fill_(_ALL_BITS)

    def read(self, value: Value) -> Tensor | None:
        """A copy of a value; None where a part of it is not known."""
        known = _part(self.known, value, _MASKS[_dtype(value).itemsize])
        return _part(self.data, value, _dtype(value)).clone() if bool((known == _ALL_BITS).all()) else None


_ALIGNMENT = 16
_ALL_BITS = -1
_MASKS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Whole numbers of as many bytes as an element has."""


def _part(memory: Tensor, value: Value, dtype: torch.dtype) -> Tensor:
    return memory.view(dtype).as_strided(value.shape, value.strides, value.offset)


def _dtype(value: Value) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, value.dtype)
    return dtype


def _covers(value: Value, storage: Storage) -> bool:
    return prod(value.shape) * _dtype(value).itemsize >= storage.bytes and 0 not in value.strides


# ------------------------------------------------------------------------------ running an operation


_UNKNOWN: Any = object()
_FAILURES = (
    ArithmeticError, AssertionError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""Of operations that refuse what they once took, or need more memory than there is."""


def _blank(value: Value) -> Tensor:
    return torch.zeros(value.shape, dtype=_dtype(value), device="cpu")


@cache
def _overload(name: str) -> Any:
    """The operation of a name; None where this process does not have it."""
    try:
        return attrgetter(name)(torch.ops)
    except AttributeError:
        return None


@cache
def _is_random(func: Any) -> bool:
    takes_generator = any(argument.name == "generator" for argument in func._schema.arguments)
    return takes_generator or torch.Tag.nondeterministic_seeded in func.tags


@cache
def _unread_arguments(func: Any, base_name: str) -> frozenset[str]:
    """Names of the arguments whose contents an operation does not read."""
    arguments = func._schema.arguments
    outputs = [a.name for a in arguments if a.kwarg_only and a.alias_info and a.alias_info.is_write]
    return frozenset([*outputs, *([arguments[0].name] if base_name in UNREAD else [])])


@cache
def _written_arguments(func: Any) -> tuple[str, ...]:
    if torch.Tag.inplace_view in func.tags:  # such an operation gives a tensor another shape alone
        return ()
    return tuple(a.name for a in func._schema.arguments if a.alias_info and a.alias_info.is_write)


def _bound(func: Any, op: Op, tensors: Sequence[Any]) -> dict[str, Any]:
    """The arguments of an operation by name, the tensors among them in their places.

    Raises:
        LookupError: There are more or fewer tensors than arguments.
    """
    plain, waiting = dict(op.args), list(tensors)
    slots = [a for a in func._schema.arguments if _takes_tensors(a) and a.name not in plain]
    required = sum(not a.has_default_value() for a in slots)
    bound: dict[str, Any] = {}
    for argument in func._schema.arguments:
        name = argument.name
        if name in plain:
            bound[name] = _argument(name, plain[name], waiting)
        elif argument in slots:
            required -= not argument.has_default_value()
            if _takes_list(argument):
                count = len(waiting) - required
                bound[name] = [waiting.pop(0) for _ in range(count)]
            elif len(waiting) > required or not argument.has_default_value():
                bound[name] = waiting.pop(0)
    if waiting:
        raise LookupError(f"{op.name} reads more than its arguments")
    return bound


def _takes_tensors(argument: Any) -> bool:
    return "Tensor" in str(argument.type)


def _takes_list(argument: Any) -> bool:
    return "List" in str(argument.type)


def _argument(name: str, value: Any, waiting: list[Any]) -> Any:
    """An argument as PyTorch takes it, of what a trace keeps of it."""
    if name == "device":
        return torch.device("cpu")
    if isinstance(value, tuple):
        return [waiting.pop(0) if item == TENSOR else item for item in value]
    if isinstance(value, str) and value.startswith("torch."):
        return getattr(torch, value.removeprefix("torch."))
    return value


def _with_dtype(func: Any, arguments: dict[str, Any], writes: Sequence[_Write]) -> dict[str, Any]:
    """The arguments with the dtype that a factory gave, whatever is the default now."""
    names = {argument.name for argument in func._schema.arguments}
    if "dtype" in names and arguments.get("dtype") is None and writes:
        return arguments | {"dtype": _dtype(writes[0].value)}
    return arguments


def _values_in(argument: Any) -> list[Value]:
    items = argument if isinstance(argument, list) else [argument]
    return [item for item in items if isinstance(item, Value)]


def _flat(results: Any) -> list[Tensor]:
    """The tensors among an operation's results, in the order in which a trace writes them down."""
    if isinstance(results, Tensor):
        return [results]
    return [x for x in results if isinstance(x, Tensor)] if isinstance(results, (list, tuple)) else []


def _is_like(result: Any, value: Value) -> bool:
    """True for a plain tensor on the CPU that could be the value."""
    return (
        type(result) is Tensor
        and result.device.type == "cpu"
        and tuple(result.shape) == value.shape
        and result.dtype is _dtype(value)
    )


def _as_array(tensor: Tensor | None) -> Array | None:
    if tensor is None or tensor.is_complex():
        return None
    array: Array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).contiguous().numpy()
    array.setflags(write=False)
    return array
