"""The answer of `inception-lab compare` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from textwrap import fill
from typing import TYPE_CHECKING

from inception_lab.comparison.comparability import is_comparable
from inception_lab.errors import InceptionLabError
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of, readable_columns
from inception_lab.report.text import escape_markdown, heading, input_text, render, step_text

if TYPE_CHECKING:
    from inception_lab.comparison.branch_rows import BranchRow
    from inception_lab.comparison.module_rows import ModuleRow
    from inception_lab.comparison.side_by_side import Comparison

MOST = 25
"""Rows of modules in a table for people."""
_WIDTH = 80
_LEAST_WIDTH = 20
"""Of a column of paths, in characters."""

_OF_SEVERAL = ("params", "macs", "training_macs", "peak_bytes", "train_peak_bytes")
"""Totals of more than two models in a table for people, which has to be narrow."""
_GROWTHS = ("macs", "params", "saved_bytes", "activation_bytes")
"""Metrics whose growth the table of modules has, but for the last ones where there is no room."""
_MOST_GROWTHS = 3


@dataclass(frozen=True)
class View:
    """The modules of two models that a table has, and their order.

    Attributes:
        depth: Levels below the models at which modules have rows, None for layers.
        branches: Have a row for each parallel branch instead.
        metric: The metric whose growth counts, None for MACs.
        show_unchanged: Show what is the same in both models, too.
    """

    depth: int | None
    branches: bool
    metric: str | None
    show_unchanged: bool


def comparison_text(comparison: Comparison, view: View, form: str) -> str:
    """Totals with ratios and notes; of two models the modules that changed, the largest growth first.

    Args:
        comparison: Of two models or more.
        view: The modules that are shown.
        form: `json`, or a name from `report.text.FORMATS`. `csv` of two models has every module, in order of
            execution, of more their totals.

    Raises:
        InceptionLabError: The view says something that this answer has not, or the metric is not one of the
            models'.
    """
    _check(comparison, view, form)
    if form == "json":
        return json.dumps(comparison.to_dict(view.depth), indent=2)
    if form == "csv":
        return _csv(comparison, view)
    several = len(comparison.records) > 2
    lines = _several_lines(comparison, form) if several else _two_lines(comparison, view, form)
    return "\n".join(lines).rstrip() + "\n"


def _check(comparison: Comparison, view: View, form: str) -> None:
    is_of_tables = view.metric is not None or view.show_unchanged
    if len(comparison.records) > 2 and (view.depth or view.branches or is_of_tables):
        options = "--depth, --branches, --sort and --unchanged"
        raise InceptionLabError(f"{options} are of two models", hint="leave them out")
    if view.depth and view.branches:
        raise InceptionLabError("rows are of modules or of branches", hint="leave out --depth or --branches")
    if form in ("csv", "json") and is_of_tables:
        raise InceptionLabError(
            f"{form} has every module, in order of execution", hint="leave out --sort and --unchanged"
        )
    if view.metric is not None:
        comparison.check_metric(view.metric)


def _csv(comparison: Comparison, view: View) -> str:
    if len(comparison.records) > 2:
        rows: Sequence[Row] = [*comparison.total_rows()]
    else:
        rows = [row.to_dict(comparison.metrics) for row in _rows(comparison, view)]
    return render(rows, columns_of(rows), "csv")


def _rows(comparison: Comparison, view: View) -> Sequence[ModuleRow | BranchRow]:
    return comparison.branch_rows() if view.branches else comparison.module_rows(view.depth)


def _several_lines(comparison: Comparison, form: str) -> Iterator[str]:
    rows = [*comparison.total_rows()]
    metrics = [name for name in _OF_SEVERAL if any(name in row for row in rows)]
    columns = ["model", *(METRICS[name].label for name in metrics)]
    cells = [
        {"model": row["model"], **{METRICS[name].label: _with_ratio(row, name) for name in metrics}}
        for row in rows
    ]
    yield render(cells, columns, form)
    yield from _note_lines(comparison, form)


def _with_ratio(row: Row, metric: str) -> str:
    if metric not in row:
        return ""
    text = format_quantity(row[metric], METRICS[metric].unit)
    return f"{text} ({row[f'{metric}_ratio']:.2f})" if f"{metric}_ratio" in row else text


def _two_lines(comparison: Comparison, view: View, form: str) -> Iterator[str]:
    yield from _head_lines(comparison, form)
    yield from _total_lines(comparison, view, form)
    yield from _note_lines(comparison, form)
    yield from _module_lines(comparison, view, form)


def _head_lines(comparison: Comparison, form: str) -> Iterator[str]:
    rows = [
        {"": side, "model": label, "input": input_text(record.context), "mode": step_text(record.context)}
        for side, label, record in zip(
            ("First", "Second"), comparison.labels, comparison.records, strict=True
        )
    ]
    yield render(rows, columns_of(rows), form)


def _total_lines(comparison: Comparison, view: View, form: str) -> Iterator[str]:
    """A table of the totals, in Markdown of those that differ."""
    first, second = comparison.total_rows()
    names = [name for name in readable_columns([first, second]) if name in METRICS and name != "flops"]
    if form == "markdown" and not view.show_unchanged:
        names = [name for name in names if first.get(name) != second.get(name)]
    if names:
        columns = ["total", "first", "second", "growth", "ratio"]
        comparable = {name for name in names if is_comparable(name, *comparison.records)}
        rows = [_total_row(name, first, second, name in comparable) for name in names]
        yield render(rows, columns, form)
    else:
        yield "All totals are the same.\n"


def _total_row(metric: str, first: Row, second: Row, comparable: bool) -> Row:
    """A total of both models; from 0 it has grown, but has no ratio."""
    before, after = first.get(metric), second.get(metric)
    row = {"total": heading(metric), "first": before, "second": after}
    if before is None or after is None or not comparable:
        return row
    return row | {"growth": after - before, "ratio": second.get(f"{metric}_ratio")}


def _note_lines(comparison: Comparison, form: str) -> Iterator[str]:
    for note in comparison.notes:
        yield f"* {escape_markdown(note)}" if form == "markdown" else fill(note, _WIDTH)
    if comparison.notes:
        yield ""


def _module_lines(comparison: Comparison, view: View, form: str) -> Iterator[str]:
    if not comparison.metrics:
        yield "Layers have nothing to compare."
        return
    metrics = _growths(comparison, view)
    rows = _rows(comparison, view)
    selection = [row for row in rows if view.show_unchanged or row.change != "unchanged"]
    # those that matter least give way, and what has shrunk stays last
    selection.sort(key=lambda row: [-abs(row.growth(metric)) for metric in metrics])
    top, others = selection[:MOST], selection[MOST:]
    top.sort(key=lambda row: [-row.growth(metric) for metric in metrics])
    if top:
        yield _module_table(top, metrics, form)
    yield _rest_line(len(top), len(others), len(rows) - len(selection), comparison)


def _growths(comparison: Comparison, view: View) -> list[str]:
    """The metrics whose growth is shown, the one that counts first."""
    first = [comparison.check_metric(view.metric)]
    names = dict.fromkeys([*first, *(name for name in _GROWTHS if name in comparison.metrics)])
    return [*names][:_MOST_GROWTHS]


def _module_table(rows: Sequence[ModuleRow | BranchRow], metrics: Sequence[str], form: str) -> str:
    modules = [_module_text(row) for row in rows]
    cells = {METRICS[metric].label: _growth_cells(rows, metric) for metric in metrics}
    if form == "table":
        # whole paths matter more than one metric more
        while len(cells) > 2 and _room(cells) < max(map(len, modules)):
            cells.popitem()
        modules = [_shorten(module, max(_room(cells), _LEAST_WIDTH)) for module in modules]
    table = [
        {"change": row.change, "module": module, **{name: texts[n] for name, texts in cells.items()}}
        for n, (row, module) in enumerate(zip(rows, modules, strict=True))
    ]
    return render(table, ["change", "module", *cells], form)


def _room(cells: Mapping[str, Sequence[str]]) -> int:
    """The width that other columns leave to that of paths."""
    columns = [("unchanged",), *((name, *texts) for name, texts in cells.items())]
    return _WIDTH - sum(max(map(len, texts)) + len("  ") for texts in columns)


def _shorten(text: str, width: int) -> str:
    """The end of a text that is too long, which tells more of a path than its beginning."""
    return text if len(text) <= width else f"…{text[1 - width :]}"


def _growth_cells(rows: Sequence[ModuleRow | BranchRow], metric: str) -> list[str]:
    """Growths with their signs, aligned to the right as the numbers that they stand for."""
    texts = [_growth_text(row.growth(metric), metric) for row in rows]
    width = max(map(len, [*texts, METRICS[metric].label]))
    return [text.rjust(width) for text in texts]


def _growth_text(growth: float, metric: str) -> str:
    sign = "+" if growth > 0 else ""
    return f"{sign}{format_quantity(growth, METRICS[metric].unit)}"


def _module_text(row: ModuleRow | BranchRow) -> str:
    """Its path, and what else it has in the second model."""
    path, other = row.paths
    if path is None or other is None:
        return path or other or ""
    module = path if path == other else f"{path} -> {_beside(path, other)}"
    type_change = f" ({' -> '.join(row.types)})" if len({*row.types} - {""}) > 1 else ""
    return module + type_change


def _beside(path: str, other: str) -> str:
    """The path of another module, without that of the innermost module around both."""
    names, other_names = path.split("."), other.split(".")
    pairs = zip(names[:-1], other_names[:-1], strict=False)
    common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return ".".join(other_names[common:])


def _rest_line(rows: int, others: int, same: int, comparison: Comparison) -> str:
    more = f"and {others} more that changed less, see --format csv" if others else ""
    rest = f"{same} unchanged" if same else ""
    if rows:
        return "; ".join(filter(None, [more, rest]))
    names = ", ".join(METRICS[name].label for name in comparison.metrics)
    return f"No module differs in {names}."
