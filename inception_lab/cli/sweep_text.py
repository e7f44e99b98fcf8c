"""The answer of `inception-lab sweep` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.metrics import format_quantity
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import render
from inception_lab.report.view import Layout, View, table_text
from inception_lab.sweeps.columns import TIMES, VARIANT

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from inception_lab.record import Row
    from inception_lab.sweeps.space import Space

MOST_ROWS = 20
"""Of a table for people that is not of the front."""

_MOST_CAUSES = 3
_LABEL_WIDTH = 12


@dataclass(frozen=True)
class Results:
    """A finished sweep, and times of its best variants.

    Attributes:
        space: Of the sweep.
        table: What `sweep` returned.
        store: File of finished variants.
        timed: The best variants with their times, None where none was timed.
    """

    space: Space
    table: DataFrame
    store: Path
    timed: DataFrame | None


def results_text(results: Results, view: View) -> str:
    """The Pareto front of a sweep, what moves which metric, and what became of all variants.

    Args:
        results: Of the sweep.
        view: Of the table; `csv` and `json` have every variant.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    from inception_lab.sweeps.document import document_of, numbered_rows, rows_of, with_front
    from inception_lab.sweeps.versions import versions_of

    space = results.space
    if view.form == "json":
        timed = {} if results.timed is None else {"timed": rows_of(results.timed), **results.timed.attrs}
        return json.dumps({**document_of(space, results.table, versions_of(space.model)), **timed}, indent=2)
    rows = numbered_rows(with_front(space, results.table))
    if view.form == "csv":
        return render(rows, columns_of(rows), view.form)
    shown = _shown(results, rows)
    table = table_text(shown, _layout(space, shown), view)
    facts = facts_text(_facts(results, rows), _LABEL_WIDTH, view.prose_screen)
    return page(_subject(results), table, facts, view.prose_screen)


def _shown(results: Results, rows: Sequence[Row]) -> Sequence[Row]:
    """The rows of the timed variants, else of the front, else of all within budgets, else the first ones."""
    from inception_lab import pareto_front
    from inception_lab.sweeps.document import rows_of

    space, table = results.space, results.table
    # the index of the table numbers its rows
    if results.timed is not None:
        timed = zip(results.timed.index, rows_of(results.timed), strict=True)
        shown = [{VARIANT: index + 1, **row} for index, row in timed]
    elif space.objectives:
        # where nothing is within budgets, the best of what there is tells by how much
        table = table if table["within_budgets"].any() else table.assign(within_budgets=True)
        front = [dict(rows[index]) for index in pareto_front(table, space.objectives).index]
        shown = front or [dict(row) for row in rows[:MOST_ROWS]]
    else:
        within = [row for row in rows if row["within_budgets"]]
        shown = [dict(row) for row in within or rows]
    columns = [VARIANT, *space.parameters, *space.metrics, *_times(shown), *_states(shown)]
    return [{name: row[name] for name in columns} for row in shown]


def _times(rows: Sequence[Row]) -> list[str]:
    return [name for name in columns_of(rows) if name in TIMES]


def _states(rows: Sequence[Row]) -> list[str]:
    """Status and cause, where a variant is not complete."""
    return ["status", "cause"] if any(row["status"] != "complete" for row in rows) else []


def _layout(space: Space, rows: Sequence[Row]) -> Layout:
    columns = columns_of(rows)
    objectives = [*_times(rows), *space.objectives]
    limited = [limit.metric for limit in space.budgets]
    parameters = [name for name in space.parameters if len({repr(row[name]) for row in rows}) > 1]
    main = objectives[0] if objectives else space.metrics[0]
    importance = [VARIANT, *objectives, *parameters, *limited, *space.metrics, *space.parameters]
    most = None if space.objectives else MOST_ROWS
    return Layout(columns, main, tuple(dict.fromkeys(importance)), most=most)


def _subject(results: Results) -> str:
    space, count = results.space, len(results.table)
    drawn = "" if space.sample is None else f", drawn with seed {space.seed}"
    kind = "Times" if results.timed is not None else "Pareto front" if space.objectives else "Variants"
    return f"{kind} of {space.model}, {count:,} variant{'s' * (count != 1)} of {_parameters(space)}{drawn}"


