"""Places for labels beside points, so that no label covers anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import cos, pi, sin
from typing import NamedTuple

_ANGLES, _STEP, _FARTHEST = 16, 0.06, 60


class Rect(NamedTuple):
    """A rectangle in inches."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: Rect) -> bool:
        """True where both share an area."""
        across = self.left < other.right and other.left < self.right
        return across and self.bottom < other.top and other.bottom < self.top

    def holds(self, other: Rect) -> bool:
        """True where the other one lies within it."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.bottom <= other.bottom and other.top <= self.top


def place_beside(
    point: tuple[float, float],
    distance: float,
    size: tuple[float, float],
    bounds: Rect,
    obstacles: Sequence[Rect],
) -> Rect:
    """The place for a label that is nearest to a point and free.

    Args:
        point: Inches from the left and from below.
        distance: The least one between the point and the label.
        size: Width and height of the label.
        bounds: The label has to lie in these.
        obstacles: It may overlap none of these.

    Returns:
        The first free place, round by round away from the point, to the right first; where none is free, the
        one that overlaps the fewest obstacles.

    Example:
        >>> from inception_lab.report.plots.placing import Rect, place_beside
        >>> place_beside((1, 1), 0.1, (1, 0.2), Rect(0, 0, 4, 4), [])
        Rect(left=1.1, bottom=0.9, right=2.1, top=1.1)
    """
    places = [rect for rect in _around(point, distance, size) if bounds.holds(rect)]
    covers = (sum(map(rect.overlaps, obstacles)) for rect in places)
    best: tuple[int, Rect] | None = None
    for count, rect in zip(covers, places, strict=True):
        if not count:
            return rect
        if best is None or count < best[0]:
            best = count, rect
    return best[1] if best else next(_around(point, distance, size))


def _around(point: tuple[float, float], distance: float, size: tuple[float, float]) -> Iterator[Rect]:
    """Rectangles around a point, whose sides keep the distance from it; ever farther away."""
    (x, y), (width, height) = point, size
    for step in range(_FARTHEST):
        radius = distance + step * _STEP
        for number in range(_ANGLES):
            # from the right alternately upwards and downwards to the left
            angle = (number + 1) // 2 * (-1) ** number * -2 * pi / _ANGLES
            left = x + cos(angle) * (radius + width / 2) - width / 2
            bottom = y + sin(angle) * (radius + height / 2) - height / 2
            yield Rect(left, bottom, left + width, bottom + height)


def square(middle: tuple[float, float], half: float) -> Rect:
    """A square around a point, as an obstacle."""
    x, y = middle
    return Rect(x - half, y - half, x + half, y + half)


def along_line(points: Sequence[tuple[float, float]], half: float) -> list[Rect]:
    """Squares along a line of straight pieces, as obstacles.

    Args:
        points: Its corners, in inches.
        half: Half a side of a square.
    """
    squares = []
    for (x, y), (to_x, to_y) in pairwise(points):
        count = int(max(abs(to_x - x), abs(to_y - y)) / (2 * half)) + 1
        middles = [(x + (to_x - x) * n / count, y + (to_y - y) * n / count) for n in range(count + 1)]
        squares += [square(middle, half) for middle in middles]
    return squares
