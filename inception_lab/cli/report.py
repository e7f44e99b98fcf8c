"""`inception-lab report`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from inception_lab.cli.model import refuse_partial, trace_model
from inception_lab.cli.options import MODEL, TracingOptions, optimizer_option, tracing_options
from inception_lab.cli.plot_options import size_option
from inception_lab.errors import InceptionLabError
from inception_lab.models.registry import list_models

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from inception_lab.ir.trace import Trace
    from inception_lab.report.contents import ReportContents


@click.command()
@click.argument("models", metavar="[MODEL...]", nargs=-1, type=MODEL)
@click.option("--all", "whole_zoo", is_flag=True, help="Every model of the zoo.")
@tracing_options
@optimizer_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder of the report; of several, the folder around theirs.  [default: reports/MODEL]",
)
@size_option
def command(
    models: Sequence[str], whole_zoo: bool, tracing: TracingOptions, output: Path | None, size: str
) -> None:
    """Tables, plots and a page about each MODEL, written to a folder; of several, a comparison too.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    models = list_models() if whole_zoo else models
    _check_names(models)
    from inception_lab.report.folder import report_folders

    several = len(models) > 1
    parent = output or Path("reports")
    folders = [output] if output and not several else report_folders(models, parent)
    with _progress_bar(2 * len(models) + several) as bar:
        traces = _traces(models, tracing, bar)
        reports = [_contents(trace, tracing) for trace in traces]
        pages = _write_reports(reports, folders, size, bar)
        if several:
            pages.append(_write_comparison(reports, parent / "comparison", size, bar))
    for page in pages:
        click.echo(page)
    for trace in traces:
        refuse_partial(trace, tracing)


def _check_names(models: Sequence[str]) -> None:
    if not models:
        raise InceptionLabError("no model", hint="name one or more, see 'inception-lab models', or use --all")
    if len(set(models)) < len(models):
        raise InceptionLabError(f"named twice: {', '.join(models)}", hint="name each model once")


def _traces(models: Sequence[str], tracing: TracingOptions, bar: _ProgressBar) -> list[Trace]:
    traces = []
    for name in models:
        bar.begin(f"tracing {name}")
        traces.append(trace_model(name, tracing))
    return traces


def _contents(trace: Trace, tracing: TracingOptions) -> ReportContents:
    """The contents of a report, with what no trace can tell of its model."""
    from inception_lab.loading.model import with_model_facts
    from inception_lab.report.collect import collect

    contents = collect(trace)
    request = tracing.request(trace.context.model)
    return replace(contents, record=with_model_facts(contents.record, request))


def _write_reports(
    reports: Sequence[ReportContents], folders: Sequence[Path], size: str, bar: _ProgressBar
) -> list[Path]:
    from inception_lab.report.write import write_contents

    pages = []
    for contents, folder in zip(reports, folders, strict=True):
        bar.begin(f"writing {folder}")
        pages.append(write_contents(contents, folder, bar.describe, size))
    return pages


def _write_comparison(reports: Sequence[ReportContents], folder: Path, size: str, bar: _ProgressBar) -> Path:
    from inception_lab.loading.model import with_card_facts
    from inception_lab.report.write import write_comparison

    bar.begin(f"writing {folder}")
    records = [with_card_facts(contents.record) for contents in reports]
    return write_comparison(records, folder, bar.describe, size)


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
        self.display.update(self.task, advance=1, description=step)

    def describe(self, part: str) -> None:
        """Name the part of the step that is being made."""
        self.display.update(self.task, description=part)


@contextmanager
def _progress_bar(steps: int) -> Iterator[_ProgressBar]:
    """A progress bar on a terminal, nothing in a pipe."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as display:
        yield _ProgressBar(display, display.add_task("", total=steps))
