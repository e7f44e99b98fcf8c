"""The page that opens a report folder: README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inception_lab.record import Record, Row
from inception_lab.report.data import ReportData, columns_of, comparison_rows, labels, rows_of
from inception_lab.report.formats import escaped, heading, render, shape_text
from inception_lab.units import METRICS, format_quantity

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
            plots=plots,
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


def _percent(part: int, whole: int) -> float | None:
    return 100 * part / whole if whole else None


def _markdown(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    return render(rows, columns_of(rows), "markdown") if rows else ""
