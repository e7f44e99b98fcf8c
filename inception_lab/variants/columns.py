"""Columns of the table of a sweep, a row for each variant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from numbers import Real
from typing import Any

import numpy as np
from pandas import DataFrame, Series
from pandas.api.types import is_numeric_dtype

from inception_lab.errors import InceptionLabError, listed, nearest

STATUS, WITHIN, COMPLETE = "status", "within_budgets", "complete"
REST = "(rest)"
"""The parameter of the rows of an influence table for what no parameter explains alone."""


def check_rows(table: DataFrame) -> None:
    """Refuse a table that has no rows.

    Raises:
        InceptionLabError: There are none.
    """
    if table.empty:
        raise InceptionLabError("a table without rows", hint="pass that of a sweep with a variant or more")


def check_columns(table: DataFrame, names: Iterable[object]) -> None:
    """Refuse names of which the table does not have one column each.

    Raises:
        InceptionLabError: One is missing, or stands twice.
    """
    columns = list(table.columns)
    for name in names:
        if name not in columns:
            raise InceptionLabError(f"no column {name!r}", hint=nearest(name, map(str, columns)))
        if columns.count(name) > 1:
            what = f"{columns.count(name)} columns {name!r}"
            raise InceptionLabError(what, hint="rename all but one of them")


def numbers_of(table: DataFrame, name: str) -> Series[float]:
    """Return a column as numbers, NaN where it has none.

    Args:
        table: With that column.
        name: Of the column.

    Raises:
        InceptionLabError: There is no such column, or it has values that are not numbers.
    """
    check_columns(table, [name])
    column = table[name]
    if not are_numbers(column):
        words = column[~column.map(_is_number) & column.notna()]
        what = f"{name} has values that are not numbers, as {words.iloc[0]!r}"
        raise InceptionLabError(what, hint="name a column of numbers, as macs")
    return Series(column.to_numpy(float, na_value=nan), column.index)


def are_numbers(column: Series[Any]) -> bool:
    """Tell if all values of a column are numbers, booleans or missing."""
    return is_numeric_dtype(column) or bool((column.map(_is_number) | column.isna()).all())


def _is_number(value: object) -> bool:
    return isinstance(value, (Real, np.bool_))


def is_complete(table: DataFrame) -> Series[bool]:
    """Tell which rows have figures of which nothing lacks: all of a table without a column `status`."""
    return table[STATUS].eq(COMPLETE) if STATUS in table else Series(True, table.index)


def is_within(table: DataFrame) -> Series[bool]:
    """Tell which rows keep all budgets: all of a table without a column `within_budgets`."""
    return table[WITHIN].eq(True).astype(bool) if WITHIN in table else Series(True, table.index)


def check_names(names: Sequence[str], noun: str) -> None:
    """Refuse an empty list of names.

    Raises:
        InceptionLabError: There is none.
    """
    if not names:
        raise InceptionLabError(f"no {noun}", hint=f"name a {noun} or more")


def status_counts(table: DataFrame) -> str:
    """Return how many rows have each status, in words."""
    counts = table[STATUS].value_counts() if STATUS in table else {COMPLETE: len(table)}
    return listed(f"{count:,} {status}" for status, count in counts.items())
