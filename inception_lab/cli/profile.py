"""`inception-lab profile`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from inception_lab.cli.model import traceback_shown
from inception_lab.cli.options import (
    MODEL,
    ROWS_AND_COLUMNS,
    TracingOptions,
    autocast_option,
    channels_last_option,
    device_option,
    emit,
    optimizer_option,
    screen_of,
    step_options,
    threads_option,
    typed_options,
    view_options,
)
from inception_lab.cli.profile_text import profile_text
from inception_lab.cli.progress import progress_bar
from inception_lab.errors import InceptionLabError
from inception_lab.files import check_writable
from inception_lab.measure.profile.profile import Profile, read_profile
from inception_lab.measure.profile.tensorboard import tensorboard_copy, worker_name
from inception_lab.report.view import FOR_PROGRAMS, View

if TYPE_CHECKING:
    from torch import nn

    from inception_lab.loading.model import ModelInputs

FOLDER = Path("profiles")
"""The folder around those of profiles that have no other place."""

WITH_A_TRACE = frozenset({"file", "tensorboard", "form", "output", "sort", "top", "columns", "wide"})
"""The parameters that go with `--read`; all others are of a recording."""


@dataclass(frozen=True)
class RecordOptions:
    """Options of a recording.

    Attributes:
        device: Where the model runs.
        threads: PyTorch's threads within an operation, None for its own number.
        autocast: Name of the dtype of autocast, None without.
        channels_last: Convert model and inputs to this memory format.
        wait: Steps before the profiler is told of anything.
        warm_up: Steps whose events are thrown away.
        active: Steps that are recorded.
    """

    device: str
    threads: int | None
    autocast: str | None
    channels_last: bool
    wait: int
    warm_up: int
    active: int

    def keywords(self) -> dict[str, Any]:
        """Those that `record_profile` takes."""
        import torch

        return {
            "device": self.device,
            "threads": self.threads,
            "autocast": getattr(torch, self.autocast) if self.autocast else None,
            "wait": self.wait,
            "warm_up": self.warm_up,
            "active": self.active,
        }


def _steps(name: str, default: int, least: int, help_text: str) -> Callable[[Callable[..., Any]], Any]:
    return click.option(
        name, type=click.IntRange(least, 1000), default=default, show_default=True, help=help_text
    )


record_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    RecordOptions,
    "options",
    (
        device_option,
        threads_option,
        autocast_option,
        channels_last_option,
        _steps("--wait", 1, 0, "Steps before the profiler is told of anything."),
        _steps("--warm-up", 1, 1, "Steps of the profiler whose events are thrown away."),
        _steps("--active", 3, 1, "Steps that are recorded."),
    ),
)
"""Adds the options of recordings alone, which arrive as `options`."""


@click.command()
@click.argument("model", metavar="[MODEL]", required=False, type=MODEL)
@click.option("--read", "file", type=click.Path(path_type=Path), metavar="FILE", help="Read this trace.")
@click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Copy the trace that is read into this folder, as TensorBoard's plugin shows it rightly.",
)
@step_options
@optimizer_option
@record_options
@view_options(
    *ROWS_AND_COLUMNS,
    output_option=click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="Folder of the recording, profiles/MODEL by default; with --read a file for the table, "
        "- is standard output.",
    ),
)
def command(
    model: str | None,
    file: Path | None,
    tensorboard: Path | None,
    tracing: TracingOptions,
    options: RecordOptions,
    view: View,
    output: Path | None,
) -> None:
    """Run MODEL under torch.profiler and write what it recorded to a folder; or read a trace from elsewhere.

    The folder gets the trace for Perfetto, a copy for TensorBoard, tables as CSV, and a summary. MODEL is an
    entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".

    FILE is JSON, bare or packed with gzip, as export_chrome_trace and tensorboard_trace_handler write it, of
    any machine. Its layers are nn.Module events, which are recorded with with_stack, else operators. Kernels
    and time of no layer have rows with the reason, so that all rows add up.
    """
    if file is not None:
        _check_for_reading(model)
        output = None if output == Path("-") else output
        if output is not None:
            check_writable(output)
        profile = read_profile(file)
        copy = tensorboard_copy(file, tensorboard) if tensorboard else None
        emit(profile_text(profile, view), output)
        if copy:
            click.echo(_tensorboard_line(copy.parent), err=True)
    elif model is None:
        raise InceptionLabError("nothing to profile", hint="name a MODEL, or a trace with --read FILE")
    elif tensorboard is not None:
        raise InceptionLabError(
            "--tensorboard is of a trace that is read", hint="leave it out: a recording comes with its copy"
        )
    else:
        from inception_lab.report.folder import report_folders

        # the folder of a report, which two variants of a model never share
        folder = output or report_folders([tracing.variant(model)], FOLDER)[0]
        on_terminal = replace(view, screen=screen_of(None))
        # absolute, as code of the user's may change directory
        click.echo(profile_text(_record(model, Path.cwd() / folder, tracing, options), on_terminal), nl=False)
        # for a program that reads the table from standard output
        click.echo(_places(folder, tracing.request(model).name), err=view.form in FOR_PROGRAMS)


def _check_for_reading(model: str | None) -> None:
    if model is not None:
        raise InceptionLabError(f"both a model, {model!r}, and a trace", hint="leave out MODEL or --read")
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is ParameterSource.COMMANDLINE and parameter.name not in WITH_A_TRACE:
            raise InceptionLabError(f"{parameter.opts[0]} is of a recording", hint="leave it out with --read")


def _record(model: str, folder: Path, tracing: TracingOptions, options: RecordOptions) -> Profile:
    from inception_lab import record_profile
    from inception_lab.loading.model import apply_with_weights, to_channels_last

    request = tracing.request(model)

    def record(net: nn.Module, inputs: ModelInputs) -> Profile:
        return record_profile(
            net,
            to_channels_last(net, inputs) if options.channels_last else inputs,
            folder=folder,
            mode=tracing.mode,
            optimizer=tracing.optimizer,
            name=request.name,
            progress=progress,
            **options.keywords(),
        )

    with progress_bar(f"profiling {model}") as progress, traceback_shown(model, tracing):
        return apply_with_weights(request, record)


def _places(folder: Path, model: str) -> str:
    """Lines that say where the files are and what opens them."""
    return "\n".join(
        [
            f"{'Tables':<16} {folder}",
            f"{'Trace':<16} {folder / worker_name(model)}.trace.json.gz, for https://ui.perfetto.dev",
            _tensorboard_line(folder / "tensorboard"),
        ]
    )


def _tensorboard_line(folder: Path) -> str:
    has_plugin = find_spec("torch_tb_profiler") is not None
    install = "" if has_plugin else 'pip install "inception_lab[tensorboard]", then '
    return f"{'TensorBoard':<16} {install}tensorboard --logdir {folder}"
