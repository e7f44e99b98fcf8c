"""The page that opens a report folder: README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inception_lab.record import Record, Row
from inception_lab.report.answers import (
    changes_text,
    claims_text,
    headline,
    largest_modules,
    module_sums,
    rest_text,
    time_text,
    total_rows,
)
from inception_lab.report.contents import ReportContents
from inception_lab.report.tables import (
    columns_of,
    comparison_rows,
    grouped,
    model_labels,
    readable_columns,
)
from inception_lab.report.text import (
    escape_markdown,
    heading,
    input_text,
    layers_text,
    render,
    shape_text,
    step_text,
    times_text,
)

SHOWN_PLOTS = ("cost_by_module", "field_along_depth", "memory_timeline")
"""The plots on the page: what the net costs, what it sees, what it holds. Others are links."""
MEANINGS: Mapping[str, str] = MappingProxyType(
    {
        "index.html": "all of this and more on one page, which opens in a browser",
        "layers.csv": "a row per layer call: cost, field, memory",
        "modules.csv": "a row per module: cost",
        "branches.csv": "a row per parallel branch, and per module outside of branches",
        "saving.csv": "each branch and module without 1x1 reductions and with them",
        "spectrum.csv": "the fields that each module mixes, by channels and paths",
        "memory.csv": "bytes at the peak by module and kind",
        "times.csv": "a row per layer call: its time in a real run",
        "claims.csv": "published claims about the net, recomputed",
        "changes.csv": "the modules that differ from the saved record",
        "trace.json.gz": "the times of the layers, for ui.perfetto.dev",
        "speedscope.json": "the times of the layers, for speedscope.app",
        "summary.json": "the record, for programs and to compare with",
    }
)
"""The content of each file of a report, in a few words; read-only."""


def report_page(contents: ReportContents, plots: Mapping[str, str], files: Sequence[str]) -> str:
    """Render the page of one model's report in Markdown: short, with links to the rest.

    Args:
        contents: The results to show.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the pages, tables and records that stand beside it.
    """
    return (
        _environment()
        .get_template("page.md.j2")
        .render(
            record=contents.record,
            headline=headline(contents),
            totals=_markdown(total_rows(contents.record)),
            modules=_markdown([*largest_modules(contents), module_sums(contents)]),
            rest=rest_text(contents),
            facts=[*filter(None, [time_text(contents), claims_text(contents), changes_text(contents)])],
            plots={name: plots[name] for name in SHOWN_PLOTS if name in plots},
            files=[(name, MEANINGS[name]) for name in files],
            linked_plots=[name for name in plots if name not in SHOWN_PLOTS],
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
        "layers_text": layers_text,
        "times_text": times_text,
    }
    return environment


def _markdown(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    return render(rows, columns_of(rows), "markdown") if rows else ""
