"""Effective field: how the gradient of a layer's centre unit lies within its theoretical field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, ListedColormap, PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from inception_lab.report.plots.canvas import Box, Canvas, new_canvas, room_below
from inception_lab.report.plots.fitting import headline, text_width
from inception_lab.report.plots.style import MARGIN, MUTED, PARAMS, SMALL
from inception_lab.report.plots.wording import share_text, steps_between
from inception_lab.report.sizes import PAGE, PlotSize

Extent = tuple[tuple[int, int], tuple[int, int]]

# One hue from light to dark, so that the order survives in grey and for any colour vision
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9db8cf", "#2f6690", "#10233a"])
AREAS, REST = ("#10233a", "#2f6690", "#9db8cf"), "#f4f4f4"
"""Colours of the areas, the one that holds least first, and of what lies in none."""
_TOP, _BELOW, _TALLEST, _TICKS, _GAP, _NARROW = 0.45, 1.35, 4.6, 0.5, 0.2, 6
_SHARES = (0, 1, 10, 50, 100)


@dataclass(frozen=True, eq=False)
class Effective:
    """The effective field of one layer's centre unit.

    Attributes:
        model: Its name.
        layer: Path of the layer.
        device: The processor that it was run on.
        inputs: Random inputs averaged over.
        weight: Mean absolute gradient of each input pixel, height x width; its sum is 1.
        field: First and last row, first and last column of the theoretical field.
        areas: Number of pixels that hold each share of the gradient.
    """

    model: str
    layer: str
    device: str
    inputs: int
    weight: NDArray[np.float64]
    field: Extent
    areas: Mapping[float, int]


def has_content(effective: Effective) -> bool:
    """True where there is a gradient over an area."""
    return effective.weight.ndim == 2 and bool(effective.weight.sum() > 0)


def caption(effective: Effective) -> str:
    """The part of the theoretical field that each area takes, in one sentence."""
    height, width = _sides(effective)
    parts = [
        f"{share_text(share, 1)} of the gradient in {pixels:,} pixels ({share_text(pixels, height * width)})"
        for share, pixels in sorted(effective.areas.items())
    ]
    return f"Of the theoretical field, {height:,} x {width:,} pixels within the input: {'; '.join(parts)}."


def _sides(effective: Effective) -> tuple[int, int]:
    """Height and width of the theoretical field, as far as it lies within the input."""
    (top, bottom), (left, right) = effective.field
    rows, columns = effective.weight.shape
    return min(bottom, rows - 1) - max(top, 0) + 1, min(right, columns - 1) - max(left, 0) + 1


def _title(effective: Effective) -> str:
    # the largest share below 99 %, whose area says most of how the gradient gathers
    share = max((share for share in effective.areas if share < 0.99), default=max(effective.areas))
    height, width = _sides(effective)
    part = share_text(effective.areas[share], height * width)
    source = f"{share_text(share, 1)} of what {headline(effective.layer)} sees"
    return f"{source} comes from {part} of its theoretical field"


def draw(effective: Effective, size: PlotSize = PAGE) -> Figure:
    """Two panels of the input: the gradient, and the areas that hold shares of it; in a column, one above."""
    top, bottom, left, right = _view(effective)
    across = 1 if size.width < _NARROW else 2
    room = (size.width - 2 * MARGIN + _GAP) / across - _TICKS - _GAP
    heading = _title(effective), _subtitle(effective)
    tallest = min(room_below(size, *heading) - _TOP - _BELOW, _TALLEST if across > 1 else _TALLEST / 2)
    # inches a pixel, the same along both axes
    scale = min(room / (right - left), tallest / (bottom - top))
    width, height = scale * (right - left), scale * (bottom - top)
    pitch = _TOP + height + _BELOW
    canvas = new_canvas(size, *heading, pitch * (2 // across))
    places = [
        (MARGIN + _TICKS + n % across * (room + _TICKS + _GAP), n // across * pitch + _TOP) for n in (0, 1)
    ]
    for (at, below), draw_panel in zip(places, (_draw_heat, _draw_areas), strict=True):
        box = Box(at, below, width, height)
        axes = canvas.axes(box)
        draw_panel(axes, effective)
        _draw_frame(axes, effective, scale)
    _draw_heat_key(canvas, places[0], height)
    _draw_area_key(canvas, effective, places[1], height)
    return canvas.figure


def _subtitle(effective: Effective) -> str:
    inputs = "random input" if effective.inputs == 1 else "random inputs"
    mean = f"mean over {effective.inputs} {inputs}, {effective.device}"
    return f"Effective field of the centre unit · {effective.model}, {effective.layer}, {mean}"


def _view(effective: Effective) -> tuple[int, int, int, int]:
    """Edges of the panels in pixels: those of the input, or of the theoretical field where it is larger."""
    (top, bottom), (left, right) = effective.field
    rows, columns = effective.weight.shape
    return min(top, 0), max(bottom + 1, rows), min(left, 0), max(right + 1, columns)


def _draw_image(axes: Axes, values: NDArray[np.float64], **style: Any) -> None:
    rows, columns = values.shape
    # a pixel from its number to the next one, rows downwards
    edges = (0, columns, rows, 0)
    axes.imshow(values, extent=edges, aspect="auto", interpolation="nearest", **style)


def _draw_heat(axes: Axes, effective: Effective) -> None:
    # by the square root: a linear scale would leave all but the centre white
    _draw_image(axes, effective.weight / effective.weight.max(), cmap=HEAT, norm=PowerNorm(0.5, 0, 1))


def _draw_areas(axes: Axes, effective: Effective) -> None:
    colours = ListedColormap([*AREAS[: len(effective.areas)], REST])
    _draw_image(axes, area_numbers(effective).astype(float), cmap=colours, vmin=-0.5, vmax=colours.N - 0.5)


def area_numbers(effective: Effective) -> NDArray[np.int64]:
    """The number of the smallest area that each pixel lies in, or how many areas there are."""
    order = np.argsort(-effective.weight, axis=None, kind="stable")
    numbers = np.full(effective.weight.size, len(effective.areas), dtype=np.int64)
    # from the largest area to the smallest, which lies within all others and has the last word
    for number, pixels in reversed(list(enumerate(sorted(effective.areas.values())))):
        numbers[order[:pixels]] = number
    return numbers.reshape(effective.weight.shape)


def _draw_frame(axes: Axes, effective: Effective, scale: float) -> None:
    """The theoretical field, the edge of the input, and pixels along both axes, `scale` inches each."""
    (top, bottom), (left, right) = effective.field
    rows, columns = effective.weight.shape
    style: dict[str, Any] = {"facecolor": "none", "clip_on": False}
    axes.add_patch(Rectangle((0, 0), columns, rows, edgecolor=MUTED, lw=0.6, **style))
    box = Rectangle((left, top), right + 1 - left, bottom + 1 - top, edgecolor=PARAMS, lw=1.8, **style)
    axes.add_patch(box)
    upper, lower, first, last = _view(effective)
    axes.set_xlim(first, last)
    axes.set_ylim(lower, upper)
    axes.set_xticks(_ticks(first, last, (last - first) * scale))
    axes.set_yticks(_ticks(upper, lower, (lower - upper) * scale))
    axes.tick_params(length=3, width=0.6)
    axes.set_xlabel("Column in pixels", color=MUTED, size=SMALL)
    if (lower - upper) * scale > 1:  # as long as the name of the axis
        axes.set_ylabel("Row in pixels", color=MUTED, size=SMALL)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ticks(low: int, high: int, inches: float) -> list[float]:
    """Round pixels from `low` to `high`, as many as there is room for."""
    if inches < 0.5:
        return [0]
    return steps_between(low, high, max(int(inches / 0.5), 2))


def _draw_heat_key(canvas: Canvas, place: tuple[float, float], height: float) -> None:
    """The heading, the scale of the gradient's colours, and the frames of field and input."""
    left, top = place
    canvas.text(left, top - 0.1, "Mean absolute gradient", weight="bold")
    below = top + height + 0.7
    text = "% of the largest, square-root scale"
    canvas.text(left, below, text)
    axes = canvas.axes(Box(left, below + 0.08, text_width(text), 0.12))
    # squares, of which the norm takes the root again: the bar runs evenly through the colours
    axes.imshow(np.linspace(0, 1, 256)[None] ** 2, cmap=HEAT, norm=PowerNorm(0.5, 0, 1), aspect="auto")
    axes.set_yticks([])
    axes.set_xticks([255 * (share / 100) ** 0.5 for share in _SHARES], [f"{share} %" for share in _SHARES])
    axes.tick_params("x", pad=2)
    for name in ("left", "right", "top", "bottom"):
        axes.spines[name].set(visible=True, color=MUTED, linewidth=0.5)
    at = left
    for label, colour in (("theoretical field", PARAMS), ("input", MUTED)):
        canvas.text(at, below + 0.55, "□", color=colour, weight="bold")
        canvas.text(at + 0.17, below + 0.55, label)
        at += 0.17 + text_width(label) + 0.25


def _draw_area_key(canvas: Canvas, effective: Effective, place: tuple[float, float], height: float) -> None:
    """The heading, and the pixels of each area, a line each."""
    left, top = place
    canvas.text(left, top - 0.1, "The fewest pixels that hold a share of it", weight="bold")
    sizes = sorted(effective.areas.items())
    for line, ((share, pixels), colour) in enumerate(zip(sizes, AREAS, strict=False)):
        text = f"{share_text(share, 1)} of the gradient: {pixels:,} pixels"
        canvas.key(left, top + height + 0.7 + 0.2 * line, [(text, colour)])
