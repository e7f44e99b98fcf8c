"""Memory along a pass or a step: live bytes after each operation, by kind, and their peak."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.metrics import format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, key_lines, new_canvas
from inception_lab.report.plots.columns import (
    Run,
    marks_of,
    module_of,
    modules_of,
    name_modules,
    names_height,
    panel,
    runs_of,
)
from inception_lab.report.plots.fitting import shorten, text_width, wrap
from inception_lab.report.plots.moments import Moment, Phase, moments_of, phases_of
from inception_lab.report.plots.style import INK, MUTED, SMALL
from inception_lab.report.plots.wording import byte_steps, context_line, peak_place, share_text
from inception_lab.report.sizes import PAGE, PlotSize

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

_LEFT, _RIGHT, _HEIGHT, _ABOVE = 0.78, 0.3, 3.4, 0.42
_APART = 0.05


def has_content(contents: ReportContents) -> bool:
    """True where an operation ran and anything is alive."""
    return bool(len(contents.timeline)) and contents.peak.peak_bytes > 0


def caption(contents: ReportContents) -> str:
    """The bytes of the peak, its place, and the kinds that make it up, in one sentence."""
    peak = contents.peak
    most, place = format_quantity(peak.peak_bytes, "bytes"), _peak_place(contents)
    shares = ", ".join(f"{share} {kind}" for share, kind in _shares(contents))
    return f"The peak is {most}, {place}: {shares}."


def _peak_place(contents: ReportContents) -> str:
    return peak_place(contents.peak.layer, contents.peak.operation, contents.peak.phase)


def _shares(contents: ReportContents) -> list[tuple[str, str]]:
    """The share of each kind at the peak, the largest first, and its label."""
    sizes = sorted(contents.peak.by_kind.items(), key=lambda item: -item[1])
    most = contents.peak.peak_bytes
    return [(share_text(size, most), SERIES[kind][0].lower()) for kind, size in sizes if size]


def _title(contents: ReportContents) -> str:
    what = {"eval": "A pass", "train": "A training step"}[contents.record.context["mode"]]
    most = format_quantity(contents.peak.peak_bytes, "bytes")
    share, kind = _shares(contents)[0]
    return f"{what} holds {most} at most, {share} of it {kind}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """One panel: the bytes alive after each operation, stacked by kind."""
    moments, phases, key = moments_of(contents.timeline), phases_of(contents.timeline), _key(contents)
    # inches a pixel of the panel
    pitch = _room(size) / moments[-1].right
    marks = marks_of([run for run in _runs(contents, moments) if run.module], pitch)
    room = names_height(marks)
    notes = wrap(_axis_text(phases, moments), _room(size) + _RIGHT, SMALL)
    # from above: a heading, the lines of the key, and names of phases where there are several
    top = 0.44 + 0.2 * len(key_lines(size, key, _LEFT)) + 0.22 * (len(phases) > 1)
    end = top + _HEIGHT
    canvas = new_canvas(size, _title(contents), _subtitle(contents), end + room + 0.23 + 0.17 * len(notes))
    canvas.text(_LEFT, 0.3, "Held after each operation; at the peak:", weight="bold")
    canvas.key(_LEFT, 0.52, key)
    _draw_panel(canvas, contents, moments, phases, top)
    _name_phases(canvas, phases, pitch, top)
    name_modules(canvas, marks, _LEFT, pitch, end)
    for number, line in enumerate(notes):
        canvas.text(_LEFT, end + room + 0.3 + 0.17 * number, line, color=MUTED, size=SMALL)
    return canvas.figure


def _room(size: PlotSize) -> float:
    """Width of the panels, in inches."""
    return size.width - _LEFT - _RIGHT


def _subtitle(contents: ReportContents) -> str:
    return f"Memory over time · {context_line(contents.record)}"


def _kinds(timeline: DataFrame) -> list[str]:
    """The kinds alive at any time, from the lowest in the stack to the highest."""
    return [kind for kind in SERIES if timeline[kind].any()]


def _key(contents: ReportContents) -> list[tuple[str, str]]:
    """Each kind with its bytes at the peak, and its colour."""
    sizes = contents.peak.by_kind
    return [
        (f"{SERIES[kind][0]} {format_quantity(sizes[kind], 'bytes')}", SERIES[kind][1])
        for kind in _kinds(contents.timeline)
    ]


def _runs(contents: ReportContents, moments: Sequence[Moment]) -> list[Run]:
    """The pixels by module; those of work outside of modules have no name."""
    modules = modules_of(contents.branches)
    layers = contents.timeline["layer"].iloc[[moment.row for moment in moments]]
    names = ["" if layer.startswith("(") else module_of(layer, modules) for layer in layers]
    return [
        Run(run.module, round(moments[run.start].left), round(moments[run.end - 1].right))
        for run in runs_of(names)
    ]


def _draw_panel(
    canvas: Canvas, contents: ReportContents, moments: Sequence[Moment], phases: Sequence[Phase], top: float
) -> None:
    axes = panel(canvas, [Run("", 0, phases[-1].right)], Box(_LEFT, top, _room(canvas.size), _HEIGHT))
    most = contents.peak.peak_bytes
    # above the peak `_ABOVE` inches stay free for its name
    axes.set_ylim(0, most * _HEIGHT / (_HEIGHT - _ABOVE))
    steps = byte_steps(most, 6)
    axes.set_yticks(list(steps), list(steps.values()))
    _draw_areas(axes, contents.timeline, moments)
    for phase in phases[1:]:
        axes.axvline(phase.left, color=INK, lw=0.7, ls=(0, (4, 3)), zorder=3)
    peak = next(m for m in moments if contents.timeline["live_bytes"].iloc[m.row] == most)
    middle = (peak.left + peak.right) / 2
    axes.plot([middle], [most], "o", color=INK, ms=6, mec="white", clip_on=False, zorder=4)
    _name_peak(canvas, contents, _room(canvas.size) * middle / moments[-1].right, top + _ABOVE - 0.13)


def _draw_areas(axes: Axes, timeline: DataFrame, moments: Sequence[Moment]) -> None:
    """Areas from the ground up, the highest one behind: no gaps between them."""
    rows = timeline.iloc[[moment.row for moment in moments]]
    lefts, end = np.array([moment.left for moment in moments]), moments[-1].right
    top = rows["live_bytes"].to_numpy()
    for number, kind in enumerate(reversed(_kinds(timeline))):
        # only where the height changes: a file of thousands of operations stays small
        steps = np.flatnonzero(np.diff(top, prepend=-1))
        edges, colour = [*lefts[steps], end], SERIES[kind][1]
        axes.stairs(top[steps], edges, baseline=0, fill=True, color=colour, lw=0, zorder=1 + number / 10)
        top = top - rows[kind].to_numpy()


def _name_phases(canvas: Canvas, phases: Sequence[Phase], pitch: float, top: float) -> None:
    """Names above several phases, the widest first, as far as they keep apart."""
    spans: list[tuple[float, float]] = []
    for phase in sorted(phases if len(phases) > 1 else (), key=lambda phase: phase.left - phase.right):
        middle, half = pitch * (phase.left + phase.right) / 2, text_width(phase.name) / 2 + _APART
        if all(middle + half <= left or right <= middle - half for left, right in spans):
            spans.append((middle - half, middle + half))
            canvas.text(_LEFT + middle, top - 0.07, phase.name, color=MUTED, ha="center")


def _name_peak(canvas: Canvas, contents: ReportContents, at: float, top: float) -> None:
    """The peak's bytes and place above it, as far as they stay above the panel."""
    value = format_quantity(contents.peak.peak_bytes, "bytes")
    width = text_width(value, weight="bold") + 0.06
    place = shorten(_peak_place(contents), _room(canvas.size) - width)
    # the bytes centred on the peak, moved where they or the place would leave the panel
    left = min(max(at - width / 2, 0.0), _room(canvas.size) - width - text_width(place))
    white = {"facecolor": "white", "lw": 0, "pad": 1.5}
    canvas.text(_LEFT + left + width, top, place, bbox=white)
    canvas.text(_LEFT + left, top, value, weight="bold", bbox=white)


def _axis_text(phases: Sequence[Phase], moments: Sequence[Moment]) -> str:
    count = phases[-1].rows.stop
    text = f"{count:,} operation{'s' * (count > 1)} in order of execution"
    if len(phases) > 1:
        text += f": {', '.join(f'{len(phase.rows):,} {phase.name}' for phase in phases)}"
    first, last = (len(phase.rows) / (phase.right - phase.left) for phase in (phases[0], phases[-1]))
    text += " (closer together)" * (last > 1.1 * first)
    return text + "; where several share a pixel, the one that holds most" * (len(moments) < count)
