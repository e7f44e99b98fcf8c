"""The progress of real runs on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

GLANCE = 0.1
"""Least seconds between two drawings of the progress bar."""


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float], None]]:
    """A progress bar on a terminal, drawn between rounds, by no thread of its own; nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(
        console=console, transient=True, auto_refresh=False, disable=not console.is_terminal
    ) as display:
        task, last_drawing = display.add_task(description, total=1.0), monotonic()

        def show(part: float) -> None:
            nonlocal last_drawing
            # drawing takes longer than the rounds of a small net
            if monotonic() - last_drawing >= GLANCE:
                display.update(task, completed=part, refresh=True)
                last_drawing = monotonic()

        yield show
