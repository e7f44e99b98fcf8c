"""The page that opens a report folder: README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from inception_lab.record import Record, Row
from inception_lab.report.answers import (
    branch_rows,
    field_range_rows,
    kind_rows,
    last_field_rows,
    module_rows,
    module_sums,
    peak_text,
    saving_rows,
    sight_text,
    step_note,
    tensor_rows,
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
from inception_lab.report.text import escape_markdown, heading, input_text, render, shape_text, step_text

FIELD_PLOTS = ("field_along_depth", "field_spectrum")
"""The plots that stand where the page says what the net sees."""
MEMORY_PLOTS = ("memory_timeline",)
"""The plots that stand where the page says what the net holds."""


def report_page(contents: ReportContents, plots: Mapping[str, str], files: Sequence[str]) -> str:
    """Render the page of one model's report in Markdown.

    Args:
        contents: The results to show.
        plots: Captions of the plots that stand beside it, by name.
        files: Names of the tables and records that stand beside it.
    """
    return (
        _environment()
        .get_template("page.md.j2")
        .render(
            record=contents.record,
            totals=_markdown(total_rows(contents.record)),
            modules=_markdown([*module_rows(contents), module_sums(contents)]),
            branches=_markdown(branch_rows(contents)),
            saving=_markdown(saving_rows(contents)),
            fit=contents.fit,
            sight=sight_text(contents),
            last_field=_markdown(last_field_rows(contents)),
            field_ranges=_markdown(field_range_rows(contents)),
            peak=peak_text(contents),
            step_note=step_note(contents.record),
            kinds=_markdown(kind_rows(contents)),
            tensors=_markdown(tensor_rows(contents)),
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


def _markdown(rows: Sequence[Row] | Sequence[dict[str, Any]]) -> str:
    return render(rows, columns_of(rows), "markdown") if rows else ""
