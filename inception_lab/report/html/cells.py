"""Tables of the page: rows as cells, short for people and exact on hover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.text import alike_text, heading, is_empty, is_number, numeric_columns, readable_text


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: For people.
        exactly: The exact value, where the text is shorter.
        share: Length of its bar in percent of the cell; empty without one.
        is_number: True of figures, which stand at the right.
        link: Address that it leads to; empty for none.
    """

    text: str
    exactly: str = ""
    share: str = ""
    is_number: bool = False
    link: str = ""


@dataclass(frozen=True)
class Column:
    """The heading of a column.

    Attributes:
        heading: For people.
        name: Of the metric, by which the script sorts; empty for none.
        is_number: True of figures.
    """

    heading: str
    name: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table of the page.

    Attributes:
        caption: What it shows, for who listens.
        columns: Their headings.
        rows: A cell for each column; the first names the row.
    """

    caption: str
    columns: Sequence[Column] = ()
    rows: Sequence[Sequence[Cell]] = ()


def page_table(caption: str, rows: Sequence[Row], units: Mapping[str, Unit] | None = None) -> PageTable:
    """Return rows as a table with short figures.

    Args:
        caption: What it shows.
        rows: A mapping for each.
        units: Of columns that are not metrics.

    Example:
        >>> table = page_table("Modules", [{"module": "conv1", "macs": 118013952}])
        >>> [column.heading for column in table.columns], table.rows[0][1]
        (['Module', 'MACs'], Cell(text='118 M', exactly='118,013,952', share='', is_number=True, link=''))
    """
    names = columns_of(rows)
    right = numeric_columns(rows, names)
    columns = [
        Column(short_heading(name), is_number=number) for name, number in zip(names, right, strict=True)
    ]
    cells = [[cell(row.get(name), name, (units or {}).get(name)) for name in names] for row in rows]
    return PageTable(caption, columns, cells)


def short_heading(name: str) -> str:
    """The heading of a column whose cells carry their units."""
    return METRICS[name].label if name in METRICS else heading(name)


def cell(value: Any, column: str, unit: Unit | None = None) -> Cell:
    """Return a value as a cell: metrics with their units, sizes along alike axes as one.

    Args:
        value: Of the cell.
        column: Its name; of a metric its unit.
        unit: Of a column that is not a metric.
    """
    if is_empty(value):
        return Cell("")
    unit = METRICS[column].unit if column in METRICS else unit
    if is_number(value) and unit:
        text = format_quantity(value, unit)
        exact = f"{value:,}"
        return Cell(text, exact if exact != text else "", is_number=True)
    if column in ("receptive_field", "stride", "padding") and isinstance(value, list | tuple) and value:
        return Cell(alike_text(value), is_number=True)
    return Cell(readable_text(value, column), is_number=is_number(value))
