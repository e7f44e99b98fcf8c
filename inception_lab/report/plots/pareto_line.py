"""The stepped line through a Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def corners_of(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The line from point to point, first across and then up or down, within what the front dominates.

    Args:
        points: Two figures each, from the best by the first one to the worst.

    Example:
        >>> corners_of([(1, 9), (3, 5)])
        [(1, 9), (3, 9), (3, 5)]
    """
    corners = [(x, y) for x, y in points[:1]]
    for (_, before), (x, y) in pairwise(points):
        corners += [(x, before), (x, y)]
    return corners
