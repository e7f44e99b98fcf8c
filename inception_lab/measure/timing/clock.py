"""The clock of a step: time that each module call spends in itself, its children apart."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from itertools import pairwise
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

from inception_lab.ir.trace import Phase
from inception_lab.measure.real_runs import calls_reported
from inception_lab.running.step import Step, StepResult
from inception_lab.tracing.calls import FAILED_IN

Function = TypeVar("Function", bound=Callable[..., Any])
Clock = Callable[[], int]
"""Nanoseconds since some moment."""


class Frame(NamedTuple):
    """A call of a module, or a part of the step that belongs to none.

    Attributes:
        path: Of the module, empty for the model; or a name in parentheses.
        number: How many calls of the same module were before it.
        kind: Class of the module.
    """

    path: str
    number: int
    kind: str


OUTSIDE = Frame("(outside)", 0, "")
"""Around the model: its own hooks, autocast, and the exhausting of a generator that it returned."""

BACKWARD = Frame("(backward)", 0, "backward")

Cell = tuple[Frame, Phase]


class Elapsed(NamedTuple):
    """Nanoseconds of one round.

    Attributes:
        wall: By the clock on the wall.
        cpu: Of this thread on a processor; those of PyTorch's other threads are not in it.
    """

    wall: int
    cpu: int


class RoundTimes(NamedTuple):
    """Own times of one round.

    Attributes:
        total: From the beginning of the step to its end.
        own: Of each call in each phase, its children apart, in order of execution. They add up to the total.
    """

    total: Elapsed
    own: Mapping[Cell, Elapsed]


class CallClock:
    """An observer of one step that reads the clock whenever another call begins or ends.

    From one reading to the next, time belongs to the innermost call. Thus each moment belongs to one call,
    and a call's own time is its inclusive time less that of its children, to the nanosecond. What a generator
    does once its module has returned it belongs to whoever runs it.

    Args:
        wall: The clock on the wall.
        cpu: That of the thread.
    """

    def __init__(self, wall: Clock = time.perf_counter_ns, cpu: Clock = time.thread_time_ns) -> None:
        self._wall, self._cpu = wall, cpu
        self._stack = [OUTSIDE]
        self._phase: Phase = "forward"
        self._readings: list[tuple[Frame, Phase, int, int]] = []
        self._calls: Counter[str] = Counter()

    def read(self) -> None:
        """Note that what has passed since the last reading belongs to the innermost call."""
        # Sums are left for later: between two readings as little as can be of what is not the model's.
        self._readings.append((self._stack[-1], self._phase, self._wall(), self._cpu()))

    def begin(self, phase: Phase) -> None:
        """Note the phase before its first operation."""
        self.read()
        self._phase = phase
        self._stack[0] = BACKWARD if phase == "backward" else OUTSIDE

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function, its calls timed; one in another thread belongs to whatever waits for that thread."""
        thread, stack, calls, read = get_ident(), self._stack, self._calls, self.read

        def reported(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != thread:
                return function(*args, **kwargs)
            frame = Frame(path, calls[path], kind)
            calls[path] += 1
            read()
            stack.append(frame)
            try:
                return function(*args, **kwargs)
            except Exception as error:
                error.__dict__.setdefault(FAILED_IN, path)
                raise
            finally:
                read()
                stack.pop()

        return reported  # type: ignore[return-value]

    def times(self) -> RoundTimes:
        """The own times between the first reading and the last one."""
        own: dict[Cell, list[int]] = defaultdict(lambda: [0, 0])
        for (*_, wall, cpu), (frame, phase, next_wall, next_cpu) in pairwise(self._readings):
            cell = own[frame, phase]
            cell[0] += next_wall - wall
            cell[1] += next_cpu - cpu
        (*_, wall, cpu), (*_, last_wall, last_cpu) = self._readings[0], self._readings[-1]
        total = Elapsed(last_wall - wall, last_cpu - cpu)
        return RoundTimes(total, {cell: Elapsed(*times) for cell, times in own.items()})


def run_clocked(step: Step, clock: CallClock) -> StepResult:
    """Run a step once with a clock at every call boundary."""
    with calls_reported(step, clock):
        clock.read()
        result = step.run(clock)
        clock.read()
    return result


def run_plain(step: Step) -> tuple[Elapsed, StepResult]:
    """Run a step once between two readings of the clocks."""
    wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
    result = step.run()
    return Elapsed(time.perf_counter_ns() - wall, time.thread_time_ns() - cpu), result
