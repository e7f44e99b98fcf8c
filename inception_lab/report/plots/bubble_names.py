"""Names beside bubbles, with a line to each that stands apart; none covers anything."""

from __future__ import annotations

from collections.abc import Sequence
from math import hypot, pi, sqrt
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from inception_lab.report.plots.canvas import Box
from inception_lab.report.plots.fitting import text_width
from inception_lab.report.plots.placing import Rect, place_beside
from inception_lab.report.plots.style import MUTED, SMALL

_APART = 0.08


class Disc(NamedTuple):
    """A bubble in inches, and its name."""

    x: float
    y: float
    radius: float
    name: str

    def square(self, beyond: float) -> Rect:
        """A square of the area of the disc, and so much on each side."""
        half = self.radius * sqrt(pi) / 2 + beyond
        return Rect(self.x - half, self.y - half, self.x + half, self.y + half)


def write_names(
    axes: Axes,
    discs: Sequence[Disc],
    box: Box,
    bounds: Rect,
    obstacles: Sequence[Rect],
    on_ground: bool = False,
) -> None:
    """Write the name of each disc nearer to it than to any other one.

    Args:
        axes: That fill the box.
        discs: The bubbles; the last ones choose their places first.
        box: Of the axes.
        bounds: Of the names.
        obstacles: That no name may cover.
        on_ground: True for a light ground behind each name, where it may stand on a cloud of points.
    """
    places = [*obstacles]
    for disc in reversed(discs):
        others = [other.square(_APART) for other in discs if other is not disc]
        size = text_width(disc.name, SMALL), 0.13
        place = place_beside((disc.x, disc.y), disc.radius + 0.03, size, bounds, [*places, *others])
        places.append(place)
        if on_ground:
            axes.add_patch(_ground(axes, place, box))
        _write(axes, place, disc, box)


def _ground(axes: Axes, rect: Rect, box: Box) -> Rectangle:
    corner = (rect.left - 0.02) / box.width, (rect.bottom - 0.01) / box.height
    size = (rect.right - rect.left + 0.04) / box.width, (rect.top - rect.bottom + 0.02) / box.height
    return Rectangle(corner, *size, transform=axes.transAxes, fc="#ffffffcc", lw=0, zorder=4.5, clip_on=False)


def _write(axes: Axes, rect: Rect, disc: Disc, box: Box) -> None:
    """A name in its rectangle, and a line to its bubble's edge where it stands apart."""
    whole: dict[str, Any] = {"transform": axes.transAxes, "clip_on": False}
    place = rect.left / box.width, (rect.bottom + 0.025) / box.height
    axes.text(*place, disc.name, size=SMALL, va="baseline", zorder=5, **whole)
    x, y = min(max(disc.x, rect.left), rect.right), min(max(disc.y, rect.bottom), rect.top)
    away = hypot(x - disc.x, y - disc.y)
    if away > disc.radius + _APART:
        part = disc.radius / away
        across = [(disc.x + (x - disc.x) * part) / box.width, x / box.width]
        upwards = [(disc.y + (y - disc.y) * part) / box.height, y / box.height]
        axes.plot(across, upwards, color=MUTED, lw=0.6, zorder=4, **whole)
