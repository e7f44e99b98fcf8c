"""The innermost range around each range, launch and end of a flow, thread by thread."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from inception_lab.measure.profile.events import Range, RangeKind

_OUTERMOST_FIRST: tuple[RangeKind, ...] = ("annotation", "layer", "module", "operator")
"""Kinds of ranges: of two that cover the same time, the earlier in this list encloses the other."""


class Moment(NamedTuple):
    """A time on a thread that is looked for in ranges; a launch's, or an end of a flow."""

    thread: str
    start: int
    end: int


@dataclass(frozen=True)
class Nesting:
    """Ranges and what encloses them.

    Attributes:
        ranges: As recorded.
        parents: Index of the innermost range around each range, None for none.
        around: Index of the innermost range around each moment, None for none.
        own_times: Nanoseconds in which each range is the innermost one of its thread. They add up to the
            time that ranges cover, thread by thread.
    """

    ranges: Sequence[Range]
    parents: Sequence[int | None]
    around: Sequence[int | None]
    own_times: Sequence[int]

    def outwards(self, index: int | None) -> Iterator[int]:
        """Yield a range, then the one around it, up to the outermost."""
        while index is not None:
            yield index
            index = self.parents[index]


def nest(ranges: Sequence[Range], moments: Sequence[Moment]) -> Nesting:
    """Find the innermost range around each range and each moment on its thread.

    A range encloses what starts within it: whole microseconds and rounding let a child end a little later
    than its parent. The order of the ranges makes no difference.
    """
    parents: list[int | None] = [None] * len(ranges)
    around: list[int | None] = [None] * len(moments)
    stack: list[int] = []
    thread = None
    sweep = _Sweep(ranges)
    items: list[Range | Moment] = [*ranges, *moments]
    for index in _by_start(ranges, items):
        item = items[index]
        if item.thread != thread:
            thread = item.thread
            stack.clear()
            sweep.end_thread()
        while stack and ranges[stack[-1]].end < item.start:
            stack.pop()
        # a range that ended may lie below one that goes on, so the top alone does not tell
        enclosing = next((i for i in reversed(stack) if _encloses(ranges[i], item)), None)
        if index < len(ranges):
            parents[index] = enclosing
            stack.append(index)
            sweep.begin(index)
        else:
            around[index - len(ranges)] = enclosing
    sweep.end_thread()
    return Nesting(ranges, parents, around, sweep.own_times)


class _Sweep:
    """Gives each moment of a thread to the innermost range: of those that are open, the last to begin."""

    def __init__(self, ranges: Sequence[Range]) -> None:
        self.own_times = array("q", [0]) * len(ranges)
        self._ranges = ranges
        self._open: list[int] = []
        self._now = 0

    def begin(self, index: int) -> None:
        """Open a range; ranges come in the order of their starts, an outer one before an inner one."""
        start, open_ranges = self._ranges[index].start, self._open
        while open_ranges and self._ranges[open_ranges[-1]].end <= start:
            self._close_innermost()
        if open_ranges:
            self._spend_until(start)
        self._now = start
        open_ranges.append(index)

    def end_thread(self) -> None:
        """Close all ranges that are open."""
        while self._open:
            self._close_innermost()

    def _close_innermost(self) -> None:
        self._spend_until(self._ranges[self._open[-1]].end)
        self._open.pop()

    def _spend_until(self, time: int) -> None:
        # an outer range that ended before an inner one, by rounding, has nothing left
        if time > self._now:
            self.own_times[self._open[-1]] += time - self._now
            self._now = time


def _by_start(ranges: Sequence[Range], items: Sequence[Range | Moment]) -> list[int]:
    """Indices of items by thread and start, a parent before its children, ranges before moments."""
    # stable sorts, the last key first: a tuple of keys for each would take more memory than the ranges do
    order = sorted(range(len(ranges)), key=lambda i: ranges[i].name)
    order.sort(key=lambda i: ranges[i].number)
    order.sort(key=lambda i: _OUTERMOST_FIRST.index(ranges[i].kind))
    order.sort(key=lambda i: ranges[i].end, reverse=True)
    order += range(len(ranges), len(items))
    order.sort(key=lambda i: items[i].start)
    order.sort(key=lambda i: items[i].thread)
    return order


def _encloses(outer: Range, item: Range | Moment) -> bool:
    """True where an item starts within a range, not at its very end, unless it is over there too."""
    return outer.end > item.start or outer.end >= item.end
