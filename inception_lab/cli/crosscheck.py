"""`inception-lab crosscheck`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.model import refuse_partial, traceback_shown
from inception_lab.cli.options import MODEL, TracingOptions, emit, table_options, tracing_options
from inception_lab.cli.progress import busy
from inception_lab.errors import InceptionLabError, listed
from inception_lab.record import Record
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import heading, render, subject_text, times_text
from inception_lab.report.view import Layout, View, table_text

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.counters.comparison import Crosscheck
    from inception_lab.loading.model import ModelInputs

IMPORTANCE = (
    "macs", "verdict", "fvcore_macs", "torch_macs", "explanation", "backward_macs", "torch_backward_macs",
)  # fmt: skip
"""Columns that stay longest."""


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@table_options
def command(model: str, tracing: TracingOptions, view: View, output: Path | None) -> None:
    """The MACs of MODEL beside those of fvcore and torch, layer by layer, differences explained.

    Exits with 1 where a count differs and no rule explains by exactly how much; under --strict also where
    one of the two could not run the model, or an operation could not be counted.
    """
    from inception_lab.counters.comparison import crosscheck
    from inception_lab.loading.model import apply_without_weights, with_model_facts

    request = tracing.request(model)

    def check(net: nn.Module, inputs: ModelInputs) -> Crosscheck:
        return crosscheck(net, inputs, mode=tracing.mode, name=request.name, meta_only=tracing.meta_only)

    with busy(f"counting the MACs of {model}"), traceback_shown(model, tracing):
        result = apply_without_weights(request, check)
    record = with_model_facts(result.record, request)
    emit(record.to_json() if view.form == "json" else _text(record, view), output)
    if result.unexplained:
        layers = listed(row["layer"] for row in result.unexplained)
        raise InceptionLabError(f"unexplained differences in {layers}", where=model, exit_code=1)
    refuse_partial(result.trace, tracing)
    if tracing.strict and "not_run" in record.context:
        raise InceptionLabError("; ".join(_not_run(record)), where=model, exit_code=1)


def _text(record: Record, view: View) -> str:
    columns = columns_of(record.layers)
    if view.form == "csv":
        return render(record.layers, columns, view.form)
    table = table_text(
        record.layers, Layout(columns, "macs", IMPORTANCE, idle={*record.unexecuted_modules}), view
    )
    return page(
        subject_text(record.context),
        table,
        facts_text(_facts(record), 20, view.prose_screen),
        view.prose_screen,
    )


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    """A line per total and per rule that explains a difference, then the omissions and the verdict."""
    for name in record.totals:
        if name.endswith("macs") and name != "training_macs":
            yield heading(name), f"{record.totals[name]:>20,}"
    for row in record.context["differences"]:
        yield heading(row["column"]), f"{row['macs']:>+20,}   {row['why']} (layers: {row['layers']})"
    yield from (("", text) for text in _not_run(record))
    for row in record.uncounted_ops:
        yield "NOT COUNTED", f"{row['name']}, ran {times_text(row['count'])}"
    yield "Verdict", _verdict(record)


def _not_run(record: Record) -> list[str]:
    return [
        f"{counter} could not run it: {why}" for counter, why in record.context.get("not_run", {}).items()
    ]


def _verdict(record: Record) -> str:
    """The verdict and its limits."""
    parts = [record.context["verdict"]]
    if "not_run" in record.context:
        parts.append(f"checked by {', '.join(record.context['checked_by'])} alone")
    if record.uncounted_ops:
        parts.append(f"partial, without {listed(row['name'] for row in record.uncounted_ops)}")
    return "; ".join(parts)
