"""Short training runs: the main loss over the steps, and the gradient of each module at each step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.report.plots.canvas import LINE, Box, Canvas, fitted, new_canvas
from inception_lab.report.plots.columns import panel
from inception_lab.report.plots.curves import (
    ZERO_NOTE,
    Curve,
    draw_curves,
    has_zeros,
    is_log,
    name_curves,
    room_behind,
)
from inception_lab.report.plots.fitting import shorten, wrap
from inception_lab.report.plots.gradient_map import (
    draw_map,
    draw_scale,
    name_rows,
    room_for_names,
    row_names,
    scale_of,
    scale_place,
)
from inception_lab.report.plots.style import MUTED, SMALL
from inception_lab.report.plots.training_runs import GradientMap, TrainingPlot, gradient_maps, loss_curves
from inception_lab.report.plots.training_words import caption, subtitle, title
from inception_lab.report.plots.wording import steps_between
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import layers_text

__all__ = ["caption", "draw", "has_content"]

MOST_MAPS, WIDE = 3, 100
"""Models whose gradients are drawn, one on a slide; the ratio of losses from which on their axis is a log."""
_LOSS, _ROW, _LOWEST, _TALLEST = 2.2, 0.15, 0.6, 3.2
_SCALE_TEXT = "Norm of the gradient of the weights (log)"


def has_content(subject: TrainingPlot) -> bool:
    """True where a loss is a finite number."""
    return any(curve.is_drawn for curve in loss_curves(subject))


@dataclass(frozen=True, eq=False)
class _Layout:
    """The parts of the plot, and the inches that they take.

    Attributes:
        subject: Of the plot.
        size: That it is laid out for.
        curves: The losses that are drawn.
        maps: The gradients that are drawn.
        left_out: The models for whose gradients there is no room.
    """

    subject: TrainingPlot
    size: PlotSize
    curves: Sequence[Curve]
    maps: Sequence[GradientMap]
    left_out: Sequence[str]

    @property
    def left(self) -> float:
        """Inches before the panels: the names of the rows stand there."""
        return max([0.72, *(0.2 + room_for_names(self.size, each) for each in self.maps)])

    @property
    def width(self) -> float:
        """Of the panels."""
        return self.size.width - self.left - room_behind(self.size, self.curves)

    @property
    def is_log(self) -> bool:
        """True where the losses are far apart."""
        values = np.concatenate([curve.median for curve in self.curves])
        low, high = np.nanmin(values), np.nanmax(values)
        return is_log(self.curves) and low > 0 and bool(high >= WIDE * low)

    @property
    def scale_lines(self) -> float:
        """Inches of the heading of the maps and the scale of their colours."""
        return 0.5 + scale_place(_SCALE_TEXT, self.left, self.width)[1] if self.maps else 0.0


def _height(gradients: GradientMap) -> float:
    return min(max(_ROW * len(gradients.modules), _LOWEST), _TALLEST)


def _layout(subject: TrainingPlot, size: PlotSize) -> _Layout:
    most, maps = 1 if size.is_slide else MOST_MAPS, gradient_maps(subject)
    curves = [curve for curve in loss_curves(subject) if curve.is_drawn]
    return _Layout(subject, size, curves, maps[:most], [each.name for each in maps[most:]])


def draw(subject: TrainingPlot, size: PlotSize = PAGE) -> Figure:
    """The main loss by step, and below it for each of a few models its gradients by module and step."""
    layout = _layout(subject, size)
    heading, lines, notes = (title(subject), subtitle(subject)), _heading_lines(layout), _notes(layout)
    top, each = 0.24 + LINE * len(lines), _row_head(layout)
    rest = top + layout.scale_lines + each * len(layout.maps) + 0.48 + LINE * len(notes)
    loss, *heights = fitted(size, heading, rest, _LOSS, *map(_height, layout.maps))
    canvas = new_canvas(size, *heading, rest + loss + sum(heights))
    canvas.lines(layout.left, 0.3, lines, weight="bold")
    axes = _draw_losses(canvas, layout, Box(layout.left, top, layout.width, loss))
    end = top + loss
    if layout.maps:
        axes, end = _draw_maps(canvas, layout, end, heights)
    _scale_steps(axes, layout)
    canvas.text(layout.left + layout.width / 2, end + 0.34, "Step", color=MUTED, size=SMALL, ha="center")
    canvas.lines(layout.left, end + 0.56, notes, color=MUTED, size=SMALL)
    return canvas.figure


def _heading_lines(layout: _Layout) -> list[str]:
    seeds = layout.subject.context["seeds"]
    spread = f", median and quartiles of {seeds} seeds" if seeds > 1 else ""
    text = f"Main loss of each step{' (log)' * layout.is_log}{spread}"
    return wrap(text, layout.size.width - layout.left - 0.1, weight="bold")


def _draw_losses(canvas: Canvas, layout: _Layout, box: Box) -> Axes:
    axes = panel(canvas, 1, box)
    axes.set_xlim(*_ends(layout))
    draw_curves(axes, layout.curves, box.height, layout.is_log, marks=False)
    name_curves(canvas, axes, layout.curves, box)
    return axes


def _ends(layout: _Layout) -> tuple[float, float]:
    """The ends of all panels: half a step before the first one, and behind the last."""
    steps = [step for run in layout.subject.models for step in run.steps["step"]]
    return min(steps) - 0.5, max(steps) + 0.5


def _scale_steps(axes: Axes, layout: _Layout) -> None:
    """Numbers of steps below the last panel."""
    first, last = _ends(layout)
    steps = steps_between(first, last, max(int(layout.width / 0.6), 2))
    whole = [step for step in steps if step == int(step)]
    axes.set_xticks(whole, [f"{step:,.0f}" for step in whole])


def _row_head(layout: _Layout) -> float:
    """Inches above a map: for the model's name where there are several models."""
    return 0.22 if len(layout.subject.models) > 1 else 0.0


def _draw_maps(canvas: Canvas, layout: _Layout, top: float, heights: Sequence[float]) -> tuple[Axes, float]:
    """The maps below the losses; returns the last one, and its end in inches."""
    norm, end = scale_of(layout.maps), top + layout.scale_lines
    draw_scale(canvas, norm, _SCALE_TEXT, Box(layout.left, top + 0.28, layout.width, 0.12))
    for gradients, height in zip(layout.maps, heights, strict=True):
        end += _row_head(layout)
        if _row_head(layout):
            name = shorten(gradients.name, layout.width, SMALL)
            canvas.text(layout.left, end - 0.06, name, size=SMALL)
        axes = canvas.axes(Box(layout.left, end, layout.width, height))
        draw_map(axes, gradients, norm)
        axes.set_xlim(*_ends(layout))
        axes.set_xticks([])
        name_rows(axes, row_names(layout.size, gradients, height))
        end += height
    return axes, end


def _notes(layout: _Layout) -> list[str]:
    """The lines below: what runs lack, what gaps mean, and what is not drawn."""
    without = [curve.name for curve in loss_curves(layout.subject) if not curve.is_drawn]
    parts = [
        layout.subject.note,
        f"no finite loss: {layers_text(without)}" if without else "",
        ZERO_NOTE if layout.is_log and has_zeros(layout.curves) else "",
        "white: a gradient of 0, or none that is finite" if any(m.has_gaps for m in layout.maps) else "",
        f"no room for the gradients of {layers_text(layout.left_out)}" if layout.left_out else "",
    ]
    text = "; ".join(filter(None, parts))
    return wrap(text, layout.size.width - layout.left - 0.1, SMALL) if text else []
