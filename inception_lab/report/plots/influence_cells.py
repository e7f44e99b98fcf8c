"""The table of influence as cells: a share and two means for each parameter and metric."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any, NamedTuple

from pandas import DataFrame

from inception_lab.metrics import Metric, metric_of
from inception_lab.variants.columns import REST, check_columns, check_rows, numbers_of


class Cell(NamedTuple):
    """A share in percent, and the metric's mean at two values of the parameter; NaN where there is none."""

    share: float = nan
    low: float = nan
    high: float = nan


@dataclass(frozen=True)
class Influence:
    """The table of influence by its two names.

    Attributes:
        parameters: Names of the rows, the largest sum of shares first.
        metrics: Of the columns.
        cells: By parameter and metric; those of `REST` are what no parameter explains alone.
    """

    parameters: Sequence[str]
    metrics: Sequence[Metric]
    cells: Mapping[tuple[str, str], Cell]

    @property
    def has_rest(self) -> bool:
        """True where the table says what no parameter explains alone."""
        return any(parameter == REST for parameter, _ in self.cells)

    def cell(self, parameter: str, metric: Metric) -> Cell:
        """The cell of a parameter and a metric, empty where the table has none."""
        return self.cells.get((parameter, metric.name), Cell())

    def share(self, parameter: str, metric: Metric) -> float:
        """The share of a parameter, 0 where it is not known."""
        share = self.cell(parameter, metric).share
        return 0.0 if isnan(share) else share

    def leader(self, metric: Metric) -> str:
        """The parameter with the largest share; empty where none has any."""
        best = max(self.parameters, key=lambda name: self.share(name, metric))
        return best if self.share(best, metric) > 0 else ""


def influence_of(table: DataFrame) -> Influence:
    """The cells of a table.

    Args:
        table: As `parameter_influence` returns it.

    Raises:
        InceptionLabError: It has no rows, or not these columns.
    """
    check_rows(table)
    check_columns(table, ["parameter", "metric"])
    figures = [numbers_of(table, name) for name in Cell._fields]
    names: list[Any] = [table[name].map(str) for name in ("parameter", "metric")]
    cells = {(p, m): Cell(*cell) for p, m, *cell in zip(*names, *figures, strict=True)}
    metrics = [metric_of(name) for name in dict.fromkeys(names[1])]
    parameters = [name for name in dict.fromkeys(names[0]) if name != REST]
    influence = Influence(parameters, metrics, cells)
    weights = {name: sum(influence.share(name, metric) for metric in metrics) for name in parameters}
    return Influence(sorted(parameters, key=lambda name: -weights[name]), metrics, cells)
