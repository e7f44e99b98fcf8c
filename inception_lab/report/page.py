"""The page that opens a report folder: README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.memory_timeline import SERIES
from inception_lab.report.plots.wording import alike, peak_place, share_text
from inception_lab.report.tables import (
    columns_of,
    comparison_rows,
    field_status,
    grouped,
    model_labels,
    readable_columns,
    rows_of,
)
from inception_lab.report.text import (
    alike_text,
    axes_text,
    escape_markdown,
    heading,
    input_text,
    layers_text,
    render,
    shape_text,
    step_text,
)

FIELD_PLOTS = ("field_along_depth", "field_spectrum")
"""The plots that stand where the page says what the net sees."""
MEMORY_PLOTS = ("memory_timeline",)
"""The plots that stand where the page says what the net holds."""
LARGEST = 5
"""Tensors that the page shows of those at the peak."""
_COSTS = ("params", "macs", "backward_macs", "training_macs", "other_flops", "activation_bytes")


def report_page(contents: ReportContents, plots: Mapping[str, str], files: Sequence[str]) -> str:
    """Render the page of one model's report in Markdown.

    Args:
        contents: The results to show.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the tables and records that stand beside it.
    """
    tensors = rows_of(contents.peak.tensors)[:LARGEST]
    return (
        _environment()
        .get_template("page.md.j2")
        .render(
            record=contents.record,
            totals=_totals_table(contents.record),
            modules=_module_table(contents),
            branches=_branch_table(contents),
            saving=_saving_table(contents),
            fit=contents.fit,
            centre=_centre_text(contents),
            last_field=_last_field_table(contents),
            field_ranges=_field_range_table(contents),
            peak=_peak_text(contents),
            kinds=_kind_table(contents),
            tensors=_markdown([row | {"kind": SERIES[row["kind"]][0]} for row in tensors]),
            plots={name: text for name, text in plots.items() if name not in FIELD_PLOTS + MEMORY_PLOTS},
            field_plots={name: text for name, text in plots.items() if name in FIELD_PLOTS},
            memory_plots={name: text for name, text in plots.items() if name in MEMORY_PLOTS},
            files=files,
        )
    )


def comparison_page(records: Sequence[Record], plots: Mapping[str, str], files: Sequence[str]) -> str:
    """Render the page of several models in Markdown.

    Args:
        records: One per model.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the tables and records that stand beside it.
    """
    labels = model_labels(records)
    rows = [dict(row) | {"model": label} for row, label in zip(comparison_rows(records), labels, strict=True)]
    columns = [name for name in readable_columns(rows) if name != "flops"]
    return (
        _environment()
        .get_template("comparison.md.j2")
        .render(
            models=list(zip(labels, records, strict=True)),
            table=render(grouped(rows), columns, "markdown"),
            plots=plots,
            files=files,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "shapes": shape_text,
        "input_text": input_text,
        "step_text": step_text,
        "escape_markdown": escape_markdown,
        "heading": heading,
    }
    return environment


def _totals_table(record: Record) -> str:
    """Every total: rounded, exact, and its meaning."""
    rows = [
        {
            "metric": METRICS[name].label,
            "value": format_quantity(value, METRICS[name].unit),
            "exactly": value,
            "meaning": METRICS[name].meaning,
        }
        for name, value in record.totals.items()
        if name in readable_columns([record.totals])
    ]
    return _markdown(rows)


def _module_table(contents: ReportContents) -> str:
    """The modules with a cost of any kind, then their sum."""
    totals = contents.record.totals
    rows = [
        {
            "module": row["module"],
            "params": row["params"],
            "macs": row["macs"],
            "MACs (%)": _percent(row["macs"], totals["macs"]),
            **{name: row[name] for name in _COSTS if name in row},
        }
        for row in rows_of(contents.modules)
        if any(row.get(name) for name in _COSTS)
    ]
    sums = {name: totals[name] for name in _COSTS if name in totals}
    return _markdown([*rows, {"module": "total", **sums}])


def _branch_table(contents: ReportContents) -> str:
    """The branches with MACs or parameters, empty where there are none."""
    rows = [row for row in rows_of(contents.branches) if row["branch"] and (row["macs"] or row["params"])]
    return _markdown(
        [{name: row[name] for name in ("module", "branch", *_COSTS) if name in row} for row in rows]
    )


def _saving_table(contents: ReportContents) -> str:
    """Naive against reduced, empty where reductions change nothing."""
    return _markdown(rows_of(contents.saving)) if contents.has_saving else ""


def _centre_text(contents: ReportContents) -> str:
    """The axes, the layers whose fields exceed the input, and the share that the last layer's centre sees."""
    fit = contents.fit
    parts = [f"Fields lie along {axes_text(fit.axes, fit.input_shape)}."] if fit.axes else []
    if fit.exceeding:
        first, count = escape_markdown(fit.exceeding[0]), len(fit.exceeding)
        parts.append(f"From {first} on, {count} layers have fields larger than the input.")
    else:
        parts.append("No layer has a field larger than the input.")
    if fit.last_layer and fit.seen_by_centre is not None:
        name, share = escape_markdown(fit.last_layer), share_text(fit.seen_by_centre, 1)
        parts.append(f"The last layer with several units along each axis is {name}.")
        paths = " on local paths" if fit.global_context else ""
        parts.append(f"Its centre unit sees {share} of the input{paths}{_context_text(contents)}.")
        parts.append(_field_meaning(_last_layer(contents)))
    return " ".join(parts)


