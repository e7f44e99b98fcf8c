"""Lines over a common axis: the median with a band around it, and each line's name beside its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.fitting import distinct, text_width
from inception_lab.report.plots.module_names import moved_apart
from inception_lab.report.plots.style import PALETTE
from inception_lab.report.plots.wording import (
    number_text,
    round_decades,
    spaced_steps,
    steps_between,
)
from inception_lab.report.sizes import PlotSize

Numbers = NDArray[np.float64]
ALONE = 0.3
"""Inches behind a panel whose one line needs no name."""
ZERO_NOTE = "\N{WHITE DOWN-POINTING TRIANGLE} at the lower edge: 0"
_MARKS, _DASHES = "osD^vPXo", ("-", (0, (5, 1.5)))
_LEADER, _LINE, _ROOM = 0.2, 0.16, 1.35


@dataclass(frozen=True, eq=False)
class Curve:
    """A line of the plot.

    Attributes:
        name: Of the variant that it is of.
        x: Places of its points.
        median: Of each point.
        low: The first quartile.
        high: The third quartile.
    """

    name: str
    x: Numbers
    median: Numbers
    low: Numbers
    high: Numbers

    @property
    def is_drawn(self) -> bool:
        """True where any point of it can be drawn."""
        return bool(np.isfinite(self.median).any())


def curve_of(name: str, table: DataFrame, figure: str, x: Sequence[float]) -> Curve:
    """A figure of a table with its quartiles, which are NaN where the table has none."""
    columns = (figure, f"{figure}_low", f"{figure}_high")
    blank = np.full(len(table), np.nan)
    numbers = [table[each].to_numpy(float) if each in table else blank for each in columns]
    return Curve(name, np.array(x, float), *(np.where(np.isfinite(each), each, np.nan) for each in numbers))


def is_log(curves: Sequence[Curve]) -> bool:
    """True where a median is above 0, and none is below it: what a logarithmic axis can show."""
    values = _finite([curve.median for curve in curves])
    return bool((values > 0).any() and (values >= 0).all())


def has_zeros(curves: Sequence[Curve]) -> bool:
    """True where a median is 0."""
    return bool((_finite([curve.median for curve in curves]) == 0).any())


def _finite(parts: Sequence[Numbers]) -> Numbers:
    values = np.concatenate(parts)
    return values[np.isfinite(values)]


def draw_curves(axes: Axes, curves: Sequence[Curve], height: float, log: bool, marks: bool = True) -> None:
    """Draw lines and bands, and scale the axis of their values.

    Args:
        axes: To draw in.
        curves: At least one of which can be drawn.
        height: Of the axes, in inches.
        log: True for a logarithmic axis, below which zeros are marks at its lower edge.
        marks: True for a mark at each point.
    """
    _scale(axes, curves, height, log)
    for number, curve in enumerate(curves):
        colour, bottom = PALETTE[number % len(PALETTE)], axes.get_ylim()[0]
        style: dict[str, Any] = {"color": colour, "ls": _DASHES[number // len(PALETTE) % 2], "lw": 1.8}
        mark = _MARKS[number % len(_MARKS)] if marks or len(curve.x) == 1 else ""
        is_there = np.isfinite(curve.median) & ((curve.median > 0) | (not log))
        low = np.maximum(curve.low, bottom) if log else curve.low
        band: dict[str, Any] = {"color": colour, "alpha": 0.18, "lw": 0, "zorder": 1.5}
        axes.fill_between(curve.x[is_there], low[is_there], curve.high[is_there], **band)
        axes.plot(
            curve.x[is_there], curve.median[is_there], marker=mark, ms=4.5, mec="white", mew=0.5, **style
        )
        if log:
            _mark_zeros(axes, curve.x[curve.median == 0], colour)


def _mark_zeros(axes: Axes, x: Numbers, colour: str) -> None:
    """Hollow marks at the lower edge, which a logarithmic axis never comes to."""
    style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False, "gid": "zeros"}
    axes.plot(x, np.zeros(len(x)), "v", ms=5, mfc="white", mec=colour, **style)


def _scale(axes: Axes, curves: Sequence[Curve], height: float, log: bool) -> None:
    values = _finite([part for curve in curves for part in (curve.median, curve.low, curve.high)])
    most = max(int(height / 0.28), 2)
    if log:
        values = values[values > 0]
        low, high = float(values.min()) / _ROOM, float(values.max()) * _ROOM
        axes.set_yscale("log")
        steps = round_decades(low, high, most)
        steps = steps if len(steps) > 1 else spaced_steps(low, high, height, 0.3)
    else:
        low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
        edge = 0.05 * (high - low) or 0.5
        low, high = low - edge * (low < 0), high + edge
        steps = steps_between(low, high, most)
    axes.set_ylim(low, high)
    axes.set_yticks(steps, map(number_text, steps))
    axes.set_yticks([], minor=True)


def room_behind(size: PlotSize, curves: Sequence[Curve]) -> float:
    """Inches behind a panel for the names of its lines."""
    return ALONE if len(curves) == 1 else _LEADER + 0.06 + max(map(text_width, _names(size, curves))) + 0.12


def _names(size: PlotSize, curves: Sequence[Curve]) -> list[str]:
    return distinct([curve.name for curve in curves], min(1.8, 0.26 * size.width))


def name_curves(canvas: Canvas, axes: Axes, curves: Sequence[Curve], box: Box) -> None:
    """Write the name of each line behind the panel, with a thin line to its end; one line needs none.

    Args:
        canvas: To write on.
        axes: The panel with the lines.
        curves: As of `draw_curves`.
        box: Of the panel.
    """
    if len(curves) == 1:
        return
    behind = canvas.axes(Box(box.left + box.width, box.top, _LEADER, box.height))
    behind.set(xlim=(0, _LEADER), ylim=(0, box.height))
    behind.set_axis_off()
    ends = [_end(axes, curve, box) for curve in curves]
    order = sorted(range(len(curves)), key=lambda number: ends[number][1])
    bottom = min(0.0, box.height - _LINE * len(curves))
    heights = moved_apart([ends[n][1] for n in order], [_LINE] * len(order), bottom, box.height + 0.05)
    names = _names(canvas.size, curves)
    for number, height in zip(order, heights, strict=True):
        (x, y), colour = ends[number], PALETTE[number % len(PALETTE)]
        line: dict[str, Any] = {"color": colour, "lw": 0.9, "clip_on": False}
        behind.plot([x - box.width, 0.04, _LEADER - 0.04, _LEADER], [y, y, height, height], **line)
        style: dict[str, Any] = {"va": "center_baseline", "clip_on": False}
        behind.text(_LEADER + 0.05, height, names[number], **style)


def _end(axes: Axes, curve: Curve, box: Box) -> tuple[float, float]:
    """The last point of a line, in inches from the lower left corner of the panel."""
    last = np.flatnonzero(np.isfinite(curve.median))[-1]
    (x0, x1), (y0, y1) = axes.get_xlim(), axes.get_ylim()
    value = float(curve.median[last])
    if axes.get_yscale() == "log":
        y, y0, y1 = np.log(max(value, y0)), np.log(y0), np.log(y1)
    else:
        y = value
    return float(curve.x[last] - x0) / (x1 - x0) * box.width, float((y - y0) / (y1 - y0)) * box.height
