"""One run at a time in the process, and other threads kept out of a model whose tensors are substituted.

A run changes what all threads share: the tensors, flags and attributes of a model, and settings of the
process such as the fast path of attention and garbage collection. Runs of this package take turns by a
lock. A program that calls the model itself from another thread, or reads its state there, knows nothing of
that lock: it waits at a gate, and a call that is under way is waited for.
"""

from __future__ import annotations

import copy
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import inf
from threading import Event, RLock, get_ident
from time import monotonic, sleep
from types import FrameType
from typing import Any
from weakref import WeakSet

from torch import Tensor, nn

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.sparse_layouts import COMPRESSED
from inception_lab.running import torch_internals
from inception_lab.running.pytree import tensors_within
from inception_lab.running.stand_ins import like_original

one_run_at_a_time = RLock()
"""Held for as long as a model is substituted; a run within a run of the same thread may take it again."""

PATIENCE = 60.0
"""Seconds for which a call of the model that is under way in another thread is waited for."""

_GLANCE = 0.002
"""Seconds between two looks at the other threads."""

IDLE = 0.5
"""Seconds without work after which the owner is taken to wait for somebody."""

STUCK = 10.0
"""Seconds after which an owner without work is taken to wait for the very thread that waits at a gate."""

GATED = (
    torch_internals.MODULE_CALL, "forward", "state_dict", "load_state_dict", "zero_grad", "__reduce_ex__",
    *torch_internals.MODULE_TENSORS,
)  # fmt: skip
"""The methods through which a module is called and its tensors are read, changed or copied."""

_FRAMES = (*GATED, "parameters", "named_parameters", "buffers", "named_buffers")
"""Methods of a module whose frames tell that a thread is inside."""

_MISSING = object()

_PRIVATE: WeakSet[nn.Module] = WeakSet()
"""Modules of copies that this package has made, which no other thread can reach."""

Method = Callable[..., Any]


def private_copy(model: nn.Module) -> nn.Module:
    """Return a copy of a model that needs no gates, as nobody else knows it.

    Raises:
        InceptionLabError: It cannot be copied (exit code 3).
    """
    try:
        own = copy.deepcopy(model, _copies_of_compressed(model))
    except Exception as error:
        raise InceptionLabError(
            f"cannot be copied: {type(error).__name__}: {str(error).partition(chr(10))[0]}",
            where=type(model).__name__,
            exit_code=MODEL_FAILED,
        ) from error
    # a copy by a method of the model's own may share modules with it
    _PRIVATE.update(set(own.modules()) - set(model.modules()))
    return own


def _copies_of_compressed(model: nn.Module) -> dict[int, Any]:
    """Copies of the tensors of a compressed sparse layout, which PyTorch cannot copy deeply."""
    tensors = [*model.parameters(), *model.buffers()]
    return {
        id(tensor): like_original(tensor.detach().clone(), tensor)
        for tensor in tensors
        if tensor.layout in COMPRESSED
    }


class _Gate(partial[Any]):
    """The method behind a gate, as an attribute of a module; a partial function has no frame of its own.

    Attributes:
        module: The module.
        name: Of the method.
        replaced: The attribute that it stands in front of; `_MISSING` for a method of the class.
    """

    module: nn.Module
    name: str
    replaced: Any

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """Stand aside in a copy that had asked for a module's attributes before the gates closed."""
        if self.replaced is not _MISSING:
            return copy.deepcopy(self.replaced, memo)
        own = memo.get(id(self.module))
        if own is None:  # not a copy of the module
            return self
        leftover = _Leftover(own, self.name)
        memo[id(leftover)] = leftover  # which lives until the whole copy is made
        return None


def behind_gate(attribute: Any) -> Any:
    """Return what stood in a module's attribute before a gate did; the attribute itself without one."""
    return attribute.replaced if isinstance(attribute, _Gate) else attribute