def _context_text(contents: ReportContents) -> str:
    """The last layer's field, and the layers through which its units see everything; empty without these."""
    context, row = contents.fit.global_context, _last_layer(contents)
    if not context:
        return ""
    numbers = [alike_text(row[name]) for name in ("receptive_field", "stride") if row.get(name)]
    field = f", {' at stride '.join(numbers)}" if len(numbers) == 2 else ""
    return f"{field}, and everything through {escape_markdown(layers_text(context))}"


def _field_meaning(row: Row) -> str:
    """The reading of the last layer's field, in one sentence."""
    if row.get("stride"):
        return "A unit at position i of an axis sees the pixels from i x stride - padding on."
    if field_status(row) == "exact":
        return "Every unit sees the whole input."
    return f"No one number describes its field: it is {field_status(row)}."


def _last_layer(contents: ReportContents) -> Row:
    """The row of the last layer with several units along each axis, empty where there is none."""
    rows = [row for row in contents.record.layers if row["layer"] == contents.fit.last_layer]
    return rows[-1] if rows else {}


def _last_field_table(contents: ReportContents) -> str:
    """A row per axis, or per group of axes that are alike: the input's size and the last layer's field."""
    last = _last_layer(contents)
    columns = {"input size": contents.fit.input_size, "smallest input": contents.fit.smallest_input} | {
        name: last[name] for name in ("receptive_field", "stride", "padding") if last.get(name)
    }
    rows = [
        {name: values[axis] for name, values in columns.items()}
        for axis in range(len(contents.fit.input_size))
    ]
    groups = alike([tuple(row.items()) for row in rows])
    return _markdown([{"axis": name, **rows[axis]} for name, axis in groups])


def _field_range_table(contents: ReportContents) -> str:
    """The fields that each module mixes; the axis only where there is a difference."""
    rows = []
    for module, axes in groupby(rows_of(contents.field_ranges), key=lambda row: str(row["module"])):
        ranges = [{name: row[name] for name in ("smallest", "median", "largest")} for row in axes]
        groups = alike([tuple(one.items()) for one in ranges])
        rows += [{"module": module, "axis": name, **ranges[axis]} for name, axis in groups]
    differing = len({row["axis"] for row in rows}) > 1
    return _markdown([{k: v for k, v in row.items() if k != "axis" or differing} for row in rows])


def _peak_text(contents: ReportContents) -> str:
    """The bytes of the peak and its place; the bytes alone where nothing ran."""
    peak = contents.peak
    place = escape_markdown(peak_place(peak.layer, peak.operation, peak.phase))
    return format_quantity(peak.peak_bytes, "bytes") + f", {place}" * bool(place)


def _kind_table(contents: ReportContents) -> str:
    """The bytes of each kind at the peak, from the lowest in the plot to the highest."""
    sizes = contents.peak.by_kind
    rows = [
        {"kind": label, "bytes": sizes[kind], "share (%)": _percent(sizes[kind], contents.peak.peak_bytes)}
        for kind, (label, _) in SERIES.items()
        if sizes.get(kind)
    ]
    return _markdown(rows)


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _markdown(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    return render(rows, columns_of(rows), "markdown") if rows else ""
