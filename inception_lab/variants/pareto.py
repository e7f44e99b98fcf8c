"""The best variants of a sweep: those that none dominates, and then those that only these do."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.variants.dominance import (
    Objectives,
    check_objectives,
    competitors,
    costs_of,
    front_ranks,
)


@checked
def pareto_front(table: DataFrame, objectives: Objectives) -> DataFrame:
    """Return the variants that no other one dominates.

    One dominates another where it is at least as good in every objective and better in one. Only rows that
    are complete, within the budgets and with a figure for every objective take part: a partial figure is not
    one to win with. A table without the columns `status` and `within_budgets` is taken
    for one in which all are. Equal rows all stay.

    Args:
        table: A row for each variant, as of a finished sweep.
        objectives: `min` or `max` by metric, one to three.

    Returns:
        The rows with their columns and index, the best by the first objective first; none where none takes
        part.

    Raises:
        InceptionLabError: The table has no rows or not these columns, or an objective is not one.

    Example:
        >>> import inception_lab as il, pandas as pd
        >>> table = pd.DataFrame({"macs": [3, 1, 2, 4], "receptive_field": [9, 5, 4, 9]})
        >>> il.pareto_front(table, {"macs": "min", "receptive_field": "max"})
           macs  receptive_field
        1     1                5
        0     3                9
    """
    ranks = _ranks(table, objectives, deepest=1)
    return _best_first(table[(ranks == 1).fillna(False)], objectives)


@checked
def pareto_ranks(table: DataFrame, objectives: Objectives) -> Series[int]:
    """Return the front of each variant: 1 for the first, 2 for that of what is left without it, and so on.

    Args:
        table: A row for each variant, as of a finished sweep.
        objectives: `min` or `max` by metric, one to three.

    Returns:
        The ranks by the table's index, missing for rows that take no part in `pareto_front`.

    Raises:
        InceptionLabError: The table has no rows or not these columns, or an objective is not one.

    Example:
        >>> import inception_lab as il, pandas as pd
        >>> table = pd.DataFrame({"macs": [3, 1, 2, 4], "receptive_field": [9, 5, 4, 9]})
        >>> il.pareto_ranks(table, {"macs": "min", "receptive_field": "max"}).tolist()
        [1, 1, 2, 2]
    """
    return _ranks(table, objectives)


@checked
def best_variants(table: DataFrame, objectives: Objectives, count: int) -> DataFrame:
    """Return the best variants: those of the first front, then those of the next ones.

    Args:
        table: A row for each variant, as of a finished sweep.
        objectives: `min` or `max` by metric, one to three; the first one orders the variants of a front.
        count: The most to return.

    Returns:
        The rows with their columns and index, the best first.

    Raises:
        InceptionLabError: The count is below 1, the table has no rows or not these columns, or an objective
            is not one.

    Example:
        >>> import inception_lab as il, pandas as pd
        >>> table = pd.DataFrame({"macs": [3, 1, 2, 4], "receptive_field": [9, 5, 4, 9]})
        >>> il.best_variants(table, {"macs": "min", "receptive_field": "max"}, count=3).index.tolist()
        [1, 0, 2]
    """
    if count < 1:
        raise InceptionLabError(f"count {count} is below 1", hint="ask for one variant or more")
    ranks = _ranks(table, objectives).array
    order = ranks.argsort()[: len(ranks) - ranks.isna().sum()]
    return _best_first(table.iloc[order], objectives, ranks[order].to_numpy()).head(count)


def _ranks(table: DataFrame, objectives: Objectives, deepest: int | None = None) -> Series[int]:
    """The ranks by the table's index; those behind the deepest front share one."""
    check_objectives(table, objectives)
    part = competitors(table, objectives).to_numpy()
    ranks = pd.array([pd.NA] * len(table), dtype="Int64")
    ranks[part] = front_ranks(costs_of(table[part], objectives), deepest)
    return pd.Series(ranks, table.index, name="rank")


def _best_first(table: DataFrame, objectives: Objectives, *ranks: NDArray[np.int64]) -> DataFrame:
    """The rows by their ranks, if any, then by the objectives, the first one before the others."""
    return table.iloc[np.lexsort([*costs_of(table, objectives).T[::-1], *ranks])]
