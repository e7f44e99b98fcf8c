"""The page of several models side by side as HTML that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from inception_lab import __version__
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.html.assets import rendered
from inception_lab.report.html.cells import Cell, Column, PageTable, cell, short_heading
from inception_lab.report.html.inline_svg import Figure, inline_svg
from inception_lab.report.plots.wording import leader, ratio_text, several_text
from inception_lab.report.tables import (
    EVALUATION,
    IMAGES,
    PUBLISHED,
    comparison_rows,
    is_reconstruction,
    model_labels,
    peak_of,
    readable_columns,
    step_macs,
)
from inception_lab.report.text import input_text, label_within, step_text

_QUESTIONS = {
    "cost": ("What do they cost?", ("comparison", "params_and_macs", "time_and_macs")),
    "sees": ("What do they see?", ("field_and_depth",)),
    "errors": ("What do they get wrong?", ("error_and_macs",)),
}
"""Place, heading and plots of each section."""
_TITLES = {
    "models": "Models",
    "cost": "Cost",
    "sees": "Field",
    "errors": "Errors",
    "runs": "Runs",
    "files": "Files",
}


def models_page(
    records: Sequence[Record],
    figures: Mapping[str, Figure],
    files: Sequence[str] = (),
    pages: Sequence[str] = (),
) -> str:
    """Return the page of several models.

    Args:
        records: One per model, in the order of the table.
        figures: The plots, by name.
        files: Names of the files that stand beside it.
        pages: Addresses of the page of each model, from this one; empty for none.
    """
    labels = model_labels(records)
    questions = {
        place: (title, plots) for place, (title, plots) in _QUESTIONS.items() if figures.keys() & {*plots}
    }
    places = ["models", *questions, "runs", *(["files"] if files else [])]
    return rendered(
        "models.html.j2",
        {},
        {},
        count=len(records),
        subject=several_text(records),
        lead=headline(records),
        partial=[
            (label, r.uncounted_ops)
            for label, r in zip(labels, records, strict=True)
            if not r.context["complete"]
        ],
        table=_table(records, labels, pages),
        has_star=any(map(is_reconstruction, records)),
        questions=questions,
        figures={name: Markup(inline_svg(figure.svg, name)) for name, figure in figures.items()},
        captions={name: figure.caption for name, figure in figures.items()},
        runs=[_run(label, record) for label, record in zip(labels, records, strict=True)],
        sections=[(place, _TITLES[place]) for place in places],
        files=files,
        tool=f"inception_lab {__version__}",
    )


def headline(records: Sequence[Record]) -> str:
    """Return the models between which costs lie, in one sentence; empty where all are alike.

    Example:
        >>> context = {"input_shapes": [[1, 3, 8, 8]], "mode": "eval", "complete": True}
        >>> nets = {"small": {"params": 5, "macs": 70}, "large": {"params": 9000, "macs": 70}}
        >>> headline([Record({**context, "model": name}, nets[name], (), (), ()) for name in nets])
        'Parameters from 5 (small) to 9.00 k (large), 1,800×.'
    """
    ranges = "; ".join(_ranges(records))
    return f"{ranges[:1].upper()}{ranges[1:]}." if ranges else ""


def _ranges(records: Sequence[Record]) -> Iterator[str]:
    """The smallest and the largest of what people ask for first, with their models."""
    labels = model_labels(records)
    macs = step_macs(records[0])
    metrics = {
        "params": [r.totals.get("params") for r in records],
        macs: [r.totals.get(macs) for r in records],
    }
    metrics["peak_bytes"] = [peak_of(record) for record in records]
    for name, values in metrics.items():
        numbers = [value for value in values if value]
        if len(numbers) == len(records) and min(numbers) < max(numbers):
            low, high = (format_quantity(end, METRICS[name].unit) for end in (min(numbers), max(numbers)))
            least, most = leader(labels, [-number for number in numbers]), leader(labels, numbers)
            ratio = ratio_text(max(numbers) / min(numbers))
            yield f"{label_within(name)} from {low} ({least}) to {high} ({most}), {ratio}"


def _table(records: Sequence[Record], labels: Sequence[str], pages: Sequence[str]) -> PageTable:
    """A row per model, with bars that compare a column's figures."""
    rows = [
        {"model": label} | {name: value for name, value in row.items() if name != "model"}
        for label, row, record in zip(labels, comparison_rows(records), records, strict=True)
    ]
    names = [name for name in readable_columns(rows) if name not in _hidden(rows)]
    largest = {name: max([row.get(name) or 0 for row in rows]) for name in names if name in METRICS}
    columns = [Column(short_heading(name), is_number=name in METRICS) for name in names]
    cells = [
        [_with_bar(cell(row.get(name), name), row.get(name), largest.get(name)) for name in names]
        for row in rows
    ]
    for row, page in zip(cells, pages, strict=bool(pages)):
        row[0] = replace(row[0], link=page)
    return PageTable("Totals of each model", columns, cells)


def _hidden(rows: Sequence[Row]) -> set[str]:
    """Columns that say nothing: FLOPs are twice the MACs, and what all share stands above the table."""
    return {"flops"} | {name for name in ("mode", "complete") if len({row[name] for row in rows}) == 1}


def _with_bar(short: Cell, value: Any, largest: float | None) -> Cell:
    if largest is None:
        return short
    return replace(
        short, is_number=True, share=f"{100 * (value or 0) / largest:.3g}" if value and largest else ""
    )


def _run(label: str, record: Record) -> dict[str, str]:
    """The run of a model, and what has to be known about it."""
    context = record.context
    facts = [f"input {input_text(context)}", step_text(context), context.get("dtype", "")]
    facts += [_error_text(context)] if PUBLISHED in context else []
    facts += [context.get("tool", ""), f"torch {context['torch']}" if "torch" in context else ""]
    unexecuted = ", ".join(record.unexecuted_modules)
    return {
        "label": label,
        "facts": ", ".join(filter(None, facts)),
        "unexecuted": unexecuted,
        "note": context.get("note", ""),
    }


def _error_text(context: Mapping[str, Any]) -> str:
    """A published error, and how it was measured."""
    how = filter(None, [context.get(EVALUATION), context.get(IMAGES)])
    return f"{METRICS[PUBLISHED].label} {', '.join([f'{context[PUBLISHED]} %', *how])}"
