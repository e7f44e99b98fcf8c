"""Storages and tensor versions while a trace runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from threading import active_count
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.sparse_layouts import dense_parts, has_parts, is_sparse
from inception_lab.ir.trace import Kind, Value
from inception_lab.running import torch_internals
from inception_lab.running.layouts import Layout, layout_of
from inception_lab.running.pytree import tensors_within
from inception_lab.running.stand_ins import NoMetaForm
from inception_lab.tracing.external_contents import ExternalContents

Owners = dict[int, tuple[Kind, str]]
"""Kind and name of storages that belong to somebody, by id."""

MARK = "_inception_lab_version"
_new: Any = tuple.__new__  # a named tuple at half the price: its own constructor is Python code


class StorageState:
    """A storage while the trace runs: its current version, and when it was born and died."""

    __slots__ = (
        "__weakref__", "address", "born", "bytes", "current", "device", "dies", "id", "number", "storages",
        "values", "watch", "writer",
    )  # fmt: skip

    def __init__(
        self, storages: Storages, tensor: Tensor, born: int | None, values: StorageState | None = None
    ) -> None:
        storage = _storage_behind(tensor)
        # the storage of the values that the indices in this one belong to
        self.values = values
        self.storages: Any = storages  # None when the trace is over
        self.id, self.bytes = len(storages.states), storage.nbytes()
        self.born = self.writer = born
        self.dies: int | None = None
        self.number: int = 0
        self.current: list[Version] = []
        self.address: int = storage._cdata
        self.device = "cpu" if self.address == storages.on_host else ""
        # Told when the last tensor lets go of the storage, be it in the middle of an operation.
        self.watch: ref[Any] | None = ref(storage, self._died)
        storages.states.append(self)
        storages.alive[self.address] = self

    def _died(self, _: object) -> None:
        self.dies = len(self.storages.ops) - 1
        self.storages.alive.pop(self.address, None)

    def written(self, op: int) -> None:
        """Put every value so far out of date, as an operation wrote in place."""
        self.number += 1
        self.writer = op
        self.current.clear()

    def version(self, layout: Layout, offset: int) -> Version:
        """The newest current value of this layout at this place, a new one where there is none."""
        for version in reversed(self.current):
            if version.layout is layout and version.offset == offset:
                return version
        return self.new_version(layout, offset, self.writer)

    def new_version(self, layout: Layout, offset: int, op: int | None) -> Version:
        """A new value in this storage."""
        values: list[Value] = self.storages.values
        value, x = len(values), layout
        values.append(_new(Value, (value, self.id, op, x.shape, x.strides, offset, x.dtype_name)))
        version: Version = _new(Version, (value, self, self.number, layout, offset))
        self.current.append(version)
        return version


class Version(NamedTuple):
    """The mark of a tensor: its value, current as long as its storage has this number."""

    id: int
    storage: StorageState
    number: int
    layout: Layout
    offset: int


class Storages:
    """Every storage and tensor version that a trace has met.

    Args:
        ops: The operations so far, which grow while the trace runs.
        contents: Keeps those of tensors that are met for the first time and that no operation made.

    Attributes:
        values: The tensor versions, by id.
        states: The storages, by id.
        alive: The storages that are alive, by address.
        on_host: Address of the newest one that the model put on the host.
        of_others: The storages met that no operation made which was seen: those of a thread that is not
            followed, and of functions that make a tensor of Python's data.
    """

    def __init__(self, ops: Sequence[Any], contents: ExternalContents) -> None:
        self.ops, self.contents = ops, contents
        self.values: list[Value] = []
        self.states: list[StorageState] = []
        self.alive: dict[int, StorageState] = {}
        self.on_host: int | None = None
        self._marked: list[ref[Tensor]] = []
        self.of_others: set[int] = set()
        self._adopted = 0
        self._expected: set[int] = set()
        self._unregistered: dict[int, tuple[Tensor, Tensor | None]] = {}

    def expect_on_host(self, tensor: object) -> None:
        """Note that what the current operation makes lies on the host, as the model named the CPU."""
        if isinstance(tensor, Tensor) and tensor.is_meta:
            self.on_host = _storage_behind(tensor)._cdata

    def version_of(self, tensor: Tensor) -> Version:
        """The current version of a tensor, a new one where it was not met before."""
        version: Version | None = getattr(tensor, MARK, None)
        if version is not None:
            storage = version.storage
            if version.number == storage.number and storage.storages is self:
                return version
        if torch_internals.is_functorch_wrapped(tensor):
            return self.version_of(torch_internals.unwrap_functorch(tensor))
        if tensor.layout is torch.jagged:
            return self.version_of(_parts(tensor)[0])
        known = len(self.states)
        state = self.storage_of(tensor)
        if state.id >= known and self._is_of_others(tensor, state):
            self.of_others.add(state.id)
        version = state.version(layout_of(tensor), _offset(tensor))
        setattr(tensor, MARK, version)
        self._marked.append(ref(tensor))
        if tensor.requires_grad and tensor.is_leaf and state.born is None and state.id >= self._adopted:
            self._put_gradient_aside(tensor)
        return version

    def expect(self, tensors: Iterable[Tensor]) -> None:
        """Take note of tensors that a model holds unregistered, which the run may meet."""
        self._expected.update(_storage_behind(tensor)._cdata for tensor in tensors)

    def _is_of_others(self, tensor: Tensor, state: StorageState) -> bool:
        """True for a tensor that an operation made which was not seen, as in a thread that is not followed.

        Only operations make tensors with a gradient function, and those without data, but for functions that
        take Python's data.
        """
        if active_count() == 1 or state.address in self._expected:
            return False
        no_data = tensor.is_meta or isinstance(tensor, torch_internals.FakeTensor)
        return no_data or tensor.grad_fn is not None

    def _put_gradient_aside(self, unregistered: Tensor) -> None:
        """Keep the gradient of a tensor that is not the model's, the first time that it is met."""
        if id(unregistered) not in self._unregistered:
            self._unregistered[id(unregistered)] = unregistered, unregistered.grad
            unregistered.grad = None

    def adopt(self, tensor: Tensor) -> int:
        """Make a tensor known that is there before the first operation; returns its storage's id."""
        state = self.alive.get(_storage_behind(tensor)._cdata) or self._new_storage(tensor, None)
        values = _parts(tensor)[0] if tensor.layout is torch.jagged else tensor
        version = state.new_version(layout_of(values), _offset(values), None)
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        self._adopted = len(self.states)
        return state.id

    def adopt_all(self, tensors: Iterable[tuple[Kind, Mapping[str, Tensor]]]) -> Owners:
        """Make all that is there before the first operation known; returns kind and name of each storage."""
        existing: Owners = {}
        for kind, by_name in tensors:
            for name, tensor in by_name.items():
                existing.setdefault(self.adopt(tensor), (kind, name))
        return existing

    def storage_of(self, tensor: Tensor) -> StorageState:
        """The state of a tensor's storage; one not met before existed before the first operation."""
        return self.alive.get(_storage_behind(tensor)._cdata) or self._external_storage(tensor)

    def _external_storage(self, tensor: Tensor) -> StorageState:
        state = self._new_storage(tensor, None)
        # now, as the first operation that meets it may write to it
        self.contents.keep(state.id, tensor)
        return state

    def _new_storage(self, tensor: Tensor, born: int | None) -> StorageState:
        """The state of a new storage, for a sparse tensor that of its values; its indices have their own."""
        state = StorageState(self, tensor, born)
        if has_parts(tensor):
            for indices in _parts(tensor)[1:]:
                if _storage_behind(indices)._cdata not in self.alive:
                    StorageState(self, indices, born, state)
        return state

    def outputs(self, out: Any) -> tuple[int, ...]:
        """Values of the tensors that the current operation returned."""
        if isinstance(out, Tensor):
            return (self._output(out),)
        if isinstance(out, (list, tuple)):
            return tuple([self._output(tensor) for tensor in out if isinstance(tensor, Tensor)])
        return ()

    def _output(self, tensor: Tensor) -> int:
        state = self.alive.get(_storage_behind(tensor)._cdata)
        if state is None:
            state = self._new_storage(tensor, len(self.ops))
        version = state.new_version(layout_of(tensor), _offset(tensor), len(self.ops))
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        return version.id

    def fresh_output(self, tensor: Tensor, layout: Layout) -> int:
        """Value of a tensor in a storage that the current operation made."""
        op = len(self.ops)
        version = StorageState(self, tensor, op).new_version(layout, 0, op)
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        return version.id

    def write(self, tensor: Tensor) -> None:
        """Put every value of a tensor's storage out of date: the current operation writes to it."""
        storage = _storage_behind(tensor)
        state = self.alive.get(storage._cdata)
        if state is None and is_sparse(tensor):  # new values have taken the place of the old ones
            state = self._new_storage(tensor, len(self.ops))
        state = state or self._external_storage(tensor)
        state.bytes = max(state.bytes, storage.nbytes())  # it may have grown
        state.written(len(self.ops))

    def values_in(self, items: Sequence[Any]) -> tuple[int, ...]:
        """Values of the tensors among the items and within them."""
        if len(items) == 1 and isinstance(items[0], Tensor):
            return (self.version_of(items[0]).id,)
        values: list[int] = []
        for item in items:
            if isinstance(item, Tensor):
                values.append(self.version_of(item).id)
            elif isinstance(item, (list, tuple)):
                values += self.values_in(item)
            elif item is not None:
                values += [self.version_of(tensor).id for tensor in tensors_within(item)]
        return tuple(values)

    def release(self) -> None:
        """Take the marks off other people's tensors, and untie what refers to each other."""
        for reference in self._marked:
            if (tensor := reference()) is not None and getattr(tensor, MARK, None) is not None:
                delattr(tensor, MARK)
        for tensor, gradient in self._unregistered.values():
            tensor.grad = gradient
        self._unregistered.clear()
        for state in self.states:
            state.current.clear()
            state.storages = state.watch = None
        self.values.clear()
        self.states.clear()
        self.alive.clear()


def _storage_behind(tensor: Tensor) -> torch.UntypedStorage:
    """The storage of a tensor, of a sparse one that of its values."""
    if tensor.layout is torch.jagged:
        return _parts(tensor)[0].untyped_storage()
    try:
        return tensor.untyped_storage()
    except NotImplementedError as error:
        if is_sparse(tensor) and not tensor.is_meta:
            return _parts(tensor)[0].untyped_storage()
        if is_sparse(tensor):
            raise NoMetaForm from error
        kind = str(tensor.layout).removeprefix("torch.")
        raise InceptionLabError(
            f"a tensor of layout {kind} has no storage to follow",
            hint="convert it to a strided one",
            exit_code=MODEL_FAILED,
        ) from error


def _parts(tensor: Tensor) -> tuple[Tensor, ...]:
    """The values and indices of a sparse or jagged tensor, taken out unseen by the modes that are active."""
    with torch_internals.disable_current_modes():
        return dense_parts(tensor)


def _offset(tensor: Tensor) -> int:
    return 0 if is_sparse(tensor) or tensor.is_nested else int(tensor.storage_offset())
