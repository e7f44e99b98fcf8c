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

from inception_lab.report.plots.canvas import Box, Canvas, new_canvas
from inception_lab.report.plots.fitting import headline, text_width
from inception_lab.report.plots.style import MARGIN, MUTED, PARAMS
from inception_lab.report.plots.wording import share_text
from inception_lab.report.sizes import PAGE, PlotSize

Extent = tuple[tuple[int, int], tuple[int, int]]

# One hue from light to dark, so that the order survives in grey and for any colour vision
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9db8cf", "#2f6690", "#10233a"])
AREAS, REST = ("#10233a", "#2f6690", "#9db8cf"), "#f4f4f4"
"""Colours of the areas, the one that holds least first, and of what lies in none."""
_TOP, _TALLEST, _GAP = 0.45, 4.6, 0.55


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
    """Two panels of the input: the gradient, and the areas that hold shares of it."""
    top, bottom, left, right = _view(effective)
    room = (size.width - 2 * MARGIN - 0.3 - _GAP) / 2
    # inches a pixel, the same along both axes
    scale = min(room / (right - left), _TALLEST / (bottom - top))
    width, height = scale * (right - left), scale * (bottom - top)
    canvas = new_canvas(size, _title(effective), _subtitle(effective), _TOP + height + 0.75)
    headings = ("Mean absolute gradient", "The fewest pixels that hold a share of it")
    for number, (paint, heading) in enumerate(zip((_draw_heat, _draw_areas), headings, strict=True)):
        at = MARGIN + 0.3 + number * (room + _GAP)
        axes = canvas.axes(Box(at, _TOP, width, height))
        canvas.text(at, _TOP - 0.1, heading, weight="bold")
        paint(axes, effective)
        _draw_frame(axes, effective, scale)
    _draw_keys(canvas, effective, room, _TOP + height + 0.45)
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
    axes.set_xticks(_ticks(columns, columns * scale))
    axes.set_yticks(_ticks(rows, rows * scale))
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ticks(size: int, inches: float) -> list[int]:
    """The edges of the input and its middle, as far as there is room."""
    return [0, size // 2, size] if inches > 0.9 else [0, size] if inches > 0.4 else [size]


def _draw_keys(canvas: Canvas, effective: Effective, room: float, top: float) -> None:
    """The meaning of the colours, below each panel."""
    left, right = MARGIN + 0.3, MARGIN + 0.3 + room + _GAP
    _draw_colour_bar(canvas, left, top)
    canvas.text(left + 2.95, top, "—", color=PARAMS, weight="bold")
    canvas.text(left + 3.15, top, "theoretical field")
    x = right
    for (share, pixels), colour in zip(sorted(effective.areas.items()), AREAS, strict=False):
        text = f"{share_text(share, 1)}: {pixels:,} px"
        canvas.key(x, top, [(text, colour)])
        x += 0.16 + text_width(text) + 0.2


def _draw_colour_bar(canvas: Canvas, left: float, top: float) -> None:
    axes = canvas.axes(Box(left, top - 0.11, 1.6, 0.12))
    # squares, of which the norm takes the root again: the bar runs evenly through the colours
    axes.imshow(np.linspace(0, 1, 256)[None] ** 2, cmap=HEAT, norm=PowerNorm(0.5, 0, 1), aspect="auto")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([255 * share**0.5 for share in (0, 0.1, 0.5, 1)], ["0", "10 %", "50 %", "100 %"])
    axes.tick_params("x", pad=2)
    canvas.text(left + 1.7, top, "of the largest")
