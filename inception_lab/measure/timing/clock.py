"""The clock of a step: time that each module call spends in itself, its children apart."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from threading import get_ident
from typing import Any, NamedTuple, TypeVar

from torch.autograd.graph import Node

from inception_lab.ir.trace import Phase
from inception_lab.measure.real_runs import calls_reported
from inception_lab.running import torch_internals
from inception_lab.running.step import LOSS, Step, StepResult
from inception_lab.tracing.calls import FAILED_IN

Function = TypeVar("Function", bound=Callable[..., Any])
Clock = Callable[[], int]
"""Nanoseconds since some moment."""


class Frame(NamedTuple):
    """A call of a module, or a part of the step that belongs to none.

    Attributes:
        path: Of the module, empty for the model; or a name in parentheses.
        number: Number of calls of the same module before it.
        kind: Class of the module.
    """

    path: str
    number: int
    kind: str


OUTSIDE = Frame("(outside)", 0, "")
"""Around the model: its own hooks, autocast, and the exhausting of a generator that it returned."""

BACKWARD = Frame("(backward)", 0, "backward")
"""The part of the backward pass that belongs to no call: the start of autograd's engine and of its clock."""

Cell = tuple[Frame, Phase]


class Elapsed(NamedTuple):
    """Nanoseconds of one round.

    Attributes:
        wall: By the clock on the wall.
        cpu: Of this thread on a processor; those of PyTorch's other threads are not in it.
    """

    wall: int
    cpu: int


class Reading(NamedTuple):
    """The clocks at one moment.

    Attributes:
        frame: The innermost call since the last reading.
        phase: Likewise.
        wall: In nanoseconds.
        cpu: In nanoseconds.
        sequence: Number of the next autograd node that this thread makes.
    """

    frame: Frame
    phase: Phase
    wall: int
    cpu: int
    sequence: int


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
    does once its module has returned it belongs to whoever runs it. In the backward pass the clock is read
    before each node of autograd's graph, and time belongs to the call that made the node. Nodes that are made
    within the backward pass, as by reentrant checkpoints, belong to the node in which they run.

    Args:
        wall: The clock on the wall.
        cpu: That of the thread.
    """

    def __init__(self, wall: Clock = time.perf_counter_ns, cpu: Clock = time.thread_time_ns) -> None:
        self._wall, self._cpu, self._next_node = wall, cpu, torch_internals.sequence_number
        self._stack = [OUTSIDE]
        self._phase: Phase = "forward"
        self._readings: list[Reading] = []
        self._calls: Counter[str] = Counter()
        self._thread = get_ident()
        self._one_thread = True
        self._loss: Any = None

    def read(self) -> None:
        """Note that what has passed since the last reading belongs to the innermost call."""
        # Sums are left for later: between two readings as little as can be of what is not the model's.
        self._readings.append(
            Reading(self._stack[-1], self._phase, self._wall(), self._cpu(), self._next_node())
        )

    def begin(self, phase: Phase) -> None:
        """Note the phase before its first operation."""
        self.read()
        self._phase = phase
        self._stack[0] = BACKWARD if phase == "backward" else OUTSIDE
        # each thread numbers its nodes by itself: those of several cannot be told apart
        if phase == "backward" and self._one_thread:
            self._watch_backward()

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function, its calls timed; one in another thread belongs to whatever waits for that thread."""

        def reported(*args: Any, **kwargs: Any) -> Any:
            if get_ident() != self._thread:
                self._one_thread = False
                return function(*args, **kwargs)
            frame = Frame(path, self._calls[path], kind)
            self._calls[path] += 1
            self.read()
            self._stack.append(frame)
            try:
                result = function(*args, **kwargs)
            except Exception as error:
                error.__dict__.setdefault(FAILED_IN, path)
                raise
            finally:
                self.read()
                self._stack.pop()
            if path == LOSS:
                self._loss = result
            return result

        return reported  # type: ignore[return-value]

    def _watch_backward(self) -> None:
        """Have each node of the graph of the loss tell when it begins."""
        loss, self._loss = self._loss, None
        numbers = [reading.sequence for reading in self._readings]
        for node in _nodes_below(loss.grad_fn):
            number = node._sequence_nr()
            if number < numbers[-1]:  # sums of gradients have none, and run within the node that gave them
                place = bisect_right(numbers, number)
                frame = self._readings[place].frame if place else BACKWARD
                node.register_prehook(partial(self._enter_node, frame))

    def _enter_node(self, frame: Frame, gradients: object) -> None:
        del gradients
        if get_ident() == self._thread:
            self.read()
            self._stack[0] = frame

    def times(self) -> RoundTimes:
        """The own times between the first reading and the last one."""
        own: dict[Cell, list[int]] = defaultdict(lambda: [0, 0])
        for before, reading in pairwise(self._readings):
            cell = own[reading.frame, reading.phase]
            cell[0] += reading.wall - before.wall
            cell[1] += reading.cpu - before.cpu
        first, last = self._readings[0], self._readings[-1]
        total = Elapsed(last.wall - first.wall, last.cpu - first.cpu)
        return RoundTimes(total, {cell: Elapsed(*times) for cell, times in own.items()})


def _nodes_below(root: Node | None) -> Iterator[Node]:
    """The nodes of autograd's graph that a node leads to, itself included."""
    waiting, visited = [root], set[Node | None]()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in visited:
            visited.add(node)
            yield node
            waiting.extend(following for following, _ in node.next_functions)


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
