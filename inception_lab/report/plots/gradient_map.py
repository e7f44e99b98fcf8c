"""A map of gradients: a row per module, a column per step, and the scale of its colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize

from inception_lab.report.plots.bubbles import Ticks
from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.columns import Run, runs_of
from inception_lab.report.plots.fitting import distinct, text_width
from inception_lab.report.plots.module_names import folded
from inception_lab.report.plots.rows import run_name
from inception_lab.report.plots.style import INK, SMALL
from inception_lab.report.plots.training_runs import GradientMap
from inception_lab.report.plots.wording import number_text, round_decades
from inception_lab.report.sizes import PlotSize

COLOURS = colormaps["viridis"].with_extremes(bad="white")
"""From dark to light in even steps, in grey too."""
LINE = 0.135
"""Inches of a row from which on it has a name of its own."""


def scale_of(maps: Sequence[GradientMap]) -> LogNorm:
    """The scale of colours of all maps."""
    values = np.concatenate([each.norms.ravel() for each in maps])
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return LogNorm(low, high) if low < high else LogNorm(low / 2, high * 2)


def draw_map(axes: Axes, gradients: GradientMap, norm: LogNorm) -> None:
    """Draw the gradients of a model, the first module at the top."""
    first, last, count = gradients.steps[0], gradients.steps[-1], len(gradients.modules)
    extent = (first - 0.5, last + 0.5, count, 0)
    axes.imshow(gradients.norms, COLOURS, norm, extent=extent, aspect="auto", interpolation="nearest")
    axes.spines["bottom"].set_visible(False)
    axes.set_yticks([])


def row_names(size: PlotSize, gradients: GradientMap, height: float) -> list[Run]:
    """The names of rows: of each where there is room, else of equal blocks, else of so many rows each."""
    most = max(int(height / LINE), 1)
    for labels in _all_names(size, gradients):
        if len(labels) <= most:
            return labels
    count, modules = ceil(len(gradients.modules) / most), gradients.modules
    starts = range(0, len(modules), count)
    runs = [Run(run_name(modules[at : at + count]), at, min(at + count, len(modules))) for at in starts]
    return _cut(runs, room_for_names(size, gradients))


def room_for_names(size: PlotSize, gradients: GradientMap) -> float:
    """Inches that the names of rows take, however high these are."""
    names = [label.module for labels in _all_names(size, gradients) for label in labels]
    return max([0.5, *(text_width(name, SMALL) for name in names)])


def _all_names(size: PlotSize, gradients: GradientMap) -> list[list[Run]]:
    """The names of all rows, and those with equal blocks together."""
    runs = runs_of(gradients.modules)
    return [_cut(names, 0.26 * size.width) for names in (runs, folded(runs))]


def _cut(runs: Sequence[Run], width: float) -> list[Run]:
    names = distinct([run.module for run in runs], width, SMALL)
    return [Run(name, run.start, run.end) for name, run in zip(names, runs, strict=True)]


def name_rows(axes: Axes, labels: Sequence[Run]) -> None:
    """Write names beside the middles of their rows."""
    places = [(label.start + label.end) / 2 for label in labels]
    axes.set_yticks(places, [label.module for label in labels])
    axes.tick_params("y", labelsize=SMALL, labelcolor=INK, pad=5)


def gradient_ticks(low: float, high: float, inches: float) -> Mapping[float, str]:
    """Round numbers of a scale of gradients, and their texts."""
    steps = round_decades(low, high, max(int(inches / 0.5), 2))
    return dict(zip(steps, map(number_text, steps), strict=True))


def draw_scale(canvas: Canvas, norm: Normalize, text: str, box: Box, ticks: Ticks = gradient_ticks) -> None:
    """A heading, and the scale of colours behind it, or below it where there is no room.

    Args:
        canvas: To draw on.
        norm: The scale.
        text: The heading.
        box: As wide as the maps, with the heading's baseline at its top, and as high as the scale.
        ticks: Its round numbers.
    """
    canvas.text(box.left, box.top, text, weight="bold")
    at, below = scale_place(text, box.left, box.width)
    width = min(2.6, box.left + box.width - at - 0.1)
    axes = canvas.axes(Box(at, box.top - 0.11 + below, width, box.height))
    bar = canvas.figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    steps = ticks(float(norm.vmin or 0), float(norm.vmax or 0), width)
    axes.set_xticks([*steps], [*steps.values()])
    axes.set_xticks([], minor=True)
    axes.tick_params("x", pad=2)


def scale_place(text: str, left: float, width: float) -> tuple[float, float]:
    """Inches from the left at which a scale begins, and how far below the line of its heading it stands."""
    behind = text_width(text, weight="bold") + 0.2
    return (left + behind, 0.0) if behind + 1.2 < width else (left, 0.2)
