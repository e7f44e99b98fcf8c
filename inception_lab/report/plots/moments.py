"""The timeline of memory as it fits on a panel: phases by width, moments by pixel."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf

from pandas import DataFrame

from inception_lab.report.plots.columns import runs_of

OPTIMIZER = 0.22
"""The most room for an optimizer's many alike operations, as a part of all others'."""
PIXELS = 1190
"""Width of the panel: 144 to an inch."""


@dataclass(frozen=True)
class Phase:
    """A part of the step.

    Attributes:
        name: `forward`, `loss`, `backward` or `optimizer`.
        rows: Of the timeline.
        left: Pixel at which it begins.
        right: The pixel after its last one.
    """

    name: str
    rows: range
    left: int
    right: int


def phases_of(timeline: DataFrame) -> list[Phase]:
    """The parts of the step, each as wide as it has operations; an optimizer no wider than `OPTIMIZER`."""
    parts = [(run.module, range(run.start, run.end)) for run in runs_of(list(timeline["phase"]))]
    others = sum(len(rows) for name, rows in parts if name != "optimizer")
    most = {"optimizer": OPTIMIZER * others} if others else {}
    sizes = [min(len(rows), most.get(name, inf)) for name, rows in parts]
    widths = [max(round(PIXELS * size / sum(sizes)), 1) for size in sizes]
    sides = pairwise(accumulate(widths, initial=0))
    return [Phase(*part, *side) for part, side in zip(parts, sides, strict=True)]


@dataclass(frozen=True)
class Moment:
    """A moment as it is drawn.

    Attributes:
        row: Of the timeline.
        left: Pixel at which it begins.
        right: Pixel at which it ends.
    """

    row: int
    left: float
    right: float


def moments_of(timeline: DataFrame) -> list[Moment]:
    """A moment per operation; of several to a pixel the one after which most is alive."""
    live = timeline["live_bytes"].to_numpy()
    moments = []
    for phase in phases_of(timeline):
        width = phase.right - phase.left
        count = min(len(phase.rows), width)
        # the phase's rows and its pixels in equally many parts, so that a part of rows has its pixel
        cuts = [phase.rows.start + len(phase.rows) * number // count for number in range(count + 1)]
        edges = [phase.left + width * number / count for number in range(count + 1)]
        tops = [first + int(live[first:end].argmax()) for first, end in pairwise(cuts)]
        moments += [Moment(row, *sides) for row, sides in zip(tops, pairwise(edges), strict=True)]
    return moments
