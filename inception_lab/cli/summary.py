"""`inception-lab summary`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import click

from inception_lab.cli.model import refuse_partial, trace_model
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    emit,
    optimizer_option,
    table_options,
    tracing_options,
)
from inception_lab.cli.progress import busy
from inception_lab.errors import listed
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.tables import columns_of, readable_columns
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import axes_text, render, subject_text, times_text
from inception_lab.report.view import ROW_SUMS, SHARE, Layout, View, table_text

_IN_CSV_ALONE = ("executed", "flops", "stride", "padding", "status")

IMPORTANCE = (
    SHARE, "macs", "training_macs", "params", "output_shape", "receptive_field", "type", "saved_bytes",
    "activation_bytes",
)  # fmt: skip
"""Columns that stay longest."""


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@optimizer_option
@click.option("--depth", type=click.IntRange(min=1), help="Sum up modules deeper than this.")
@table_options
def command(model: str, tracing: TracingOptions, depth: int | None, view: View, output: Path | None) -> None:
    """The layer table of MODEL, and its totals under it.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    from inception_lab.analyzers.cost import module_costs
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import with_model_facts

    with busy(f"tracing {model}"):
        trace = trace_model(model, tracing)
    record = with_model_facts(summarise(trace), tracing.request(model))
    if depth is None:
        emit(record.to_json() if view.form == "json" else _text(record, record.layers, view), output)
    else:
        modules = cast("list[Row]", module_costs(trace, depth).to_dict("records"))
        emit(_by_module(record, modules) if view.form == "json" else _text(record, modules, view), output)
    refuse_partial(trace, tracing)


def _by_module(record: Record, modules: Sequence[Row]) -> str:
    """The record with modules in place of layers."""
    data = record.to_dict()
    del data["layers"]
    return json.dumps(data | {"modules": modules}, indent=2)


def _text(record: Record, rows: Sequence[Row], view: View) -> str:
    if view.form == "csv":
        return render(rows, columns_of(rows), view.form)
    columns = [column for column in readable_columns(rows) if column not in _IN_CSV_ALONE]
    layout = Layout(columns, "macs", IMPORTANCE, ROW_SUMS, idle={*record.unexecuted_modules})
    table = table_text(rows, layout, view)
    answer = facts_text(_facts(record), _label_width(record), view.prose_screen)
    return page(subject_text(record.context), table, answer, view.prose_screen)


def _label_width(record: Record) -> int:
    return max([16, *(len(METRICS[name].label) for name in readable_columns([record.totals]))])


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """A line per total, then what the totals leave out."""
    for name in readable_columns([record.totals]):
        total, metric = record.totals[name], METRICS[name]
        yield metric.label, f"{total:>18,}   {format_quantity(total, metric.unit)}"
    if "axes" in record.context:
        yield "Fields along", _axes(record)
    for row in record.uncounted_ops:
        yield "NOT COUNTED", f"{row['name']}, ran {times_text(row['count'])}"
    if record.unexecuted_modules:
        yield "Not executed", listed(record.unexecuted_modules)
    if "note" in record.context:
        yield "Note", record.context["note"]


def _axes(record: Record) -> str:
    """The axes of receptive fields; the shape of the input where there is one alone."""
    shapes = record.context["input_shapes"]
    return axes_text(record.context["axes"], shapes[0] if len(shapes) == 1 else ())
