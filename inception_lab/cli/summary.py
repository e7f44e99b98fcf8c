"""`inception-lab summary`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click

from inception_lab.cli.options import Tracing, emit, format_options, tracing_options
from inception_lab.record import Record, Row
from inception_lab.report.formats import render
from inception_lab.units import METRICS, format_quantity


@click.command()
@click.argument("model")
@tracing_options
@click.option("--depth", type=click.IntRange(min=1), help="Sum up modules deeper than this.")
@format_options
def command(model: str, tracing: Tracing, depth: int | None, form: str, output: Path | None) -> None:
    """The layer table of MODEL, and its totals under it."""
    from inception_lab.analyzers.cost import module_costs
    from inception_lab.cli.loading import refuse_partial, traced
    from inception_lab.summarising import summarise

    found = traced(model, tracing)
    record = summarise(found)
    if depth is not None:
        modules = module_costs(found, depth).rename(columns={"module": "layer"})
        record = record.with_layers(cast("list[Row]", modules.to_dict("records")))
    emit(record.to_json() if form == "json" else _shown(record, form), output)
    refuse_partial(found, tracing)


def _shown(record: Record, form: str) -> str:
    rows = render(record.layers, _columns(record.layers), form)
    return rows if form == "csv" else f"{rows.rstrip()}\n\n{_totals(record)}"


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every column that a row has, in order; what can be read off another one is left out."""
    found = dict.fromkeys(column for row in rows for column in row)
    return [column for column in found if column not in ("executed", "flops")]


def _totals(record: Record) -> str:
    """A line per total, then what the totals leave out."""
    lines = [
        f"{METRICS[name].label:<16} {value:>18,}   {format_quantity(value, METRICS[name].unit)}"
        for name, value in record.totals.items()
    ]
    lines += [f"NOT COUNTED      {row['name']}, ran {row['count']} times" for row in record.uncounted_ops]
    if record.unexecuted_modules:
        lines.append(f"Not executed     {', '.join(record.unexecuted_modules)}")
    return "\n".join(lines) + "\n"
