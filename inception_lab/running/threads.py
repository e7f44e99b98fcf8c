"""Work that a run gives to other threads: each piece within modes of the run, and one after the other.

PyTorch's modes hold for one thread, so that whoever follows the operations of a forward would miss those that
it has a pool or a thread of its own run. A piece of work is caught where it is handed over. Who hands it over
then waits until it is done, so that operations come in the same order every time, or until it waits itself.
"""

from __future__ import annotations

import _thread
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.process import BaseProcess
from threading import Event, get_ident
from time import monotonic, sleep
from typing import Any
from weakref import ref

from inception_lab.running import torch_internals
from inception_lab.running.bare_mode import BareMode
from inception_lab.running.exclusion import IDLE, Idleness, thread_clock

Function = Callable[..., Any]
Within = Callable[[], Callable[[], AbstractContextManager[object]]]
"""Called by who hands work over; what it returns makes the context of each piece, in the piece's thread."""

_GLANCE = 0.002
"""Seconds between two looks at a thread that works."""

_WAITING = 0.05
"""Seconds without work after which a thread is taken to wait, as for who handed the work over."""

_NO_CLOCK = 1.0
"""Seconds for which work is waited for where the system does not tell if a thread is idle."""


class _Progress:
    """The progress of a piece of work.

    Attributes:
        released: Set when nothing refers to the work and its arguments any more.
        begun: True when a thread does it, or has done it.
        failed: True when it raised, so that the error refers to it.
    """

    def __init__(self) -> None:
        self.released = Event()
        self.failed = self.begun = False
        self._start = monotonic()
        self._reference: ref[_Work] | None = None

    def of(self, work: _Work) -> _Work:
        """Be told when the work is released."""
        self._reference = ref(work, lambda _: self.released.set())
        return work

    def is_late(self) -> bool:
        """True where the work should have begun, as the threads of a pool are busy with work that waits."""
        return not self.begun and monotonic() - self._start > IDLE


class _Worker:
    """A thread that does a piece of work now."""

    def __init__(self) -> None:
        self._idleness, self._start = Idleness(thread_clock(get_ident())), monotonic()

    def is_idle(self) -> bool:
        """True where the thread does nothing."""
        if not self._idleness.has_clock:
            return monotonic() - self._start > _NO_CLOCK
        return self._idleness.seconds() > _WAITING


class _Work:
    """A function that other threads run, as a part of the run that handed it over."""

    def __init__(self, function: Function, progress: _Progress, run: FollowedRun) -> None:
        self._function, self._progress, self._run = function, progress, run
        self._context = run.within()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        run, progress, ident, worker = self._run, self._progress, get_ident(), _Worker()
        progress.begun = True
        run.workers.add(worker)
        try:
            # a thread that does the run's work already, such as one that waits for tasks, is followed
            if run.over or ident in run.members:
                return self._function(*args, **kwargs)
            with run.membership(ident), self._context():
                return self._function(*args, **kwargs)
        except BaseException:
            progress.failed = True
            raise
        finally:
            run.workers.discard(worker)


class FollowedRun:
    """A run whose work in other threads is followed.

    Args:
        within: Makes the contexts of work.
        members: The threads of the run, that of its owner among them; changed.

    Attributes:
        error: The first that ended a thread, which Python would only print.
        processes: Pieces of work that were given to other processes, where nothing is seen.
        workers: Those that do a piece of its work now.
        over: True when the run is over.
    """

    def __init__(self, within: Within, members: set[int]) -> None:
        self.within, self.members = within, members
        self.error: Exception | None = None
        self.processes = 0
        self.over = False
        self.workers: set[_Worker] = set()

    def work(self, function: Function) -> tuple[_Work, _Progress]:
        """Return a function as a piece of work of this run, and its progress."""
        progress = _Progress()
        return progress.of(_Work(function, progress, self)), progress

    @contextmanager
    def membership(self, ident: int) -> Iterator[None]:
        """Take a thread for one of the run's."""
        self.members.add(ident)
        try:
            yield
        finally:
            self.members.discard(ident)

    def wait(self, progress: _Progress) -> None:
        """Wait until a piece of work is done, and its arguments let go, or held up.

        It is held up where all wait: by who handed it over, or by other work that is.
        """
        worked = monotonic()
        while not (progress.released.wait(_GLANCE) or progress.failed or progress.is_late()):
            if not self._is_idle():
                worked = monotonic()
            elif monotonic() - worked > _WAITING:
                break

    def finish(self) -> None:
        """Wait for what is still going on."""
        while not self._is_idle():
            sleep(_GLANCE)

    def _is_idle(self) -> bool:
        """True where no thread works for the run, as all are done or wait."""
        return all(worker.is_idle() for worker in list(self.workers))


_runs: list[FollowedRun] = []
"""The runs that are followed, the innermost last."""

_handing_over = threading.local()
"""Set in a thread that gives work to a pool, whose new threads are no work themselves."""


@contextmanager
def followed(within: Within, members: set[int]) -> Iterator[FollowedRun]:
    """Follow the work that a run of this thread gives to other ones, as long as the block lasts.

    Args:
        within: Makes the contexts of work; called by who hands it over.
        members: The threads of the run; changed.

    Raises:
        Exception: Whatever ended a thread of the run.
    """
    run = FollowedRun(within, members)
    _runs.append(run)
    originals = _patched()
    try:
        yield run
        run.finish()
    except Exception as error:
        # what a thread did not do may be why the forward failed
        if run.error is not None and run.error is not error:
            raise run.error from error
        raise
    finally:
        run.over = True
        _runs.remove(run)
        for place, name, function in originals:
            setattr(place, name, function)
    if run.error is not None:
        raise run.error


