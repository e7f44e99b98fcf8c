"""Each step of a trace split into what was going on: kernels, copies, calls of the runtime, operators."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import accumulate
from typing import NamedTuple

from inception_lab.measure.profile.attribution import Attribution
from inception_lab.measure.profile.events import STEP_PREFIX, Events, Range, Work
from inception_lab.measure.profile.nesting import Nesting
from inception_lab.measure.profile.tables import milliseconds
from inception_lab.record import Row

WHOLE_TRACE = "(trace)"
"""The one step of a trace without `ProfilerStep` ranges: from the first operator to the last."""

Interval = tuple[int, int]
"""Start and end in nanoseconds."""

LOADERS = ("enumerate(DataLoader)#", "enumerate(DataPipe)#")
"""Prefixes of the ranges in which a program waits for its next batch."""


_Intervals = Callable[[Events, Nesting], Iterator[Interval]]


def _work(kind: str) -> _Intervals:
    return lambda events, _: ((item.start, item.end) for item in events.work if item.kind == kind)


def _runtime(events: Events, _: Nesting) -> Iterator[Interval]:
    return ((item.start, item.end) for item in events.launches)


def _data_loader(events: Events, _: Nesting) -> Iterator[Interval]:
    return ((item.start, item.end) for item in events.ranges if item.name.startswith(LOADERS))


def _operators(events: Events, nesting: Nesting) -> Iterator[Interval]:
    """Outermost operators, which cover the others."""
    ranges = events.ranges
    for item, parent in zip(ranges, nesting.parents, strict=True):
        if item.kind == "operator" and (parent is None or ranges[parent].kind != "operator"):
            yield item.start, item.end


PARTS: tuple[tuple[str, _Intervals], ...] = (
    ("kernel_part_ms", _work("kernel")),
    ("copy_part_ms", _work("copy")),
    ("memset_part_ms", _work("memset")),
    ("runtime_part_ms", _runtime),
    ("data_loader_part_ms", _data_loader),
    ("operator_part_ms", _operators),
)
"""The parts of a step; a moment counts to the first in the list that goes on, as in TensorBoard's plugin."""

OTHER = "other_part_ms"
COLUMNS = ("step", "duration_ms", *(name for name, _ in PARTS), OTHER)


def overview_rows(events: Events, attribution: Attribution) -> list[Row]:
    """Rows of `step`, its `duration_ms`, and parts that add up to it.

    A step lasts until the last work on a GPU that it launched is over, and begins no sooner than the step
    before it ends; these are the steps of TensorBoard's plugin.
    """
    host_steps = sorted(
        (item.start, item.end, item.name)
        for item in events.ranges
        if item.kind == "annotation" and item.name.startswith(STEP_PREFIX)
    ) or _whole_trace(events.ranges)
    steps = _with_device_time(host_steps, events, attribution)
    durations = [end - start for start, end in steps]
    parts = _parts(events, attribution.nesting, steps)
    return [
        {"step": name, "duration_ms": milliseconds(duration)}
        | {column: milliseconds(times[index]) for column, times in parts}
        | {OTHER: milliseconds(duration - sum(times[index] for _, times in parts))}
        for index, ((*_, name), duration) in enumerate(zip(host_steps, durations, strict=True))
    ]


def _whole_trace(ranges: Sequence[Range]) -> list[tuple[int, int, str]]:
    operators = [item for item in ranges if item.kind == "operator"]
    if not operators:
        return []
    return [(min(item.start for item in operators), max(item.end for item in operators), WHOLE_TRACE)]


def _parts(events: Events, nesting: Nesting, steps: Sequence[Interval]) -> list[tuple[str, list[int]]]:
    """The time of each part in each step."""
    parts: list[tuple[str, list[int]]] = []
    union = _Union([])
    before = [0] * len(steps)
    for name, intervals in PARTS:
        # what a part adds to those before it is what it has for itself
        union = _Union(merge(union, sorted(intervals(events, nesting))))
        sums = [union.within(step) for step in steps]
        parts.append((name, [now - earlier for now, earlier in zip(sums, before, strict=True)]))
        before = sums
    return parts


class _Union:
    """The union of intervals, and how much of it lies within others.

    Args:
        intervals: In the order of their starts.
    """

    def __init__(self, intervals: Iterable[Interval]) -> None:
        # arrays, as a long trace has hundreds of thousands of these
        self._starts, self._ends = array("q"), array("q")
        for start, end in intervals:
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)
        self._sums = array("q", accumulate((end - start for start, end in self), initial=0))

    def __iter__(self) -> Iterator[Interval]:
        return zip(self._starts, self._ends, strict=True)

    def within(self, interval: Interval) -> int:
        """Nanoseconds of the union within an interval."""
        return self._until(interval[1]) - self._until(interval[0])

    def _until(self, time: int) -> int:
        count = bisect_right(self._starts, time)
        over = max(self._ends[count - 1] - time, 0) if count else 0
        return self._sums[count] - over


class _DeviceTime(NamedTuple):
    """The work that a step launched: its first start and last end."""

    start: int
    end: int


def _with_device_time(
    steps: Sequence[tuple[int, int, str]], events: Events, attribution: Attribution
) -> list[Interval]:
    device_times, work_outside = _device_times(steps, events, attribution)
    if not any(device_times):
        return [(start, end) for start, end, _ in steps]
    begin, first = steps[0][0], device_times[0]
    if first is not None:
        # work from before the first step delays its own
        begin = max([begin, *(work.end for work in work_outside if work.end < first.start)])
    intervals = []
    for (start, end, _), device in zip(steps, device_times, strict=True):
        start = max(start, begin)
        begin = max(start, end, device.end if device else end)
        intervals.append((start, begin))
    return intervals


def _device_times(
    steps: Sequence[tuple[int, int, str]], events: Events, attribution: Attribution
) -> tuple[list[_DeviceTime | None], list[Work]]:
    """The work that each step launched, and the work that none did."""
    starts = [start for start, *_ in steps]
    times: list[_DeviceTime | None] = [None] * len(steps)
    work_outside = []
    for work, launch in zip(events.work, attribution.launches, strict=True):
        call = events.launches[launch] if launch is not None else None
        index = bisect_right(starts, call.start) - 1 if call else -1
        if call is None or index < 0 or call.end > steps[index][1]:
            work_outside.append(work)
            continue
        time = times[index] or _DeviceTime(work.start, work.end)
        times[index] = _DeviceTime(min(time.start, work.start), max(time.end, work.end))
    return times, work_outside
