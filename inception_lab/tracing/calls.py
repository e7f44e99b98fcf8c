"""Module calls while a trace runs, and the autograd nodes that are made within them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock, get_ident
from typing import Any

import torch
from torch import nn

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.running import torch_internals
from inception_lab.running.exclusion import Gates

NO_CALL = -1
ROOT_CALL = 0
FAILED_IN = "_inception_lab_failed_in"

ValuesIn = Callable[[Sequence[Any]], tuple[int, ...]]


class AutocastMet(BaseException):
    """A forward that runs under autocast, of which meta tensors know nothing."""


class CudaMet(BaseException):
    """A forward that names CUDA by itself, where tensors of another device run."""


def class_name(module: nn.Module) -> str:
    """The class of a module, of a lazy one that which it becomes."""
    kind = type(module)
    return (getattr(kind, "cls_to_become", None) or kind).__name__


class CallState:
    """A module call while the trace runs."""

    __slots__ = ("id", "inputs", "kind", "module", "outputs", "parent", "path")

    def __init__(
        self,
        calls: Calls,
        module: nn.Module | None,
        path: str,
        kind: str,
        inputs: tuple[int, ...],
        stack: Sequence[CallState] = (),
    ) -> None:
        states = calls.states
        self.id, self.module, self.path, self.kind, self.inputs = len(states), module, path, kind, inputs
        self.parent = stack[-1].id if stack else None
        self.outputs: tuple[int, ...] = ()
        states.append(self)


class Calls:
    """Every module call of a trace, and those that are under way.

    Args:
        values_in: Finds the values of the tensors that a call takes or returns.
        differentiable: True where autograd nodes are made, so that backward operations find their call.
        heeds_autocast: True where autocast has its effect on the tensors that run.

    Attributes:
        states: The calls, by id.
        stack: Those under way in the run's own thread, the innermost last.
        lock: Held where the threads of a run change what they share.
        refused: Name of a layer whose call in another thread was refused, so that its operations are missing.
    """

    def __init__(self, values_in: ValuesIn, differentiable: bool, heeds_autocast: bool) -> None:
        self.values_in, self.differentiable, self.heeds_autocast = values_in, differentiable, heeds_autocast
        self.states: list[CallState] = []
        self.stack: list[CallState] = []
        self.lock = RLock()
        self.refused = ""
        self._stacks = {get_ident(): self.stack}
        self._boundaries: list[int] = []
        self._boundary_calls: list[int] = []

    def watch(self, modules: Mapping[str, nn.Module], gates: Gates) -> None:
        """Have every module report its calls.

        The reporting function shadows `forward` in the module's own attributes, so that no class and
        no other model is touched; whoever substituted the model's tensors takes it out again.
        """
        for path, module in modules.items():
            kind = class_name(module)
            module.__dict__["forward"] = self.reporting(module.forward, path, kind, module, gates)

    def reporting(
        self,
        function: Callable[..., Any],
        path: str,
        kind: str,
        module: nn.Module | None = None,
        gates: Gates | None = None,
    ) -> Callable[..., Any]:
        """The function, its calls noted here."""
        stacks, values_in = self._stacks, self.values_in

        def reported(*args: Any, **kwargs: Any) -> Any:
            stack = stacks.get(get_ident())
            if stack is None:
                return self._elsewhere(function, path or kind, gates, args, kwargs)
            # autograd numbers the nodes of each thread by themselves
            differentiable = self.differentiable and stack is self.stack
            if not self.heeds_autocast and torch.is_autocast_enabled("cpu"):
                raise AutocastMet
            with self.lock:
                inputs = values_in((*args, *kwargs.values()) if kwargs else args)
                call = CallState(self, module, path, kind, inputs, stack)
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
            with self.lock:
                call.outputs = values_in((out,))
            return out

        return reported

    def current(self) -> CallState | None:
        """The innermost call that is under way in this thread."""
        stack = self._stacks.get(get_ident(), self.stack)
        return stack[-1] if stack else None

    @contextmanager
    def beginning_at(self, call: CallState | None) -> Iterator[None]:
        """Have the calls of this thread begin within a call of another one, which gave it the work."""
        ident = get_ident()
        self._stacks[ident] = [] if call is None else [call]
        try:
            yield
        finally:
            self._stacks.pop(ident, None)

    def _mark_boundary(self, call: int) -> None:
        """Note that autograd nodes made from here on belong to this call."""
        self._boundaries.append(torch_internals.sequence_number())
        self._boundary_calls.append(call)

    def call_of_node(self, sequence_number: int) -> int:
        """The call within which an autograd node was made."""
        last = bisect_right(self._boundaries, sequence_number) - 1
        return self._boundary_calls[last] if last >= 0 else NO_CALL

    def _elsewhere(
        self,
        function: Callable[..., Any],
        name: str,
        gates: Gates | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """A call in a thread that is not followed: a user's own waits for the end, the model's is refused."""
        if gates is not None and gates.wait((args, kwargs)):
            return function(*args, **kwargs)
        self.refused = name
        raise other_thread_error(name)

    def check_threads(self) -> None:
        """Refuse a run in which a layer was called in another thread, be its error passed on or not.

        Raises:
            InceptionLabError: One was (exit code 3).
        """
        if self.refused:
            raise other_thread_error(self.refused)

    def release(self) -> None:
        """Untie what refers to the model."""
        self.states.clear()
        self.stack.clear()


def other_thread_error(name: str) -> InceptionLabError:
    """The error of a layer that runs in another thread than the model's forward."""
    return InceptionLabError(
        f"{name} runs in another thread, where operations are not seen",
        hint="call it in the thread of the model's forward",
        exit_code=MODEL_FAILED,
    )
