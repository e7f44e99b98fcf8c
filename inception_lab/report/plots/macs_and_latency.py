"""MACs and latency of several models: the ratio of each to one of them, in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.report.plots.canvas import Box, Canvas, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, headline, text_width
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, PARAMS, TEXT
from inception_lab.report.plots.wording import TIMES, ratio_text, round_decades
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import input_text, step_text

MACS, TIME = "#2f6690", PARAMS
_PITCH, _COLUMN, _TOP, _FOOT = 0.34, 0.68, 0.62, 0.35


@dataclass(frozen=True)
class Ratios:
    """A model beside the baseline.

    Attributes:
        model: Its name.
        macs: Its MACs over those of the baseline.
        time: Its time over that of the baseline, round by round: the median.
        low: Lower end of the interval of this median.
        high: Upper end.
    """

    model: str
    macs: float
    time: float
    low: float
    high: float


@dataclass(frozen=True)
class MacsAndLatency:
    """Several models beside a baseline, and the runs that the ratios are of.

    Attributes:
        context: Of the times: `input_shapes`, `mode`, `dtype`, `machine`, `threads`.
        baseline: Name of the model whose ratios are 1.
        models: The others.
    """

    context: Mapping[str, Any]
    baseline: str
    models: Sequence[Ratios]


def has_content(subject: MacsAndLatency) -> bool:
    """True where there is a model beside the baseline, and all have MACs and time."""
    return bool(subject.models) and all(min(r.macs, r.low) > 0 for r in subject.models)


def caption(subject: MacsAndLatency) -> str:
    """The models whose time differs most from their MACs in either direction, in one sentence."""
    text = "; ".join(_sentence(ratios) for ratios in _ends(subject.models))
    return f"Beside {subject.baseline}, {text}."


def _sentence(ratios: Ratios) -> str:
    return f"{ratios.model} takes {ratio_text(ratios.macs)} the MACs and {ratio_text(ratios.time)} the time"


def _ends(models: Sequence[Ratios]) -> list[Ratios]:
    """The model that is slowest for its MACs, and the one that is fastest."""
    by_speed = sorted(models, key=lambda ratios: ratios.time / ratios.macs)
    return list(dict.fromkeys([by_speed[-1], by_speed[0]]))


def _title(subject: MacsAndLatency) -> str:
    farthest = max(subject.models, key=lambda ratios: abs(log(ratios.time / ratios.macs)))
    return (
        f"{headline(farthest.model)}: {ratio_text(farthest.macs)} the MACs of {headline(subject.baseline)}, "
        f"{ratio_text(farthest.time)} the time"
    )


def _subtitle(subject: MacsAndLatency) -> str:
    facts = subject.context
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    run = f"input {input_text(facts)}, {step_text(facts)}, {facts['dtype']}"
    return f"MACs and time beside {subject.baseline} (log) · {run} · {facts['machine']}, {threads}"


def draw(subject: MacsAndLatency, size: PlotSize = PAGE) -> Figure:
    """A row per model, the dearest first: a dot for its MACs, a diamond and its interval for its time."""
    models = sorted(subject.models, key=lambda ratios: -ratios.macs)
    title, subtitle = _title(subject), _subtitle(subject)
    height = min(_PITCH * len(models) + 0.1, room_below(size, title, subtitle) - _TOP - _FOOT)
    canvas = new_canvas(size, title, subtitle, _TOP + height + _FOOT)
    _draw_key(canvas)
    labels = distinct([ratios.model for ratios in models], 0.28 * size.width)
    left = MARGIN + max(map(text_width, labels)) + 0.2
    axes = canvas.axes(Box(left, _TOP, size.width - MARGIN - 2 * _COLUMN - left, height))
    for row, ratios in enumerate(models):
        _draw_row(axes, row, ratios)
    _scale(axes, models, labels)
    _write_ratios(canvas, models, height / (len(models) + 0.2))
    return canvas.figure


def _draw_key(canvas: Canvas) -> None:
    canvas.text(MARGIN, 0.32, "○", color=MACS)
    canvas.text(MARGIN + 0.16, 0.32, "MACs")
    canvas.text(MARGIN + 0.75, 0.32, "◆", color=TIME)
    canvas.text(MARGIN + 0.91, 0.32, "time, with the interval of its median")


def _draw_row(axes: Axes, row: int, ratios: Ratios) -> None:
    axes.plot([ratios.macs, ratios.time], [row, row], color=MUTED, lw=1, alpha=0.5, zorder=1)
    axes.plot([ratios.low, ratios.high], [row, row], color=TIME, lw=5, alpha=0.35, solid_capstyle="butt")
    axes.plot([ratios.macs], [row], "o", ms=8, mfc="white", mec=MACS, mew=1.8, zorder=3)
    axes.plot([ratios.time], [row], "D", ms=6, color=TIME, zorder=4)


def _scale(axes: Axes, models: Sequence[Ratios], labels: Sequence[str]) -> None:
    """A logarithmic axis with the baseline's line, and room for half a dot beyond both ends."""
    values = [1.0, *(value for r in models for value in (r.macs, r.low, r.high))]
    room = max((max(values) / min(values)) ** 0.04, 1.05)
    low, high = min(values) / room, max(values) * room
    steps = round_decades(low, high)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_xticks(steps, [f"{step:g}{TIMES}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.set_yticks(range(len(models)), labels)
    axes.set_ylim(len(models) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=8)
    axes.grid(axis="x", color=FAINT)
    axes.axvline(1, color=INK, lw=0.9, zorder=0.5)
    axes.spines["bottom"].set_visible(False)


def _write_ratios(canvas: Canvas, models: Sequence[Ratios], pitch: float) -> None:
    """The ratios of each model in two columns at the right edge."""
    for number, name in enumerate(("MACs", "time")):
        right = canvas.size.width - MARGIN - _COLUMN * (1 - number)
        canvas.text(right, _TOP - 0.12, name, weight="bold", ha="right")
        for row, ratios in enumerate(models):
            value = ratios.time if number else ratios.macs
            # a baseline so far below the middle of the row centres the digits
            canvas.text(right, _TOP + pitch * (row + 0.6) + 0.045, ratio_text(value), ha="right")
