"""`inception-lab report`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.model import refuse_partial, trace_model
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    optimizer_option,
    tracing_options,
    typed_options,
)
from inception_lab.cli.plot_options import plot_kinds_option, size_option
from inception_lab.cli.progress import plain_markup
from inception_lab.errors import InceptionLabError, listed
from inception_lab.models.registry import list_models

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from inception_lab.ir.trace import Trace
    from inception_lab.loading.options import ModelRequest
    from inception_lab.report.contents import ReportContents


@dataclass(frozen=True)
class PlotOptions:
    """The plots of a report.

    Attributes:
        size: Name of the size that they are laid out for.
        plot_kinds: Kinds of their files beside those of the size.
    """

    size: str
    plot_kinds: tuple[str, ...]


plot_options = typed_options(PlotOptions, "plots", (size_option, plot_kinds_option))
"""Adds the options of plots, which arrive as `plots`."""


@click.command()
@click.argument("models", metavar="[MODEL...]", nargs=-1, type=MODEL)
@click.option("--all", "whole_zoo", is_flag=True, help="Every model of the zoo.")
@tracing_options
@optimizer_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the report; of several, the folder around theirs.  [default: reports/MODEL, with the "
    "input size, batch, mode and optimizer where they are not those by default]",
)
@plot_options
def command(
    models: Sequence[str], whole_zoo: bool, tracing: TracingOptions, output: Path | None, plots: PlotOptions
) -> None:
    """Tables, plots and a page about each MODEL, written to a folder; of several, a comparison too.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    models = _models(models, whole_zoo)
    folders = _folders(models, tracing, output)
    with _progress_bar(2 * len(models) + (len(models) > 1)) as bar:
        traces = _traces(models, tracing, bar)
        requests = map(tracing.request, models)
        reports = [_contents(*pair) for pair in zip(traces, requests, strict=True)]
        pages = _write_reports(reports, folders[: len(models)], plots, bar)
        pages += [_write_comparison(reports, folder, plots, bar) for folder in folders[len(models) :]]
    for page in pages:
        click.echo(_shown(page, output))
    for trace in traces:
        refuse_partial(trace, tracing)


def _models(models: Sequence[str], whole_zoo: bool) -> Sequence[str]:
    if whole_zoo and models:
        what = f"--all is the whole zoo, beside {listed(models)}"
        raise InceptionLabError(what, hint="leave one of them out")
    if not whole_zoo and not models:
        raise InceptionLabError("no model", hint="name one or more, see 'inception-lab models', or use --all")
    return list_models() if whole_zoo else models


def _folders(models: Sequence[str], tracing: TracingOptions, output: Path | None) -> list[Path]:
    """The folder of each model, and of several that of their comparison, all of them fit to be written.

    They are looked at before anything of the user's runs, which may take long, or change directory.
    """
    from inception_lab.report.folder import check_folder, report_folders

    parent = Path.cwd() / (output or "reports")
    subjects = [tracing.variant(model) for model in models]
    folders = report_folders(subjects, parent)
    if len(models) > 1:
        common = [word for word in subjects[0][1] if all(word in words for _, words in subjects)]
        folders += report_folders([("comparison", common)], parent)
    elif output:
        folders = [parent]
    for folder in folders:
        check_folder(folder)
    return folders


def _shown(page: Path, output: Path | None) -> Path:
    """The page from the current folder, unless the user has named another way to it."""
    return page if output and output.is_absolute() else Path(os.path.relpath(page))


def _traces(models: Sequence[str], tracing: TracingOptions, bar: _ProgressBar) -> list[Trace]:
    traces = []
    for name in models:
        bar.begin(f"tracing {name}")
        traces.append(trace_model(name, tracing))
    return traces


def _contents(trace: Trace, request: ModelRequest) -> ReportContents:
    """The contents of a report, with what no trace can tell of its model."""
    from inception_lab.loading.model import with_model_facts
    from inception_lab.report.collect import collect

    contents = collect(trace)
    return replace(contents, record=with_model_facts(contents.record, request))


def _write_reports(
    reports: Sequence[ReportContents], folders: Sequence[Path], plots: PlotOptions, bar: _ProgressBar
) -> list[Path]:
    from inception_lab.report.write import write_contents

    pages = []
    for contents, folder in zip(reports, folders, strict=True):
        bar.begin(f"writing {folder}")
        pages.append(write_contents(contents, folder, bar.describe, plots.size, plots.plot_kinds))
    return pages


def _write_comparison(
    reports: Sequence[ReportContents], folder: Path, plots: PlotOptions, bar: _ProgressBar
) -> Path:
    from inception_lab.loading.model import with_card_facts
    from inception_lab.report.write import write_comparison

    bar.begin(f"writing {folder}")
    records = [with_card_facts(contents.record) for contents in reports]
    return write_comparison(records, folder, bar.describe, plots.size, plots.plot_kinds)


@dataclass(frozen=True)
class _ProgressBar:
    """The step that a command is at, on one line.

    Attributes:
        display: The line on the terminal.
        task: The number of rich's task on it.
    """

    display: Progress
    task: TaskID

    def begin(self, step: str) -> None:
        """End the last step and name the next one."""
        self.display.update(self.task, advance=1, description=plain_markup(step))

    def describe(self, part: str) -> None:
        """Name the part of the step that is being made."""
        self.display.update(self.task, description=plain_markup(part))


@contextmanager
def _progress_bar(steps: int) -> Iterator[_ProgressBar]:
    """A progress bar on a terminal, nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as display:
        yield _ProgressBar(display, display.add_task("", total=steps))
