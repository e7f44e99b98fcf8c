"""Field along depth: what each layer sees of the input, and what each module mixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log, nan
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas
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
from inception_lab.report.plots.field_layers import (
    AxisGroups,
    Band,
    Layer,
    axis_groups,
    bands_of,
    layers_with_field,
    mixing_modules,
    pixels_of,
)
from inception_lab.report.plots.fitting import headline, shorten, text_width
from inception_lab.report.plots.style import INK, MACS, MUTED, PARAMS, SMALL
from inception_lab.report.plots.wording import alike, context_line, outermost, ratio_text, round_decades
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import layers_text, shape_text

BAND = "#9db8cf"
MARKERS = (("o", MACS), ("D", "#aa3377"), ("^", "#228833"))
"""Marker and colour of each group of axes that see different fields."""
_SYMBOLS = {"o": "●", "D": "◆", "^": "▲"}
_LEFT, _RIGHT, _TOP, _HEIGHT = 0.72, 1.15, 0.5, 3.3
_APART = 0.15


def has_content(contents: ReportContents) -> bool:
    """True where a layer looks at a part of the input."""
    layers = layers_with_field(contents)
    return bool(contents.fit.input_size and layers and pixels_of(contents, layers))


def caption(contents: ReportContents) -> str:
    """The meaning of dots and bands, the last band's fields, and the layer that passes the input."""
    parts = ["A dot is the field of one layer", *_band_text(contents), _passing(contents)]
    layers = layers_with_field(contents)
    missing = _without_dot(layers)
    note = [f"no one number describes what {missing} layers see"] if missing else []
    return f"{'; '.join([*parts, *_context_text(layers), *note])}."


def _context_text(layers: Sequence[Layer]) -> list[str]:
    """The layers through which others see everything, beside the fields that are drawn."""
    names = list(dict.fromkeys(name for layer in layers for name in layer.context))
    count = sum(bool(layer.context) for layer in layers)
    return [f"{count} of {len(layers)} also see everything, through {layers_text(names)}"] if names else []


def _without_dot(layers: Sequence[Layer]) -> str:
    """The number of layers that have no dot, by their status."""
    counts = Counter(layer.status for layer in layers if layer.field is None)
    return " and ".join(f"{count} {status}" for status, count in counts.items())


def _band_text(contents: ReportContents) -> list[str]:
    ranges = mixing_modules(contents)
    if not ranges:
        return []
    outer = outermost([row["module"] for row in ranges])
    last = next(row for row in ranges if row["module"] == outer[-1])
    return [
        "a band reaches from the smallest field on any path through a module to the largest, "
        f"with the median channel as a line: {last['smallest']:,}, {last['median']:,} and "
        f"{last['largest']:,} pixels in {last['module']}"
    ]


def _passing(contents: ReportContents) -> str:
    beyond, size = contents.fit.exceeding, shape_text(contents.fit.input_size)
    if not beyond:
        return f"no layer sees more than the {size} pixels of the input"
    return f"from {beyond[0]} on, fields are larger than the {size} pixels of the input"


