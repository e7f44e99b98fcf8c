"""`inception-lab models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inception_lab import __version__
from inception_lab.cli.options import emit, format_options
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import list_models
from inception_lab.report.text import render

COLUMNS = ("name", "family", "paper", "year", "input_size", "params", "macs", "top1_error", "top5_error")


@click.command()
@click.option("--family", help="Only models of this architecture.")
@format_options
def command(family: str | None, form: str, output: Path | None) -> None:
    """The zoo: name, paper, year, input size, parameters, MACs.

    Parameters and MACs hold for the default options and input, auxiliary heads apart. Errors are in
    percent, as published; a paper in brackets leaves open what the entry had to choose.
    """
    rows = [CARDS[name].to_dict() for name in list_models(family)]
    if form == "json":
        data = {"schema": 1, "tool": f"inception_lab {__version__}", "models": rows}
        emit(json.dumps(data, indent=2), output)
    else:
        emit(render([_table_row(row) for row in rows], COLUMNS, form), output)


def _table_row(row: dict[str, Any]) -> dict[str, Any]:
    """A card as a table shows it: a year as text, the paper of a reconstruction in brackets."""
    paper = f"[{row['paper']}]" if row["reconstructed"] else row["paper"]
    return row | {"year": str(row["year"]), "paper": paper}
