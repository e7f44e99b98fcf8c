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

from inception_lab.report.plots.canvas import (
    MARGIN,
    MUTED,
    PARAMS,
    WIDTH,
    Sheet,
    headline,
    new_sheet,
    text_width,
)
from inception_lab.report.plots.wording import share_text

Extent = tuple[tuple[int, int], tuple[int, int]]

# One hue from light to dark, so that the order survives in grey and for any colour vision
HEAT = LinearSegmentedColormap.from_list("heat", ["#ffffff", "#9db8cf", "#2f6690", "#10233a"])
AREAS, REST = ("#10233a", "#2f6690", "#9db8cf"), "#f4f4f4"
"""Colours of the areas, the one that holds least first, and of what lies in none."""
_TOP, _TALLEST, _GAP = 0.45, 4.6, 0.55


@dataclass(frozen=True, eq=False)
class Effective:
    """What one layer's centre unit sees in effect.

    Attributes:
        model: Its name.
        layer: Path of the layer.
        device: Where it was run.
        inputs: Random inputs averaged over.
        weight: Mean absolute gradient of each input pixel, height x width; its sum is 1.
        field: First and last row, first and last column of the theoretical field.
        areas: How many pixels hold each share of the gradient.
    """

    model: str
    layer: str
    device: str
    inputs: int
    weight: NDArray[np.float64]
    field: Extent
    areas: Mapping[float, int]


def shown(found: Effective) -> bool:
    """Whether there is a gradient over an area."""
    return found.weight.ndim == 2 and bool(found.weight.sum() > 0)


def caption(found: Effective) -> str:
    """How much of the theoretical field each area takes, in one sentence."""
    height, width = _sides(found)
    parts = [
        f"{share_text(share, 1)} of the gradient in {pixels:,} pixels ({share_text(pixels, height * width)})"
        for share, pixels in sorted(found.areas.items())
    ]
    return f"Of the theoretical field, {height:,} x {width:,} pixels within the input: {'; '.join(parts)}."


def _sides(found: Effective) -> tuple[int, int]:
    """Height and width of the theoretical field, as far as it lies within the input."""
    (top, bottom), (left, right) = found.field
    rows, columns = found.weight.shape
    return min(bottom, rows - 1) - max(top, 0) + 1, min(right, columns - 1) - max(left, 0) + 1


def _title(found: Effective) -> str:
    share = max((share for share in found.areas if share < 0.99), default=max(found.areas))
    height, width = _sides(found)
    part = share_text(found.areas[share], height * width)
    seen = f"{share_text(share, 1)} of what {headline(found.layer)} sees"
    return f"{seen} comes from {part} of its theoretical field"


def draw(found: Effective) -> Figure:
    """Two panels of the input: the gradient, and the areas that hold shares of it."""
    top, bottom, left, right = _view(found)
    room = (WIDTH - 2 * MARGIN - 0.3 - _GAP) / 2
    scale = min(room / (right - left), _TALLEST / (bottom - top))
    width, height = scale * (right - left), scale * (bottom - top)
    inputs = "random input" if found.inputs == 1 else "random inputs"
    context = f"{found.model}, {found.layer}, mean over {found.inputs} {inputs}, {found.device}"
    sheet = new_sheet(_title(found), f"Effective field of the centre unit · {context}", _TOP + height + 0.75)
    panels = ((_heat, "Mean absolute gradient"), (_areas, "The fewest pixels that hold a share of it"))
    for number, (paint, heading) in enumerate(panels):
        at = MARGIN + 0.3 + number * (room + _GAP)
        axes = sheet.axes(at, _TOP, width, height)
        sheet.text(at, _TOP - 0.1, heading, weight="bold")
        paint(axes, found)
        _frame(axes, found, scale)
    _keys(sheet, found, room, _TOP + height + 0.45)
    return sheet.figure


