"""From rounds by events and profiled steps to a table of layers whose times add up to the step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from statistics import median_low
from typing import Any, TypeVar, get_args

from pandas import DataFrame
from torch import nn

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Phase
from inception_lab.measure.timing.clock import OUTSIDE, Cell, Frame
from inception_lab.measure.timing.cuda_profile import UNLAUNCHED, StepWork
from inception_lab.measure.timing.cuda_rounds import PhaseTimes
from inception_lab.measure.timing.statistics import apportion
from inception_lab.measure.timing.table import NS_PER_MS, uncalled_frames

GAPS = Frame("(gaps)", 0, "")
"""The GPU waits for the CPU, or for other work to end."""

Key = TypeVar("Key", bound=Hashable)
Sample = TypeVar("Sample")


def cuda_table(
    rounds: Sequence[PhaseTimes], works: Sequence[StepWork], modules: Mapping[str, nn.Module], training: bool
) -> DataFrame:
    """Return a row per module call, with times in milliseconds that add up to the median round.

    The busy time of a profiled step, and its kernel time, are split in proportion to the medians of their
    parts as those of a step on the CPU are, see `table.layer_table`. What is left of the step by events is
    in the row of gaps, phase by phase; it is negative where the GPU was busy for longer under the profiler
    than the step takes without.

    Args:
        rounds: Of one step, one or more.
        works: Of the same step under a profiler, one or more.
        modules: Of the model, by path.
        training: True where the phases have columns.
    """
    cells = _cells(rounds, works)
    own = _sums(cells)
    kernel_times = _split(works, lambda work: work.kernel_times)
    frames = _frames(works, modules)
    executed = {frame for work in works for frame in work.frames} | {OUTSIDE, GAPS}
    step = sum(own.values()) or 1
    columns: dict[str, list[Any]] = {
        "layer": [frame.path or ROOT for frame in frames],
        "call": [frame.number for frame in frames],
        "type": [frame.kind for frame in frames],
        "executed": [frame in executed for frame in frames],
        "self_ms": [own.get(frame, 0) / NS_PER_MS for frame in frames],
        "share": [100 * own.get(frame, 0) / step for frame in frames],
        "device_ms": [kernel_times.get(frame, 0) / NS_PER_MS for frame in frames],
        "kernels": [median_low([work.kernels.get(frame, 0) for work in works]) for frame in frames],
    }
    phases = {phase for _, phase in cells} if training else set()
    for phase in (phase for phase in get_args(Phase) if phase in phases):
        columns[f"{phase}_ms"] = [cells.get((frame, phase), 0) / NS_PER_MS for frame in frames]
    return DataFrame(columns)


def _cells(rounds: Sequence[PhaseTimes], works: Sequence[StepWork]) -> dict[Cell, int]:
    """Nanoseconds of each call in each phase, the gaps included."""
    busy = _split(works, lambda work: work.busy)
    phases = _split(rounds, lambda times: times)
    gaps: dict[Phase, int] = defaultdict(int, phases)
    for (_, phase), nanoseconds in busy.items():
        gaps[phase] -= nanoseconds
    return busy | {(GAPS, phase): nanoseconds for phase, nanoseconds in gaps.items()}


def _split(samples: Sequence[Sample], parts_of: Callable[[Sample], Mapping[Key, int]]) -> dict[Key, int]:
    """The median of the samples' sums, split in proportion to the medians of their parts."""
    parts = [parts_of(sample) for sample in samples]
    keys = list(dict.fromkeys(key for sample in parts for key in sample))
    if not keys:
        return {}
    medians = [median_low([sample.get(key, 0) for sample in parts]) for key in keys]
    total = median_low([sum(sample.values()) for sample in parts])
    return dict(zip(keys, apportion(total, medians), strict=True))


def _sums(cells: Mapping[Cell, int]) -> Mapping[Frame, int]:
    sums: dict[Frame, int] = defaultdict(int)
    for (frame, _), nanoseconds in cells.items():
        sums[frame] += nanoseconds
    return sums


def _frames(works: Sequence[StepWork], modules: Mapping[str, nn.Module]) -> list[Frame]:
    """The calls in order of execution, then the modules that were never called, then what is no call."""
    all_frames = dict.fromkeys(frame for work in works for frame in work.frames)
    ran = [frame for frame in all_frames if frame not in (UNLAUNCHED, OUTSIDE)]
    unlaunched = [UNLAUNCHED] if UNLAUNCHED in all_frames else []
    return [*ran, *uncalled_frames(modules, ran), *unlaunched, OUTSIDE, GAPS]
