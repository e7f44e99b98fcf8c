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
from inception_lab.report.plots.canvas import Box, Canvas, fitted, key_lines, new_canvas
from inception_lab.report.plots.columns import (
    Run,
    module_of,
    modules_of,
    panel,
    runs_of,
)
from inception_lab.report.plots.fitting import shorten, text_width, wrap
from inception_lab.report.plots.module_names import longest_name, names_below, notes_below
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

_LEFT, _RIGHT, _HEIGHT, _ABOVE, _STRIP = 0.78, 0.3, 3.4, 0.42, 0.2
_APART, _WIDE = 0.05, 5.0
_BELOW = ": held below all of this"
LASTING = "#dbe4ee"
"""The colour of what a pass only reads: a light one of the parameters'."""


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
    most, constant = format_quantity(contents.peak.peak_bytes, "bytes"), constant_kinds(contents)
    if not constant:
        share, kind = _shares(contents)[0]
        what = {"eval": "A pass", "train": "A training step"}[contents.record.context["mode"]]
        return f"{what} holds {most} at most, {share} of it {kind}"
    below = _sum(contents, constant)
    above = format_quantity(contents.peak.peak_bytes - below, "bytes")
    names = " and ".join(SERIES[kind][0].lower() for kind in constant)
    return f"A pass holds {most} at most: {above} on top of {format_quantity(below, 'bytes')} of {names}"


def constant_kinds(contents: ReportContents) -> list[str]:
    """The kinds that a pass does not change, of which the picture would be one colour; none in training."""
    timeline = contents.timeline
    lasting = [k for k in ("parameters", "buffers") if timeline[k].any() and timeline[k].nunique() == 1]
    is_all = _sum(contents, lasting) == contents.peak.peak_bytes
    return [] if is_all or contents.record.context["mode"] == "train" else lasting


def _sum(contents: ReportContents, kinds: Sequence[str]) -> int:
    """The bytes of some kinds at the peak."""
    return sum(contents.peak.by_kind[kind] for kind in kinds)


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """The bytes alive after each operation, stacked by kind; what a pass only reads is a strip below."""
    moments, phases, key = moments_of(contents.timeline), phases_of(contents.timeline), _key(contents)
    room, constant = size.width - _LEFT - _RIGHT, constant_kinds(contents)
    names = names_below(_runs(contents, moments), room / moments[-1].right, longest_name(size))
    notes = notes_below(size, names, _axis_text(phases, moments))
    # from above: a heading, the lines of the key, and names of phases where there are several
    words = f"Held{_beside(constant)} after each operation; at the peak:"
    lines = wrap(words, size.width - _LEFT - 0.05, weight="bold")
    top = 0.24 + 0.2 * (len(lines) + len(key_lines(size, key, _LEFT))) + 0.22 * (len(phases) > 1)
    heading, strip = (_title(contents), _subtitle(contents)), (_STRIP + 0.08) * bool(constant)
    fixed = top + strip + names.height + 0.23 + 0.17 * len(notes)
    (height,) = fitted(size, heading, fixed, _HEIGHT)
    canvas = new_canvas(size, *heading, fixed + height)
    for number, line in enumerate(lines):
        canvas.text(_LEFT, 0.3 + 0.2 * number, line, weight="bold")
    canvas.key(_LEFT, 0.32 + 0.2 * len(lines), key)
    _draw_panel(canvas, contents, moments, phases, Box(_LEFT, top, room, height))
    if constant:
        _draw_constant(canvas, contents, Box(_LEFT, top + height + 0.08, room, _STRIP))
    _name_phases(canvas, phases, names.pitch, top)
    end = top + height + strip
    names.draw(canvas, _LEFT, end)
    for number, line in enumerate(notes):
        canvas.text(_LEFT, end + names.height + 0.3 + 0.17 * number, line, color=MUTED, size=SMALL)
    return canvas.figure


def _beside(constant: Sequence[str]) -> str:
    names = " and ".join(SERIES[kind][0].lower() for kind in constant)
    return f" beside {names}" if names else ""


def _draw_constant(canvas: Canvas, contents: ReportContents, box: Box) -> None:
    """A strip below the panel: what is held from the first operation to the last one, and how much it is."""
    axes = canvas.axes(box)
    axes.set_axis_off()
    axes.set_ylim(0, 1)
    kinds = constant_kinds(contents)
    axes.axhspan(0, 1, facecolor=LASTING, edgecolor=SERIES[kinds[0]][1], lw=1, gid="constant")
    sizes = [f"{SERIES[k][0]} {format_quantity(contents.peak.by_kind[k], 'bytes')}" for k in kinds]
    text = ", ".join(sizes)
    if text_width(f"{text}{_BELOW}", SMALL) < box.width - 0.1:
        text += _BELOW
    axes.text(0.5, 0.5, text, ha="center", va="center_baseline", size=SMALL)


