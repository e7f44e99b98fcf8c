"""Memory along a pass or a step: what is held after each operation, by kind, and where it peaks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.metrics import format_quantity
from inception_lab.report.contents import ReportData
from inception_lab.report.plots.canvas import (
    INK,
    MUTED,
    SMALL,
    WIDTH,
    Sheet,
    key_lines,
    new_sheet,
    shortened,
    text_width,
    wrapped,
)
from inception_lab.report.plots.columns import (
    Run,
    marks,
    module_of,
    modules_of,
    name_modules,
    names_height,
    panel,
    runs,
)
from inception_lab.report.plots.wording import byte_steps, context_line, peak_place, share_text

SERIES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "parameters": ("Parameters", "#4477aa"),
        "buffers": ("Buffers", "#e69f00"),
        "optimizer_state": ("Optimizer state", "#332288"),
        "inputs": ("Inputs", "#66ccee"),
        "gradients": ("Gradients", "#882255"),
        "saved": ("Kept for backward", "#ddcc77"),
        "temporaries": ("Temporaries", "#ee6677"),
    }
)
"""Label and colour of each kind of memory, from the lowest in the stack to the highest.

The colours are after Paul Tol, and Okabe and Ito: told apart with any colour vision.
"""

OPTIMIZER = 0.22
"""The most room for an optimizer's many alike operations, as a part of all others'."""
_LEFT, _RIGHT, _HEIGHT, _ABOVE = 0.78, 0.3, 3.4, 0.42
_ROOM = WIDTH - _LEFT - _RIGHT
_PIXELS = 1190
"""Width of the panel: 144 to an inch."""
_APART = 0.05


@dataclass(frozen=True)
class Phase:
    """A part of the step.

    Attributes:
        name: What it is.
        rows: Of the timeline.
        left: Pixel at which it begins.
        right: The pixel after its last one.
    """

    name: str
    rows: range
    left: int
    right: int


def phases(timeline: DataFrame) -> list[Phase]:
    """The parts of the step, each as wide as it has operations; an optimizer no wider than `OPTIMIZER`."""
    found = [(run.module, range(run.start, run.end)) for run in runs(list(timeline["phase"]))]
    others = sum(len(rows) for name, rows in found if name != "optimizer")
    most = {"optimizer": OPTIMIZER * others} if others else {}
    sizes = [min(len(rows), most.get(name, inf)) for name, rows in found]
    widths = [max(round(_PIXELS * size / sum(sizes)), 1) for size in sizes]
    sides = pairwise(accumulate(widths, initial=0))
    return [Phase(*part, *side) for part, side in zip(found, sides, strict=True)]


@dataclass(frozen=True)
class Column:
    """A moment as it is drawn.

    Attributes:
        row: Of the timeline.
        left: Pixel at which it begins.
        right: Pixel at which it ends.
    """

    row: int
    left: float
    right: float


def columns(timeline: DataFrame) -> list[Column]:
    """A column per operation; of several to a pixel the one after which most is held."""
    live = timeline["live_bytes"].to_numpy()
    found = []
    for phase in phases(timeline):
        width = phase.right - phase.left
        count = min(len(phase.rows), width)
        cuts = [phase.rows.start + len(phase.rows) * number // count for number in range(count + 1)]
        edges = [phase.left + width * number / count for number in range(count + 1)]
        tops = [first + int(live[first:end].argmax()) for first, end in pairwise(cuts)]
        found += [Column(row, *sides) for row, sides in zip(tops, pairwise(edges), strict=True)]
    return found


def shown(data: ReportData) -> bool:
    """Whether an operation ran and anything is held."""
    return bool(len(data.timeline)) and data.peak["peak_bytes"] > 0


def caption(data: ReportData) -> str:
    """How much is held at the peak, where that is, and what it is, in one sentence."""
    most = format_quantity(data.peak["peak_bytes"], "bytes")
    shares = ", ".join(f"{share} {kind}" for share, kind in _shares(data))
    return f"The peak is {most}, {peak_place(data.peak)}: {shares}."


def _shares(data: ReportData) -> list[tuple[str, str]]:
    """The share of each kind at the peak, the largest first, and what it is called."""
    held = sorted(data.peak["by_kind"].items(), key=lambda item: -item[1])
    most = data.peak["peak_bytes"]
    return [(share_text(size, most), SERIES[kind][0].lower()) for kind, size in held if size]


def _title(data: ReportData) -> str:
    what = {"eval": "A pass", "train": "A training step"}[data.record.context["mode"]]
    most = format_quantity(data.peak["peak_bytes"], "bytes")
    share, kind = _shares(data)[0]
    return f"{what} holds {most} at most, {share} of it {kind}"


def draw(data: ReportData) -> Figure:
    """One panel: the bytes held after each operation, stacked by kind."""
    drawn, parts, key = columns(data.timeline), phases(data.timeline), _key(data)
    pitch = _ROOM / drawn[-1].right
    names = marks([run for run in _modules(data, drawn) if run.module], pitch)
    room = names_height(names)
    notes = wrapped(_axis_text(parts, drawn), _ROOM + _RIGHT, SMALL)
    top = 0.44 + 0.2 * len(key_lines(key, _LEFT)) + 0.22 * (len(parts) > 1)
    end = top + _HEIGHT
    sheet = new_sheet(_title(data), _subtitle(data), end + room + 0.23 + 0.17 * len(notes))
    sheet.text(_LEFT, 0.3, "Held after each operation; at the peak:", weight="bold")
    sheet.key(_LEFT, 0.52, key)
    _panel(sheet, data, drawn, parts, top)
    _name_phases(sheet, parts, pitch, top)
    name_modules(sheet, names, _LEFT, pitch, end)
    for number, line in enumerate(notes):
        sheet.text(_LEFT, end + room + 0.3 + 0.17 * number, line, color=MUTED, size=SMALL)
    return sheet.figure


def _subtitle(data: ReportData) -> str:
    optimizer = data.record.context.get("optimizer")
    return f"Memory over time · {context_line(data.record)}" + f", {optimizer}" * bool(optimizer)


def _kinds(timeline: DataFrame) -> list[str]:
    """What is held at any time, from the lowest in the stack to the highest."""
    return [kind for kind in SERIES if timeline[kind].any()]


def _key(data: ReportData) -> list[tuple[str, str]]:
    """Each kind with its bytes at the peak, and its colour."""
    held = data.peak["by_kind"]
    return [
        (f"{SERIES[kind][0]} {format_quantity(held[kind], 'bytes')}", SERIES[kind][1])
        for kind in _kinds(data.timeline)
    ]


def _modules(data: ReportData, drawn: Sequence[Column]) -> list[Run]:
    """The pixels by module; what runs in no module has no name."""
    modules = modules_of(data.branches)
    layers = data.timeline["layer"].iloc[[column.row for column in drawn]]
    names = ["" if layer.startswith("(") else module_of(layer, modules) for layer in layers]
    return [
        Run(run.module, round(drawn[run.start].left), round(drawn[run.end - 1].right)) for run in runs(names)
    ]


def _panel(
    sheet: Sheet, data: ReportData, drawn: Sequence[Column], parts: Sequence[Phase], top: float
) -> None:
    axes = panel(sheet, [Run("", 0, parts[-1].right)], (_LEFT, top, _ROOM, _HEIGHT))
    most = data.peak["peak_bytes"]
    axes.set_ylim(0, most * _HEIGHT / (_HEIGHT - _ABOVE))
    steps = byte_steps(most, 6)
    axes.set_yticks(list(steps), list(steps.values()))
    _stack(axes, data.timeline, drawn)
    for part in parts[1:]:
        axes.axvline(part.left, color=INK, lw=0.7, ls=(0, (4, 3)), zorder=3)
    peak = next(c for c in drawn if data.timeline["live_bytes"].iloc[c.row] == most)
    middle = (peak.left + peak.right) / 2
    axes.plot([middle], [most], "o", color=INK, ms=6, mec="white", clip_on=False, zorder=4)
    _name_peak(sheet, data, _ROOM * middle / drawn[-1].right, top + _ABOVE - 0.13)


def _stack(axes: Axes, timeline: DataFrame, drawn: Sequence[Column]) -> None:
    """Areas from the ground up, the highest one behind: no gaps between them."""
    held = timeline.iloc[[column.row for column in drawn]]
    lefts, end = np.array([column.left for column in drawn]), drawn[-1].right
    top = held["live_bytes"].to_numpy()
    for number, kind in enumerate(reversed(_kinds(timeline))):
        steps = np.flatnonzero(np.diff(top, prepend=-1))
        edges, colour = [*lefts[steps], end], SERIES[kind][1]
        axes.stairs(top[steps], edges, baseline=0, fill=True, color=colour, lw=0, zorder=1 + number / 10)
        top = top - held[kind].to_numpy()


def _name_phases(sheet: Sheet, parts: Sequence[Phase], pitch: float, top: float) -> None:
    """Names above several phases, the widest first, as far as they keep apart."""
    taken: list[tuple[float, float]] = []
    for part in sorted(parts if len(parts) > 1 else (), key=lambda part: part.left - part.right):
        middle, half = pitch * (part.left + part.right) / 2, text_width(part.name) / 2 + _APART
        if all(middle + half <= left or right <= middle - half for left, right in taken):
            taken.append((middle - half, middle + half))
            sheet.text(_LEFT + middle, top - 0.07, part.name, color=MUTED, ha="center")


def _name_peak(sheet: Sheet, data: ReportData, at: float, top: float) -> None:
    """The peak's bytes and place above it, as far as they stay above the panel."""
    value = format_quantity(data.peak["peak_bytes"], "bytes")
    width = text_width(value, weight="bold") + 0.06
    place = shortened(peak_place(data.peak), _ROOM - width)
    left = min(max(at - width / 2, 0.0), _ROOM - width - text_width(place))
    white = {"facecolor": "white", "lw": 0, "pad": 1.5}
    sheet.text(_LEFT + left + width, top, place, bbox=white)
    sheet.text(_LEFT + left, top, value, weight="bold", bbox=white)


def _axis_text(parts: Sequence[Phase], drawn: Sequence[Column]) -> str:
    count = parts[-1].rows.stop
    text = f"{count:,} operation{'s' * (count > 1)} in order of execution"
    if len(parts) > 1:
        text += f": {', '.join(f'{len(part.rows):,} {part.name}' for part in parts)}"
    dense = [len(part.rows) / (part.right - part.left) for part in (parts[0], parts[-1])]
    text += " (closer together)" * (dense[1] > 1.1 * dense[0])
    return text + "; where several share a pixel, the one that holds most" * (len(drawn) < count)
