"""The influence of parameters: which one moves which metric most, over the variants of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame, Series

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.variants.columns import (
    REST,
    are_numbers,
    check_columns,
    check_names,
    check_rows,
    is_complete,
    numbers_of,
    status_counts,
)

_MOST_LEVELS = 10


class _Ends(NamedTuple):
    """A metric at two levels of a parameter: the means, and the values of the parameter."""

    low: float = nan
    high: float = nan
    at_low: Any = None
    at_high: Any = None


@checked
def parameter_influence(table: DataFrame, parameters: Sequence[str], metrics: Sequence[str]) -> DataFrame:
    """Return how much of the variance of each metric each parameter explains alone, in percent.

    The share is epsilon squared in percent, the correlation ratio of a one-way analysis of variance corrected
    for the number of levels (Kelley, An Unbiased Correlation Ratio Measure, 1935), and never below 0:

        share = 100 * max(0, 1 - (n - 1) / (n - k) * within / total)

    with n variants and k levels of the parameter, `total` the sum of squares of the metric around its mean,
    and `within` that around the mean of each level. Numbers of more than 10 different values are put into 10
    groups of as many variants each. None is a level of its own.

    The row `(rest)` of each metric is 100 less the shares: what only combinations of parameters explain,
    parameters that are not listed, and differences within a group. Where constraints or chance let
    parameters vary together, shares overlap and can add up to more than 100; the rest is then 0.

    Args:
        table: A row for each variant, as of a finished sweep; those that are complete count, whatever their
            budgets say.
        parameters: Columns that were varied.
        metrics: Columns of numbers.

    Returns:
        For each metric in this order a row for each parameter, the largest share first, and the rest:
        `parameter`, `metric`, `share` (percent; 0 for a metric that does not vary, missing where each variant
        has a level of its own), the metric's mean `low` at the parameter's lowest value and `high` at its
        highest, and these values `at_low` and `at_high`. Of words they are the least and the largest mean.

    Raises:
        InceptionLabError: The table has no complete rows or not these columns, or a metric is not a number.

    Example:
        >>> import inception_lab as il, pandas as pd
        >>> table = pd.DataFrame({"width": [1, 1, 2, 2], "bias": [False, True] * 2, "macs": [10, 11, 20, 21]})
        >>> influence = il.parameter_influence(table, ["width", "bias"], ["macs"])
        >>> influence[["parameter", "share", "low", "high"]].round(1)
          parameter  share   low  high
        0     width   98.5  10.5  20.5
        1      bias    0.0  15.0  16.0
        2    (rest)    1.5   NaN   NaN
    """
    check_rows(table)
    check_names(parameters, "parameter")
    check_names(metrics, "metric")
    check_columns(table, [*parameters, *metrics])
    complete = table[is_complete(table)]
    if complete.empty:
        raise InceptionLabError(
            f"no variant is complete: {status_counts(table)}", hint="see the column cause"
        )
    rows = [row for metric in metrics for row in _of_metric(complete, parameters, metric)]
    return DataFrame(rows, columns=["parameter", "metric", "share", "low", "high", "at_low", "at_high"])


def _of_metric(table: DataFrame, parameters: Sequence[str], metric: str) -> list[dict[str, Any]]:
    """The rows of a metric, the largest share first, then the rest."""
    numbers = numbers_of(table, metric)
    table, values = table[numbers.notna()], np.asarray(numbers.dropna(), np.float64)
    rows = [
        {"parameter": name, "metric": metric, **_influence(table[name], values)}
        for name in dict.fromkeys(parameters)
    ]
    # a metric that does not vary leaves nothing to explain; NaN stays NaN
    rest = np.maximum(0, 100 - sum(row["share"] for row in rows)) if numbers.nunique() != 1 else 0.0
    rows.sort(key=lambda row: (isnan(row["share"]), -row["share"]))
    return [*rows, {"parameter": REST, "metric": metric, "share": float(rest), **_Ends()._asdict()}]


def _influence(column: Series[Any], values: NDArray[np.float64]) -> dict[str, Any]:
    """The share and the ends of a parameter, by the figures of a metric."""
    if not len(values):
        return {"share": nan, **_Ends()._asdict()}
    is_ordered = are_numbers(column)
    keys = _number_keys(column) if is_ordered else column.map(repr)
    # in order, a missing number last
    codes, levels = pd.factorize(keys, sort=True, use_na_sentinel=False)
    means = np.bincount(codes, values) / np.bincount(codes)
    last = len(levels) - 1 - bool(is_ordered and column.isna().any())
    places = (0, last) if is_ordered else (int(means.argmin()), int(means.argmax()))
    at_ends = [_value(column[codes == place], is_ordered) for place in places]
    return {
        "share": _share(values, means[codes], len(levels)),
        **_Ends(*means[[*places]], *at_ends)._asdict(),
    }


def _share(values: NDArray[np.float64], means: NDArray[np.float64], levels: int) -> float:
    """Epsilon squared in percent, of values and the mean of the level of each."""
    if values.min() == values.max():
        return 0.0
    count = len(values)
    if count == levels:
        return nan
    within, total = np.square(values - means).sum(), np.square(values - values.mean()).sum()
    return 100 * max(0.0, float(1 - (count - 1) / (count - levels) * within / total))


def _number_keys(column: Series[Any]) -> Series[float]:
    """The numbers, or of more than a few the group of each."""
    numbers = column.astype(float)
    if numbers.nunique() <= _MOST_LEVELS:
        return numbers
    return pd.qcut(numbers, _MOST_LEVELS, labels=False, duplicates="drop")


def _value(level: Series[Any], is_ordered: bool) -> Any:
    """The value of a level, or the range of a group."""
    if not is_ordered or level.nunique() <= 1:
        return level.iloc[0]
    return f"{level.min():.3g} to {level.max():.3g}"