class _Leftover:
    """An attribute of a copy that is to go when the copy is complete."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self._attributes, self._name = module.__dict__, name

    def __del__(self) -> None:
        self._attributes.pop(self._name, None)


class Gates:
    """Gates in front of the methods of each module, for as long as a model is substituted.

    The thread that closes the gates passes them, as do those to which it gives work (see `threads`) and
    those that PyTorch itself starts, such as those of its autograd engine. A call from any other one waits
    until the gates are open again. One that the owner waits for in turn, because it does work of the model's
    in a way that is not followed, may pass, or be refused by whoever follows the operations.

    Args:
        modules: Each module once; private copies have no gates.

    Attributes:
        members: The threads that pass: that of the owner, and those that do a part of its work.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = [module for module in modules if module not in _PRIVATE]
        self._ids: set[int] = set()
        self._owner = get_ident()
        self.members = {self._owner}
        self._waiting: set[int] = set()
        self._closed = False
        self._open_again = Event()
        self._before: list[tuple[dict[str, Any], str, Any]] = []

    def close(self) -> None:
        """Let no other thread in, and wait until none is inside.

        Raises:
            InceptionLabError: A call in another thread goes on for too long (exit code 3).
        """
        if (
            not self._modules or threading.active_count() == 1
        ):  # nobody is there to come in, but for threads of the model's own
            self._closed = True
            return
        self._ids = set(map(id, self._modules))
        for module in self._modules:
            for name in GATED:
                self._put(module, name, self._gate(module, name))
            self._put(module, "__deepcopy__", self._copy_gate(module))
        deadline = monotonic() + PATIENCE
        while self._others_inside():
            if monotonic() > deadline:
                raise InceptionLabError(
                    "the model is running in another thread",
                    hint="wait until it is done",
                    exit_code=MODEL_FAILED,
                )
            sleep(_GLANCE)
        self._closed = True

    def _put(self, module: nn.Module, name: str, gated: Method) -> None:
        attributes = module.__dict__
        method = attributes.get(name, _MISSING)
        self._before.append((attributes, name, method))
        gate = _Gate(gated)
        gate.module, gate.name, gate.replaced = module, name, method
        attributes[name] = gate

    def open(self) -> None:
        """Take the gates away, and let those who wait go on."""
        for attributes, name, method in self._before:
            if method is _MISSING:
                attributes.pop(name, None)
            else:
                attributes[name] = method
        self._open_again.set()

    def wait(self, arguments: object) -> bool:
        """Wait in another thread until the gates are open; False where the owner waits for this thread.

        The owner is then in a call that a thread has to answer, such as `Thread.join` or `Future.result`.

        Args:
            arguments: Of the call that waits. One with tensors that hold data is not the model's own where
                its stand-ins hold none.
        """
        self._waiting.add(get_ident())
        inner, owner = self._is_inner(arguments), Idleness(thread_clock(self._owner))
        while not inner and not self._open_again.wait(10 * _GLANCE):
            idle = owner.seconds() if self._closed else 0.0
            if inner is None and (idle > IDLE or (self._closed and _waits_for_a_thread(self._owner))):
                return False
            if idle > STUCK:
                raise InceptionLabError(
                    "the model is being run for its analysis, and that run waits for this thread",
                    hint="release what it waits for before the model is called",
                    exit_code=MODEL_FAILED,
                )
        return not inner

    def _is_inner(self, arguments: object) -> bool | None:
        """Tell if a thread that the model's own forward has started makes a call; None if it may or may not.

        Its tensors have no data where those of the run have none; a user's own have.
        """
        stand_in = next(self._parameters(), None)
        tensors = list(tensors_within(arguments))
        if stand_in is None or _has_data(stand_in) or not tensors:
            return None
        return not all(map(_has_data, tensors))

    def _parameters(self) -> Iterator[Tensor]:
        registered = (module._parameters.values() for module in self._modules)
        return (parameter for parameters in registered for parameter in parameters if parameter is not None)

    def _gate(self, module: nn.Module, name: str) -> Method:
        members, method = self.members, getattr(module, name)
        is_iteration = name in torch_internals.MODULE_TENSORS

        def gated(*args: Any, **kwargs: Any) -> Any:
            if get_ident() in members:
                return method(*args, **kwargs)
            if not self._may_pass(module):
                self.wait((args, kwargs))
            out = method(*args, **kwargs)
            if name == "__reduce_ex__":
                return self._without_gates(out)
            # At once, so that no gate closes between two steps of an iteration over tensors.
            return iter(list(out)) if is_iteration and isinstance(out, Iterator) else out

        return gated

    @staticmethod
    def _without_gates(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parts of which a copy is made, for a copy that was under way before the gates closed."""
        function, args, state, *rest = (*reduced, None)[: max(3, len(reduced))]
        if isinstance(state, dict):
            # a copy of the dictionary first, as the gates of the next run may come between two of its items
            before = {key: _replaced(value) for key, value in dict(state).items()}
            state = {key: value for key, value in before.items() if value is not _MISSING}
        return function, args, state, *rest

    def _copy_gate(self, module: nn.Module) -> Method:
        members = self.members

        def gated_copy(memo: dict[int, Any]) -> Any:
            if get_ident() not in members and not self._may_pass(module):
                self.wait(())
            gate = module.__dict__.pop("__deepcopy__", _MISSING)  # else the copy would come back here
            try:
                return copy.deepcopy(module, memo)
            finally:
                if gate is not _MISSING:
                    module.__dict__["__deepcopy__"] = gate

        return gated_copy

    def _may_pass(self, module: nn.Module) -> bool:
        """True in a thread of PyTorch's own, and in one that was inside before the gates closed."""
        if isinstance(threading.current_thread(), threading._DummyThread):
            return True
        frame: FrameType | None = sys._getframe(2)  # of whoever calls the gate
        # The call that is at the gate is not inside yet: its own frames do not count.
        while frame and (frame.f_code.co_filename == __file__ or _entered_module(frame) is module):
            frame = frame.f_back
        return not self._closed and self._is_inside(frame)

    def _others_inside(self) -> bool:
        others = {ident: frame for ident, frame in sys._current_frames().items() if ident != self._owner}
        return any(self._is_inside(frame) for ident, frame in others.items() if ident not in self._waiting)

    def _is_inside(self, frame: FrameType | None) -> bool:
        """Tell if a thread is in a call of one of the modules."""
        while frame is not None:
            if id(_entered_module(frame)) in self._ids:
                return True
            frame = frame.f_back
        return False


def _replaced(value: object) -> object:
    """The attribute of a module that a gate, of this run or of the next one, stands in front of."""
    return value.replaced if isinstance(value, _Gate) else value


def _entered_module(frame: FrameType) -> object:
    """The module of whose call, gated method or copy a frame is, None where it is of none."""
    code = frame.f_code
    if code.co_filename == copy.__file__ and code.co_name == "deepcopy":
        return frame.f_locals.get("x")
    if code.co_name not in _FRAMES or code.co_varnames[:1] != ("self",):
        return None
    return frame.f_locals.get("self")


def _has_data(tensor: Tensor) -> bool:
    return not tensor.is_meta and not isinstance(tensor, torch_internals.FakeTensor)


def thread_clock(ident: int) -> int | None:
    """The CPU clock of a thread that is alive, None where the system has no such clocks."""
    has_clocks = hasattr(time, "pthread_getcpuclockid")
    return time.pthread_getcpuclockid(ident) if has_clocks else None


class Idleness:
    """Time for which a thread has not worked, by its own CPU clock.

    Args:
        clock: See `thread_clock`; without one it is never idle.

    Attributes:
        has_clock: True where there is one.
    """

    def __init__(self, clock: int | None) -> None:
        self.has_clock = clock is not None
        self._clock = clock
        self._since, self._worked = monotonic(), -inf

    def seconds(self) -> float:
        """Seconds since it last worked for a millisecond."""
        if self._clock is None:
            return 0.0
        try:
            worked = time.clock_gettime(self._clock)
        except OSError:  # the thread has ended
            return inf
        if worked > self._worked + 1e-3:
            self._since, self._worked = monotonic(), worked
        return monotonic() - self._since


def _waits_for_a_thread(ident: int) -> bool:
    """Tell if a thread is in Python's own code that waits for another one."""
    frame = sys._current_frames().get(ident)
    return frame is not None and frame.f_code.co_filename == threading.__file__
