"""A finished sweep as the JSON that other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from inception_lab import __version__
from inception_lab.record import SCHEMA
from inception_lab.sweeps.columns import ON_FRONT, VARIANT
from inception_lab.sweeps.space import Space
from inception_lab.variants.influence import parameter_influence
from inception_lab.variants.pareto import pareto_front


def with_front(space: Space, table: DataFrame) -> DataFrame:
    """Return the table with a column that tells the variants of the Pareto front, where there is one.

    Args:
        space: Of the sweep.
        table: What `sweep` returned for it.
    """
    if not space.objectives:
        return table
    front = pareto_front(table, space.objectives)
    return table.assign(**{ON_FRONT: table.index.isin(front.index)})


def counts_of(table: DataFrame) -> dict[str, int]:
    """Return the number of variants of each kind; of the front only where the table tells it."""
    counts = {
        "variants": len(table),
        "complete": int((table["status"] == "complete").sum()),
        "partial": int((table["status"] == "partial").sum()),
        "failed": int((table["status"] == "failed").sum()),
        "within_budgets": int(table["within_budgets"].sum()),
    }
    return counts | ({ON_FRONT: int(table[ON_FRONT].sum())} if ON_FRONT in table else {})


def document_of(space: Space, table: DataFrame, versions: Mapping[str, str]) -> dict[str, Any]:
    """Return a sweep as data: what was asked, counts, a row per variant, and the influence of parameters.

    Args:
        space: Of the sweep.
        table: What `sweep` returned for it.
        versions: Of `versions_of`.
    """
    table = with_front(space, table)
    counts = counts_of(table)
    is_known = counts["complete"] > 0
    influence = parameter_influence(table, list(space.parameters), list(space.metrics)) if is_known else None
    return {
        "schema": SCHEMA,
        "tool": f"inception_lab {__version__}",
        "torch": versions["torch"],
        "versions": dict(versions),
        **_question_of(space),
        "complete": counts["complete"] == counts["variants"],
        "totals": counts,
        "variants": numbered_rows(table),
        "influence": [] if influence is None else rows_of(influence),
    }


def _question_of(space: Space) -> dict[str, Any]:
    """What a sweep was asked, but for the values of its parameters, which the rows have."""
    return {
        "model": space.model,
        "kwargs": dict(space.kwargs),
        "input_sizes": list(space.input_sizes),
        "batch_size": space.batch_size,
        "train_batch_size": space.train_batch_size or space.batch_size,
        "mode": space.mode,
        "optimizer": space.optimizer,
        "constraints": [constraint.text for constraint in space.constraints],
        "budgets": {limit.metric: {"min": limit.least, "max": limit.most} for limit in space.budgets},
        "objectives": dict(space.objectives),
        "sample": space.sample,
        "seed": space.seed,
    }


def numbered_rows(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a sweep's table as plain data, each with its number from 1 on."""
    return [{VARIANT: number, **row} for number, row in enumerate(rows_of(table), 1)]


def rows_of(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain data, None for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): _plain(value) for name, value in row.items()} for row in plain.to_dict("records")]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
