"""A finished sweep as the JSON that other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from inception_lab.record import SCHEMA
from inception_lab.sweeps.space import Space
from inception_lab.variants.influence import parameter_influence
from inception_lab.variants.pareto import pareto_front

ON_FRONT = "on_front"


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
    influence = parameter_influence(table, list(space.parameters), list(space.metrics))
    return {
        "schema": SCHEMA,
        "tool": f"inception_lab {versions['inception_lab']}",
        "torch": versions["torch"],
        "model": space.model,
        "mode": space.mode,
        "optimizer": space.optimizer,
        "complete": counts["complete"] == counts["variants"],
        "objectives": dict(space.objectives),
        "totals": counts,
        "variants": rows_of(table),
        "influence": rows_of(influence),
    }


def rows_of(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table as plain data, None for what is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): _plain(value) for name, value in row.items()} for row in plain.to_dict("records")]


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
