"""The figures of a sweep as its plot shows them: the variants, the front, reference nets and budgets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.errors import InceptionLabError
from inception_lab.metrics import Metric, metric_of
from inception_lab.report.plots.wording import tick_text
from inception_lab.variants.columns import check_columns, is_complete, is_within, numbers_of
from inception_lab.variants.dominance import SIGNS, Objectives, check_objectives, front_ranks

Figures = NDArray[np.float64]
Bounds = tuple[float | None, float | None]
"""The least and the most that a budget allows; None where it has no such bound."""


class Reference(NamedTuple):
    """A net to compare with, and its figure for each objective."""

    name: str
    figures: Sequence[float]


@dataclass(frozen=True)
class SweepFigures:
    """All that the plot of a Pareto front shows.

    Attributes:
        objectives: `min` or `max` by metric, of the axis below, of the axis at the left, and of the colours
            where there are three.
        figures: A row for each complete variant, a column for each objective.
        is_within: True for those that keep all budgets.
        left_out: Rows of the table that have no figures to draw.
        references: Nets that no sweep made.
        budgets: By metric, drawn where it is an objective.
    """

    objectives: Objectives
    figures: Figures
    is_within: NDArray[np.bool_]
    left_out: int = 0
    references: Sequence[Reference] = ()
    budgets: Mapping[str, Bounds] = field(default_factory=dict)

    @property
    def metrics(self) -> list[Metric]:
        """The metric of each objective."""
        return [metric_of(name) for name in self.objectives]

    @cached_property
    def front(self) -> Figures:
        """Figures of the variants within budgets that no other one of these dominates."""
        return self._front(len(self.objectives))

    @cached_property
    def line(self) -> Figures:
        """Those that none dominates on the two axes alone, from the best by the first one to the worst."""
        front = self._front(2)
        order: NDArray[np.int64] = np.lexsort((front * self._signs).T[1::-1])
        return front[order]

    def _front(self, count: int) -> Figures:
        members = self.figures[self.is_within]
        is_best = front_ranks((members * self._signs)[:, :count], deepest=1) == 1
        front: Figures = members[is_best]
        return front

    @property
    def _signs(self) -> Figures:
        return np.array([SIGNS[way] for way in self.objectives.values()])

    def beaten(self) -> list[str]:
        """Names of the reference nets that a variant of the front dominates."""
        front = self.front * self._signs
        costs = [(name, np.array(figures) * self._signs) for name, figures in self.references]
        return [name for name, cost in costs if ((front <= cost).all(1) & (front < cost).any(1)).any()]


def figures_of(
    table: DataFrame,
    objectives: Objectives,
    budgets: Mapping[str, Bounds] | None = None,
    references: DataFrame | None = None,
) -> SweepFigures:
    """The figures of a table that can be drawn.

    Args:
        table: A row for each variant.
        objectives: `min` or `max` by metric, two or three.
        budgets: The least and the most by metric.
        references: Nets in the column `model`, with a column for each objective.

    Raises:
        InceptionLabError: A table lacks a column, an objective is not one, or a budget has no two bounds.
    """
    check_objectives(table, objectives, least=2)
    figures = _columns(table, objectives)
    is_drawn = np.isfinite(figures).all(1) & is_complete(table).to_numpy()
    return SweepFigures(
        objectives,
        figures[is_drawn],
        is_within(table).to_numpy()[is_drawn],
        int((~is_drawn).sum()),
        [] if references is None else _references(references, objectives),
        {name: _bounds(name, bounds) for name, bounds in (budgets or {}).items()},
    )


def _columns(table: DataFrame, objectives: Objectives) -> Figures:
    return np.column_stack([numbers_of(table, name).to_numpy() for name in objectives])


def _references(nets: DataFrame, objectives: Objectives) -> list[Reference]:
    """The nets that have a figure for every objective."""
    check_columns(nets, ["model"])
    rows = zip(nets["model"], _columns(nets, objectives).tolist(), strict=True)
    return [Reference(str(name), figures) for name, figures in rows if np.isfinite(figures).all()]


def _bounds(name: str, bounds: object) -> Bounds:
    match bounds:
        case (None | int() | float() as least, None | int() | float() as most):
            return least, most
    what = f"{bounds!r} is not a least and a most"
    raise InceptionLabError(what, where=f"the budget of {name}", hint="write (None, 5e6), or (100, None)")


def budget_texts(name: str, bounds: Bounds) -> list[str]:
    """The bounds of a budget, one by one, in words.

    Example:
        >>> budget_texts("params", (None, 5e6)), budget_texts("peak_bytes", (2**20, 2**30))
        (['Parameters ≤ 5 M'], ['Peak memory ≥ 1 MiB', 'Peak memory ≤ 1 GiB'])
    """
    metric = metric_of(name)
    pairs = zip("\N{GREATER-THAN OR EQUAL TO}\N{LESS-THAN OR EQUAL TO}", bounds, strict=True)
    return [f"{metric.label} {sign} {tick_text(b, metric.unit)}" for sign, b in pairs if b is not None]