def _parameters(space: Space) -> str:
    count = len(space.parameters)
    return f"{count} parameter{'s' * (count != 1)}"


def _facts(results: Results, rows: Sequence[Row]) -> Iterator[tuple[str, str]]:
    from inception_lab.sweeps.document import counts_of, with_front

    space = results.space
    counts = counts_of(with_front(space, results.table))
    if not counts["within_budgets"]:
        yield "NOTE", "no variant is within budgets: the table is of all"
    if counts["partial"] or counts["failed"]:
        yield "NOTE", "; ".join(_causes(rows))
    yield "Variants", ", ".join(_counts(counts))
    if space.objectives:
        yield (
            "Objectives",
            ", ".join(f"{_WORDS[way]} {_label(name)}" for name, way in space.objectives.items()),
        )
    if space.budgets:
        yield "Budgets", ", ".join(_limits(space))
    yield from _influences(results)
    if results.timed is not None:
        yield "Machine", _machine(results.timed.attrs)
    yield "Store", str(results.store)


_WORDS = {"min": "least", "max": "largest"}


def _label(metric: str) -> str:
    """The label of a metric of variants, as it stands in a sentence."""
    text = BUDGET_METRICS[metric].metric.label
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _counts(counts: dict[str, int]) -> Iterator[str]:
    yield f"{counts['variants']:,}"
    for name in ("partial", "failed"):
        if counts[name]:
            yield f"{counts[name]:,} {name}"
    yield f"{counts['within_budgets']:,} within budgets"
    if "on_front" in counts:
        yield f"{counts['on_front']:,} on the front"


def _causes(rows: Sequence[Row]) -> Iterator[str]:
    """The causes that most variants have which are not complete."""
    from collections import Counter

    causes = Counter(f"{row['status']}: {row['cause']}" for row in rows if row["status"] != "complete")
    for cause, count in causes.most_common(_MOST_CAUSES):
        yield f"{count:,} {cause}"
    if len(causes) > _MOST_CAUSES:
        yield f"and {len(causes) - _MOST_CAUSES:,} other causes, see csv"


def _limits(space: Space) -> Iterator[str]:
    for limit in space.budgets:
        unit = BUDGET_METRICS[limit.metric].metric.unit
        if limit.least is not None:
            yield f"{_label(limit.metric)} at least {format_quantity(limit.least, unit)}"
        if limit.most is not None:
            yield f"{_label(limit.metric)} at most {format_quantity(limit.most, unit)}"


def _influences(results: Results) -> Iterator[tuple[str, str]]:
    """The parameters that move each objective, or each metric where there are none."""
    from inception_lab import parameter_influence

    space = results.space
    metrics = [*(space.objectives or space.metrics)]
    if not (results.table["status"] == "complete").any():
        return
    table = parameter_influence(results.table, list(space.parameters), metrics)
    for metric in metrics:
        if text := _influence_text(table[table["metric"] == metric], is_moved=_moves(results.table[metric])):
            yield "Moved by", f"{_label(metric)}: {text}"


def _moves(figures: Series) -> bool:
    """True for a metric that is not the same of all variants."""
    return bool(figures.dropna().nunique() > 1)


def _influence_text(rows: DataFrame, is_moved: bool) -> str:
    """The parameters that explain a percent or more; empty where none can be told."""
    from inception_lab.variants.columns import REST

    names = {REST: "combinations"}
    shares = rows[rows["share"] >= 1].to_dict("records")
    parts = [f"{names.get(row['parameter'], row['parameter'])} {row['share']:.0f}%" for row in shares]
    return ", ".join(parts) if is_moved else "nothing, it does not vary"


def _machine(attrs: Mapping[Any, Any]) -> str:
    threads = f"{attrs['threads']} thread{'s' * (attrs['threads'] != 1)}"
    return f"{attrs['machine']}, {threads}, on {attrs['device']}"
