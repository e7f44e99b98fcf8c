"""The rows and columns of a table that someone wants to see, in the form that they asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, prod
from typing import Any

from inception_lab.errors import InceptionLabError, nearest
from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.cells import shorten_end, shorten_middle
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import PATH_PART, UNWRAPPED, Column, Screen, bar_text, fitted_table
from inception_lab.report.text import (
    heading,
    is_empty,
    is_number,
    label_within,
    numeric_columns,
    one_line,
    readable_text,
    render,
)

SHARE = "share"
"""The column of a metric's share, beside that of the metric."""

ROW_SUMS = frozenset(
    {
        "params", "trainable_params", "macs", "flops", "other_flops", "backward_macs", "training_macs",
        "fvcore_macs", "torch_macs", "torch_backward_macs", "activation_bytes", "saved_bytes", "bytes",
        "self_ms", "self_cpu_ms", "self_host_ms", "forward_ms", "loss_ms", "backward_ms", "optimizer_ms",
        "device_ms", "kernels", "launches",
    }
)  # fmt: skip
"""Metrics of layers or modules, whose rows add up to the totals."""

MOST_IDLE = 10
"""Layers that never ran, up to which each has a row."""

FOR_PROGRAMS = ("csv", "json")
COMPLETE = (*FOR_PROGRAMS, "html")
"""Forms that hold every row and column, in order of execution."""


@dataclass(frozen=True)
class View:
    """A choice of rows and columns of a table, its form, and the place where it is read.

    Attributes:
        form: `table`, `markdown`, `csv`, `json` or, of `compare`, `html`.
        sort: The metric by which rows are ordered, the largest first; empty for the order of the table.
        top: Rows at most, the largest; None for as many as the table has by itself.
        columns: Names of columns; empty for those of the table.
        wide: Show every column, with exact figures, whatever the width.
        screen: Where a `table` is read.

    Raises:
        InceptionLabError: Rows or columns are chosen for a form that holds all of them.
    """

    form: str = "table"
    sort: str = ""
    top: int | None = None
    columns: tuple[str, ...] = ()
    wide: bool = False
    screen: Screen = field(default_factory=Screen)

    def __post_init__(self) -> None:
        options = {"sort": self.sort, "top": self.top, "columns": self.columns}
        names = " and ".join(f"--{name}" for name, value in options.items() if value)
        if names and self.form in COMPLETE:
            raise InceptionLabError(
                f"{self.form} holds every row and column", hint=f"leave out {names}, or take --format table"
            )

    @property
    def is_fitted(self) -> bool:
        """True for a table with short figures, as wide as its screen."""
        return self.form == "table" and not self.wide

    def of_whole_table(self) -> View:
        """The same for a table beside the one whose rows and columns are chosen."""
        return replace(self, sort="", top=None, columns=())

    @property
    def prose_screen(self) -> Screen:
        """The screen of prose: that of a table, or a file of lines as long as they are."""
        return self.screen if self.form == "table" else UNWRAPPED


@dataclass(frozen=True)
class Layout:
    """The columns of one kind of table, which of them matter most, and its rows.

    Attributes:
        columns: From left to right; those that no row has are left out.
        main: The metric that rows are chosen by, if by no other, and whose share stands beside it.
        importance: Columns that stay longest where there is little room, those that matter most first, behind
            the key and the main metric.
        sums: Metrics whose rows add up to a total, so that a row has a share.
        units: Of columns that are not metrics.
        most: Rows that the table has by itself, the largest; None for all of them, as they come.
        cells_of: A row as people read it.
        idle: Layers that never ran; of many of them a fitted table has no rows.
    """

    columns: Sequence[str]
    main: str = ""
    importance: Sequence[str] = ()
    sums: Collection[str] = ()
    units: Mapping[str, Unit] = field(default_factory=dict)
    most: int | None = None
    cells_of: Callable[[Row], Row] = dict
    idle: Collection[str] = ()

    @property
    def key(self) -> str:
        """The column that says what a row is of: the first one, if `importance` begins with no other."""
        return self.importance[0] if self.columns[0] in self.importance else self.columns[0]

    def unit(self, column: str) -> Unit | None:
        """The unit of a column; None where it has none."""
        return METRICS[column].unit if column in METRICS else self.units.get(column)


def table_text(rows: Sequence[Row], layout: Layout, view: View) -> str:
    """Return rows as a table, and a line on those that are not in it.

    Args:
        rows: All of them, in order of execution.
        layout: Of the table.
        view: The rows and columns that are wanted; `form` is `table` or `markdown`.

    Raises:
        InceptionLabError: No row has such a column, or such a metric.

    Example:
        >>> rows = [{"layer": "conv1", "macs": 118013952}, {"layer": "pool1", "macs": 0}]
        >>> layout = Layout(("layer", "macs"), "macs", sums=("macs",))
        >>> print(table_text(rows, layout, View(top=1)), end="")
        Layer   MACs  Share of MACs
        -----  -----  -------------
        conv1  118 M   100 % █████
        and 1 more with 0.0 % of MACs
    """
    metric = _metric(rows, layout, view)
    columns = _columns(rows, layout, view, metric)
    rows, idle_text = _without_idle(rows, layout, view)
    total = sum(row.get(metric) or 0 for row in rows) if metric in layout.sums else 0
    ordered, most = _ordered(rows, layout, view, metric)
    top = [_with_share(layout.cells_of(row), row.get(metric), total, view) for row in ordered[:most]]
    rest = "; ".join(filter(None, [_rest(ordered, most, metric, total, view), idle_text]))
    if view.is_fitted:
        importance = (layout.key, metric, *layout.importance)
        return fitted_table([*_fitted(top, columns, layout, metric)], importance, view.screen, rest)
    # a line right below a table of Markdown would be one of its rows
    space = "\n" * (view.form == "markdown")
    return render(top, columns, view.form) + (f"{space}{rest}\n" if rest else "")