def _subtitle(contents: ReportContents) -> str:
    return f"Memory over time · {context_line(contents.record)}"


def stacked_kinds(contents: ReportContents) -> list[str]:
    """The kinds alive at any time and not constant, from the lowest in the stack to the highest."""
    constant = constant_kinds(contents)
    return [kind for kind in SERIES if kind not in constant and contents.timeline[kind].any()]


def _key(contents: ReportContents) -> list[tuple[str, str]]:
    """Each kind of the stack with its bytes at the peak, and its colour."""
    sizes = contents.peak.by_kind
    return [
        (f"{SERIES[kind][0]} {format_quantity(sizes[kind], 'bytes')}", SERIES[kind][1])
        for kind in stacked_kinds(contents)
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
    canvas: Canvas, contents: ReportContents, moments: Sequence[Moment], phases: Sequence[Phase], box: Box
) -> None:
    axes = panel(canvas, phases[-1].right, box)
    most = contents.peak.peak_bytes - _sum(contents, constant_kinds(contents))
    # above the peak `_ABOVE` inches stay free for its name
    axes.set_ylim(0, most * box.height / (box.height - _ABOVE))
    steps = byte_steps(most, 6 if box.height > 2 else 4)
    axes.set_yticks(list(steps), list(steps.values()))
    _draw_areas(axes, contents.timeline, moments, stacked_kinds(contents))
    for phase in phases[1:]:
        axes.axvline(phase.left, color=INK, lw=0.7, ls=(0, (4, 3)), zorder=3)
    live = contents.timeline["live_bytes"]
    peak = next(m for m in moments if live.iloc[m.row] == contents.peak.peak_bytes)
    middle = (peak.left + peak.right) / 2
    axes.plot([middle], [most], "o", color=INK, ms=6, mec="white", clip_on=False, zorder=4)
    _name_peak(canvas, contents, box.width * middle / moments[-1].right, box)


def _draw_areas(axes: Axes, timeline: DataFrame, moments: Sequence[Moment], kinds: Sequence[str]) -> None:
    """Areas from the ground up, the highest one behind: no gaps between them."""
    rows = timeline.iloc[[moment.row for moment in moments]]
    lefts, end = np.array([moment.left for moment in moments]), moments[-1].right
    top = rows[list(kinds)].sum(axis="columns").to_numpy()
    for number, kind in enumerate(reversed(kinds)):
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


def _name_peak(canvas: Canvas, contents: ReportContents, at: float, box: Box) -> None:
    """The peak's bytes and place above it, as far as they stay above the panel."""
    value = _peak_text(contents, is_long=box.width > _WIDE)
    width = text_width(value, weight="bold") + 0.06
    place = shorten(_peak_place(contents), box.width - width)
    # the bytes centred on the peak, moved where they or the place would leave the panel
    left = min(max(at - width / 2, 0.0), box.width - width - text_width(place))
    white = {"facecolor": "white", "lw": 0, "pad": 1.5}
    top = box.top + _ABOVE - 0.13
    canvas.text(_LEFT + left + width, top, place, bbox=white)
    canvas.text(_LEFT + left, top, value, weight="bold", bbox=white)


def _peak_text(contents: ReportContents, is_long: bool) -> str:
    """The bytes of the peak, and as a long text those drawn and those held below."""
    most, below = contents.peak.peak_bytes, _sum(contents, constant_kinds(contents))
    sizes = [format_quantity(size, "bytes") for size in (most - below, below, most)]
    return f"{sizes[0]} + {sizes[1]} = {sizes[2]}" if below and is_long else sizes[2]


def _axis_text(phases: Sequence[Phase], moments: Sequence[Moment]) -> str:
    count = phases[-1].rows.stop
    text = f"{count:,} operation{'s' * (count > 1)} in order of execution"
    if len(phases) > 1:
        text += f": {', '.join(f'{len(phase.rows):,} {phase.name}' for phase in phases)}"
    first, last = (len(phase.rows) / (phase.right - phase.left) for phase in (phases[0], phases[-1]))
    text += " (closer together)" * (last > 1.1 * first)
    return text + "; where several share a pixel, the one that holds most" * (len(moments) < count)
