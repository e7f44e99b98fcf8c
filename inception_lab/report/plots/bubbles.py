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
from inception_lab.report.plots.wording import round_decades, spaced_steps, tick_text
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
    if len(steps) < 3 and high < 20 * low:
        steps = spaced_steps(low, high, inches, 0.5)
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
        is_free: True where no name covers it.
    """

    corners: Sequence[Corner]
    style: Mapping[str, Any]
    is_free: bool = True


@dataclass(frozen=True)
class Guide:
    """A faint line of equal ratio, which names may cover.

    Attributes:
        ratio: Of the value at the left to the one below.
        label: Below the line, near its upper end.
    """

    ratio: float
    label: str


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
        lines: Within the axes.
        guides: Of those, the ones that cross the panel are drawn.
    """

    heading: tuple[str, str]
    models: Sequence[Bubble]
    x: Scale
    y: Scale
    key: Sequence[tuple[str, str]]
    notes: Sequence[str] = ()
    lines: Sequence[Line] = ()
    guides: Sequence[Guide] = ()

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
    """Inches down to the key of colours, to the middle of that of sizes, and to the panel."""

    sizes: Sequence[KeySize]
    left: float
    colours: float
    middle: float
    height: float


def _keys(plot: Bubbles, size: PlotSize) -> _Keys:
    """The key of the sizes, behind the last line of that of the colours where there is room for it."""
    lines = key_lines(size, plot.key, _LEFT)
    last = 0.3 + _LINE * (len(lines) - 1)
    if not plot.peaks:
        return _Keys([], _LEFT, 0.3, 0, (last + 0.05) * bool(plot.key) + 0.35)
    sizes = size_key(plot.peaks, 0.45 * size.width)
    end = max((left + text_width(name) for left, name, _ in lines[-1]), default=_LEFT)
    half = LARGEST / 2
    if end + 0.5 + sizes[-1].right < size.width:
        left = size.width - MARGIN - sizes[-1].right
        # circles are taller than a line: below the end of the line before, or around the only one
        middle = last + half - 0.16 if len(lines) > 1 else 0.1 + half
        colours = 0.3 if len(lines) > 1 else middle + 0.04
        return _Keys(sizes, left, colours, middle, middle + half + 0.3)
    sizes = size_key(plot.peaks, size.width - _LEFT - MARGIN)
    middle = last + 0.08 + half
    return _Keys(sizes, _LEFT, 0.3, middle, middle + half + 0.3)


def _draw_keys(canvas: Canvas, plot: Bubbles, keys: _Keys) -> None:
    canvas.key(_LEFT, keys.colours, plot.key)
    if keys.sizes:
        draw_sizes(canvas, keys.sizes, keys.left, keys.middle - LARGEST / 2)


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
    corners = [model.at for model in plot.models] + [at for line in plot.lines for at in line.corners]
    x, y = map(_limits, zip(*corners, strict=True), (box.width, box.height))
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
    """The ends of a logarithmic axis that leaves some inches beyond the values, at least half a bubble."""
    spread = max(log(max(values) / min(values)), log(1.5))
    edge = max(min(_EDGE, inches / 8), LARGEST / 2 + 0.02)
    middle = log(max(values) * min(values)) / 2
    half = spread / 2 * inches / (inches - 2 * edge)
    return 10 ** ((middle - half) / log(10)), 10 ** ((middle + half) / log(10))


def _name(axes: Axes, plot: Bubbles, box: Box) -> None:
    """The names of the models, which cover neither bubbles nor lines."""
    place = _places(axes, box)
    discs = [
        Disc(*place(*model.at), sqrt(_area(model, plot)) / 72 / 2, _label(model, box.width))
        for model in plot.models
    ]
    paths = [[place(*corner) for corner in line.corners] for line in plot.lines if line.is_free]
    obstacles = [square for path in paths for square in along_line(path, 0.03)]
    obstacles += _draw_guides(axes, plot.guides, box, [disc.square(0.03) for disc in discs])
    write_names(axes, discs, box, Rect(0.02, 0.05, box.width + _RIGHT - 0.05, box.height), obstacles)


def _places(axes: Axes, box: Box) -> Callable[[float, float], Corner]:
    """The place of two values, in inches from the lower left corner of the panel."""
    left, right, low, high = [log10(end) for end in (*axes.get_xlim(), *axes.get_ylim())]
    return lambda x, y: (
        (log10(x) - left) / (right - left) * box.width,
        (log10(y) - low) / (high - low) * box.height,
    )


def _draw_guides(axes: Axes, guides: Sequence[Guide], box: Box, discs: Sequence[Rect]) -> list[Rect]:
    """Lines from edge to edge; returns the places of their labels, which cover no bubble."""
    (left, right), (low, high) = axes.get_xlim(), axes.get_ylim()
    labels: list[Rect] = []
    for guide in guides:
        start, end = max(left, low / guide.ratio), min(right, high / guide.ratio)
        if start < end:
            ends = [_places(axes, box)(x, x * guide.ratio) for x in (start, end)]
            axes.plot([start, end], [start * guide.ratio, end * guide.ratio], color=FAINT, lw=1.2, zorder=1)
            labels += _label_guide(axes, guide, ends, box, [*discs, *labels])
    return labels


def _label_guide(
    axes: Axes, guide: Guide, ends: Sequence[Corner], box: Box, obstacles: Sequence[Rect]
) -> list[Rect]:
    """The label below a line, as far up as it covers nothing; none where there is no such place."""
    (left, low), (right, high) = ends
    width = text_width(guide.label, SMALL)
    for part in (1 - step / 40 for step in range(40)):
        x, y = left + part * (right - left) + 0.05, low + part * (high - low) - 0.02
        rect = Rect(x, y - 0.13, x + width, y)
        if rect.right < box.width and rect.bottom > 0 and not any(map(rect.overlaps, obstacles)):
            style: dict[str, Any] = {"transform": axes.transAxes, "size": SMALL, "color": MUTED}
            axes.text(x / box.width, (rect.bottom + 0.025) / box.height, guide.label, **style)
            return [rect]
    return []


def _label(model: Bubble, room: float) -> str:
    """The name of a model, and whatever has to be known of its numbers."""
    name = shorten(model.name, min(room / 3, 2.2), SMALL)
    return f"{name} ({model.facts})" if model.facts else name