def _patched() -> list[tuple[Any, str, Function]]:
    """Catch work where it is handed over; returns what was there, innermost first."""
    if len(_runs) > 1:
        return []
    originals: list[tuple[Any, str, Function]] = []
    for place, name, catching in (*_CATCHES, *_catches_of_pools()):
        original = getattr(place, name)
        originals.append((place, name, original))
        setattr(place, name, catching(original))
    return originals


def _catches_of_pools() -> Iterator[tuple[Any, str, Callable[[Function], Function]]]:
    """Those of modules that take long to load; where one is not loaded, there is no pool of it yet."""
    if pool := sys.modules.get("multiprocessing.pool"):
        yield from ((pool.Pool, name, _catching_tasks) for name in _TASKS)
    if process := sys.modules.get("concurrent.futures.process"):
        yield process.ProcessPoolExecutor, "submit", _noting_task


def _run_of_this_thread() -> FollowedRun | None:
    run = _runs[-1] if _runs else None
    return run if run is not None and get_ident() in run.members else None


def _catching_submit(submit: Function) -> Function:
    def caught_submit(pool: Executor, fn: Function, /, *args: Any, **kwargs: Any) -> Future[Any]:
        run = _run_of_this_thread()
        if run is None:
            return submit(pool, fn, *args, **kwargs)  # type: ignore[no-any-return]
        work, progress = run.work(fn)
        with _to_pool():
            future: Future[Any] = submit(pool, work, *args, **kwargs)
        del work  # so that it is released with its arguments
        run.wait(progress)
        return future

    return caught_submit


@contextmanager
def _to_pool() -> Iterator[None]:
    """Take threads and processes that start now for those of a pool."""
    _handing_over.to_pool = True
    try:
        yield
    finally:
        _handing_over.to_pool = False


def _catching_start(start: Function) -> Function:
    def caught_start(thread: threading.Thread) -> None:
        run = _run_of_this_thread()
        if run is None or _starts_pool():
            start(thread)
            return
        progress = _replace_run(thread, run)
        start(thread)
        run.wait(progress)

    return caught_start


def _starts_pool() -> bool:
    return getattr(_handing_over, "to_pool", False)


def _replace_run(thread: threading.Thread, run: FollowedRun) -> _Progress:
    """Have a thread do its work as a piece of a run's; its own method comes back when it begins."""
    own_run, before = thread.run, thread.__dict__.get("run")

    def begin() -> None:
        if before is None:
            del thread.__dict__["run"]
        else:
            thread.__dict__["run"] = before
        try:
            own_run()
        except Exception as error:
            run.error = run.error or error

    work, progress = run.work(begin)
    thread.__dict__["run"] = work
    return progress


def _catching_new_thread(start_new_thread: Function) -> Function:
    def caught_start_new_thread(function: Function, args: tuple[Any, ...], *kwargs: Any) -> int:
        run = _run_of_this_thread()
        if run is None:
            return start_new_thread(function, args, *kwargs)  # type: ignore[no-any-return]
        work, progress = run.work(function)
        ident: int = start_new_thread(work, args, *kwargs)
        del work
        run.wait(progress)
        return ident

    return caught_start_new_thread


def _noting_task(submit: Function) -> Function:
    def noted_submit(*args: Any, **kwargs: Any) -> Any:
        if (run := _run_of_this_thread()) is not None:
            run.processes += 1
        with _to_pool():
            return submit(*args, **kwargs)

    return noted_submit


def _noting_process(start: Function) -> Function:
    def noted_start(*args: Any, **kwargs: Any) -> Any:
        if not _starts_pool() and (run := _run_of_this_thread()) is not None:
            run.processes += 1
        return start(*args, **kwargs)

    return noted_start


def _catching_tasks(method: Function) -> Function:
    def caught(pool: Any, func: Function, *args: Any, **kwargs: Any) -> Any:
        run = _run_of_this_thread()
        if run is None:
            return method(pool, func, *args, **kwargs)
        if not isinstance(pool, sys.modules["multiprocessing.pool"].ThreadPool):
            run.processes += 1
            return method(pool, func, *args, **kwargs)
        work, progress = run.work(func)
        result = method(pool, work, *args, **kwargs)
        del work
        run.wait(progress)
        return result

    return caught


_TASKS = ("apply_async", "_map_async", "imap", "imap_unordered")
"""The methods through which tasks come into the pools of `multiprocessing`."""

_CATCHES: tuple[tuple[Any, str, Callable[[Function], Function]], ...] = (
    (ThreadPoolExecutor, "submit", _catching_submit),
    (threading.Thread, "start", _catching_start),
    (_thread, "start_new_thread", _catching_new_thread),
    (BaseProcess, "start", _noting_process),
)
"""The functions that hand work over, and what catches it there."""


class ModeInThread(BareMode):
    """Has a mode of the run see the operations of another thread, until the run is over.

    A thread may outlive the run with this mode on; it then does nothing.

    Args:
        mode: Sees the operations of the run's own thread.
        below: Entered below the mode for each operation, such as a mode that makes the tensors.
    """

    def __init__(self, mode: Any, below: AbstractContextManager[object] | None = None) -> None:
        super().__init__()
        self._mode, self._below = mode, below or nullcontext()
        self.over = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation."""
        if self.over:
            return func(*args, **(kwargs or {}))
        with self._below:
            return self._mode.__torch_dispatch__(func, types, args, kwargs)

    def __enter__(self) -> ModeInThread:
        # without PyTorch's flags for the whole process, which the run's own thread sets and takes back
        torch_internals.push_mode(self)
        return self

    def __exit__(self, *_: object) -> None:
        torch_internals.pop_mode()
