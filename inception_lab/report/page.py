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
from inception_lab.report.contents import (
    ReportData,
    columns_of,
    comparison_rows,
    field_status,
    labels,
    rows_of,
)
from inception_lab.report.plots.memory_timeline import SERIES
from inception_lab.report.plots.wording import alike, peak_place, share_text
from inception_lab.report.text import escaped, heading, render, shape_text

FIELD_PLOTS = ("field_along_depth", "field_spectrum")
"""The plots that stand where the page says what the net sees."""
MEMORY_PLOTS = ("memory_timeline",)
"""The plots that stand where the page says what the net holds."""
LARGEST = 5
"""Tensors that the page shows of those at the peak."""
_COSTS = ("params", "macs", "backward_macs", "training_macs", "other_flops", "activation_bytes")


def report_page(data: ReportData, plots: Mapping[str, str], files: Sequence[str]) -> str:
    """The page of one model's report, in Markdown.

    Args:
        data: What it shows.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the tables and records that stand beside it.
    """
    return (
        _environment()
        .get_template("page.md.j2")
        .render(
            record=data.record,
            headline=_headline(data.record),
            modules=_modules(data),
            branches=_branches(data),
            saving=_saving(data),
            fit=data.fit,
            seen=_seen(data),
            sight=_sight(data),
            spectrum=_spectrum(data),
            peak=_peak(data),
            kinds=_kinds(data),
            tensors=_markdown([_tensor(row) for row in rows_of(data.tensors)[:LARGEST]]),
            plots={name: text for name, text in plots.items() if name not in FIELD_PLOTS + MEMORY_PLOTS},
            field_plots={name: text for name, text in plots.items() if name in FIELD_PLOTS},
            memory_plots={name: text for name, text in plots.items() if name in MEMORY_PLOTS},
            files=files,
        )
    )


def comparison_page(records: Sequence[Record], plots: Mapping[str, str], files: Sequence[str]) -> str:
    """The page of several models, in Markdown.

    Args:
        records: One per model.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the tables and records that stand beside it.
    """
    rows = [
        dict(row) | {"model": name}
        for row, name in zip(comparison_rows(records), labels(records), strict=True)
    ]
    return (
        _environment()
        .get_template("comparison.md.j2")
        .render(
            models=list(zip(labels(records), records, strict=True)),
            table=_markdown([{k: v for k, v in row.items() if k != "flops"} for row in rows]),
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
    environment.filters |= {"shapes": shape_text, "escaped": escaped, "heading": heading}
    return environment


def _headline(record: Record) -> str:
    """Every total: as people say it, exactly, and what it means."""
    rows = [
        {
            "metric": METRICS[name].label,
            "value": format_quantity(value, METRICS[name].unit),
            "exactly": value,
            "meaning": METRICS[name].meaning,
        }
        for name, value in record.totals.items()
    ]
    return _markdown(rows)


def _modules(data: ReportData) -> str:
    """The modules with a cost of any kind, then their sum."""
    rows = [row for row in rows_of(data.modules) if any(row.get(name) for name in _COSTS)]
    shown = [
        {
            "module": row["module"],
            "params": row["params"],
            "macs": row["macs"],
            "MACs (%)": _percent(row["macs"], data.record.totals["macs"]),
            **{name: row[name] for name in _COSTS if name in row},
        }
        for row in rows
    ]
    totals = {name: data.record.totals[name] for name in _COSTS if name in data.record.totals}
    return _markdown([*shown, {"module": "total", **totals}])


def _branches(data: ReportData) -> str:
    """The branches with MACs or parameters, empty where there are none."""
    rows = [row for row in rows_of(data.branches) if row["branch"] and (row["macs"] or row["params"])]
    return _markdown(
        [{name: row[name] for name in ("module", "branch", *_COSTS) if name in row} for row in rows]
    )


def _saving(data: ReportData) -> str:
    """Naive against reduced, empty where reductions change nothing."""
    return _markdown(rows_of(data.saving)) if data.has_saving else ""


def _seen(data: ReportData) -> str:
    """What the last layer's centre unit sees, and from where on fields are larger than the input."""
    last, beyond = data.fit.get("last_layer"), data.fit.get("exceeding")
    parts = ["No layer has a field larger than the input."]
    if beyond:
        parts = [f"From {escaped(beyond[0])} on, {len(beyond)} layers have fields larger than the input."]
    if last:
        share = share_text(data.fit["seen_by_centre"], 1)
        parts.append(f"The last layer with several units along each axis is {escaped(last)}.")
        parts.append(f"Its centre unit sees {share} of the input. {_meaning(_last_layer(data))}")
    return " ".join(parts)


def _meaning(row: Row) -> str:
    """How to read the field of the last layer."""
    if row.get("stride"):
        return "A unit at position i of an axis sees the pixels from i x stride - padding on."
    if field_status(row) == "exact":
        return "Every unit sees the whole input."
    return f"No one number describes its field: it is {field_status(row)}."


def _last_layer(data: ReportData) -> Row:
    """The row of the last layer with several units along each axis, empty where there is none."""
    rows = [row for row in data.record.layers if row["layer"] == data.fit.get("last_layer")]
    return rows[-1] if rows else {}


def _sight(data: ReportData) -> str:
    """A row per axis, or per group of axes that are alike: the input's size and the last layer's field."""
    sizes = {"input size": data.fit.get("input_size", ()), "smallest input": data.fit.get("smallest_input")}
    last = _last_layer(data)
    known = {name: last[name] for name in ("receptive_field", "stride", "padding") if last.get(name)}
    rows = [
        {name: values[axis] for name, values in (sizes | known).items()}
        for axis in range(len(data.fit.get("input_size", ())))
    ]
    groups = alike([tuple(row.items()) for row in rows])
    return _markdown([{"axis": name, **rows[axis]} for name, axis in groups])


def _spectrum(data: ReportData) -> str:
    """The fields that each module mixes; the axis only where there is a difference."""
    rows = []
    for module, inside in groupby(rows_of(data.seen), key=lambda row: str(row["module"])):
        fields = [{name: row[name] for name in ("smallest", "median", "largest")} for row in inside]
        groups = alike([tuple(found.items()) for found in fields])
        rows += [{"module": module, "axis": name, **fields[axis]} for name, axis in groups]
    differing = len({row["axis"] for row in rows}) > 1
    return _markdown([{k: v for k, v in row.items() if k != "axis" or differing} for row in rows])


def _peak(data: ReportData) -> str:
    """How much is held at most, and where that is."""
    if not data.peak:
        return ""
    place = escaped(peak_place(data.peak))
    return format_quantity(data.peak["peak_bytes"], "bytes") + f", {place}" * bool(place)


def _kinds(data: ReportData) -> str:
    """The bytes of each kind at the peak, from the lowest in the plot to the highest."""
    held = data.peak.get("by_kind", {})
    rows = [
        {"kind": label, "bytes": held[kind], "share (%)": _percent(held[kind], data.peak["peak_bytes"])}
        for kind, (label, _) in SERIES.items()
        if held.get(kind)
    ]
    return _markdown(rows)


def _tensor(row: Row) -> Row:
    return {**row, "kind": SERIES[row["kind"]][0]}


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _markdown(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    return render(rows, columns_of(rows), "markdown") if rows else ""
