"""`inception-lab models`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from inception_lab import __version__
from inception_lab.cli.options import emit, table_options
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import list_models
from inception_lab.record import Row
from inception_lab.report.text import render
from inception_lab.report.view import Layout, View, table_text

COLUMNS = ("name", "family", "paper", "year", "input_size", "params", "macs", "top1_error", "top5_error")


@click.command()
@click.option("--family", help="Only models of this architecture.")
@table_options
def command(family: str | None, view: View, output: Path | None) -> None:
    """The zoo: name, paper, year, input size, parameters, MACs.

    Parameters and MACs hold for the default options and input, auxiliary heads apart. Errors are in
    percent, as published; a paper in brackets leaves open what the entry had to choose.
    """
    rows: list[Row] = [CARDS[name].to_dict() for name in list_models(family)]
    if view.form == "json":
        data = {"schema": 1, "tool": f"inception_lab {__version__}", "models": rows}
        emit(json.dumps(data, indent=2), output)
    elif view.form == "csv":
        emit(render([*map(_table_row, rows)], COLUMNS, view.form), output)
    else:
        emit(
            table_text(
                [{name: row[name] for name in (*COLUMNS, "reconstructed")} for row in rows], LAYOUT, view
            ),
            output,
        )


def _table_row(row: Row) -> Row:
    """A card as a table shows it: a year as text, the paper of a reconstruction in brackets."""
    paper = f"[{row['paper']}]" if row["reconstructed"] else row["paper"]
    return {**row, "year": str(row["year"]), "paper": paper}


LAYOUT = Layout(
    COLUMNS,
    "macs",
    importance=("params", "top5_error", "top1_error", "input_size", "year", "paper", "family"),
    cells_of=_table_row,
)
