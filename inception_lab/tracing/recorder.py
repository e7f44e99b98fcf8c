"""The dispatch mode that writes down what runs: operations, tensor versions, storages and calls."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from threading import get_ident
from typing import Any, NamedTuple
from weakref import ref

import torch
from torch import Tensor, nn
from torch._C._functorch import get_unwrapped, is_functorch_wrapped_tensor
from torch._ops import OpOverload

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Phase, Value
from inception_lab.running.gradient_accumulation import ADD, ADD_IN_PLACE, LastReference, goes_twice
from inception_lab.running.layouts import Layout, layout_of
from inception_lab.running.pytree import tensors_within
from inception_lab.running.torch_internals import BareMode
from inception_lab.tracing.dispatch import Known, tensors_in

_sequence_number = torch._C._autograd._get_sequence_nr
_current_node = torch._C._current_autograd_node
NO_CALL = -1
ROOT_CALL = 0
MARK = "_inception_lab_version"
FAILED_IN = "_inception_lab_failed_in"
_new: Any = tuple.__new__  # a named tuple at half the price: its own constructor is Python code

OpRow = tuple[Known, Phase, int, tuple[int, ...], tuple[int, ...]]
Answers = Callable[[OpOverload, tuple[Any, ...], Sequence[Any], dict[str, Any]], tuple[Known, Any]]
Adapt = Callable[[OpOverload, Sequence[Any], dict[str, Any]], "Adapted"]


class Adapted(NamedTuple):
    """The arguments with which an operation runs.

    Attributes:
        args: Positional arguments.
        kwargs: Keyword arguments.
        originals: The tensors in whose place others were put, by the id of what took it.
    """

    args: Sequence[Any]
    kwargs: dict[str, Any]
    originals: Mapping[int, Tensor]


class StorageState:
    """A storage while the trace runs: its current version, and when it was born and died."""

    __slots__ = (
        "__weakref__", "address", "born", "bytes", "current", "dies", "id", "number", "recorder", "watch",
        "writer",
    )  # fmt: skip

    def __init__(self, recorder: Recorder, tensor: Tensor, born: int | None) -> None:
        storage = _memory_of(tensor)
        self.recorder: Any = recorder  # None when the trace is over
        self.id, self.bytes = len(recorder.storages), storage.nbytes()
        self.born = self.writer = born
        self.dies: int | None = None
        self.number: int = 0
        self.current: list[Version] = []
        self.address: int = storage._cdata
        self.watch: ref[Any] | None = ref(storage, self._died)
        recorder.storages.append(self)
        recorder.alive[self.address] = self

    def _died(self, _: object) -> None:
        self.dies = len(self.recorder.ops) - 1
        self.recorder.alive.pop(self.address, None)

    def written(self, op: int) -> None:
        """An operation wrote in place: every value read so far is out of date."""
        self.number += 1
        self.writer = op
        self.current.clear()

    def version(self, layout: Layout, offset: int) -> Version:
        """The newest current value of this layout at this place, made where there is none."""
        for version in reversed(self.current):
            if version.layout is layout and version.offset == offset:
                return version
        return self.new_version(layout, offset, self.writer)

    def new_version(self, layout: Layout, offset: int, op: int | None) -> Version:
        """A new value in this storage."""
        values: list[Value] = self.recorder.values
        value, x = len(values), layout
        values.append(_new(Value, (value, self.id, op, x.shape, x.strides, offset, x.dtype_name)))
        version: Version = _new(Version, (value, self, self.number, layout, offset))
        self.current.append(version)
        return version


class Version(NamedTuple):
    """What a tensor is marked with: its value, current as long as its storage has this number."""

    id: int
    storage: StorageState
    number: int
    layout: Layout
    offset: int


class CallState:
    """A module call while the trace runs."""

    __slots__ = ("id", "inputs", "kind", "module", "outputs", "parent", "path")

    def __init__(
        self, recorder: Recorder, module: nn.Module | None, path: str, kind: str, inputs: tuple[int, ...]
    ) -> None:
        calls, stack = recorder.calls, recorder.stack
        self.id, self.module, self.path, self.kind, self.inputs = len(calls), module, path, kind, inputs
        self.parent = stack[-1].id if stack else None
        self.outputs: tuple[int, ...] = ()
        calls.append(self)


class AutocastMet(BaseException):
    """A forward that runs under autocast, of which meta tensors know nothing."""


class Recorder(BareMode):
    """Records every operation dispatched while it is active, and the module calls around it.

    Args:
        answers: What runs an operation, see `answers`.
        adapt: Changes the arguments of operations that make or meet a tensor of another device.
        differentiable: Whether autograd nodes are made, so that backward operations find their call.
        most_macs: After how many multiply-accumulates on data to give up.
        heeds_autocast: Whether autocast has its effect on the tensors that run.
    """

    def __init__(
        self, answers: Answers, adapt: Adapt, differentiable: bool, most_macs: float, heeds_autocast: bool
    ) -> None:
        super().__init__()
        self.heeds_autocast = heeds_autocast
        self.answers, self.adapt, self.differentiable = answers, adapt, differentiable
        self.macs_left = most_macs
        self.phase: Phase = "forward"
        self.nobody = NO_CALL
        self.ops: list[OpRow] = []
        self.values: list[Value] = []
        self.storages: list[StorageState] = []
        self.alive: dict[int, StorageState] = {}
        self.calls: list[CallState] = []
        self.stack: list[CallState] = []
        self.boundaries: list[int] = []
        self.boundary_calls: list[int] = []
        self._marked: list[ref[Tensor]] = []
        self._met_data = False
        self._adopted = 0
        self._node = self._node_from = NO_CALL
        self._last_reference = LastReference()
        self._strangers: dict[int, tuple[Tensor, Tensor | None]] = {}

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Answer one operation and write it down."""
        composite = _is_composite(func)
        if composite is None:
            return func(*args, **(kwargs or {}))
        if composite:  # as on tensors made in inference mode: on all others it is taken apart
            with self:
                return func.decompose(*args, **(kwargs or {}))
        call = self._current_call()
        if func is ADD and self._adds_in_place(args):
            func = ADD_IN_PLACE
        reads: list[int] = []
        key: list[Any] = [id(func)]  # the overload's own hash is Python code
        self._met_data = False
        self._scan(args, reads, key)
        if kwargs:
            key += kwargs
            self._scan(kwargs.values(), reads, key)
        kwargs = kwargs or {}
        if kwargs or self._met_data or not reads:
            known, out = self._adapted(func, key, args, kwargs)
        else:
            known, out = self.answers(func, tuple(key), args, kwargs)
        if known.writes_to:
            self._wrote_in_place(known, args, kwargs)
        layout = known.outputs
        writes = (self._fresh(out, layout),) if isinstance(layout, Layout) else self._outputs(out)
        self.ops.append((known, self.phase, call, tuple(reads), writes))
        return out

    def _adapted(
        self, func: OpOverload, key: list[Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[Known, Any]:
        """Answer an operation whose arguments may have to change first."""
        adapted = self.adapt(func, args, kwargs)
        known, out = self.answers(func, tuple(key), adapted.args, adapted.kwargs)
        self.macs_left -= known.cost.macs
        if self.macs_left < 0:
            raise InceptionLabError(
                "it cannot run on meta tensors, and for real it takes too long",
                hint="trace it on a smaller input",
                exit_code=MODEL_FAILED,
            )
        return known, adapted.originals.get(id(out), out)

    def _scan(self, args: Iterable[Any], reads: list[int], key: list[Any]) -> None:
        """Collect the values read, and what tells this operation's arguments from others."""
        for arg in args:
            kind = arg.__class__
            if kind is list or kind is tuple:
                if arg and not isinstance(arg[0], (int, float)):
                    key.append(len(arg))
                    self._scan(arg, reads, key)
                else:
                    key.append(tuple(arg))
            elif isinstance(arg, Tensor):
                version = self.version_of(arg)
                reads.append(version.id)
                key.append(version.layout)
                if not version.layout.on_meta:
                    self._met_data = True
            else:
                key.append(kind)
                key.append(arg)

    def version_of(self, tensor: Tensor) -> Version:
        """The current version of a tensor, made where it was not seen before."""
        version: Version | None = getattr(tensor, MARK, None)
        if version is not None:
            storage = version.storage
            if version.number == storage.number and storage.recorder is self:
                return version
        if is_functorch_wrapped_tensor(tensor):
            return self.version_of(get_unwrapped(tensor))
        state = self.storage_of(tensor)
        version = state.version(layout_of(tensor), int(tensor.storage_offset()))
        setattr(tensor, MARK, version)
        self._marked.append(ref(tensor))
        if tensor.requires_grad and tensor.is_leaf and state.born is None and state.id >= self._adopted:
            self._lend(tensor)
        return version

    def _lend(self, stranger: Tensor) -> None:
        """Put the gradient of a tensor of somebody else aside, the first time that it is met."""
        if id(stranger) not in self._strangers:
            self._strangers[id(stranger)] = stranger, stranger.grad
            stranger.grad = None

    def adopt(self, tensor: Tensor) -> int:
        """Make a tensor known that is there before the first operation; returns its storage's id."""
        storage = self.storage_of(tensor)
        version = storage.new_version(layout_of(tensor), int(tensor.storage_offset()), None)
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        self._adopted = len(self.storages)
        return storage.id

    def storage_of(self, tensor: Tensor) -> StorageState:
        """The state of a tensor's storage; one not seen before existed before the first operation."""
        return self.alive.get(_memory_of(tensor)._cdata) or StorageState(self, tensor, None)

    def _outputs(self, out: Any) -> tuple[int, ...]:
        """Values of the tensors that an operation returned."""
        if isinstance(out, Tensor):
            return (self._output(out),)
        if isinstance(out, (list, tuple)):
            return tuple([self._output(tensor) for tensor in out if isinstance(tensor, Tensor)])
        return ()

    def _output(self, tensor: Tensor) -> int:
        storage = self.alive.get(_memory_of(tensor)._cdata)
        if storage is None:
            storage = StorageState(self, tensor, len(self.ops))
        version = storage.new_version(layout_of(tensor), int(tensor.storage_offset()), len(self.ops))
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        return version.id

    def _fresh(self, tensor: Tensor, layout: Layout) -> int:
        """Value of a tensor in a storage that the current operation made."""
        op = len(self.ops)
        version = StorageState(self, tensor, op).new_version(layout, 0, op)
        tensor._inception_lab_version = version  # type: ignore[attr-defined]
        return version.id

    def _wrote_in_place(self, known: Known, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Every value of the storages written to is out of date from here on."""
        for place, name in known.writes_to:
            written = args[place] if place < len(args) else kwargs.get(name)
            for tensor in (written,) if isinstance(written, Tensor) else tensors_in((written,)):
                state = self.storage_of(tensor)
                state.bytes = max(state.bytes, tensor.untyped_storage().nbytes())  # it may have grown
                state.written(len(self.ops))

    def _current_call(self) -> int:
        """The call that an operation dispatched now belongs to.

        In the forward pass that is the innermost one. In the backward pass, the sequence number of the
        autograd node that runs tells within which call it was made, and a node that accumulates a
        gradient names its parameter, which leads to the call that read it.
        """
        if self.stack:
            return self.stack[-1].id
        if self.phase == "forward":
            return ROOT_CALL  # a hook of the model itself
        node = _current_node() if self.phase == "backward" else None
        if node is None:
            return self.nobody
        number = self._entered(node)
        if (parameter := getattr(node, "variable", None)) is not None:
            return self.readers.get(self.storage_of(parameter).id, self.nobody)
        last = bisect_right(self.boundaries, number) - 1
        call = self.boundary_calls[last] if last >= 0 else NO_CALL
        return self.nobody if call == NO_CALL else call

    def _entered(self, node: Any) -> int:
        """The number of the autograd node that runs; notes from which operation on it does."""
        number: int = node._sequence_nr()
        if number != self._node:
            self._node, self._node_from = number, len(self.ops)
        return number

    def _adds_in_place(self, args: Sequence[Any]) -> bool:
        """Whether autograd's engine adds to a gradient that nobody else needs."""
        node: Any = _current_node()
        if node is None:
            return False
        self._entered(node)
        writer = self.values[self.version_of(args[0]).id].op
        if writer is None or (writer >= self._node_from and not goes_twice(node)):
            return False
        self._node_from = len(self.ops) + 1
        return self._last_reference.is_to(args)

    def begin_backward(self) -> None:
        """From here on operations run backward; those without a call have one of their own."""
        self.phase = "backward"
        self.nobody = CallState(self, None, "(backward)", "backward", ()).id

    @cached_property
    def readers(self) -> dict[int, int]:
        """The last call that read each storage in the forward pass."""
        return {self.values[value].storage: call for _, _, call, reads, _ in self.ops for value in reads}

    def _mark_boundary(self, call: int) -> None:
        """Autograd nodes made from here on belong to this call."""
        self.boundaries.append(_sequence_number())
        self.boundary_calls.append(call)

    def values_in(self, items: Sequence[Any]) -> tuple[int, ...]:
        """Values of the tensors among the items and within them."""
        if len(items) == 1 and isinstance(items[0], Tensor):
            return (self.version_of(items[0]).id,)
        found: list[int] = []
        for item in items:
            if isinstance(item, Tensor):
                found.append(self.version_of(item).id)
            elif isinstance(item, (list, tuple)):
                found += self.values_in(item)
            elif item is not None:
                found += [self.version_of(tensor).id for tensor in tensors_within(item)]
        return tuple(found)

    def reporting(
        self, function: Callable[..., Any], path: str, kind: str, module: nn.Module | None = None
    ) -> Callable[..., Any]:
        """The function, telling the recorder of its calls."""
        stack, values_in, differentiable = self.stack, self.values_in, self.differentiable
        thread = get_ident()

        def reported(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != thread:
                raise InceptionLabError(
                    f"{path or kind} runs in another thread, where operations are not seen",
                    hint="call it in the thread of the model's forward",
                    exit_code=MODEL_FAILED,
                )
            if not self.heeds_autocast and torch.is_autocast_enabled("cpu"):
                raise AutocastMet
            call = CallState(
                self, module, path, kind, values_in((*args, *kwargs.values()) if kwargs else args)
            )
            stack.append(call)
            if differentiable:
                self._mark_boundary(call.id)
            try:
                out = function(*args, **kwargs)
            except Exception as error:
                error.__dict__.setdefault(FAILED_IN, path)  # holding the error would hold its frames
                raise
            finally:
                stack.pop()
                if differentiable:
                    self._mark_boundary(stack[-1].id if stack else NO_CALL)
            call.outputs = values_in((out,))
            return out

        return reported

    def watch(self, modules: Mapping[str, nn.Module]) -> None:
        """Have every module report its calls.

        The reporting function shadows `forward` in the module's own attributes, so that no class and
        no other model is touched; whoever lent the modules takes it out again.
        """
        for path, module in modules.items():
            module.__dict__["forward"] = self.reporting(module.forward, path, type(module).__name__, module)

    def release(self) -> None:
        """Take the marks off other people's tensors, and untie what refers to each other."""
        for reference in self._marked:
            if (tensor := reference()) is not None and getattr(tensor, MARK, None) is not None:
                delattr(tensor, MARK)
        for stranger, gradient in self._strangers.values():
            stranger.grad = gradient
        self._strangers.clear()
        self.calls.clear()
        self.stack.clear()
        for storage in self.storages:
            storage.current.clear()
            storage.recorder = storage.watch = None
        self.values.clear()
        self.storages.clear()
        self.alive.clear()


def _memory_of(tensor: Tensor) -> torch.UntypedStorage:
    try:
        return tensor.untyped_storage()
    except NotImplementedError as error:
        kind = str(tensor.layout).removeprefix("torch.")
        raise InceptionLabError(
            f"a tensor of layout {kind} has no storage to follow",
            hint="make it dense, as by sparse=False",
            exit_code=MODEL_FAILED,
        ) from error


_composite: dict[int, bool | None] = {}


def _is_composite(func: OpOverload) -> bool | None:
    """Whether an operation is nothing but others; None for a question, such as for the device of a tensor."""
    known = _composite.get(id(func), ...)
    if known is ...:
        keys, has = torch._C.DispatchKey, func.has_kernel_for_dispatch_key
        known = None
        if func.namespace != "prim":
            known = has(keys.CompositeImplicitAutograd) and not has(keys.CPU)
        _composite[id(func)] = known
    return known
