"""`inception-lab time`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from inception_lab.cli.model import traceback_shown
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    autocast_option,
    batch_sizes_option,
    batches_step_options,
    channels_last_option,
    device_option,
    dtype_option,
    emit,
    optimizer_option,
    seconds_option,
    table_options,
    threads_option,
    typed_options,
)
from inception_lab.cli.plot_options import check_plot, plot_options
from inception_lab.cli.progress import progress_bar
from inception_lab.cli.roofline_text import roofline_text
from inception_lab.cli.time_plot import draw_macs_beside_time
from inception_lab.cli.time_text import comparison_text, times_text
from inception_lab.errors import InceptionLabError
from inception_lab.report.view import View

if TYPE_CHECKING:
    import torch
    from torch import nn

    from inception_lab.loading.model import ModelInputs

    ModelWithInputs = tuple[nn.Module, ModelInputs]


@dataclass(frozen=True)
class TimeOptions:
    """Options of the time command alone.

    Attributes:
        device: Where models run.
        batch_sizes: One, or several to be set side by side.
        compiled: Run what torch.compile makes of the models.
        threads: PyTorch's threads within an operation, None for its own number.
        seconds: Time budget for each model.
        dtype: Name of the dtype that models are converted to, None for their own.
        channels_last: Convert models and inputs to this memory format.
        autocast: Name of the dtype of autocast, None without.
        depth: Levels below the model at which modules have rows, None for layers.
        roofline: Set the times beside what the machine allows.
        plot: File for the plot of each module's MACs beside its time.
        size: Name of the size that it is drawn for.
    """

    device: str
    batch_sizes: tuple[int, ...]
    compiled: bool
    threads: int | None
    seconds: float
    dtype: str | None
    channels_last: bool
    autocast: str | None
    depth: int | None
    roofline: bool
    plot: Path | None
    size: str

    @property
    def beside_trace(self) -> bool:
        """True where an answer needs a trace of the model too."""
        return self.roofline or self.plot is not None

    def convert(self, model: nn.Module, inputs: ModelInputs) -> ModelWithInputs:
        """The model and its inputs in dtype and memory format."""
        from inception_lab.loading.model import to_channels_last

        if self.dtype:
            model.to(_dtype(self.dtype))
        return model, to_channels_last(model, inputs) if self.channels_last else inputs


time_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    TimeOptions,
    "options",
    (
        device_option,
        batch_sizes_option,
        click.option("--compile", "compiled", is_flag=True, help="Run what torch.compile makes of MODEL."),
        threads_option,
        seconds_option,
        dtype_option,
        channels_last_option,
        autocast_option,
        click.option("--depth", type=click.IntRange(min=1), help="Sum up modules deeper than this."),
        click.option("--roofline", is_flag=True, help="Set the times beside what the machine allows."),
        *plot_options("each module's MACs beside its time"),
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True, type=MODEL)
@batches_step_options
@optimizer_option
@time_options
@table_options
def command(
    models: Sequence[str], tracing: TracingOptions, options: TimeOptions, view: View, output: Path | None
) -> None:
    """Time of each layer of MODEL in itself, in real runs; the rows add up to the step.

    Of several models, whose rounds take turns, the times of whole steps and their ratios to the first one;
    of several batch sizes likewise, by the time that a sample takes.
    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    """
    _check(models, options)
    tracing = replace(tracing, batch_size=options.batch_sizes[0])
    with progress_bar(f"timing {', '.join(models)}") as progress:
        keywords = _keywords(tracing, options) | {"progress": progress, **_names(models, tracing)}
        run = _time_beside_trace if options.beside_trace else _time_one
        run = _time_several if len(models) > 1 else run
        run = _time_batches if len(options.batch_sizes) > 1 else run
        with traceback_shown(models[0], tracing):
            text = run(models, tracing, options, keywords, view)
    emit(text, output)


def _check(models: Sequence[str], options: TimeOptions) -> None:
    if options.device != "cpu":  # else there is nothing to look for, and torch may be imported later
        from inception_lab.measure.timing.timing import timed_device

        timed_device(options.device)  # before anything is built
    if len(models) > 1 and len(options.batch_sizes) > 1:
        raise InceptionLabError("several models at several batch sizes", hint="name one model or one size")
    check_plot(options.plot)
    if options.beside_trace and len(models) + len(options.batch_sizes) > 2:
        raise InceptionLabError(
            "--roofline and --plot are of one model at one batch size", hint="leave them out"
        )
    if options.beside_trace and options.compiled:
        raise InceptionLabError(
            "--roofline and --plot are of the operations that --compile fuses", hint="leave it out"
        )
    if options.depth and len(models) + len(options.batch_sizes) > 2:
        raise InceptionLabError(
            "--depth is of the layers of one model at one batch size", hint="leave it out"
        )


def _names(models: Sequence[str], tracing: TracingOptions) -> dict[str, Any]:
    names = [tracing.request(model).name for model in models]
    return {"names": names} if len(names) > 1 else {"name": names[0]}


def _keywords(tracing: TracingOptions, options: TimeOptions) -> dict[str, Any]:
    """The keywords that the functions which measure times have in common."""
    return {
        "mode": tracing.mode,
        "optimizer": tracing.optimizer,
        "autocast": _dtype(options.autocast),
        "execution": "compiled" if options.compiled else "eager",
        "device": options.device,
        "threads": options.threads,
        "seconds": options.seconds,
    }


def _time_one(
    names: Sequence[str], tracing: TracingOptions, options: TimeOptions, keywords: dict[str, Any], view: View
) -> str:
    from inception_lab import layer_times

    def run(models: Sequence[ModelWithInputs]) -> str:
        ((model, inputs),) = models
        return times_text(layer_times(model, inputs, **keywords), options.depth, view)

    return _with_models(names, tracing, options, run)


def _time_beside_trace(
    names: Sequence[str], tracing: TracingOptions, options: TimeOptions, keywords: dict[str, Any], view: View
) -> str:
    from inception_lab import measure_roofline

    eager = {name: value for name, value in keywords.items() if name != "execution"}

    def run(models: Sequence[ModelWithInputs]) -> str:
        ((model, inputs),) = models
        roofline = measure_roofline(model, inputs, **eager)
        if options.plot is not None:
            draw_macs_beside_time(roofline, options.depth or 1, options.plot, options.size)
        if options.roofline:
            return roofline_text(roofline, options.depth, view)
        return times_text(roofline.times, options.depth, view)

    return _with_models(names, tracing, options, run)


def _time_several(
    names: Sequence[str], tracing: TracingOptions, options: TimeOptions, keywords: dict[str, Any], view: View
) -> str:
    from inception_lab import compare_times

    def run(models: Sequence[ModelWithInputs]) -> str:
        nets, inputs = zip(*models, strict=True)
        comparison = compare_times(nets, inputs, **keywords)
        return comparison_text(comparison, view)

    return _with_models(names, tracing, options, run)


def _time_batches(
    names: Sequence[str], tracing: TracingOptions, options: TimeOptions, keywords: dict[str, Any], view: View
) -> str:
    from inception_lab import times_by_batch
    from inception_lab.running.batches import without_batch

    def run(models: Sequence[ModelWithInputs]) -> str:
        ((model, inputs),) = models
        sizes = without_batch(inputs)
        return comparison_text(times_by_batch(model, sizes, options.batch_sizes, **keywords), view)

    return _with_models(names, tracing, options, run)


def _with_models(
    names: Sequence[str],
    tracing: TracingOptions,
    options: TimeOptions,
    task: Callable[[Sequence[ModelWithInputs]], str],
) -> str:
    from inception_lab.loading.model import apply_to_several

    def run(models: Sequence[ModelWithInputs]) -> str:
        return task([options.convert(model, inputs) for model, inputs in models])

    free = ["threads"] if options.threads else []
    return apply_to_several([tracing.request(name) for name in names], run, free)


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    return getattr(torch, name) if name else None