def _title(contents: ReportContents, layers: Sequence[Layer]) -> str:
    size, beyond = contents.fit.input_size, contents.fit.exceeding
    most = max(pixels_of(contents, layers))
    growth = f"Fields grow to {most:,} pixels"
    if not beyond:
        return f"{growth}, within the input's {shape_text(size)}"
    module = headline(module_of(beyond[0], modules_of(contents.branches)))
    if len(set(size)) > 1:
        return f"{growth} and pass the input's {shape_text(size)} in {module}"
    return f"{growth}, {ratio_text(most / size[0])} the input, and pass it in {module}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """One panel: a column per layer, fields and strides in pixels on a logarithmic axis."""
    layers = layers_with_field(contents)
    runs = runs_of([layer.module for layer in layers])
    pitch = _room(size) / len(layers)
    marks = marks_of(runs, pitch)
    room = names_height(marks)
    end = _TOP + _HEIGHT
    notes = [_axis_text(layers), *_context_text(layers)]
    subtitle = f"Receptive field along depth · {context_line(contents.record)}"
    canvas = new_canvas(size, _title(contents, layers), subtitle, end + room + 0.2 + 0.2 * len(notes))
    groups = axis_groups(contents, layers)
    _draw_key(canvas, groups, bool(mixing_modules(contents)))
    _draw_panel(canvas, contents, layers, runs, groups)
    name_modules(canvas, marks, _LEFT, pitch, end)
    for line, note in enumerate(notes):
        text = shorten(note, size.width - _LEFT - 0.02, SMALL)
        canvas.text(_LEFT, end + room + 0.3 + 0.2 * line, text, color=MUTED, size=SMALL)
    return canvas.figure


def _room(size: PlotSize) -> float:
    """Width of the panels, in inches."""
    return size.width - _LEFT - _RIGHT


def _draw_key(canvas: Canvas, groups: AxisGroups, has_bands: bool) -> None:
    text = "Field in pixels (log)"
    canvas.text(_LEFT, _TOP - 0.16, text, weight="bold")
    x = _LEFT + text_width(text, weight="bold") + 0.3
    for number, ((name, _), (marker, colour)) in enumerate(zip(groups, MARKERS, strict=False)):
        label = f"{name} if different" if number else "a layer" + f" ({name})" * (len(groups) > 1)
        x = _draw_entry(canvas, x, _SYMBOLS[marker], label, colour)
    if has_bands:
        x = _draw_entry(canvas, x, "—", "a module's median", INK)
        canvas.key(x, _TOP - 0.16, [("and its range", BAND)])


def _draw_entry(canvas: Canvas, left: float, symbol: str, label: str, colour: str) -> float:
    """Draw a symbol and its meaning; returns where the next entry may begin."""
    canvas.text(left, _TOP - 0.16, symbol, color=colour)
    canvas.text(left + 0.15, _TOP - 0.16, label)
    return left + 0.15 + text_width(label) + 0.2


def _draw_panel(
    canvas: Canvas,
    contents: ReportContents,
    layers: Sequence[Layer],
    runs: Sequence[Run],
    groups: AxisGroups,
) -> None:
    axes = panel(canvas, runs, Box(_LEFT, _TOP, _room(canvas.size), _HEIGHT))
    _draw_bands(axes, contents, layers, groups)
    _draw_dots(axes, layers, groups, _room(canvas.size) / len(layers))
    _draw_strides(axes, layers, groups)
    low, high = _limits(contents, layers)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    steps = round_decades(low, high, 12)
    axes.set_yticks(steps, [f"{step:,g}" for step in steps])
    axes.set_yticks([], minor=True)
    for size in dict.fromkeys(contents.fit.input_size):
        axes.axhline(size, color=PARAMS, lw=1.3, ls=(0, (5, 2)), zorder=2.5)
    # names of lines stand on the canvas, outside of the axes: from pixels to inches above the panel's foot
    inches = _HEIGHT / log(high / low)
    lines = [(log(line.pixels / low) * inches, line) for line in _lines(contents, layers, groups)]
    _name_lines(canvas, lines, _room(canvas.size) / len(layers))


def _draw_bands(axes: Axes, contents: ReportContents, layers: Sequence[Layer], groups: AxisGroups) -> None:
    """Filled along the first axis; along another one an outline, where it differs."""
    first = bands_of(contents, layers, 0)
    for band in first:
        axes.add_patch(_rectangle(band, facecolor=BAND, alpha=0.5, lw=0))
        axes.hlines(band.median, band.start, band.end, color=INK, lw=1.2, zorder=2)
    for (_, axis), (_, colour) in zip(groups[1:], MARKERS[1:], strict=False):
        for band in [band for band in bands_of(contents, layers, axis) if band not in first]:
            axes.add_patch(_rectangle(band, facecolor="none", edgecolor=colour, lw=0.9, ls=":"))


def _rectangle(band: Band, **style: Any) -> Rectangle:
    corner = (band.start, band.smallest)
    return Rectangle(corner, band.end - band.start, band.largest - band.smallest, zorder=1, **style)


def _draw_dots(axes: Axes, layers: Sequence[Layer], groups: AxisGroups, pitch: float) -> None:
    """A dot per layer along the first axis; along another one where it differs."""
    # as wide as a column, in points, within what can be seen and told apart
    size = min(5.0, max(2.2, 72 * pitch * 0.8))
    fields = [(number + 0.5, layer.field) for number, layer in enumerate(layers) if layer.field]
    for (_, axis), (marker, colour) in zip(groups, MARKERS, strict=False):
        dots = [(x, field[axis]) for x, field in fields if axis == 0 or field[axis] != field[0]]
        x, y = zip(*dots, strict=True) if dots else ((), ())
        axes.plot(x, y, marker, color=colour, ms=size, mec="white", mew=0.3, zorder=3)


def _draw_strides(axes: Axes, layers: Sequence[Layer], groups: AxisGroups) -> None:
    """A step line per group of axes, broken where a layer has no stride."""
    for _, axis in groups:
        values = [layer.stride[axis] if layer.stride else nan for layer in layers]
        axes.stairs(values, range(len(values) + 1), baseline=None, color=MUTED, lw=1.1, zorder=2)


def _limits(contents: ReportContents, layers: Sequence[Layer]) -> tuple[float, float]:
    # a stride of 0 has no place on a logarithmic axis
    strides = [pixels for layer in layers for pixels in layer.stride or () if pixels > 0]
    heights = [*pixels_of(contents, layers), *strides, *contents.fit.input_size]
    return min(heights) / 1.25, max(heights) * 1.25


class Line(NamedTuple):
    """A line across the panel.

    Attributes:
        pixels: Its height at its end.
        end: Column where it ends.
        text: Its name.
        colour: Its own.
    """

    pixels: float
    end: int
    text: str
    colour: str


def _lines(contents: ReportContents, layers: Sequence[Layer], groups: AxisGroups) -> list[Line]:
    """The sizes of the input, and the strides of the last layer that has any."""
    sizes, count = contents.fit.input_size, len(layers)
    alike_sizes = alike(sizes)
    inputs = [
        Line(sizes[axis], count, f"input {f'{name} ' * (len(alike_sizes) > 1)}{sizes[axis]}", PARAMS)
        for name, axis in alike_sizes
    ]
    ends = [(number + 1, layer.stride) for number, layer in enumerate(layers) if layer.stride][-1:]
    strides = [
        Line(stride[axis], end, f"stride {stride[axis]:g}", MUTED)
        for end, stride in ends
        for _, axis in groups
    ]
    return [*inputs, *dict.fromkeys(strides)]


def _name_lines(canvas: Canvas, lines: Sequence[tuple[float, Line]], pitch: float) -> None:
    """Names behind the ends of lines at their heights, as far as they keep apart."""
    below = -_APART
    for height, line in sorted(lines):
        below = max(height, below + _APART)
        at = _LEFT + pitch * line.end + 0.06
        short = shorten(line.text, canvas.size.width - at - 0.02, SMALL)
        canvas.text(at, _TOP + _HEIGHT - below + 0.04, short, color=line.colour, size=SMALL)


def _axis_text(layers: Sequence[Layer]) -> str:
    noun = "layer" if len(layers) == 1 else "layers"
    text = f"{len(layers)} {noun} with MACs and pools that see a part of the input, in order of execution"
    return text + f"; no dot: {_without_dot(layers)}" * bool(_without_dot(layers))
