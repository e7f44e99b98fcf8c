"""`inception-lab models`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from inception_lab import __version__
from inception_lab.cli.options import emit, table_options
from inception_lab.cli.plot_options import check_plot, plot_options
from inception_lab.cli.progress import progress_bar
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import list_models
from inception_lab.record import Row
from inception_lab.report.tables import grouped
from inception_lab.report.text import render
from inception_lab.report.view import Layout, View, table_text

COLUMNS = ("name", "family", "paper", "year", "input_size", "params", "macs", "top1_error", "top5_error")

plot_option, size_option = plot_options("published errors against MACs")


@click.command()
@click.option("--family", help="Only models of this architecture.")
@table_options
@plot_option
@size_option
def command(family: str | None, view: View, output: Path | None, plot: Path | None, size: str) -> None:
    """The zoo: name, paper, year, input size, parameters, MACs.

    Parameters and MACs hold for the default options and input, auxiliary heads apart. Errors are in
    percent, as published; a paper in brackets leaves open what the entry had to choose.
    """
    check_plot(plot)
    names = list_models(family)
    if plot is not None:
        _draw(family, plot, size)
    rows: list[Row] = [CARDS[name].to_dict() for name in names]
    if view.form == "json":
        data = {"schema": 1, "tool": f"inception_lab {__version__}", "models": rows}
        emit(json.dumps(data, indent=2), output)
    elif view.form == "csv":
        emit(render([*map(_table_row, rows)], COLUMNS, view.form), output)
    else:
        emit(_table(rows, view), output)


def _draw(family: str | None, plot: Path, size: str) -> None:
    """Draw the published errors of a family, or of the zoo, against their MACs."""
    from inception_lab import plot_error_and_macs, zoo_records

    with progress_bar("tracing the zoo") as show:
        records = zoo_records(progress=show, family=family)
    plot_error_and_macs(records, plot, size)


def _table(rows: Sequence[Row], view: View) -> str:
    """The zoo for people, each family named once where its models stand together."""
    shown = [{name: row[name] for name in (*COLUMNS, "reconstructed")} for row in rows]
    stands_together = not view.sort and view.top is None
    return table_text(grouped(shown) if stands_together else shown, LAYOUT, view)


def _table_row(row: Row) -> Row:
    """A card as a table shows it: a year as text, the paper of a reconstruction in brackets."""
    paper = f"[{row['paper']}]" if row["reconstructed"] else row["paper"]
    return {**row, "year": str(row["year"]), "paper": paper}


_IMPORTANCE = ("name", "macs", "params", "top5_error", "family", "input_size", "top1_error", "year", "paper")

LAYOUT = Layout(
    ("family", "name", *COLUMNS[2:]),
    "macs",
    importance=_IMPORTANCE,
    cells_of=_table_row,
)
