"""Questions that have an answer only where something was measured, claimed or saved before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from inception_lab.record import Row
from inception_lab.report import answers
from inception_lab.report.contents import ReportContents
from inception_lab.report.html.cells import PageTable, page_table
from inception_lab.report.html.pair_table import signed
from inception_lab.report.plots.wording import change_text
from inception_lab.report.tables import TABLES, change_rows

MOST_LAYERS = 10
"""Layers that take most time, which have a table of their own."""


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: Its place on the page.
        short: Its name among the links.
        title: The question.
        text: The answer in words.
        table: And in figures.
    """

    id: str
    short: str
    title: str
    text: str
    table: PageTable


def optional_sections(contents: ReportContents) -> Iterator[Section]:
    """Yield the sections on times, claims and changes, those that there are."""
    if text := answers.time_text(contents):
        table = page_table("The slowest layers", _slowest(contents))
        yield Section("time", "Time", "How fast is it?", text, table)
    if text := answers.claims_text(contents):
        table = page_table("Claims about the model", TABLES["claims"](contents))
        yield Section("claims", "Claims", "What do the sources claim?", text, table)
    if text := answers.changes_text(contents):
        table = page_table("Growth of modules that differ", growth_rows(contents))
        yield Section("changes", "Changes", "What changed?", text, table)


def _slowest(contents: ReportContents) -> list[Row]:
    """The layers that take most time, with their share of the step."""
    rows = [] if contents.times is None else contents.times.layers
    slowest = sorted(rows, key=lambda row: -row["self_ms"])[:MOST_LAYERS]
    return [{name: row[name] for name in ("layer", "self_ms", "share")} for row in slowest]


def growth_rows(contents: ReportContents) -> list[Row]:
    """Return the modules that differ from those of the saved record, with the growth of each cost.

    Args:
        contents: With changes or without.
    """
    rows = change_rows(contents)
    metrics = [name for name in answers.COSTS if any(row.get(f"{name}_growth") for row in rows)]
    return [
        {"change": row["change"], "module": _name(row)} | {name: _growth(row, name) for name in metrics}
        for row in rows
    ]


def _name(row: Row) -> str:
    """The module as it was and is called, once where that is the same."""
    names = dict.fromkeys(filter(None, [row.get("first_module"), row.get("second_module")]))
    return change_text(*names) if len(names) == 2 else "".join(names)


def _growth(row: Row, metric: str) -> str:
    growth = row.get(f"{metric}_growth")
    return signed(growth, metric) if growth else ""
