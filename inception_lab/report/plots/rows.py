"""Rows of a plot: how many there is room for, how far apart, and equal neighbours as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from itertools import groupby
from math import isinf
from os.path import commonprefix
from typing import TypeVar

from inception_lab.report.plots.wording import TIMES

Item = TypeVar("Item")
MOST_ROWS = 40
PITCH, _LEAST, _WIDEST = 0.25, 0.2, 0.36
"""From one row to the next, in inches; on a slide between these two, so that the rows fill it."""


def most_rows(room: float) -> int:
    """The most rows that fit into so many inches.

    Example:
        >>> from math import inf
        >>> most_rows(inf), most_rows(2.0)
        (40, 10)
    """
    return int(max(min(room / _LEAST, MOST_ROWS), 2))


def row_pitch(count: int, room: float) -> float:
    """Inches from one row to the next, of so many rows in so many inches.

    Example:
        >>> from math import inf
        >>> row_pitch(30, inf), row_pitch(8, 2.0), row_pitch(2, 2.0)
        (0.25, 0.25, 0.36)
    """
    return PITCH if isinf(room) else min(max(room / max(count, 1), _LEAST), _WIDEST)


def dearest(weights: Sequence[float], most: int) -> tuple[list[int], list[int]]:
    """The rows that are drawn, at most so many with one that sums up all others, and these others.

    Args:
        weights: Of each row.
        most: Rows that there is room for.

    Returns:
        The places of both, in order.

    Example:
        >>> dearest([1, 5, 5, 2], 3), dearest([1, 2], 2)
        (([1, 2], [0, 3]), ([0, 1], []))
    """
    places = range(len(weights))
    if len(weights) <= most:
        return list(places), []
    large = set(sorted(places, key=lambda place: -weights[place])[: most - 1])
    return sorted(large), [place for place in places if place not in large]


def runs_of_equal(items: Sequence[Item], cost: Callable[[Item], Hashable]) -> list[list[Item]]:
    """Neighbours of equal cost, together.

    Example:
        >>> runs_of_equal(["a", "bb", "cc", "d"], len)
        [['a'], ['bb', 'cc'], ['d']]
    """
    return [list(run) for _, run in groupby(items, key=cost)]


def run_name(names: Sequence[str]) -> str:
    """One name for modules that follow one another.

    Example:
        >>> run_name(["fc"]), run_name(["block_a1", "block_a2", "block_a10"])
        ('fc', 'block_a1–10 ×3')
        >>> run_name(["a1.branches", "a2.branches"]), run_name(["stages.0.0", "stages.1.1"])
        ('a1–2.branches ×2', 'stages.0.0–stages.1.1 ×2')
    """
    if len(names) == 1:
        return names[0]
    first, last = names[0].split("."), names[-1].split(".")
    differing = [i for i, (one, other) in enumerate(zip(first, last, strict=False)) if one != other]
    if len(first) == len(last) and len(differing) == 1:
        place = differing[0]
        first[place] += f"\N{EN DASH}{_ending(first[place], last[place])}"
        return f"{'.'.join(first)} {TIMES}{len(names)}"
    return f"{names[0]}\N{EN DASH}{names[-1]} {TIMES}{len(names)}"


def _ending(first: str, last: str) -> str:
    """The part of a word that differs from another one; a number is not cut in two."""
    start = re.sub(r"\d+$", "", commonprefix([first, last]))  # noqa: RUF071 - letters, not paths
    return last[len(start) :]
