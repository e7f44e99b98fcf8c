"""`inception-lab crosscheck`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.model import refuse_partial, traceback_shown
from inception_lab.cli.options import MODEL, TracingOptions, emit, format_options, tracing_options
from inception_lab.errors import InceptionLabError
from inception_lab.record import Record
from inception_lab.report.tables import columns_of
from inception_lab.report.text import heading, render

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.counters.comparison import Crosscheck
    from inception_lab.loading.model import ModelInputs


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@format_options
def command(model: str, tracing: TracingOptions, form: str, output: Path | None) -> None:
    """The MACs of MODEL beside those of fvcore and torch, layer by layer, differences explained.

    Exits with 1 where a count differs and no rule explains by exactly how much; under --strict also where
    one of the two could not run the model, or an operation could not be counted.
    """
    from inception_lab.counters.comparison import crosscheck
    from inception_lab.loading.model import apply_without_weights, with_model_facts

    def check(net: nn.Module, inputs: ModelInputs) -> Crosscheck:
        return crosscheck(net, inputs, mode=tracing.mode, name=model, meta_only=tracing.meta_only)

    with traceback_shown(model, tracing):
        result = apply_without_weights(tracing.request(model), check)
    record = with_model_facts(result.record, tracing.request(model))
    emit(record.to_json() if form == "json" else _text(record, form), output)
    if result.unexplained:
        layers = ", ".join(row["layer"] for row in result.unexplained)
        raise InceptionLabError(f"unexplained differences in {layers}", where=model, exit_code=1)
    refuse_partial(result.trace, tracing)
    if tracing.strict and "not_run" in record.context:
        raise InceptionLabError("; ".join(_not_run(record)), where=model, exit_code=1)


def _text(record: Record, form: str) -> str:
    table = render(record.layers, columns_of(record.layers), form)
    return table if form == "csv" else f"{table.rstrip()}\n\n{_totals(record)}"


def _totals(record: Record) -> str:
    """A line per total and per rule that explains a difference, then the omissions and the verdict."""
    names = [name for name in record.totals if name.endswith("macs") and name != "training_macs"]
    lines = [f"{heading(name):<20} {record.totals[name]:>20,}" for name in names]
    lines += [
        f"{heading(row['column']):<20} {row['macs']:>+20,}   {row['why']} (layers: {row['layers']})"
        for row in record.context["differences"]
    ]
    lines += _not_run(record)
    lines += [f"NOT COUNTED          {row['name']}, ran {row['count']} times" for row in record.uncounted_ops]
    lines.append(f"Verdict              {_verdict(record)}")
    return "\n".join(lines) + "\n"


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
        parts.append(f"partial, without {', '.join(row['name'] for row in record.uncounted_ops)}")
    return "; ".join(parts)
