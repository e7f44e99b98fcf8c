"""Requests to end (Ctrl-C, SIGTERM, SIGHUP): none is lost, and none comes in the middle of a short step."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

_REQUESTS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_Handler = Callable[[int, FrameType | None], Any] | signal.Handlers

_received: list[int] = []
"""Requests that were raised, whether or not whatever ran let them through."""

_answered: list[int] = []
"""Those of them after which a task gives back what it has done so far."""


class Interrupted(BaseException):
    """A request to end, which no code of a user's model takes for its own.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number, self.code = number, 128 + number


def leave_on_request() -> None:
    """Have a request end the program at once; for its start, when there is nothing to put back yet."""
    _handle(_leave)


def ignore_requests() -> None:
    """Have requests change nothing any more: the answer is given, and Python ends."""
    # of all handlers this one alone outlives those of Python, which go before the libraries do
    _handle(signal.SIG_IGN)


@contextmanager
def raised() -> Iterator[None]:
    """Have a request raise `Interrupted` while the context lasts, and once more at its end.

    Libraries and models swallow what is raised in them (a bare `except:`, an import, a callback), and go on.

    Raises:
        Interrupted: A request was received.
    """
    before = _handle(_raise)
    try:
        with _told_once():
            yield
    finally:
        _put_back(before)
        requests = [*_received, *_answered]
        # what runs later in this process was not asked to end
        _received.clear()
        _answered.clear()
        if requests:
            raise Interrupted(requests[0])


@contextmanager
def _told_once() -> Iterator[None]:
    """Print nothing of a request that was raised where Python cannot raise, as in `__del__` and callbacks."""
    before = sys.unraisablehook
    sys.unraisablehook = lambda what: None if _received else before(what)
    try:
        yield
    finally:
        sys.unraisablehook = before


def check() -> None:
    """Raise the request that something swallowed; called where a result is about to be written.

    Raises:
        Interrupted: A request was received.
    """
    if _received:
        raise Interrupted(_received[0])


def answer() -> None:
    """Have the requests so far end the program after what was done is written, not before.

    Called by a task that a request has ended early, and that gives back its result up to there.
    """
    _answered.extend(_received)
    _received.clear()


def is_answered() -> bool:
    """True where a task was ended early and what it had done is on its way."""
    return bool(_answered)


@contextmanager
def deferred() -> Iterator[None]:
    """Hold requests back while a short step, such as two renames, is done; then handle them as ever."""
    arrived: list[int] = []
    before = _handle(lambda number, _: arrived.append(number))
    try:
        yield
    finally:
        _put_back(before)
        for number in arrived[:1]:
            signal.raise_signal(number)


def _handle(handler: _Handler) -> dict[int, Any]:
    """Set the handler of each request that is not ignored; returns those of before, none in other threads."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in _REQUESTS}
    # None is a handler that Python did not set; nohup and shells have requests ignored on purpose
    before = {number: old for number, old in before.items() if old not in (None, signal.SIG_IGN)}
    for number in before:
        signal.signal(number, handler)
    return before


def _put_back(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _raise(number: int, _: FrameType | None) -> NoReturn:
    _received.append(number)
    raise Interrupted(number)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    # an import may swallow what is raised in it, or end in an abort
    with suppress(OSError):
        if number == signal.SIGINT:
            os.write(2, b"inception-lab: interrupted\n")
    os._exit(128 + number)
