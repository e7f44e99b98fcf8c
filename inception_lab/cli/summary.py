"""`inception-lab summary`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import click

from inception_lab.cli.model import refuse_partial, trace_model
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    emit,
    format_options,
    optimizer_option,
    tracing_options,
)
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.tables import columns_of, readable_columns
from inception_lab.report.text import axes_text, render

_IN_CSV_ALONE = ("executed", "flops", "stride", "padding", "status")


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@optimizer_option
@click.option("--depth", type=click.IntRange(min=1), help="Sum up modules deeper than this.")
@format_options
def command(model: str, tracing: TracingOptions, depth: int | None, form: str, output: Path | None) -> None:
    """The layer table of MODEL, and its totals under it.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    from inception_lab.analyzers.cost import module_costs
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import with_model_facts

    trace = trace_model(model, tracing)
    record = with_model_facts(summarise(trace), tracing.request(model))
    if depth is None:
        emit(record.to_json() if form == "json" else _text(record, record.layers, form), output)
    else:
        modules = cast("list[Row]", module_costs(trace, depth).to_dict("records"))
        emit(_by_module(record, modules) if form == "json" else _text(record, modules, form), output)
    refuse_partial(trace, tracing)


def _by_module(record: Record, modules: Sequence[Row]) -> str:
    """The record with modules in place of layers."""
    data = record.to_dict()
    del data["layers"]
    return json.dumps(data | {"modules": modules}, indent=2)


def _text(record: Record, rows: Sequence[Row], form: str) -> str:
    if form == "csv":
        return render(rows, columns_of(rows), form)
    columns = [column for column in readable_columns(rows) if column not in _IN_CSV_ALONE]
    return f"{render(rows, columns, form).rstrip()}\n\n{_totals(record)}"


def _totals(record: Record) -> str:
    """A line per total, then what the totals leave out."""
    metrics = [METRICS[name] for name in readable_columns([record.totals])]
    width = max([16, *(len(metric.label) for metric in metrics)])
    totals = [(metric, record.totals[metric.name]) for metric in metrics]
    lines = [f"{m.label:<{width}} {value:>18,}   {format_quantity(value, m.unit)}" for m, value in totals]
    if "axes" in record.context:
        lines.append(f"Fields along     {_axes(record)}")
    if "arguments" in record.context:
        lines.append(f"Arguments        {', '.join(record.context['arguments'])}")
    lines += [f"NOT COUNTED      {row['name']}, ran {row['count']} times" for row in record.uncounted_ops]
    if record.unexecuted_modules:
        lines.append(f"Not executed     {', '.join(record.unexecuted_modules)}")
    if "note" in record.context:
        lines.append(f"Note             {record.context['note']}")
    return "\n".join(lines) + "\n"


def _axes(record: Record) -> str:
    """The axes of receptive fields; the shape of the input where there is one alone."""
    shapes = record.context["input_shapes"]
    return axes_text(record.context["axes"], shapes[0] if len(shapes) == 1 else ())
