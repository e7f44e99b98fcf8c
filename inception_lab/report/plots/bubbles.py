"""Models as bubbles on two logarithmic axes: keys above, notes below, names that cover nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import log, log10, sqrt
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.report.plots.bubble_names import Disc, write_names
from inception_lab.report.plots.bubble_sizes import LARGEST, KeySize, area_of, draw_sizes, size_key
from inception_lab.report.plots.canvas import Box, Canvas, fitted, key_lines, new_canvas
from inception_lab.report.plots.fitting import shorten, text_width, wrap
from inception_lab.report.plots.placing import Rect, along_line
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, SMALL
from inception_lab.report.plots.wording import round_decades, tick_text
from inception_lab.report.sizes import PlotSize

_DOT = 60.0
"""Area of a dot in square points, where areas show nothing."""
_LEFT, _RIGHT, _HEIGHT, _EDGE, _LINE = 0.62, 0.2, 4.3, 0.4, 0.2

Corner = tuple[float, float]
Ticks = Callable[[float, float, float], Mapping[float, str]]


def decade_ticks(low: float, high: float, inches: float) -> Mapping[float, str]:
    """Round numbers of an axis and their texts.

    Args:
        low: One end of the axis.
        high: The other end.
        inches: Its length.
    """
    steps = round_decades(low, high, most=8 if inches > 2 else 4)
    return dict(zip(steps, map(tick_text, steps), strict=True))


@dataclass(frozen=True)
class Scale:
    """A logarithmic axis.

    Attributes:
        title: With its unit.
        ticks: Its round numbers, as of `decade_ticks`.
    """

    title: str
    ticks: Ticks = decade_ticks


@dataclass(frozen=True)
class Bubble:
    """A model.

    Attributes:
        name: Its name.
        at: Its values on the axis below and on the one at the left.
        style: For matplotlib's `scatter`.
        peak_bytes: That its area shows; 0 where areas show nothing.
        facts: Behind its name, in parentheses.
    """

    name: str
    at: Corner
    style: Mapping[str, Any]
    peak_bytes: int = 0
    facts: str = ""


@dataclass(frozen=True)
class Line:
    """A line of straight pieces behind the bubbles.

    Attributes:
        corners: In the units of the axes.
        style: For matplotlib's `plot`.
    """

    corners: Sequence[Corner]
    style: Mapping[str, Any]


@dataclass(frozen=True)
class Bubbles:
    """A plot of models.

    Attributes:
        heading: Title and subtitle.
        models: The largest first, so that small ones lie in front.
        x: The axis below.
        y: The axis at the left.
        key: Names and their colours; empty for none.
        notes: Sentences below; a slide has room for the first one.
        lines: That no name covers.
    """

    heading: tuple[str, str]
    models: Sequence[Bubble]
    x: Scale
    y: Scale
    key: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    lines: Sequence[Line] = ()

    @property
    def peaks(self) -> list[int]:
        """Those that areas show; empty where these show nothing."""
        return [model.peak_bytes for model in self.models if model.peak_bytes]


def draw_bubbles(plot: Bubbles, size: PlotSize) -> Figure:
    """Draw keys, panel and notes, laid out for a size."""
    notes = wrap("; ".join(plot.notes[: 1 if size.is_slide else None]), size.width - 2 * MARGIN, SMALL)
    keys = _keys(plot, size)
    fixed = keys.height + 0.62 + 0.18 * len(notes)
    (height,) = fitted(size, plot.heading, fixed, min(_HEIGHT, size.width - 1))
    canvas = new_canvas(size, *plot.heading, fixed + height)
    _draw_keys(canvas, plot, keys)
    canvas.text(_LEFT, keys.height - 0.08, plot.y.title, weight="bold")
    _draw_panel(canvas, plot, Box(_LEFT, keys.height, size.width - _LEFT - _RIGHT, height))
    for number, note in enumerate(notes):
        canvas.text(MARGIN, keys.height + height + 0.62 + 0.18 * number, note, color=MUTED, size=SMALL)
    return canvas.figure


class _Keys(NamedTuple):
    """The key of sizes, empty where areas show nothing; that of colours is above it or beside it."""

    sizes: Sequence[KeySize]
    is_beside: bool
    top: float
    height: float


def _keys(plot: Bubbles, size: PlotSize) -> _Keys:
    lines = key_lines(size, plot.key, _LEFT)
    above = _LINE * len(lines) * bool(plot.key)
    if not plot.peaks:
        return _Keys([], False, 0, above + 0.4)
    sizes = size_key(plot.peaks, min(size.width - _LEFT - MARGIN, 0.45 * size.width))
    end = max((left + text_width(name) for left, name, _ in lines[-1]), default=_LEFT)
    # the key of the sizes stands behind that of the colours, or below it where the plot is narrow
    is_beside = len(lines) == 1 and end + 0.5 + sizes[-1].right < size.width
    top = 0 if is_beside else above
    return _Keys(sizes, is_beside, top + 0.1, top + LARGEST + 0.4)


def _draw_keys(canvas: Canvas, plot: Bubbles, keys: _Keys) -> None:
    canvas.key(_LEFT, 0.1 + LARGEST / 2 + 0.04 if keys.is_beside else 0.3, plot.key)
    if keys.sizes:
        left = canvas.size.width - MARGIN - keys.sizes[-1].right if keys.is_beside else _LEFT
        draw_sizes(canvas, keys.sizes, left, keys.top)


def _draw_panel(canvas: Canvas, plot: Bubbles, box: Box) -> None:
    axes = canvas.axes(box)
    _scale(axes, plot, box)
    for line in plot.lines:
        axes.plot(*zip(*line.corners, strict=True), **line.style)
    for model in plot.models:
        axes.scatter(*model.at, s=_area(model, plot), zorder=3, gid=model.name, **model.style)
    _name(axes, plot, box)
    middle, foot = box.left + box.width / 2, box.top + box.height + 0.36
    canvas.text(middle, foot, plot.x.title, weight="bold", ha="center")


def _area(model: Bubble, plot: Bubbles) -> float:
    return area_of(model.peak_bytes, plot.peaks) if plot.peaks else _DOT


def _scale(axes: Axes, plot: Bubbles, box: Box) -> None:
    """Logarithmic axes on which every bubble keeps clear of the edges."""
    values, inches = zip(*(model.at for model in plot.models), strict=True), (box.width, box.height)
    x, y = map(_limits, values, inches)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    across, upwards = plot.x.ticks(*x, box.width), plot.y.ticks(*y, box.height)
    axes.set_xticks([*across], [*across.values()])
    axes.set_yticks([*upwards], [*upwards.values()])
    axes.set_xticks([], minor=True)
    axes.set_yticks([], minor=True)
    axes.grid(axis="both", color=FAINT)
    axes.spines["bottom"].set_color(INK)


def _limits(values: Sequence[float], inches: float) -> tuple[float, float]:
    """The ends of a logarithmic axis that leaves `_EDGE` inches beyond the values."""
    spread = max(log(max(values) / min(values)), log(1.5))
    middle = log(max(values) * min(values)) / 2
    half = spread / 2 * inches / (inches - 2 * _EDGE)
    return 10 ** ((middle - half) / log(10)), 10 ** ((middle + half) / log(10))


def _name(axes: Axes, plot: Bubbles, box: Box) -> None:
    """The names of the models, which cover neither bubbles nor lines."""
    ends = [log10(end) for end in (*axes.get_xlim(), *axes.get_ylim())]

    def place(x: float, y: float) -> Corner:
        across, up = (log10(x) - ends[0]) / (ends[1] - ends[0]), (log10(y) - ends[2]) / (ends[3] - ends[2])
        return across * box.width, up * box.height

    discs = [
        Disc(*place(*model.at), sqrt(_area(model, plot)) / 72 / 2, _label(model, box.width))
        for model in plot.models
    ]
    lines = [
        square for line in plot.lines for square in along_line([place(*at) for at in line.corners], 0.03)
    ]
    write_names(axes, discs, box, Rect(0.02, 0.05, box.width + _RIGHT - 0.05, box.height), lines)


def _label(model: Bubble, room: float) -> str:
    """The name of a model, and whatever has to be known of its numbers."""
    name = shorten(model.name, min(room / 3, 2.2), SMALL)
    return f"{name} ({model.facts})" if model.facts else name
