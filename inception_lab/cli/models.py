"""`inception-lab models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from inception_lab import __version__
from inception_lab.cli.options import emit, format_options
from inception_lab.models.card import Card
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
    rows = [_row(CARDS[name]) for name in list_models(family)]
    if form == "json":
        data = {"schema": 1, "tool": f"inception_lab {__version__}", "models": rows}
        emit(json.dumps(data, indent=2), output)
    else:
        emit(render([_shown(row) for row in rows], COLUMNS, form), output)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A card as a table shows it: years are no quantities, and a reconstruction says so."""
    paper = f"[{row['paper']}]" if row["reconstructed"] else row["paper"]
    return row | {"year": str(row["year"]), "paper": paper}


def _row(card: Card) -> dict[str, Any]:
    """A card as plain data, its options by name with their defaults."""
    options = {name: option.default for name, option in card.options.items()}
    plain = {field: getattr(card, field) for field in card.__dataclass_fields__ if field != "entry"}
    variants = [
        {"options": dict(v.options), "params": v.params, "macs": v.macs, "input_size": v.input_size}
        for v in card.variants
    ]
    return plain | {"options": options, "variants": variants}
