"""Profiled steps on a GPU: the time in which it was busy, given to the calls that launched the work."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from torch.profiler import record_function

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Phase
from inception_lab.measure.profile.attribution import (
    BY_FLOW,
    EVALUATE,
    NO_CORRELATION,
    NO_LAUNCH,
    Attribution,
    Owner,
    attribute,
)
from inception_lab.measure.profile.events import KERNEL_LAUNCH, PHASE_RANGE, Events, Launch, Range, Work
from inception_lab.measure.profile.ranges import run_with_ranges
from inception_lab.measure.timing.clock import BACKWARD, OUTSIDE, Cell, Frame
from inception_lab.measure.timing.cuda_rounds import CudaRunner, PhaseEvents
from inception_lab.running.step import LOSS, OPTIMIZER, Step

STEP_RANGE = "inception_lab.step: "
"""Prefix of the ranges around the profiled steps that count."""

PROFILED_STEPS = 5

UNLAUNCHED = Frame("(no launch)", 0, "")
"""Kernels whose launch the trace does not have."""

_BACKWARD_RANGE = f"{PHASE_RANGE}backward"
_GRAPH_LAUNCH = re.compile(r"(?:cuda|cu|hip)GraphLaunch\w*")


class LaunchCounts(NamedTuple):
    """Launches in a step and the kernels that come of them.

    Attributes:
        launches: Calls that launch one kernel.
        graph_launches: Calls that launch a graph of them.
        kernels: That ran, those of graphs apart.
        lost: Launches of one kernel without a kernel in the trace.
    """

    launches: int
    graph_launches: int
    kernels: int
    lost: int


class StepWork(NamedTuple):
    """The work of the GPU in one step.

    Attributes:
        frames: The calls of modules, of the loss and the optimizer, and what launched work outside them, in
            order of execution.
        busy: Nanoseconds in which the GPU was busy, by call and phase. A moment in which several pieces of
            work run counts once, for the one that began first.
        kernel_times: Nanoseconds of kernels, by call; at several streams more than the time that passes.
        kernels: Their number, by call.
        counts: Launches and kernels of the step.
    """

    frames: Sequence[Frame]
    busy: Mapping[Cell, int]
    kernel_times: Mapping[Frame, int]
    kernels: Mapping[Frame, int]
    counts: LaunchCounts


class Recording(NamedTuple):
    """Several steps under the profiler.

    Attributes:
        times: Nanoseconds of each, by events.
        kinds: The class or name of everything that has ranges, by path.
    """

    times: Sequence[int]
    kinds: Mapping[str, str]


def record_steps(runner: CudaRunner, path: Path) -> Recording:
    """Run several steps under the profiler and write their trace to a file.

    Args:
        runner: Of the step.
        path: Of the trace.
    """
    with runner.gpu.recording(path):
        # the first kernels of a session are lost after idle time (pytorch#192021)
        _, loss_name = _run_recorded(runner, "inception_lab.throwaway")
        times = [_run_recorded(runner, f"{STEP_RANGE}{number}")[0] for number in range(PROFILED_STEPS)]
    return Recording(times, _kinds(runner.step, loss_name))


def _run_recorded(runner: CudaRunner, name: str) -> tuple[int, str]:
    """Nanoseconds of a step within a range, and the name of its loss."""
    events = PhaseEvents(runner.gpu)
    with runner.ready(), record_function(name):
        with events.phases():
            result = run_with_ranges(runner.step)
        runner.gpu.synchronize()
    return sum(events.times().values()), result.loss_name or ""


def _kinds(step: Step, loss_name: str) -> Mapping[str, str]:
    kinds = {path: type(module).__name__ for path, module in step.layers.items()}
    return kinds | {LOSS: loss_name, OPTIMIZER: type(step.optimizer).__name__}


def steps_of(events: Events, kinds: Mapping[str, str]) -> list[StepWork]:
    """Return the work of each step of a trace that has our ranges.

    Args:
        events: Of the trace.
        kinds: Of what has ranges, by path.
    """
    attribution = attribute(events)
    trace = _Trace(events, attribution, _calls_of_sums(attribution))
    steps = [item for item in events.ranges if item.name.startswith(STEP_RANGE)]
    return [trace.step_work(step, kinds) for step in sorted(steps, key=lambda item: item.start)]


def _calls_of_sums(attribution: Attribution) -> Mapping[int, int]:
    """The call to which the backward node belongs, by the index of autograd's wrapper around the node.

    The engine adds a gradient to the others of its tensor within the wrapper of the node that gave it, after
    the node. As on the CPU, the sum belongs to the call that made the node.
    """
    calls: dict[int, int] = {}
    for owner, launch in zip(attribution.owners, attribution.launches, strict=True):
        # what a checkpoint runs again within the node is launched within its own calls
        if owner.route != BY_FLOW or owner.call is None or launch is None:
            continue
        wrapper = _wrapper(attribution, launch)
        if wrapper is not None:
            calls.setdefault(wrapper, owner.call)
    return calls


def _wrapper(attribution: Attribution, launch: int) -> int | None:
    """Index of autograd's wrapper of a node around a launch."""
    nesting = attribution.nesting
    outwards = nesting.outwards(nesting.around[launch])
    return next((index for index in outwards if nesting.ranges[index].name.startswith(EVALUATE)), None)


