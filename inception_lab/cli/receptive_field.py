"""`inception-lab receptive-field`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from inception_lab.cli.effective import (
    EffectiveOptions,
    check_options,
    draw,
    effective_facts,
    effective_options,
    measure_field,
)
from inception_lab.cli.model import refuse_partial, traceback_shown
from inception_lab.cli.options import MODEL, TracingOptions, emit, table_options, tracing_options
from inception_lab.cli.progress import busy
from inception_lab.errors import InceptionLabError
from inception_lab.record import Record, Row
from inception_lab.report.tables import columns_of, rows_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import axes_text, layers_text, render, shape_text, subject_text
from inception_lab.report.view import Layout, View, table_text

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from inception_lab.analyzers.receptive_field.resolution import ResolutionFit
    from inception_lab.ir.trace import Trace
    from inception_lab.loading.model import ModelInputs


COLUMNS = (
    "layer",
    "call",
    "receptive_field",
    "stride",
    "padding",
    "extent",
    "global_context",
    "status",
    "reason",
)


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@click.option("--from", "source", default="", metavar="LAYER", help="Fields within this layer's output.")
@effective_options
@table_options
def command(
    model: str,
    tracing: TracingOptions,
    source: str,
    options: EffectiveOptions,
    view: View,
    output: Path | None,
) -> None:
    """What each layer of MODEL sees of the input, and the spectrum of fields over branches.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    from inception_lab import field_spectrum, receptive_field, summarise
    from inception_lab.analyzers.receptive_field.axes import source_of
    from inception_lab.loading.model import with_model_facts

    if view.form == "csv" and options.effective:
        raise InceptionLabError("CSV holds the layers alone", hint="take --format json or table")
    check_options(options)
    trace, fit = _trace_and_fit(model, tracing, source)
    record = with_model_facts(summarise(trace), tracing.request(model))
    value, axes = source_of(trace, source)
    layers = _rows(receptive_field(trace, source))
    spectrum = field_spectrum(trace) if fit else None
    effective = _effective(model, tracing, options)
    if view.form == "csv":
        emit(render([*map(_with_extent_text, layers)], _present(layers), view.form), output)
    elif view.form == "json":
        record = record.with_context(axes=axes)
        emit(_json(record, layers, spectrum, fit, effective), output)
    else:
        facts = [("Fields along", axes_text(axes, trace.values[value].shape, source))]
        facts += [*_fit_facts(fit)] if fit else []
        facts += [*effective_facts(effective)] if effective else []
        emit(_page(record, layers, spectrum, facts, view), output)
    refuse_partial(trace, tracing)


def _trace_and_fit(name: str, tracing: TracingOptions, source: str) -> tuple[Trace, ResolutionFit | None]:
    """The trace, and how the net fits its input; None within a layer's output, or without spatial axes."""
    import inception_lab as il
    from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes
    from inception_lab.loading.model import apply_without_weights

    request = tracing.request(name)

    def trace_and_fit(model: nn.Module, inputs: ModelInputs) -> tuple[Trace, ResolutionFit | None]:
        trace = il.trace(model, inputs, mode=tracing.mode, name=request.name, meta_only=tracing.meta_only)
        if source:  # the smallest input and the spectrum are of the whole net
            return trace, None
        arguments = tracing.arguments
        with suppress(NoSpatialAxes):
            fit = il.tried_resolution_fit(model, trace, args=arguments.args, kwargs=arguments.kwargs)
            return trace, fit
        return trace, None

    with busy(f"tracing {name}"), traceback_shown(name, tracing):
        return apply_without_weights(request, trace_and_fit)


def _effective(model: str, tracing: TracingOptions, options: EffectiveOptions) -> Row:
    """The effective field as plain data, drawn where that is asked for; empty without `--effective`."""
    if not options.effective:
        return {}
    with busy(f"measuring the effective field of {model}"):
        field = measure_field(model, tracing, options)
    if options.plot is not None:
        draw(tracing.request(model).name, field, options.plot, options.size)
    return field.to_dict()


def _rows(table: DataFrame) -> list[Row]:
    """The rows without what does not hold, the call number only of a layer called again."""
    rows = cast("list[dict[str, Any]]", table.to_dict("records"))
    return [{k: v for k, v in row.items() if v not in (None, "", ()) and (k != "call" or v)} for row in rows]


def _json(
    record: Record,
    layers: Sequence[Row],
    spectrum: DataFrame | None,
    fit: ResolutionFit | None,
    effective: Row,
) -> str:
    extra: dict[str, Any] = {"fit": asdict(fit)} if fit else {}
    extra |= {"spectrum": spectrum.to_dict("records")} if spectrum is not None else {}
    extra |= {"effective": effective} if effective else {}
    return json.dumps(record.to_dict() | {"layers": layers, **extra}, indent=2)


def _page(
    record: Record,
    layers: Sequence[Row],
    spectrum: DataFrame | None,
    facts: Sequence[tuple[str, str]],
    view: View,
) -> str:
    """The layers, the summary of the spectrum, the axes, and how the net fits its input."""
    layout = replace(LAYERS, idle={*record.unexecuted_modules})
    tables = "\n".join([table_text(layers, layout, view), *_spectrum_tables(spectrum, view)])
    return page(
        subject_text(record.context), tables, facts_text(facts, 16, view.prose_screen), view.prose_screen
    )


def _spectrum_tables(spectrum: DataFrame | None, view: View) -> Iterator[str]:
    """The summary of the spectrum over branches, where there are any."""
    from inception_lab.analyzers.receptive_field.spectrum import spectrum_summary

    if spectrum is not None and len(spectrum):
        rows = rows_of(spectrum_summary(spectrum))
        yield table_text(rows, Layout(columns_of(rows)), view.of_whole_table())


def _present(layers: Sequence[Row]) -> list[str]:
    present = set(columns_of(layers))
    return [column for column in COLUMNS if column in present]


def _with_extent_text(row: Row) -> Row:
    """A row with its extent as pixels from the first to the last."""
    if "extent" not in row:
        return row
    return {**row, "extent": " x ".join(f"{first}-{last}" for first, last in row["extent"])}


LAYERS = Layout(
    COLUMNS,
    "receptive_field",
    importance=("stride", "global_context", "status", "padding", "reason", "extent"),
    cells_of=_with_extent_text,
)


def _fit_facts(fit: ResolutionFit) -> Iterator[tuple[str, str]]:
    yield "Smallest input", shape_text(fit.smallest_input)
    if fit.exceeding:
        size = shape_text(fit.input_size)
        yield "", f"Field above {size} in {len(fit.exceeding)} layers, from {fit.exceeding[0]} on"
    if fit.seen_by_centre is not None:
        also = f" on local paths, and everything through {layers_text(fit.global_context)}"
        context = also if fit.global_context else ""
        yield "", f"Centre unit of {fit.last_layer} sees {fit.seen_by_centre:.0%} of the input{context}"
