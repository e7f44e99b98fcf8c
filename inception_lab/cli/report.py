"""`inception-lab report`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.options import optimizer_option, tracing_options
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import Tracing
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import list_models

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.ir.trace import Trace
    from inception_lab.record import Record, Row
    from inception_lab.report.contents import ReportData

COMPARISON = "comparison"
LARGEST = 10
"""Tensors that a report knows of those at the peak."""


@click.command()
@click.argument("models", metavar="[MODEL...]", nargs=-1)
@click.option("--all", "whole_zoo", is_flag=True, help="Every model of the zoo.")
@tracing_options
@optimizer_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the report; of several, the folder around theirs.  [default: reports/MODEL]",
)
def command(models: Sequence[str], whole_zoo: bool, tracing: Tracing, output: Path | None) -> None:
    """Tables, plots and a page about each MODEL, written to a folder; of several, a comparison too.

    MODEL is an entry of the zoo, or package.module:factory.
    """
    models = list_models() if whole_zoo else models
    if not models:
        raise InceptionLabError("no model", hint="name one or more, see 'inception-lab models', or use --all")
    from inception_lab.loading.model import refuse_partial, traced
    from inception_lab.report.write import write_comparison, write_report

    if len(set(models)) < len(models):
        raise InceptionLabError(f"named twice: {', '.join(models)}", hint="name each model once")
    several = len(models) > 1
    around = output or Path("reports")
    written = _folders(models, around) if several or output is None else [around]
    with _progress(len(models) * 2 + several) as (step, say):
        traces = []
        for name in models:
            step(f"tracing {name}")
            traces.append(traced(name, tracing))
        reports = [_data(found, tracing) for found in traces]
        for report, folder in zip(reports, written, strict=True):
            step(f"writing {folder}")
            write_report(report, folder, say)
        if several:
            step(f"writing {around / COMPARISON}")
            write_comparison([_with_error(report.record) for report in reports], around / COMPARISON, say)
            written.append(around / COMPARISON)
    for folder in written:
        click.echo(folder / "README.md")
    for found in traces:
        refuse_partial(found, tracing)


def _folders(models: Sequence[str], around: Path) -> list[Path]:
    """A folder for each MODEL; not every system takes a colon in its name."""
    folders = [around / name.replace(":", ".") for name in models]
    if len(set(folders)) < len(folders):
        raise InceptionLabError("two models would share a folder", hint="write one of them with -o elsewhere")
    return folders


def _data(found: Trace, tracing: Tracing) -> ReportData:
    from inception_lab.analyzers.cost import branch_costs, module_costs
    from inception_lab.analyzers.reductions import reduction_saving
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import said_of
    from inception_lab.report.contents import ReportData

    record = said_of(found.context.model, tracing, summarise(found))
    costs = module_costs(found), branch_costs(found), reduction_saving(found)
    timeline, peak, tensors, held = _held(found)
    return ReportData(record, *costs, *_seen(found), timeline, peak, tensors, held)


def _seen(found: Trace) -> tuple[DataFrame, DataFrame, Row]:
    """The spectrum, its summary and how the net fits its input; empty where it has no spatial axes."""
    from pandas import DataFrame

    from inception_lab.analyzers.receptive_field.resolution import resolution_fit
    from inception_lab.analyzers.receptive_field.spectrum import field_spectrum, spectrum_summary

    try:
        spectrum = field_spectrum(found)
        return spectrum, spectrum_summary(spectrum), asdict(resolution_fit(found))
    except InceptionLabError:
        return DataFrame(), DataFrame(), {}


def _held(found: Trace) -> tuple[DataFrame, Row, DataFrame, DataFrame]:
    """Memory over time, its peak, the largest tensors then, and the bytes of each module."""
    from inception_lab.analyzers.memory.by_module import memory_by_module
    from inception_lab.analyzers.memory.peak import peak_memory
    from inception_lab.analyzers.memory.timeline import memory_timeline

    peak = peak_memory(found)
    said = {name: value for name, value in vars(peak).items() if name != "tensors"}
    return memory_timeline(found), said, peak.tensors.head(LARGEST), memory_by_module(found)


def _with_error(record: Record) -> Record:
    """The record with the error that its paper publishes, where it does."""
    card = CARDS.get(record.context["model"])
    return record.with_context(top5_error=card.top5_error) if card and card.top5_error else record


@contextmanager
def _progress(steps: int) -> Iterator[tuple[Callable[[str], None], Callable[[str], None]]]:
    """A progress bar on a terminal, nothing in a pipe: how to end a step, and how to say what is done."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=steps)
        yield (
            lambda what: bar.update(task, advance=1, description=what),
            lambda what: bar.update(task, description=what),
        )