def _metric(rows: Sequence[Row], layout: Layout, view: View) -> str:
    """The metric that rows are ordered by, and that shares are of."""
    metrics = [name for name in columns_of(rows) if any(_size(row.get(name)) is not None for row in rows)]
    if view.sort and view.sort not in metrics:
        raise InceptionLabError(f"no metric {view.sort!r} to sort by", hint=nearest(view.sort, metrics))
    return view.sort or layout.main


def _columns(rows: Sequence[Row], layout: Layout, view: View, metric: str) -> list[str]:
    """The columns that are wanted, or those of the table, with the share behind its metric."""
    present = columns_of(rows) or [*layout.columns]
    has_share = metric in layout.sums and any(row.get(metric) for row in rows)
    names = [*present, *[SHARE] * (has_share and SHARE not in present)]
    for name in view.columns:
        if name not in names:
            raise InceptionLabError(f"no column {name!r}", hint=nearest(name, names))
    if view.columns:
        titled = [*layout.columns, *names]  # those of the layout may be titles
        return [titled[titled.index(name)] for name in view.columns]
    columns = [name for name in layout.columns if name in present]
    if not view.is_fitted:
        return columns
    columns += [metric] * (bool(view.sort) and metric not in columns)
    columns = [name for name in columns if name != SHARE]
    return _with_behind(columns, SHARE, metric) if has_share else columns


def _with_behind(names: Sequence[str], name: str, other: str) -> list[str]:
    place = names.index(other) + 1
    return [*names[:place], name, *names[place:]]


def _ordered(rows: Sequence[Row], layout: Layout, view: View, metric: str) -> tuple[Sequence[Row], int]:
    """The rows, the largest first where some are chosen, and how many of them are shown."""
    most = view.top or layout.most
    if not view.sort and most is None:
        return rows, len(rows)
    return sorted(rows, key=lambda row: -_key(row.get(metric))), len(rows) if most is None else most


def _without_idle(rows: Sequence[Row], layout: Layout, view: View) -> tuple[Sequence[Row], str]:
    """The rows without many that never ran, and how many these are, in words."""
    idle = [row for row in rows if row.get("layer") in layout.idle]
    if not view.is_fitted or len(idle) <= MOST_IDLE:
        return rows, ""
    others = [row for row in rows if row.get("layer") not in layout.idle]
    return others, f"and {len(idle):,} layers that never ran; --wide shows everything"


def _with_share(row: Row, value: Any, total: float, view: View) -> Row:
    """A row with its share of a total; in a table that is exact, one that it has already stays."""
    if not total or (SHARE in row and not view.is_fitted):
        return row
    return {**row, SHARE: 100 * (value or 0) / total}


def _key(value: Any) -> float:
    """A number to order by; what has none comes last."""
    size = _size(value)
    return -1e308 if size is None else size


def _size(value: Any) -> float | None:
    """A number, the area of a size such as 7x7; None where it is neither."""
    if isinstance(value, list | tuple) and value and all(map(is_number, value)):
        return float(prod(value))
    return float(value) if is_number(value) and not isnan(value) else None


def _rest(rows: Sequence[Row], most: int, metric: str, total: float, view: View) -> str:
    """The rows that are not shown, in words."""
    rest = rows[most:]
    if not rest:
        return ""
    part = 100 * sum(row.get(metric) or 0 for row in rest) / total if total else 0
    share = f" with {part:.1f} % of {label_within(metric)}" if total else ""
    # who has typed a number knows how to type another one
    hint = "" if view.top else f"; --top {len(rows)} shows them"
    return f"and {len(rest):,} more{share}{hint}"


def _fitted(rows: Sequence[Row], names: Sequence[str], layout: Layout, metric: str) -> Iterator[Column]:
    largest = max((row.get(SHARE) or 0 for row in rows), default=0)
    for name, is_numeric in zip(names, numeric_columns(rows, names), strict=True):
        if name == SHARE:
            yield _share_column(rows, metric, largest)
        elif is_numeric:
            yield _number_column(rows, name, layout.unit(name))
        else:
            texts = [one_line(readable_text(row.get(name), name)) for row in rows]
            yield _text_column(name, texts, PATH_PART if name == layout.key else None)


def _text_column(name: str, texts: Sequence[str], part: float | None) -> Column:
    """A column of paths or words, or of sentences."""
    is_prose = part is None and any(" " in text for text in texts)
    return Column(name, heading(name), texts, part=part, shorten=shorten_end if is_prose else shorten_middle)


def _share_column(rows: Sequence[Row], metric: str, largest: float) -> Column:
    texts = [bar_text(row.get(SHARE) or 0, largest) for row in rows]
    return Column(SHARE, f"Share of {label_within(metric)}", texts, shrinks=False)


def _number_column(rows: Sequence[Row], name: str, unit: Unit | None) -> Column:
    values, title = [row.get(name) for row in rows], heading(name)
    if unit in ("count", "bytes", "number"):
        title = title.removesuffix(" (bytes)")
        quantities = [
            "" if value is None or is_empty(value) else format_quantity(value, unit) for value in values
        ]
        texts = _with_aligned_units(quantities)
    else:
        texts = [readable_text(value, name) for value in values]
    return Column(name, title, texts, is_number=True, shrinks=False)


def _with_aligned_units(texts: Sequence[str]) -> list[str]:
    """Quantities whose numbers stand below each other, and so do their suffixes."""
    pairs = [text.partition(" ")[::2] for text in texts]
    width = max((len(suffix) for _, suffix in pairs), default=0)
    return [f"{number} {suffix:<{width}}" if width and number else number for number, suffix in pairs]
