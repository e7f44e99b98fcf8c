"""Dominance between variants: which one is at least as good in every objective, and better in one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame, Series

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.variants.columns import check_rows, is_complete, is_within, numbers_of

Objectives = Mapping[str, str]
"""The better direction by metric, `min` or `max`; the first metric orders what is as good."""
SIGNS = {"min": 1.0, "max": -1.0}
_MOST = 3


def check_objectives(table: DataFrame, objectives: Objectives, least: int = 1) -> None:
    """Refuse objectives that the rows of a table cannot be ordered by.

    Args:
        table: A row for each variant.
        objectives: `min` or `max` by metric.
        least: The fewest objectives.

    Raises:
        InceptionLabError: There are no rows, too few or too many objectives, one is neither `min` nor `max`,
            or is not a column of numbers.
    """
    check_rows(table)
    if not least <= len(objectives) <= _MOST:
        hint = f'give {least} to {_MOST}, as {{"macs": "min", "receptive_field": "max"}}'
        raise InceptionLabError(f"{len(objectives)} objectives", hint=hint)
    for name, direction in objectives.items():
        if not isinstance(direction, str) or direction not in SIGNS:
            raise InceptionLabError(
                f"{direction!r} is not an objective", where=name, hint=nearest(direction, SIGNS)
            )
        numbers_of(table, name)


def competitors(table: DataFrame, objectives: Objectives) -> Series[bool]:
    """Tell which rows take part: complete, within the budgets, and with a figure for every objective."""
    part = is_complete(table) & is_within(table)
    for name in objectives:
        part &= numbers_of(table, name).notna()
    return part


def costs_of(table: DataFrame, objectives: Objectives) -> NDArray[np.float64]:
    """Return a row for each variant and a column for each objective, in which less is better."""
    columns = [SIGNS[way] * numbers_of(table, name).to_numpy() for name, way in objectives.items()]
    # no negative zero, so that equal rows are equal
    return np.column_stack(columns) + 0.0


@dataclass
class _Front:
    """The corners of the area that a front dominates: `across` ascends, `upwards` descends."""

    across: list[float] = field(default_factory=list)
    upwards: list[float] = field(default_factory=list)

    def dominates(self, x: float, y: float) -> bool:
        """True where a corner is at most as large in both."""
        place = bisect_right(self.across, x)
        return place > 0 and self.upwards[place - 1] <= y

    def add(self, x: float, y: float) -> None:
        """Add a corner that none dominates, in place of those that it dominates."""
        start = end = bisect_left(self.across, x)
        while end < len(self.upwards) and self.upwards[end] >= y:
            end += 1
        self.across[start:end], self.upwards[start:end] = [x], [y]


def front_ranks(costs: NDArray[np.float64], deepest: int | None = None) -> NDArray[np.int64]:
    """Return the front of each row: 1 where none dominates it, 2 where only those do, and so on.

    Rows are taken in the order of their first cost, so that a row is dominated by earlier ones alone, and
    by a front where one of its rows has no larger second and third cost. What a front dominates, all fronts
    before it do, so that bisection finds the first one that does not: Zhang et al., An Efficient Approach to
    Nondominated Sorting for Evolutionary Multiobjective Optimization, 2015 (ENS-BS), with a staircase for
    each front (Kung, Luccio & Preparata, On Finding the Maxima of a Set of Vectors, 1975). Its time grows
    as n log² n.

    Args:
        costs: Of up to three objectives, a column each; less is better.
        deepest: Fronts to tell apart; all further rows share the number behind it.

    Example:
        >>> front_ranks(np.array([[1.0, 2.0], [2.0, 1.0], [2.0, 2.0], [3.0, 2.0]]))
        array([1, 1, 2, 3])
    """
    triples = np.pad(costs, ((0, 0), (0, _MOST - costs.shape[1])))
    order = np.lexsort(triples.T[::-1])
    fronts: list[_Front] = []
    numbers, before, rank = [], None, 0
    for row in triples[order].tolist():
        if row != before:
            rank = bisect_left(fronts, True, key=lambda front: not front.dominates(*row[1:]))
            if rank == len(fronts) and rank != deepest:
                fronts.append(_Front())
            if rank < len(fronts):
                fronts[rank].add(*row[1:])
            before = row
        numbers.append(rank + 1)
    ranks = np.empty(len(costs), np.int64)
    ranks[order] = numbers
    return ranks
