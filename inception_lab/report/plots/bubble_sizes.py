"""Areas of bubbles, and the key of round sizes."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, NamedTuple

from inception_lab.metrics import format_quantity
from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.fitting import text_width
from inception_lab.report.plots.style import MUTED

LARGEST = 0.42
"""Diameter of the largest bubble, in inches."""
_TEXT = "Peak memory"


def area_of(peak_bytes: float, peaks: Sequence[int]) -> float:
    """The area of a bubble in square points, proportional to its bytes."""
    return (72 * LARGEST) ** 2 * peak_bytes / max(peaks)


def round_sizes(peaks: Sequence[int]) -> list[int]:
    """Up to three sizes of bubbles, round in MiB or the like, from the smallest to about the largest."""
    most, least = max(peaks), min(peaks)
    unit = next((2**power for power in (40, 30, 20, 10) if most >= 2**power), 1)
    steps = [factor * 10**power * unit for power in range(-3, 4) for factor in (1, 2, 5)]
    largest = max(step for step in steps if step <= most)
    # the last one is there also where all are just below the next round size, as 45 MiB is below 50
    small = [size for size in (largest / 25, largest / 5) if size >= least / 2]
    return [round(size) for size in (*small, largest)]


class KeySize(NamedTuple):
    """A bubble of the key of sizes, with its text and the inches up to the end of that."""

    area: float
    left: float
    text: str
    right: float


def size_key(peaks: Sequence[int], room: float) -> list[KeySize]:
    """Bubbles of round sizes, the smallest first, as many as there is room for."""
    key = _sized(round_sizes(peaks), peaks)
    return key if key[-1].right <= room else _sized(round_sizes(peaks)[::2], peaks)


def _sized(sizes: Sequence[int], peaks: Sequence[int]) -> list[KeySize]:
    """The bubbles of some sizes, next to one another."""
    at, key = text_width(_TEXT, weight="bold") + 0.2, []
    for size in sizes:
        number, unit = format_quantity(size, "bytes").split()
        text, area = f"{float(number):g} {unit}", area_of(size, peaks)
        right = at + sqrt(area) / 72 + 0.06 + text_width(text)
        key.append(KeySize(area, at, text, right))
        at = right + 0.2
    return key


def draw_sizes(canvas: Canvas, key: Sequence[KeySize], left: float, top: float) -> None:
    """Bubbles of round sizes with their bytes, around one middle."""
    canvas.text(left, top + LARGEST / 2 + 0.04, _TEXT, weight="bold")
    axes = canvas.axes(Box(left, top, key[-1].right, LARGEST))
    axes.set_axis_off()
    axes.set_xlim(0, key[-1].right)
    axes.set_ylim(0, LARGEST)
    for size in key:
        radius, middle = sqrt(size.area) / 72 / 2, LARGEST / 2
        style: dict[str, Any] = {"facecolor": "none", "edgecolor": MUTED, "lw": 0.9, "clip_on": False}
        axes.scatter([size.left + radius], [middle], s=size.area, **style)
        axes.text(size.left + 2 * radius + 0.06, middle, size.text, va="center_baseline")
