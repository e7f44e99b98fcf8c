"""The answer of `inception-lab compare` as text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

from inception_lab.comparison.comparability import is_comparable
from inception_lab.errors import InceptionLabError
from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.cells import cell_width
from inception_lab.report.tables import columns_of, readable_columns
from inception_lab.report.terminal import PATH_PART, Column, facts_text, fitted_table
from inception_lab.report.text import (
    escape_markdown,
    heading,
    input_text,
    one_line,
    render,
    step_text,
    subject_text,
)
from inception_lab.report.view import COMPLETE, View

if TYPE_CHECKING:
    from inception_lab.comparison.branch_rows import BranchRow
    from inception_lab.comparison.module_rows import ModuleRow
    from inception_lab.comparison.side_by_side import Comparison

MOST = 25
"""Rows of modules in a table for people."""
_PATH_PART = 0.55
"""The part of the width that a column of paths keeps, which may name two of them."""

_OF_SEVERAL = ("params", "macs", "training_macs", "peak_bytes", "train_peak_bytes")
"""Totals of more than two models in a table for people, which has to be narrow."""
_GROWTHS = ("macs", "params", "saved_bytes", "activation_bytes")
"""Metrics whose growth the table of modules has, but for the last ones where there is no room."""
_MOST_GROWTHS = 3
_TOTAL_COLUMNS = ("total", "first", "second", "growth", "ratio")


@dataclass(frozen=True)
class ModuleOptions:
    """The modules of two models that a table has.

    Attributes:
        depth: Levels below the models at which modules have rows, None for layers.
        branches: Have a row for each parallel branch instead.
        show_unchanged: Show what is the same in both models, too.
    """

    depth: int | None
    branches: bool
    show_unchanged: bool


def comparison_text(comparison: Comparison, modules: ModuleOptions, view: View) -> str:
    """Totals with ratios and notes; of two models the modules that changed, the largest growth first.

    Args:
        comparison: Of two models or more.
        modules: Those that are shown.
        view: Of the table of modules: `sort` is the metric whose growth counts, `columns` are the metrics
            with one. `csv` of two models has every module, in order of execution, of more their totals.

    Raises:
        InceptionLabError: The options say something that this answer has not, or a metric is not one of the
            models'.
    """
    _check(comparison, modules, view)
    if view.form == "json":
        return json.dumps(comparison.to_dict(modules.depth), indent=2)
    if view.form == "html":
        # draws plots, which other formats do without
        from inception_lab.report.html.comparison_page import comparison_page

        return comparison_page(comparison)
    if view.form == "csv":
        return _csv(comparison, modules)
    several = len(comparison.records) > 2
    lines = _several_lines(comparison, view) if several else _two_lines(comparison, modules, view)
    return "\n".join(lines).rstrip() + "\n"


def _check(comparison: Comparison, modules: ModuleOptions, view: View) -> None:
    is_of_tables = bool(view.sort or view.top or view.columns) or modules.show_unchanged
    if len(comparison.records) > 2 and (modules.depth or modules.branches or is_of_tables):
        options = "--depth, --branches, --sort, --top, --columns and --unchanged"
        raise InceptionLabError(f"{options} are of two models", hint="leave them out")
    if modules.depth and modules.branches:
        raise InceptionLabError("rows are of modules or of branches", hint="leave out --depth or --branches")
    if view.form == "html" and (modules.depth or modules.branches):
        raise InceptionLabError("html holds every layer", hint="leave out --depth and --branches")
    if view.form in COMPLETE and modules.show_unchanged:
        raise InceptionLabError(f"{view.form} holds every row and column", hint="leave out --unchanged")
    for metric in filter(None, (view.sort, *view.columns)):
        comparison.check_metric(metric)


def _csv(comparison: Comparison, modules: ModuleOptions) -> str:
    if len(comparison.records) > 2:
        rows: Sequence[Row] = [*comparison.total_rows()]
    else:
        rows = [row.to_dict(comparison.metrics) for row in _rows(comparison, modules)]
    return render(rows, columns_of(rows), "csv")


def _rows(comparison: Comparison, modules: ModuleOptions) -> Sequence[ModuleRow | BranchRow]:
    return comparison.branch_rows() if modules.branches else comparison.module_rows(modules.depth)


def _several_lines(comparison: Comparison, view: View) -> Iterator[str]:
    rows = [*comparison.total_rows()]
    if view.wide:
        yield render(rows, columns_of(rows), view.form)
    else:
        yield _short_totals(rows, view)
    yield from _note_lines(comparison, view)


def _short_totals(rows: Sequence[Row], view: View) -> str:
    """The totals of several models that matter most, with ratios to the first one."""
    metrics = [name for name in _OF_SEVERAL if any(name in row for row in rows)]
    labels = {"model": "Model"} | {name: METRICS[name].label for name in metrics}
    texts = {"model": [row["model"] for row in rows]}
    texts |= {name: [_with_ratio(row, name) for row in rows] for name in metrics}
    if view.is_fitted:
        columns = [_text_column(name, labels[name], texts[name], PATH_PART) for name in labels]
        return fitted_table(columns, ("model", "macs", "params"), view.screen)
    cells = [{labels[name]: texts[name][n] for name in labels} for n in range(len(rows))]
    return render(cells, [*labels.values()], view.form, [labels[name] for name in metrics])


def _text_column(name: str, title: str, texts: Sequence[str], part: float | None = None) -> Column:
    return Column(name, title, [one_line(text) for text in texts], part=part)


def _with_ratio(row: Row, metric: str) -> str:
    if metric not in row:
        return ""
    text = format_quantity(row[metric], METRICS[metric].unit)
    return f"{text} ({row[f'{metric}_ratio']:.2f})" if f"{metric}_ratio" in row else text


def _two_lines(comparison: Comparison, modules: ModuleOptions, view: View) -> Iterator[str]:
    yield _head(comparison, view)
    yield _totals(comparison, modules, view)
    yield from _note_lines(comparison, view)
    yield from _module_lines(comparison, modules, view)


def _head(comparison: Comparison, view: View) -> str:
    """The two models, with their inputs and steps."""
    sides = [*zip(("First", "Second"), comparison.labels, comparison.records, strict=True)]
    if view.form == "table":
        facts = [(side, subject_text({**record.context, "model": label})) for side, label, record in sides]
        return facts_text(facts, len("Second "), view.screen)
    rows = [
        {"": side, "model": label, "input": input_text(record.context), "mode": step_text(record.context)}
        for side, label, record in sides
    ]
    return render(rows, columns_of(rows), view.form)


def _totals(comparison: Comparison, modules: ModuleOptions, view: View) -> str:
    """A table of the totals, in Markdown of those that differ."""
    first, second = comparison.total_rows()
    names = [name for name in readable_columns([first, second]) if name in METRICS and name != "flops"]
    if view.form == "markdown" and not modules.show_unchanged:
        names = [name for name in names if first.get(name) != second.get(name)]
    if not names:
        return "All totals are the same.\n"
    comparable = {name for name in names if is_comparable(name, *comparison.records)}
    rows = [_total_row(name, first, second, name in comparable) for name in names]
    exact_table = render(rows, _TOTAL_COLUMNS, view.form)
    widest = max(map(cell_width, exact_table.split("\n")))
    if not view.is_fitted or view.screen.width is None or widest <= view.screen.width:
        return exact_table
    return fitted_table([*_total_columns(rows, names)], _TOTAL_COLUMNS, view.screen)


def _total_columns(rows: Sequence[Row], names: Sequence[str]) -> Iterator[Column]:
    """The totals in short, for a narrow screen."""
    yield _text_column("total", "Total", [METRICS[name].label for name in names])
    for column in _TOTAL_COLUMNS[1:-1]:
        values = [(row.get(column), METRICS[name].unit) for row, name in zip(rows, names, strict=True)]
        texts = ["" if value is None else format_quantity(value, unit) for value, unit in values]
        yield Column(column, heading(column), texts, is_number=True, shrinks=False)
    ratios = [row.get("ratio") for row in rows]
    texts = ["" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
    yield Column("ratio", heading("ratio"), texts, is_number=True, shrinks=False)


def _total_row(metric: str, first: Row, second: Row, comparable: bool) -> Row:
    """A total of both models; from 0 it has grown, but has no ratio."""
    before, after = first.get(metric), second.get(metric)
    row = {"total": heading(metric), "first": before, "second": after}
    if before is None or after is None or not comparable:
        return row
    return row | {"growth": after - before, "ratio": second.get(f"{metric}_ratio")}


def _note_lines(comparison: Comparison, view: View) -> Iterator[str]:
    for note in comparison.notes:
        if view.form == "markdown":
            yield f"* {escape_markdown(note)}"
        else:
            yield from view.screen.lines(note)
    if comparison.notes:
        yield ""


def _module_lines(comparison: Comparison, modules: ModuleOptions, view: View) -> Iterator[str]:
    if not comparison.metrics:
        yield "Layers have nothing to compare."
        return
    metrics = _growths(comparison, view)
    rows = _rows(comparison, modules)
    selection = [row for row in rows if modules.show_unchanged or row.change != "unchanged"]
    # those that matter least give way, and what has shrunk stays last
    selection.sort(key=lambda row: [-abs(row.growth(metric)) for metric in metrics])
    most = view.top or MOST
    top, others = selection[:most], selection[most:]
    top.sort(key=lambda row: [-row.growth(metric) for metric in metrics])
    if top:
        yield _module_table(top, metrics, view)
    rest = _rest_line(len(top), len(others), len(rows) - len(selection), comparison)
    yield from view.prose_screen.lines(rest, below=2)


def _growths(comparison: Comparison, view: View) -> list[str]:
    """The metrics whose growth is shown, the one that counts first."""
    if view.columns:
        return [*dict.fromkeys((view.sort, *view.columns) if view.sort else view.columns)]
    first = [comparison.check_metric(view.sort or None)]
    names = dict.fromkeys([*first, *(name for name in _GROWTHS if name in comparison.metrics)])
    return [*names] if view.wide else [*names][:_MOST_GROWTHS]


def _module_table(rows: Sequence[ModuleRow | BranchRow], metrics: Sequence[str], view: View) -> str:
    changes, paths = [row.change for row in rows], [_module_text(row) for row in rows]
    cells = {
        METRICS[metric].label: [_growth_text(row.growth(metric), metric, is_exact=view.wide) for row in rows]
        for metric in metrics
    }
    if view.is_fitted:
        columns = [_text_column("change", "Change", changes)]
        columns.append(_text_column("module", "Module", paths, _PATH_PART))
        for metric, (label, texts) in zip(metrics, cells.items(), strict=True):
            columns.append(Column(metric, label, texts, is_number=True, shrinks=False))
        return fitted_table(columns, ("change", metrics[0], "module", *metrics), view.screen)
    table = [
        {"change": change, "module": path, **{name: texts[n] for name, texts in cells.items()}}
        for n, (change, path) in enumerate(zip(changes, paths, strict=True))
    ]
    return render(table, ["change", "module", *cells], view.form, [*cells])


def _growth_text(growth: float, metric: str, is_exact: bool) -> str:
    sign = "+" if growth > 0 else ""
    return f"{sign}{growth:,}" if is_exact else f"{sign}{format_quantity(growth, METRICS[metric].unit)}"


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
    more = f"and {others} more that changed less, --top {rows + others} shows them" if others else ""
    rest = f"{same} unchanged" if same else ""
    if rows:
        return "; ".join(filter(None, [more, rest]))
    names = ", ".join(METRICS[name].label for name in comparison.metrics)
    return f"No module differs in {names}."
