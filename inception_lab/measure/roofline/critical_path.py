"""The longest path through the dataflow of a module, and what side by side branches could gain."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from inception_lab.ir.trace import Phase, Trace
from inception_lab.measure.roofline.dataflow import dataflow
from inception_lab.measure.roofline.traffic import bytes_one_by_one

Cell = tuple[int, Phase]
"""A row of a table of times, and a phase."""


class Segment(NamedTuple):
    """Operations of one row and phase that ran one after the other, with nothing in between.

    Attributes:
        group: The module that they count towards.
        ms: Their part of the row's time.
        before: The segments that they have to wait for.
    """

    group: Hashable
    ms: float
    before: frozenset[int]


def segments_of(
    trace: Trace,
    row_of: Mapping[int, int],
    times: Mapping[Cell, float],
    groups: Sequence[Hashable],
) -> list[Segment]:
    """Return the operations of a trace as segments, in order of execution.

    What a row of times holds is one piece of work, but where calls of children lie between its operations.
    Its time is then split over the pieces in proportion to their arithmetic and bytes added up.

    Args:
        trace: Of any mode.
        row_of: The row of each operation.
        times: Milliseconds of each row in each phase.
        groups: The module of each row.
    """
    flow, runs = dataflow(trace), _runs(trace, row_of)
    weights = _weights(trace, runs)
    sums: dict[Cell, float] = defaultdict(float)
    for run, weight in zip(runs, weights, strict=True):
        sums[run.cell] += weight
    segment_of = {op: number for number, run in enumerate(runs) for op in run.ops}
    return [
        Segment(
            groups[run.cell[0]],
            times.get(run.cell, 0.0) * weight / sums[run.cell],
            frozenset(segment_of[o] for op in run.ops for o in flow.before.get(op, ())) - {number},
        )
        for number, (run, weight) in enumerate(zip(runs, weights, strict=True))
    ]


class _Run(NamedTuple):
    """Operations of one row and phase, one after the other."""

    cell: Cell
    ops: list[int]


def _runs(trace: Trace, row_of: Mapping[int, int]) -> list[_Run]:
    runs: list[_Run] = []
    last = None
    for op in trace.ops:
        cell = row_of[op.id], op.phase
        # The sum of the gradients of two branches belongs to one of them, which need not wait for the other.
        key = cell, op.phase == "backward" and op.base_name == "add"
        if key != last:
            runs.append(_Run(cell, []))
        runs[-1].ops.append(op.id)
        last = key
    return runs


def _weights(trace: Trace, runs: Sequence[_Run]) -> list[float]:
    op_bytes = bytes_one_by_one(trace)
    # views take time too, but where anything computes they are next to nothing
    costs = {op.id: 2 * op.macs + op.other_flops + op_bytes.get(op.id, 0) or 1e-6 for op in trace.ops}
    return [sum(costs[op] for op in run.ops) for run in runs]


def longest_path(segments: Sequence[Segment], group: Hashable | None = None) -> float:
    """Return the milliseconds of the longest path, counting the segments of one group, or all.

    Segments of other groups lead on from one to the next, but take no time.
    """
    members = [n for n, segment in enumerate(segments) if group is None or segment.group == group]
    if not members:
        return 0.0
    longest: dict[int, float] = {}
    for number in range(members[0], members[-1] + 1):
        segment = segments[number]
        own = segment.ms if group is None or segment.group == group else 0.0
        # in the order of execution: whatever comes before has its longest path by now
        longest[number] = own + max((longest.get(before, 0.0) for before in segment.before), default=0.0)
    return max(longest.values())
