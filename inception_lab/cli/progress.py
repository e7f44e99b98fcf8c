"""The progress of what takes long, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from inception_lab.errors import printable

GLANCE = 0.1
"""Least seconds between two drawings."""
PATIENCE = 1.0
"""Seconds of which nothing is said."""


def plain_markup(text: str) -> str:
    r"""Return text as rich shows it: its brackets are no markup, and a terminal obeys nothing in it.

    Example:
        >>> print(plain_markup("timing [red]net"))
        timing \[red]net
    """
    from rich.markup import escape

    return escape(printable(text))


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal, drawn between rounds, by no thread of its own; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as display:
        task, last_drawing = display.add_task(plain_markup(description), total=1.0), monotonic()

        def show(part: float) -> None:
            nonlocal last_drawing
            # drawing takes longer than the rounds of a small net
            if monotonic() - last_drawing >= GLANCE:
                display.update(task, completed=part, refresh=True)
                last_drawing = monotonic()

        yield show


@contextmanager
def counting_bar(description: str, noun: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal for what can be counted: how many are done, how many a second, and the time left.

    Args:
        description: Of the work.
        noun: What is counted, in the plural.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console, last_drawing = Console(stderr=True), monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.fields[noun]}, {task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as display:
        task = display.add_task(plain_markup(description), total=None, visible=False, noun=noun, rate="")
        rate = _Rate()

        def show(done: int, total: int) -> None:
            nonlocal last_drawing
            per_second = rate.after(done)
            if monotonic() - last_drawing >= GLANCE:
                display.update(
                    task,
                    completed=done,
                    total=total,
                    visible=True,
                    rate=f"{per_second:,.1f} a second",
                    refresh=True,
                )
                last_drawing = monotonic()

        yield show


class _Rate:
    """Things that are done in a second, since the first of them was."""

    def __init__(self) -> None:
        self._first: tuple[int, float] | None = None

    def after(self, done: int) -> float:
        """Return the rate when so many are done; what was done before the first call is no part of it."""
        if self._first is None:
            self._first = done, monotonic()
        count, began = self._first
        return (done - count) / max(monotonic() - began, GLANCE)


@contextmanager
def busy(description: str) -> Iterator[None]:
    """Say on a terminal what takes longer than a second, and for how long it has; nothing in a pipe.

    Args:
        description: A step whose end cannot be told beforehand, and whose time is not measured.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    end = Event()
    # begun before a model runs, so that it is not taken for one of the model's own threads
    thread = Thread(target=_say, args=(printable(description), end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _say(description: str, end: Event) -> None:
    if end.wait(PATIENCE):
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
    # what the model prints goes where it would go otherwise; drawn by this thread, as rich starts none
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as display:
        display.add_task(description, total=None)
        while not end.wait(GLANCE):
            display.refresh()