class _Item(NamedTuple):
    """A piece of work, and its launch, None where the trace does not have it."""

    work: Work
    owner: Owner
    launch: int | None


@dataclass(frozen=True)
class _Trace:
    """A trace and its attribution.

    Attributes:
        events: Of the trace.
        attribution: Of its work.
        calls_of_sums: See the function of this name.
    """

    events: Events
    attribution: Attribution
    calls_of_sums: Mapping[int, int]

    def step_work(self, step: Range, kinds: Mapping[str, str]) -> StepWork:
        """Return the work that was launched within the range of a step."""
        items = [item for item in self._items() if step.start <= self._moment(item) <= step.end]
        items.sort(key=lambda item: (item.work.start, item.work.end))
        calls = self._calls(step, kinds)
        first_moments = self._first_moments(step, calls)
        busy: dict[Cell, int] = defaultdict(int)
        kernel_times: dict[Frame, int] = defaultdict(int)
        kernels: Counter[Frame] = Counter()
        busy_until, phase = items[0].work.start if items else 0, "forward"
        for item in items:
            frame, phase = self._frame(item, calls), item.owner.phase or phase
            first_moments.setdefault(frame, self._moment(item))
            # all that began earlier is over at this moment, or goes on up to it without a gap
            begin = max(item.work.start, busy_until)
            busy[frame, cast("Phase", phase)] += max(item.work.end - begin, 0)
            busy_until = max(busy_until, item.work.end)
            if item.work.kind == "kernel":
                kernel_times[frame] += item.work.end - item.work.start
                kernels[frame] += 1
        frames = sorted(first_moments, key=lambda frame: first_moments[frame])
        return StepWork(frames, busy, kernel_times, kernels, self._counts(step, items))

    def _first_moments(self, step: Range, calls: Mapping[int, Frame]) -> dict[Frame, int]:
        """The beginning of each call, and of the backward pass, which has a row in any case."""
        ranges = self.events.ranges
        moments = {frame: ranges[index].start for index, frame in calls.items()}
        for item in ranges:
            if item.name == _BACKWARD_RANGE and step.start <= item.start <= step.end:
                moments[BACKWARD] = item.start
        return moments

    def _items(self) -> Iterator[_Item]:
        owners, launches = self.attribution.owners, self.attribution.launches
        return map(_Item, self.events.work, owners, launches)

    def _moment(self, item: _Item) -> int:
        """The moment of the launch, which is by the CPU's clock as the ranges are; else that of the work."""
        return item.work.start if item.launch is None else self.events.launches[item.launch].start

    def _calls(self, step: Range, kinds: Mapping[str, str]) -> dict[int, Frame]:
        """The calls of a step by the index of their range, numbered in the order of their beginning."""
        ranges = self.events.ranges
        inner = [i for i, r in enumerate(ranges) if r.kind == "layer" and step.start <= r.start <= step.end]
        numbers: Counter[str] = Counter()
        calls: dict[int, Frame] = {}
        for index in sorted(inner, key=lambda i: (ranges[i].start, -ranges[i].end, ranges[i].number)):
            path = "" if ranges[index].name == ROOT else ranges[index].name
            calls[index] = Frame(path, numbers[path], kinds.get(path, ""))
            numbers[path] += 1
        return calls

    def _frame(self, item: _Item, calls: Mapping[int, Frame]) -> Frame:
        if item.launch is None:
            assert item.owner.route in (NO_LAUNCH, NO_CORRELATION)
            return UNLAUNCHED
        call = item.owner.call
        if call is None:
            wrapper = _wrapper(self.attribution, item.launch)
            call = None if wrapper is None else self.calls_of_sums.get(wrapper)
        elsewhere = BACKWARD if item.owner.phase == "backward" else OUTSIDE
        return elsewhere if call is None else calls.get(call, elsewhere)

    def _counts(self, step: Range, items: Sequence[_Item]) -> LaunchCounts:
        calls = [call for call in self.events.launches if step.start <= call.start <= step.end]
        launches, graphs = _correlations(calls, KERNEL_LAUNCH), _correlations(calls, _GRAPH_LAUNCH)
        kernels = [item.work.correlation for item in items if item.work.kind == "kernel"]
        single = [correlation for correlation in kernels if correlation not in graphs]
        return LaunchCounts(len(launches), len(graphs), len(single), len(launches.difference(single)))


def _correlations(calls: Sequence[Launch], name: re.Pattern[str]) -> set[int]:
    """Correlations of calls by a name: a call of the driver within one of the runtime has the same."""
    return {call.correlation for call in calls if name.fullmatch(call.name)}
