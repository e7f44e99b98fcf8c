"""Rounds of a step on a GPU by events, without a profiler: run as it is, and replayed from a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar, get_args

from inception_lab.ir.trace import Phase
from inception_lab.measure.timing.cuda_device import Gpu, TimingEvent
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.measure.timing.rounds import Progress, fresh, paced
from inception_lab.measure.timing.table import NS_PER_MS
from inception_lab.running.step import Step

Function = TypeVar("Function", bound=Callable[..., Any])

PhaseTimes = Mapping[Phase, int]
"""Nanoseconds of each phase of one round; together those of the step."""


class PhaseEvents:
    """An observer of one step that records an event wherever a phase begins.

    Args:
        gpu: On which it runs.
    """

    def __init__(self, gpu: Gpu) -> None:
        # made before the step, as making one takes time
        self._events = iter([gpu.event() for _ in range(len(get_args(Phase)) + 1)])
        self._marks: list[tuple[Phase, TimingEvent]] = []
        self._end: TimingEvent | None = None

    @contextmanager
    def phases(self) -> Iterator[None]:
        """The time from the forward on, to the end of what was launched within."""
        self.begin("forward")
        yield
        self._end = next(self._events)
        self._end.record()

    def begin(self, phase: Phase) -> None:
        """Record the moment at which the work of the last phase is done."""
        event = next(self._events)
        event.record()
        self._marks.append((phase, event))

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """Return the function itself: calls are not timed."""
        del path, kind
        return function

    def times(self) -> PhaseTimes:
        """Nanoseconds of each phase, once the GPU is idle."""
        assert self._end is not None
        events = [*(event for _, event in self._marks), self._end]
        return {
            phase: _nanoseconds(before, after)
            for (phase, _), (before, after) in zip(self._marks, pairwise(events), strict=True)
        }


def _nanoseconds(begin: TimingEvent, end: TimingEvent) -> int:
    return round(begin.elapsed_time(end) * NS_PER_MS)


@dataclass(frozen=True)
class CudaRunner:
    """Makes the rounds of a step, each of which begins as every other one, on an idle GPU.

    Attributes:
        step: Prepared.
        state: State that its modules keep, as it was before the first round.
        gpu: On which it runs.
    """

    step: Step
    state: ModuleState
    gpu: Gpu

    @contextmanager
    def ready(self) -> Iterator[None]:
        """A fresh beginning: see `rounds.fresh`; the GPU seeded and idle, its cache cold."""
        with fresh(self.step, self.state):
            self.gpu.settle()
            yield

    def run(self) -> PhaseTimes:
        """Run the step once."""
        events = PhaseEvents(self.gpu)
        with self.ready():
            with events.phases():
                self.step.run(events)
            self.gpu.synchronize()
        return events.times()


class CudaRounds(NamedTuple):
    """The rounds of several steps.

    Attributes:
        times: Of each step, round by round; those at one place were made one after the other.
        warm_up: Rounds before, which do not count.
    """

    times: Sequence[Sequence[PhaseTimes]]
    warm_up: int


def measure_cuda_rounds(
    runners: Sequence[CudaRunner], seconds: float, progress: Progress | None = None
) -> CudaRounds:
    """Run steps in turns until a time budget is spent; every other round has the reverse order.

    Args:
        runners: Of the steps.
        seconds: The time budget for all, warm-up included.
        progress: Told how far it is after each round.
    """
    times: list[list[PhaseTimes]] = [[] for _ in runners]
    warm_up = 0
    for number, counts in enumerate(paced(seconds, progress)):
        pairs = list(zip(runners, times, strict=True))
        for runner, of_step in reversed(pairs) if number % 2 else pairs:
            phases = runner.run()
            if counts:
                of_step.append(phases)
        warm_up += not counts
    return CudaRounds(times, warm_up)


class Replay(NamedTuple):
    """The replays of a step from a CUDA graph.

    Attributes:
        times: Nanoseconds of each; empty where the step cannot be captured.
        reason: Says why it cannot; empty where it can.
    """

    times: Sequence[int]
    reason: str


def replay_step(runner: CudaRunner, seconds: float) -> Replay:
    """Capture a step into a CUDA graph and time its replays, which launch all kernels at once.

    A capture that fails may leave the generator and the memory pool of the device in disorder, so that
    nothing else should be measured after it.

    Args:
        runner: Of the step.
        seconds: Time budget.
    """
    try:
        graph = _capture(runner)
        times = [(_time_replay(runner, graph), counts) for counts in paced(seconds)]
        return Replay([nanoseconds for nanoseconds, counts in times if counts], "")
    except Exception as error:
        return Replay([], _reason(error))
    finally:
        for parameter in runner.step.model.parameters.values():
            parameter.grad = None  # they lie in the memory of the graph


def _capture(runner: CudaRunner) -> Any:
    # what is set up at first use must not be captured, nor gradients be added to those of another pass
    with runner.ready(), runner.gpu.side_stream():
        runner.step.run()
    with runner.ready(), runner.gpu.capture() as graph:
        runner.step.run()
    return graph


def _time_replay(runner: CudaRunner, graph: Any) -> int:
    runner.gpu.settle()
    begin, end = runner.gpu.event(), runner.gpu.event()
    begin.record()
    graph.replay()
    end.record()
    runner.gpu.synchronize()
    return _nanoseconds(begin, end)


def _reason(error: BaseException) -> str:
    """The first error of a chain in one line: ending a capture that failed raises another one."""
    while earlier := error.__cause__ or (error.__context__ if not error.__suppress_context__ else None):
        error = earlier
    lines = str(error).strip().splitlines()
    return type(error).__name__ + (f": {lines[0]}" if lines else "")
