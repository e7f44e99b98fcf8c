"""`inception-lab report`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from inception_lab.cli.model import refuse_partial, trace_model, traceback_shown
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    device_option,
    optimizer_option,
    seconds_option,
    tracing_options,
    typed_options,
)
from inception_lab.cli.plot_options import plot_kinds_option, size_option
from inception_lab.cli.progress import plain_markup, progress_bar
from inception_lab.errors import InceptionLabError, listed
from inception_lab.models.registry import list_models

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from torch import nn

    from inception_lab.comparison.subjects import ComparedModel
    from inception_lab.ir.trace import Trace
    from inception_lab.measure.timing.results import LayerTimes
    from inception_lab.record import Record
    from inception_lab.report.contents import ReportContents


@dataclass(frozen=True)
class ReportOptions:
    """Options of this command alone.

    Attributes:
        measure: Run each model for its times.
        device: Where it runs.
        seconds: Time budget for each.
        against: File of a saved record, or a budget in a lock, to compare with; None without.
        size: Name of the size that plots are laid out for.
        plot_kinds: Kinds of their files beside those of the size.
    """

    measure: bool
    device: str
    seconds: float
    against: str | None
    size: str
    plot_kinds: tuple[str, ...]


report_options = typed_options(
    ReportOptions,
    "options",
    (
        click.option("--measure", is_flag=True, help="Run each MODEL for its times too."),
        device_option,
        seconds_option,
        click.option(
            "--against",
            metavar="FILE",
            help="Tell what changed since a saved record, FILE.json, or a budget in a lock, FILE.lock#NAME.",
        ),
        size_option,
        plot_kinds_option,
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


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
@report_options
def command(
    models: Sequence[str],
    whole_zoo: bool,
    tracing: TracingOptions,
    output: Path | None,
    options: ReportOptions,
) -> None:
    """Tables, plots and a page about each MODEL, written to a folder; of several, a comparison too.

    Models of the zoo come with the claims that are published about them, recomputed; --measure adds times, in
    files for Perfetto and speedscope too.
    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    models = _models(models, whole_zoo)
    folders = _folders(models, tracing, output)
    previous = _check(models, tracing, options)
    with _progress_bar(len(models)) as bar:
        traces = _traces(models, tracing, bar)
    times = [_times(model, tracing, options) for model in models]
    with _progress_bar(len(models) + 1 + (len(models) > 1)) as bar:
        reports = _reports(models, traces, tracing, bar)
        reports = [replace(report, times=own) for report, own in zip(reports, times, strict=True)]
        if previous is not None:
            reports = [replace(report, changes=_changes(previous, report.record)) for report in reports]
        pages = _write_reports(reports, folders[: len(models)], options, bar)
        if len(models) > 1:
            pages.append(_write_comparison(reports, folders, options, bar))
    for page in pages:
        click.echo(_shown(page, output))
    for trace in traces:
        refuse_partial(trace, tracing)


def _check(models: Sequence[str], tracing: TracingOptions, options: ReportOptions) -> ComparedModel | None:
    """Refuse options that do not go together, and a missing device or file; returns what is saved."""
    source = click.get_current_context().get_parameter_source
    typed = [name for name in ("device", "seconds") if source(name) is ParameterSource.COMMANDLINE]
    if typed and not options.measure:
        raise InceptionLabError(f"--{typed[0]} without --measure", hint="add --measure")
    if options.measure and tracing.meta_only:
        raise InceptionLabError("--measure runs models for real", hint="leave out it or --meta-only")
    if options.against is not None and len(models) > 1:
        raise InceptionLabError("--against is of one model", hint="name one")
    if options.device != "cpu":
        from inception_lab.measure.timing.timing import timed_device

        timed_device(options.device)
    if options.against is None:
        return None

    from inception_lab.comparison.subjects import saved_model

    return saved_model(options.against)


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


def _times(model: str, tracing: TracingOptions, options: ReportOptions) -> Record | None:
    """The times of a model in real runs, where they are wanted."""
    if not options.measure:
        return None

    from inception_lab import layer_times
    from inception_lab.loading.model import ModelInputs, apply_with_weights

    request = tracing.request(model)
    # drawn by no thread of its own, which would be measured too
    with progress_bar(f"timing {model}") as progress, traceback_shown(model, tracing):

        def run(module: nn.Module, inputs: ModelInputs) -> LayerTimes:
            return layer_times(
                module,
                inputs,
                mode=tracing.mode,
                optimizer=tracing.optimizer,
                device=options.device,
                seconds=options.seconds,
                name=request.name,
                progress=progress,
            )

        return apply_with_weights(request, run).to_record()


def _reports(
    models: Sequence[str], traces: Sequence[Trace], tracing: TracingOptions, bar: _ProgressBar
) -> list[ReportContents]:
    """The contents of reports, with what no trace can tell of models: claims, and facts of the cards."""
    from inception_lab import claims_about
    from inception_lab.loading.model import with_model_facts
    from inception_lab.report.collect import collect

    bar.begin("recomputing claims")
    requests = [tracing.request(model) for model in models]
    claims = claims_about([request.name for request in requests])
    reports = []
    for trace, request in zip(traces, requests, strict=True):
        contents = collect(trace)
        rows = claims[request.name].to_dict()["claims"]
        reports.append(replace(contents, record=with_model_facts(contents.record, request), claims=rows))
    return reports


def _changes(previous: ComparedModel, record: Record) -> Mapping[str, Any]:
    """The modules of a model beside those of the one that is saved."""
    from inception_lab import compare

    names = [f"{previous.record.context['model']} in {previous.source}", record.context["model"]]
    return compare(previous.record, record, names=names).to_dict()


def _write_reports(
    reports: Sequence[ReportContents], folders: Sequence[Path], options: ReportOptions, bar: _ProgressBar
) -> list[Path]:
    from inception_lab.report.write import write_contents

    pages = []
    for contents, folder in zip(reports, folders, strict=True):
        bar.begin(f"writing {folder}")
        pages.append(write_contents(contents, folder, bar.describe, options.size, options.plot_kinds))
    return pages


def _write_comparison(
    reports: Sequence[ReportContents], folders: Sequence[Path], options: ReportOptions, bar: _ProgressBar
) -> Path:
    from inception_lab.loading.model import with_card_facts
    from inception_lab.report.write import HTML_PAGE, write_comparison

    *own, folder = folders
    bar.begin(f"writing {folder}")
    records = [with_card_facts(contents.record) for contents in reports]
    pages = [place / HTML_PAGE for place in own]
    return write_comparison(records, folder, bar.describe, options.size, options.plot_kinds, pages=pages)


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