def _view(found: Effective) -> tuple[int, int, int, int]:
    """Edges of what is shown: the input, and the theoretical field where it is larger."""
    (top, bottom), (left, right) = found.field
    rows, columns = found.weight.shape
    return min(top, 0), max(bottom + 1, rows), min(left, 0), max(right + 1, columns)


def _image(axes: Axes, values: NDArray[np.float64], **style: Any) -> None:
    rows, columns = values.shape
    edges = (0, columns, rows, 0)
    axes.imshow(values, extent=edges, aspect="auto", interpolation="nearest", **style)


def _heat(axes: Axes, found: Effective) -> None:
    _image(axes, found.weight / found.weight.max(), cmap=HEAT, norm=PowerNorm(0.5, 0, 1))


def _areas(axes: Axes, found: Effective) -> None:
    colours = ListedColormap(_colours(found))
    _image(axes, ranked(found).astype(float), cmap=colours, vmin=-0.5, vmax=colours.N - 0.5)


def _colours(found: Effective) -> list[str]:
    return [*AREAS[: len(found.areas)], REST]


def ranked(found: Effective) -> NDArray[np.int64]:
    """The number of the smallest area that each pixel lies in, or how many areas there are."""
    order = np.argsort(-found.weight, axis=None, kind="stable")
    numbers = np.full(found.weight.size, len(found.areas), dtype=np.int64)
    for number, pixels in reversed(list(enumerate(sorted(found.areas.values())))):
        numbers[order[:pixels]] = number
    return numbers.reshape(found.weight.shape)


def _frame(axes: Axes, found: Effective, scale: float) -> None:
    """The theoretical field, the edge of the input, and pixels along both axes, `scale` inches each."""
    (top, bottom), (left, right) = found.field
    rows, columns = found.weight.shape
    style: dict[str, Any] = {"facecolor": "none", "clip_on": False}
    axes.add_patch(Rectangle((0, 0), columns, rows, edgecolor=MUTED, lw=0.6, **style))
    box = Rectangle((left, top), right + 1 - left, bottom + 1 - top, edgecolor=PARAMS, lw=1.8, **style)
    axes.add_patch(box)
    upper, lower, first, last = _view(found)
    axes.set_xlim(first, last)
    axes.set_ylim(lower, upper)
    axes.set_xticks(_ticks(columns, columns * scale))
    axes.set_yticks(_ticks(rows, rows * scale))
    for spine in axes.spines.values():
        spine.set_visible(False)


def _ticks(size: int, inches: float) -> list[int]:
    """The edges of the input and its middle, as far as there is room."""
    return [0, size // 2, size] if inches > 0.9 else [0, size] if inches > 0.4 else [size]


def _keys(sheet: Sheet, found: Effective, room: float, top: float) -> None:
    """What colours mean, below each panel."""
    left, right = MARGIN + 0.3, MARGIN + 0.3 + room + _GAP
    _colour_bar(sheet, left, top)
    sheet.text(left + 2.95, top, "—", color=PARAMS, weight="bold")
    sheet.text(left + 3.15, top, "theoretical field")
    x = right
    for (share, pixels), colour in zip(sorted(found.areas.items()), AREAS, strict=False):
        text = f"{share_text(share, 1)}: {pixels:,} px"
        sheet.key(x, top, [(text, colour)])
        x += 0.16 + text_width(text) + 0.2


def _colour_bar(sheet: Sheet, left: float, top: float) -> None:
    axes = sheet.axes(left, top - 0.11, 1.6, 0.12)
    axes.imshow(np.linspace(0, 1, 256)[None] ** 2, cmap=HEAT, norm=PowerNorm(0.5, 0, 1), aspect="auto")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_yticks([])
    axes.set_xticks([255 * share**0.5 for share in (0, 0.1, 0.5, 1)], ["0", "10 %", "50 %", "100 %"])
    axes.tick_params("x", pad=2)
    sheet.text(left + 1.7, top, "of the largest")
