"""The panel of receptive fields: a dot per layer, a band per module, the input, and who sees a whole axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.columns import panel
from inception_lab.report.plots.field_layers import (
    AxisGroups,
    Band,
    Layer,
    bands_of,
    context_spans,
    context_starts,
    pixels_of,
)
from inception_lab.report.plots.fitting import shorten, text_width
from inception_lab.report.plots.module_names import Names, moved_apart
from inception_lab.report.plots.style import INK, MACS, PARAMS, SMALL
from inception_lab.report.plots.wording import alike, round_decades
from inception_lab.report.text import layers_text

Starts = Mapping[int, Sequence[str]]
BAND, BAND_EDGE, CONTEXT = "#cddbe7", "#5d83a6", "#aa3377"
MARKERS = (("o", MACS), ("D", "#aa3377"), ("^", "#228833"))
"""Marker and colour of each group of axes that see different fields."""
RULE = 0.09
"""Height of the rule above the panel, in inches."""
BEHIND = 1.0
"""Room behind the panel, in inches, for the size of the input and the end of a name."""
_APART = 0.15


def draw_fields(
    canvas: Canvas,
    contents: ReportContents,
    layers: Sequence[Layer],
    names: Names,
    groups: AxisGroups,
    box: Box,
) -> None:
    """Fields in pixels on a logarithmic axis, a column per layer."""
    axes = panel(canvas, names.count, box, names.edges)
    _draw_bands(axes, contents, layers, groups)
    _draw_dots(axes, layers, groups, 72 * box.width / len(layers))
    _draw_context(axes, layers, context_starts(contents, layers), names.pitch, box.height)
    low, high = _limits(contents, layers)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    steps = round_decades(low, high, min(12, int(box.height / 0.25)))
    axes.set_yticks(steps, [f"{step:,g}" for step in steps])
    axes.set_yticks([], minor=True)
    _draw_input(canvas, axes, contents.fit.input_size, box)


def _draw_bands(axes: Axes, contents: ReportContents, layers: Sequence[Layer], groups: AxisGroups) -> None:
    """Filled along the first axis; along another one an outline, where it differs."""
    first = bands_of(contents, layers, 0)
    for band in first:
        axes.add_patch(_rectangle(band, facecolor=BAND, edgecolor=BAND_EDGE, lw=0.8))
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
    size = min(5.0, max(2.2, pitch * 0.8))
    fields = [(number + 0.5, layer.field) for number, layer in enumerate(layers) if layer.field]
    for (_, axis), (marker, colour) in zip(groups, MARKERS, strict=False):
        dots = [(x, field[axis]) for x, field in fields if axis == 0 or field[axis] != field[0]]
        x, y = zip(*dots, strict=True) if dots else ((), ())
        axes.plot(x, y, marker, color=colour, ms=size, mec="white", mew=0.3, zorder=3)


def _draw_context(axes: Axes, layers: Sequence[Layer], starts: Starts, pitch: float, height: float) -> None:
    """A rule above the columns, with a mark wherever another layer lets units see a whole axis."""
    style: dict[str, Any] = {"transform": axes.get_xaxis_transform(), "clip_on": False}
    for start, end in context_spans(layers):
        corner, size = (start, 1 + 0.03 / height), (end - start, 0.045 / height)
        axes.add_patch(Rectangle(corner, *size, color=CONTEXT, lw=0, gid="context", **style))
    axes.plot(list(starts), [1 + RULE / height] * len(starts), "v", color=CONTEXT, ms=5, mew=0, **style)
    if context_names_fit(starts, len(layers), pitch):
        for column, names in starts.items():
            place = (column, 1 + (RULE + 0.06) / height)
            axes.text(*place, layers_text(names), color=CONTEXT, size=SMALL, **style)


def context_names_fit(starts: Starts, count: int, pitch: float) -> bool:
    """True where each layer through which units see a whole axis can be named above where that begins.

    Args:
        starts: Columns and names, in order.
        count: Of columns.
        pitch: Width of each, in inches.
    """
    rooms = [(end - start) * pitch for start, end in pairwise([*starts, count + BEHIND / pitch])]
    widths = [text_width(layers_text(names), SMALL) + 0.1 for names in starts.values()]
    return bool(starts) and all(width <= room for width, room in zip(widths, rooms, strict=True))


def _limits(contents: ReportContents, layers: Sequence[Layer]) -> tuple[float, float]:
    heights = [*pixels_of(contents, layers), *contents.fit.input_size]
    return min(heights) / 1.25, max(heights) * 1.25


def _draw_input(canvas: Canvas, axes: Axes, sizes: Sequence[int], box: Box) -> None:
    """A line across the panel for each size of the input, named behind its end."""
    for size in dict.fromkeys(sizes):
        axes.axhline(size, color=PARAMS, lw=1.3, ls=(0, (5, 2)), zorder=2.5)
    lines = [(sizes[axis], name) for name, axis in alike(sizes)]
    low, high = axes.get_ylim()
    lines.sort()
    heights = [box.height * log(size / low) / log(high / low) for size, _ in lines]
    places = moved_apart(heights, [_APART] * len(lines), 0, box.height + _APART)
    at = box.left + box.width + 0.06
    for place, (size, name) in zip(places, lines, strict=True):
        text = f"input {f'{name} ' * (len(lines) > 1)}{size}"
        short = shorten(text, canvas.size.width - at - 0.02, SMALL)
        canvas.text(at, box.top + box.height - place + 0.04, short, color=PARAMS, size=SMALL)
