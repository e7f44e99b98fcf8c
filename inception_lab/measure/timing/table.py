"""From the rounds of a step to a table of layers whose times add up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median_low
from typing import Any, get_args

from pandas import DataFrame
from torch import nn

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Phase
from inception_lab.measure.timing.clock import OUTSIDE, Cell, Elapsed, Frame, RoundTimes
from inception_lab.measure.timing.statistics import apportion, spread_of

NS_PER_MS = 10**6
NOTHING = Elapsed(0, 0)

Nanoseconds = Mapping[Cell, int]


def layer_table(rounds: Sequence[RoundTimes], modules: Mapping[str, nn.Module], training: bool) -> DataFrame:
    """Return a row per module call, with times in milliseconds that add up to the median round.

    The medians of parts do not add up to the median of their sum. So the median round is split in proportion
    to the medians of the parts, in whole nanoseconds: all of them change by one common factor.

    Args:
        rounds: Of one step, one or more.
        modules: Of the model, by path.
        training: True where the phases have columns.
    """
    wall = _shares_of_median(rounds, 0)
    cpu = _shares_of_median(rounds, 1)
    frames = _frames(rounds, modules)
    executed = {frame for frame, _ in wall}
    self_ns, cpu_ns = _by_frame(wall), _by_frame(cpu)
    ranges = {frame: _interquartile_range(rounds, frame) for frame in frames}
    # a step that the clock does not see to last has no shares
    step = sum(self_ns.values()) or 1
    columns: dict[str, list[Any]] = {
        "layer": [frame.path or ROOT for frame in frames],
        "call": [frame.number for frame in frames],
        "type": [frame.kind for frame in frames],
        "executed": [frame in executed for frame in frames],
        "self_ms": [self_ns[frame] / NS_PER_MS for frame in frames],
        "share": [100 * self_ns[frame] / step for frame in frames],
        "self_iqr_ms": [round(ranges[frame] / NS_PER_MS, 6) for frame in frames],
        "self_cpu_ms": [cpu_ns[frame] / NS_PER_MS for frame in frames],
    }
    phases = {phase for _, phase in wall} if training else set()
    for phase in (phase for phase in get_args(Phase) if phase in phases):
        columns[f"{phase}_ms"] = [wall.get((frame, phase), 0) / NS_PER_MS for frame in frames]
    return DataFrame(columns)


def _interquartile_range(rounds: Sequence[RoundTimes], frame: Frame) -> float:
    """That of a call's own time, all phases together, in nanoseconds."""
    phases: tuple[Phase, ...] = get_args(Phase)
    sums = [sum(times.own.get((frame, phase), NOTHING).wall for phase in phases) for times in rounds]
    return spread_of(sums).iqr if len(sums) > 1 else 0.0


def _shares_of_median(rounds: Sequence[RoundTimes], clock: int) -> Nanoseconds:
    """The median round by one of the clocks, split in proportion to the medians of its parts."""
    # A call that a round did not make took no time in it: a net may choose its layers anew each time.
    cells = list(dict.fromkeys(cell for times in rounds for cell in times.own))
    medians = [median_low([times.own.get(cell, NOTHING)[clock] for times in rounds]) for cell in cells]
    total = median_low([times.total[clock] for times in rounds])
    return dict(zip(cells, apportion(total, medians), strict=True))


def medians_part(rounds: Sequence[RoundTimes]) -> float:
    """The sum of the medians of the parts, as a part of the median round.

    That is what the table's times were divided by to add up; near 1 where rounds are alike.
    """
    cells = {cell for times in rounds for cell in times.own}
    medians = [median_low([times.own.get(cell, NOTHING).wall for times in rounds]) for cell in cells]
    return sum(medians) / (median_low([times.total.wall for times in rounds]) or 1)


def _frames(rounds: Sequence[RoundTimes], modules: Mapping[str, nn.Module]) -> list[Frame]:
    """The calls in order of execution, then the modules that were never called, then what is outside."""
    ran = list(dict.fromkeys(frame for times in rounds for frame, _ in times.own if frame != OUTSIDE))
    return [*ran, *uncalled_frames(modules, ran), OUTSIDE]


def uncalled_frames(modules: Mapping[str, nn.Module], frames: Iterable[Frame]) -> list[Frame]:
    """Return frames for the modules with work of their own that were never called."""
    paths = {frame.path for frame in frames}
    return [
        Frame(path, 0, type(module).__name__)
        for path, module in modules.items()
        if path not in paths and _has_work(module)
    ]


def _has_work(module: nn.Module) -> bool:
    """True where a module would do something of its own: it has parameters, or no children."""
    own = any(parameter is not None for parameter in module._parameters.values())
    return own or not any(child is not None for child in module._modules.values())


def _by_frame(times: Nanoseconds) -> Mapping[Frame, int]:
    sums: dict[Frame, int] = defaultdict(int)
    for (frame, _), nanoseconds in times.items():
        sums[frame] += nanoseconds
    return sums
