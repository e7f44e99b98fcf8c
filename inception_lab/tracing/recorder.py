"""The dispatch mode that writes down what runs: operations, what they read and write, and whose they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.nested import has_nested
from inception_lab.ir.trace import Phase
from inception_lab.running import torch_internals
from inception_lab.running.backward_formulas import REWRITTEN, in_place_form
from inception_lab.running.bare_mode import BareMode
from inception_lab.running.fast_attention import FAST_PATHS
from inception_lab.running.gradient_accumulation import ADD, ADD_IN_PLACE, LastReference, goes_twice
from inception_lab.running.layouts import Layout
from inception_lab.running.threads import ModeInThread
from inception_lab.tracing.calls import NO_CALL, ROOT_CALL, Calls, CallState
from inception_lab.tracing.dispatch import KnownOperation, tensors_in
from inception_lab.tracing.external_contents import ExternalContents
from inception_lab.tracing.storages import MARK, Storages

if TYPE_CHECKING:
    from torch._ops import OpOverload

OpRow = tuple[KnownOperation, Phase, int, tuple[int, ...], tuple[int, ...]]
Executor = Callable[
    ["OpOverload", tuple[Any, ...], Sequence[Any], dict[str, Any]], tuple[KnownOperation, Any]
]
Adapt = Callable[["OpOverload", Sequence[Any], dict[str, Any]], "Adapted"]


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


class Recorder(BareMode):
    """Records every operation dispatched while it is active.

    Args:
        executor: Runs an operation, see `dispatch`.
        adapt: Changes the arguments of operations that make or meet a tensor of another device.
        differentiable: True where autograd nodes are made, so that backward operations find their call.
        most_macs: After how many multiply-accumulates on data to give up.
        heeds_autocast: True where autocast has its effect on the tensors that run.
        contents: Keeps those of tensors that no operation makes.

    Attributes:
        ops: What ran, in order.
        storages: The storages and tensor versions that it read and wrote.
        calls: The module calls around it.
        notes: What a reader of the figures has to know, a sentence each, as the keys of a dictionary.
        unseen: The storages of the run as of `Storages.of_others`.
        elsewhere: Number of pieces of work that were not seen, by the place where they ran.
    """

    def __init__(
        self,
        executor: Executor,
        adapt: Adapt,
        differentiable: bool,
        most_macs: float,
        heeds_autocast: bool,
        contents: ExternalContents,
    ) -> None:
        super().__init__()
        self.executor, self.adapt = executor, adapt
        self.macs_left = most_macs
        self.phase: Phase = "forward"
        self.ops: list[OpRow] = []
        self.notes: dict[str, None] = {}
        self.storages = Storages(self.ops, contents)
        self.calls = Calls(self.storages.values_in, differentiable, heeds_autocast)
        self._version_of, self._stack = self.storages.version_of, self.calls.stack
        self.unseen: Set[int] = frozenset()
        self.elsewhere: Counter[str] = Counter()
        self._lock = self.calls.lock
        self._is_shared = False
        self._in_threads: list[ModeInThread] = []
        self._without_call = NO_CALL
        self._met_data = False
        self._node = self._node_from = NO_CALL
        self._last_reference = LastReference()

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run one operation and write it down."""
        if types and torch_internals.NestedTensor in types:
            return NotImplemented  # it calls dense operations on its values, which come here again
        composite = _composite.get(id(func), _UNKNOWN)
        if composite is _UNKNOWN:
            composite = _composite[id(func)] = _is_composite(func)
        if composite is None or (composite and not has_nested(args, None)):
            return self._pass_on(func, composite, args, kwargs or {})
        with self._lock:
            call = self._current_call()
            if func is ADD or id(func) in _REWRITTEN_IDS:
                func = self._unwatched(func, args)
            reads: list[int] = []
            key: list[Any] = [id(func)]  # the overload's own hash is Python code
            self._met_data = False
            self._scan(args, reads, key)
            if kwargs:
                key += kwargs
                self._scan(kwargs.values(), reads, key)
            kwargs = kwargs or {}
            if kwargs or self._met_data or not reads:
                operation, out = self._run_adapted(func, key, args, kwargs)
            else:
                operation, out = self.executor(func, tuple(key), args, kwargs)
            if operation.writes_to:
                self._write_in_place(operation, args, kwargs)
            layout = operation.outputs
            storages = self.storages
            writes = (
                (storages.fresh_output(out, layout),) if isinstance(layout, Layout) else storages.outputs(out)
            )
            self.ops.append((operation, self.phase, call, tuple(reads), writes))
            return out

    def _pass_on(
        self, func: OpOverload, composite: bool | None, args: Sequence[Any], kwargs: dict[str, Any]
    ) -> Any:
        """Answer a question, and run a composite operation part by part."""
        if not composite:
            return func(*args, **kwargs)
        with self:  # as on tensors made in inference mode: on all others it is taken apart
            return FAST_PATHS.get(func, func.decompose)(*args, **kwargs)

    def _run_adapted(
        self, func: OpOverload, key: list[Any], args: Sequence[Any], kwargs: dict[str, Any]
    ) -> tuple[KnownOperation, Any]:
        """Run an operation whose arguments may have to change first."""
        adapted = self.adapt(func, args, kwargs)
        operation, out = self.executor(func, tuple(key), adapted.args, adapted.kwargs)
        self.macs_left -= operation.cost.macs
        if self.macs_left < 0:
            raise InceptionLabError(
                "it cannot run on meta tensors, and for real it takes too long",
                hint="trace it on a smaller input",
                exit_code=MODEL_FAILED,
            )
        if getattr(kwargs.get("device"), "type", "") == "cpu":
            self.storages.expect_on_host(out)
        return operation, adapted.originals.get(id(out), out)

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
                version = self._version_of(arg)
                if self._is_shared:
                    self._mark_node(arg, version.id)
                reads.append(version.id)
                key.append(version.layout)
                if not version.layout.on_meta:
                    self._met_data = True
            else:
                key.append(kind)  # 1, 1.0 and True are equal, and lead to different results
                key.append(arg)

    def _write_in_place(
        self, operation: KnownOperation, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        """Put every value of the storages written to out of date."""
        for place, name in operation.writes_to:
            target = args[place] if place < len(args) else kwargs.get(name)
            for tensor in (target,) if isinstance(target, Tensor) else tensors_in((target,)):
                self.storages.write(tensor)

    def _current_call(self) -> int:
        """The call that an operation dispatched now belongs to.

        In the forward pass that is the innermost one. In the backward pass, the sequence number of the
        autograd node that runs tells within which call it was made, and a node that accumulates a
        gradient names its parameter, which leads to the call that read it.
        """
        current = self.calls.current() if self._is_shared else self._stack and self._stack[-1]
        if current:
            return current.id
        if self.phase == "forward":
            return ROOT_CALL  # a hook of the model itself
        node = torch_internals.current_autograd_node() if self.phase == "backward" else None
        if node is None:
            return self._without_call
        number = self._enter_node(node)
        if self._is_shared and MARK in node.metadata:
            return int(node.metadata[MARK])
        if (parameter := getattr(node, "variable", None)) is not None:
            return self._last_readers.get(self.storages.storage_of(parameter).id, self._without_call)
        call = self.calls.call_of_node(number)
        return self._without_call if call == NO_CALL else call

    def _enter_node(self, node: Any) -> int:
        """The number of the autograd node that runs; notes from which operation on it does."""
        number: int = node._sequence_nr()
        if number != self._node:
            self._node, self._node_from = number, len(self.ops)
        return number

    def _unwatched(self, func: OpOverload, args: Sequence[Any]) -> OpOverload:
        """The operation that runs where nobody watches: it may write in place."""
        if func is ADD:
            return ADD_IN_PLACE if self._adds_in_place(args) else func
        form = in_place_form(torch_internals.current_autograd_node(), func)
        if form is None:
            return func
        writer = self.storages.values[self._version_of(args[0]).id].op
        # of others the formula makes a new tensor, watched or not
        is_of_the_node = writer is not None and writer >= self._node_from
        return form if is_of_the_node else func

    def _adds_in_place(self, args: Sequence[Any]) -> bool:
        """Tell if autograd's engine adds to a gradient that nobody else needs.

        The engine adds up what several nodes give one tensor, before the node that takes the sum runs. An
        addition of the running node's own has a first term that this node made, unless it has several
        gradients for one tensor, as that of `x * x`.
        """
        node: Any = torch_internals.current_autograd_node()
        if node is None:
            return False
        self._enter_node(node)
        writer = self.storages.values[self._version_of(args[0]).id].op
        if writer is None or (writer >= self._node_from and not goes_twice(node)):
            return False
        # The engine adds between two nodes: what comes after the sum is made by a node that begins here.
        self._node_from = len(self.ops) + 1
        return self._last_reference.is_to(args)

    def begin(self, phase: Phase) -> None:
        """Note that a phase begins; backward operations without a call have one of their own."""
        self.phase = phase
        if phase == "backward":
            self._without_call = CallState(self.calls, None, "(backward)", "backward", ()).id

    @cached_property
    def _last_readers(self) -> dict[int, int]:
        """The last call that read each storage in the forward pass."""
        values = self.storages.values
        return {values[value].storage: call for _, _, call, reads, _ in self.ops for value in reads}

    def in_threads(
        self, below: AbstractContextManager[object]
    ) -> Callable[[], AbstractContextManager[object]]:
        """Have operations of other threads recorded, as of the call that is under way in this one.

        Args:
            below: Entered below the recorder for each of them.

        Returns:
            Makes the context of a piece of work, to be entered in its thread.
        """
        self._is_shared = True
        call = self.calls.current()

        @contextmanager
        def recorded() -> Iterator[None]:
            mode = ModeInThread(self, below)
            self._in_threads.append(mode)
            with self.calls.beginning_at(call), mode:
                yield

        return recorded

    def _mark_node(self, tensor: Tensor, value: int) -> None:
        """Note in the autograd node of a tensor the call within which it was made.

        Each thread numbers its nodes by itself, so that their numbers do not tell it.
        """
        writer = self.storages.values[value].op
        node: Any = tensor.grad_fn
        if node is not None and writer is not None and writer < len(self.ops):
            node.metadata.setdefault(MARK, self.ops[writer][2])

    def release(self) -> None:
        """Take the marks off other people's tensors, and untie what refers to each other."""
        for mode in self._in_threads:
            mode.over = True
        self.calls.release()
        self.storages.release()


_REWRITTEN_IDS = frozenset(map(id, REWRITTEN))
_composite: dict[int, bool | None] = {}
"""Answers of `_is_composite`, by the identity of the overload."""
_UNKNOWN: Any = object()


def _is_composite(func: OpOverload) -> bool | None:
    """True where an operation is nothing but others; None for a question, such as for a tensor's device."""
    if func in FAST_PATHS:
        return True
    keys, has = torch_internals.DispatchKey, func.has_kernel_for_dispatch_key
    if func.namespace == "prim":
        return None
    return has(keys.CompositeImplicitAutograd) and not has(keys.CPU)
