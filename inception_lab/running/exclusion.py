"""One run at a time in the process, and other threads kept out of a model whose tensors are substituted.

A run changes what all threads share: the tensors, flags and attributes of a model, and settings of the
process such as the fast path of attention and garbage collection. Runs of this package take turns by a
lock. A program that calls the model itself from another thread, or reads its state there, knows nothing of
that lock: it waits at a gate, and a call that is under way is waited for.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from threading import Event, RLock, get_ident
from time import monotonic, sleep
from types import FrameType
from typing import Any

from torch import Tensor, nn

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.running import torch_internals
from inception_lab.running.pytree import tensors_within

one_run_at_a_time = RLock()
"""Held for as long as a model is substituted; a run within a run of the same thread may take it again."""

PATIENCE = 60.0
"""Seconds for which a call of the model that is under way in another thread is waited for."""

_GLANCE = 0.002
"""Seconds between two looks at the other threads."""

GATED = ("forward", "state_dict", "load_state_dict", *torch_internals.MODULE_TENSORS)
"""The methods of a module that calls, reads or changes its tensors go through."""

_FRAMES = (*GATED, *torch_internals.MODULE_CALLS)
"""Functions whose frames tell that a thread is inside."""

_MISSING = object()

Method = Callable[..., Any]


class Gates:
    """Gates in front of the methods of each module, for as long as a model is substituted.

    The thread that closes the gates passes them, as do the threads that PyTorch itself starts, such as
    those of its autograd engine. A call from any other one waits until the gates are open again. One that
    the owner waits for in turn, because the model's own forward has started it, may pass, or be refused
    by whoever follows the operations of one thread.

    Args:
        modules: Each module once.
    """

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        self._modules = modules
        self._ids: set[int] = set()
        self._owner = get_ident()
        self._waiting: set[int] = set()
        self._closed = False
        self._open_again = Event()
        self._before: list[tuple[dict[str, Any], str, Any]] = []

    def close(self) -> None:
        """Let no other thread in, and wait until none is inside.

        Raises:
            InceptionLabError: A call in another thread goes on for too long (exit code 3).
        """
        if threading.active_count() == 1:  # nobody is there to come in, but for threads of the model's own
            self._closed = True
            return
        self._ids = set(map(id, self._modules))
        for module in self._modules:
            for name in GATED:
                attributes = module.__dict__
                self._before.append((attributes, name, attributes.get(name, _MISSING)))
                attributes[name] = self._gate(module, getattr(module, name))
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
        while not self._open_again.wait(10 * _GLANCE):
            if self._closed and _waits_for_a_thread(self._owner) and self._may_be_inner(arguments):
                return False
        return True

    def _may_be_inner(self, arguments: object) -> bool:
        stand_in = next(self._parameters(), None)
        if stand_in is None or _has_data(stand_in):
            return True
        tensors = list(tensors_within(arguments))
        return not tensors or not all(map(_has_data, tensors))

    def _parameters(self) -> Iterator[Tensor]:
        registered = (module._parameters.values() for module in self._modules)
        return (parameter for parameters in registered for parameter in parameters if parameter is not None)

    def _gate(self, module: nn.Module, method: Method) -> Method:
        owner = self._owner

        def gated(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != owner and not self._may_pass(module):
                self.wait((args, kwargs))
            return method(*args, **kwargs)

        return gated

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


def _entered_module(frame: FrameType) -> object:
    """The module of whose call or gated method a frame is, None where it is of neither."""
    code = frame.f_code
    if code.co_name not in _FRAMES or code.co_varnames[:1] != ("self",):
        return None
    return frame.f_locals.get("self")


def _has_data(tensor: Tensor) -> bool:
    return not tensor.is_meta and not isinstance(tensor, torch_internals.FakeTensor)


def _waits_for_a_thread(ident: int) -> bool:
    """Tell if a thread is in Python's own code that waits for another one."""
    frame = sys._current_frames().get(ident)
    return frame is not None and frame.f_code.co_filename == threading.__file__
