"""The panel of the plot of a Pareto front: the cloud, the front, budgets, and reference nets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize

from inception_lab.report.plots.bubble_names import Disc, write_names
from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.fitting import shorten
from inception_lab.report.plots.front_budgets import draw_budgets, inches_of
from inception_lab.report.plots.front_key import OVER, REFERENCE, front_style, within_style
from inception_lab.report.plots.gradient_map import COLOURS
from inception_lab.report.plots.pareto_line import corners_of
from inception_lab.report.plots.placing import Rect, along_line, square
from inception_lab.report.plots.quantity_axis import QuantityAxis
from inception_lab.report.plots.style import FAINT, INK, PARAMS, SMALL
from inception_lab.report.plots.sweep_figures import Figures, SweepFigures

MOST_VECTORS = 1000
"""Points of a cloud from which on an SVG has a picture of them."""
_RADIUS = 0.07
"""Inches from the middle of a reference net's mark to its edge."""


def colour_norm(axis: QuantityAxis) -> Normalize:
    """The scale of the colours of an objective."""
    return (LogNorm if axis.is_log else Normalize)(axis.low, axis.high)


class Scales(NamedTuple):
    """The axis below, the one at the left, and the scale of the colours, if any."""

    x: QuantityAxis
    y: QuantityAxis
    colours: QuantityAxis | None = None


def draw_panel(canvas: Canvas, subject: SweepFigures, scales: Scales, box: Box) -> None:
    """Draw the variants, those of the front in front, with budgets and reference nets."""
    axes = canvas.axes(box)
    _scale(axes, scales.x, scales.y, box)
    _draw_cloud(axes, subject, scales.colours)
    line = _draw_front(axes, subject, scales.colours)
    marks = [square(at, 0.05) for at in inches_of(axes, box, subject.front[:, :2])]
    nets = [
        square(at, _RADIUS) for at in inches_of(axes, box, [net.figures[:2] for net in subject.references])
    ]
    labels = draw_budgets(axes, subject, box, [*marks, *nets])
    _draw_references(axes, subject, box, [*labels, *marks, *along_line(inches_of(axes, box, line), 0.03)])


def _scale(axes: Axes, x: QuantityAxis, y: QuantityAxis, box: Box) -> None:
    axes.set_xscale("log" if x.is_log else "linear")
    axes.set_yscale("log" if y.is_log else "linear")
    axes.set_xlim(x.low, x.high)
    axes.set_ylim(y.low, y.high)
    across, upwards = x.ticks(box.width), y.ticks(box.height, 0.3)
    axes.set_xticks([*across], [*across.values()])
    axes.set_yticks([*upwards], [*upwards.values()])
    axes.set_xticks([], minor=True)
    axes.set_yticks([], minor=True)
    axes.grid(axis="both", color=FAINT)
    axes.spines["bottom"].set_color(INK)


def _draw_cloud(axes: Axes, subject: SweepFigures, colours: QuantityAxis | None) -> None:
    is_picture = len(subject.figures) > MOST_VECTORS
    over, within = subject.figures[~subject.is_within], subject.figures[subject.is_within]
    style = within_style(len(within), colours is not None) | _colours_of(within, colours)
    axes.scatter(*over.T[:2], **OVER, rasterized=is_picture, zorder=2, gid="outside")
    axes.scatter(*within.T[:2], **style, rasterized=is_picture, zorder=2.2, gid="within")


def _colours_of(points: Figures, colours: QuantityAxis | None) -> dict[str, Any]:
    """The colours by the third objective, where there is one."""
    return {"c": COLOURS(colour_norm(colours)(points[:, 2]))} if colours else {}


def _draw_front(axes: Axes, subject: SweepFigures, colours: QuantityAxis | None) -> list[tuple[float, float]]:
    """The front as points and a stepped line, whose corners are returned."""
    front, corners = subject.front, corners_of(subject.line[:, :2].tolist())
    style = front_style(len(front), colours is not None) | _colours_of(front, colours)
    axes.scatter(*front.T[:2], **style, zorder=3, gid="front")
    if corners:
        colour = INK if colours else PARAMS
        axes.plot(*zip(*corners, strict=True), color=colour, lw=1.2, zorder=2.6, gid="line")
    return corners


def _draw_references(axes: Axes, subject: SweepFigures, box: Box, obstacles: Sequence[Rect]) -> None:
    """The reference nets with their names, which may cover the cloud and nothing else."""
    if not subject.references:
        return
    points = np.array([net.figures[:2] for net in subject.references])
    axes.scatter(*points.T, **REFERENCE, zorder=5, gid="references")
    discs = [
        Disc(*at, _RADIUS, shorten(net.name, min(box.width / 3, 2.2), SMALL))
        for net, at in zip(subject.references, inches_of(axes, box, points), strict=True)
    ]
    write_names(axes, discs, box, Rect(0.02, 0.03, box.width, box.height), obstacles, on_ground=True)
