"""`inception-lab receptive-field`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from inception_lab.cli.options import emit, format_options, tracing_options
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import Tracing
from inception_lab.record import Record, Row
from inception_lab.report.tables import columns_of
from inception_lab.report.text import render, shape_text

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from inception_lab.analyzers.receptive_field.resolution import ResolutionFit
    from inception_lab.ir.trace import Trace
    from inception_lab.running.inputs import Inputs


COLUMNS = ("layer", "call", "receptive_field", "stride", "padding", "extent", "status", "reason")


@click.command()
@click.argument("model")
@tracing_options
@click.option("--from", "source", default="", metavar="LAYER", help="Fields within this layer's output.")
@click.option("--effective", is_flag=True, help="Average input gradients too: a real run.")
@click.option("--layer", default="", help="Whose centre unit's gradient.  [default: the last spatial one]")
@click.option("--samples", type=click.IntRange(1), help="Inputs for each seed.  [default: 4]")
@click.option("--seeds", type=click.IntRange(1), help="How many seeds.  [default: 5]")
@click.option("--weights", type=click.Path(path_type=Path), help="A state dict to load for --effective.")
@click.option(
    "--device",
    type=click.Choice(["cpu", "cuda"]),
    help="Where --effective runs.  [default: cpu]",
)
@click.option("--plot", type=click.Path(path_type=Path), help="Draw --effective into a .svg or .png file.")
@format_options
def command(model: str, tracing: Tracing, source: str, form: str, output: Path | None, **wanted: Any) -> None:
    """What each layer of MODEL sees of the input, and the spectrum of fields over branches.

    MODEL is an entry of the zoo, or package.module:factory.
    """
    from inception_lab.analyzers.receptive_field.spectrum import field_spectrum
    from inception_lab.analyzers.receptive_field.table import receptive_field
    from inception_lab.analyzers.summary import summarise
    from inception_lab.cli.effective import effective, shown
    from inception_lab.loading.model import refuse_partial, said_of, with_model

    if form == "csv" and wanted["effective"]:
        raise InceptionLabError("CSV holds the layers alone", hint="take --format json or table")
    found, fit = with_model(model, tracing, partial(_traced_and_fitted, model, tracing))
    record = said_of(model, tracing, summarise(found))
    layers = _rows(receptive_field(found, source))
    measured = effective(model, tracing, **wanted)
    if form == "csv":
        emit(_table(layers, form), output)
    elif form == "json":
        emit(_json(record, layers, field_spectrum(found), fit, measured), output)
    else:
        emit(_page(layers, field_spectrum(found), fit, form) + shown(measured), output)
    refuse_partial(found, tracing)


def _traced_and_fitted(
    name: str, tracing: Tracing, model: nn.Module, inputs: Inputs
) -> tuple[Trace, ResolutionFit]:
    """The trace, and how the net fits its input, the smallest one tried where that is a matter of traces."""
    from inception_lab import smallest_input, trace
    from inception_lab.analyzers.receptive_field.resolution import resolution_fit

    found = trace(model, inputs, mode=tracing.mode, name=name, meta_only=tracing.meta_only)
    fit = resolution_fit(found)
    one = isinstance(inputs, list) and len(inputs) == 1 and isinstance(inputs[0], tuple)
    if one and found.context.device == "meta":
        tried = smallest_input(model, found.context.input_shapes[0], mode=tracing.mode)
        fit = replace(fit, smallest_input=tried)
    return found, fit


def _rows(frame: DataFrame) -> list[Row]:
    """The rows without what does not hold, the call number only of a layer called again."""
    rows = cast("list[dict[str, Any]]", frame.to_dict("records"))
    return [
        {k: v for k, v in row.items() if v is not None and v != "" and (k != "call" or v)} for row in rows
    ]


def _json(
    record: Record, layers: Sequence[Row], spectrum: DataFrame, fit: ResolutionFit, measured: Row
) -> str:
    extra: Row = {"fit": asdict(fit), "spectrum": spectrum.to_dict("records")}
    extra = {**extra, **({"effective": measured} if measured else {})}
    return json.dumps(record.to_dict() | {"layers": layers, **extra}, indent=2)


def _page(layers: Sequence[Row], spectrum: DataFrame, fit: ResolutionFit, form: str) -> str:
    """The layers, the summary of the spectrum, and how the net fits its input."""
    from inception_lab.analyzers.receptive_field.spectrum import spectrum_summary

    parts = [_table(layers, form)]
    summary = cast("list[Row]", spectrum_summary(spectrum).to_dict("records"))
    if summary:
        parts.append(render(summary, columns_of(summary), form))
    return "\n".join([*parts, _said(fit)])


def _table(layers: Sequence[Row], form: str) -> str:
    present = set(columns_of(layers))
    return render([_as_text(row) for row in layers], [c for c in COLUMNS if c in present], form)


def _as_text(row: Row) -> Row:
    """A row with its extent as pixels from the first to the last."""
    if "extent" not in row:
        return row
    return {**row, "extent": " x ".join(f"{first}-{last}" for first, last in row["extent"])}


def _said(fit: ResolutionFit) -> str:
    lines = [f"Smallest input   {shape_text(fit.smallest_input)}"]
    if fit.exceeding:
        size = shape_text(fit.input_size)
        lines.append(f"Field above {size} in {len(fit.exceeding)} layers, from {fit.exceeding[0]} on")
    if fit.seen_by_centre is not None:
        lines.append(f"Centre unit of {fit.last_layer} sees {fit.seen_by_centre:.0%} of the input")
    return "\n".join(lines) + "\n"
