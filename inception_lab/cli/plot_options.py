"""Options of the commands that draw: the file, and the size that a plot is laid out for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from inception_lab.cli.options import WrittenFile
from inception_lab.errors import InceptionLabError
from inception_lab.report.sizes import KINDS, PAGE, SIZES, plot_kind

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

size_option: Decorator = click.option(
    "--size",
    type=click.Choice(list(SIZES)),
    default=PAGE.name,
    help="Of plots: page, 900 pixels; paper, a column of 3.5 inches, in reports as PDF too; slide, 16:9, "
    "there as PNG too.",
    show_default=True,
)
"""Adds the size that plots are laid out for, which arrives as `size`."""

plot_kinds_option: Decorator = click.option(
    "--plot-format",
    "plot_kinds",
    type=click.Choice([kind for kind in KINDS if kind != "svg"]),
    multiple=True,
    help="Write plots in this format beside SVG; repeatable.",
)
"""Adds the kinds of files of each plot of a report, which arrive as `plot_kinds`."""


def plot_options(what: str) -> tuple[Decorator, Decorator]:
    """Options of a command with one plot, which arrive as `plot` and `size`.

    Args:
        what: The thing that it shows.
    """
    text = f"Draw {what} into a .svg, .png or .pdf file."
    return click.option("--plot", type=WrittenFile(), help=text), size_option


def check_plot(path: Path | None) -> None:
    """Refuse a file that nothing can be drawn into, and a size without a plot.

    Args:
        path: The file, None where none is drawn.

    Raises:
        InceptionLabError: The ending is not that of a plot, or `--size` was typed without `--plot` (exit
            code 2).
    """
    if path is not None:
        plot_kind(path)
    elif click.get_current_context().get_parameter_source("size") is ParameterSource.COMMANDLINE:
        raise InceptionLabError("--size without --plot", hint="add --plot FILE.svg")
