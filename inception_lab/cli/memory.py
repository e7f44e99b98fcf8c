"""`inception-lab memory`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click
from click.core import ParameterSource

from inception_lab.cli.memory_text import memory_text
from inception_lab.cli.model import refuse_partial, traceback_shown
from inception_lab.cli.options import (
    MODEL,
    TracingOptions,
    autocast_option,
    dtype_option,
    emit,
    optimizer_option,
    table_options,
    tracing_options,
    typed_options,
)
from inception_lab.cli.progress import busy, progress_bar
from inception_lab.errors import InceptionLabError
from inception_lab.metrics import parse_quantity
from inception_lab.report.view import View

if TYPE_CHECKING:
    import torch
    from torch import nn

    from inception_lab.analyzers.memory.record import MemoryRecord
    from inception_lab.ir.trace import Trace
    from inception_lab.limits import LargestBatch
    from inception_lab.loading.model import ModelInputs
    from inception_lab.loading.options import ModelRequest
    from inception_lab.measure.prediction import MemoryComparison

Result = TypeVar("Result")

STORAGES_ALONE = "--fits counts storages; what a convolution holds within itself is not in it, see --measure"


@dataclass(frozen=True)
class MemoryOptions:
    """Options of the memory command alone.

    Attributes:
        by: `tensor` or `module`: the rows of the table at the peak.
        depth: Levels below the model at which modules have rows, None for the first.
        fits: A limit for the largest batch, as text with a unit; None where none is asked for.
        context: Of that limit, what is left to anything but tensors, as text with a unit; None for the
            device's default.
        device: Whose allocator is predicted, and measured.
        dtype: Name of the dtype that the model is converted to, None for its own.
        autocast: Name of the dtype of autocast, None without.
        measure: Run the same step for real, too.
    """

    by: Literal["tensor", "module"]
    depth: int | None
    fits: str | None
    context: str | None
    device: Literal["cpu", "cuda"]
    dtype: str | None
    autocast: str | None
    measure: bool

    @property
    def limit(self) -> float | None:
        """The limit in bytes.

        Raises:
            InceptionLabError: It is not a quantity of bytes (exit code 2).
        """
        return None if self.fits is None else parse_quantity(self.fits, "bytes")

    @property
    def depth_of_modules(self) -> int | None:
        """Levels below the model at which modules have rows; None for a row per tensor."""
        return (self.depth or 1) if self.by == "module" else None

    def convert(self, model: nn.Module) -> None:
        """Convert a model to the dtype."""
        if self.dtype:
            model.to(_dtype(self.dtype))


memory_options: Callable[[Callable[..., Any]], Callable[..., Any]] = typed_options(
    MemoryOptions,
    "options",
    (
        click.option(
            "--by",
            type=click.Choice(["tensor", "module"]),
            default="tensor",
            show_default=True,
            help="What the table at the peak has a row for.",
        ),
        click.option("--depth", type=click.IntRange(min=1), help="Of --by module: how deep.  [default: 1]"),
        click.option(
            "--fits",
            metavar="SIZE",
            help="The largest batch size that fits, such as into 80GiB; of a --batch-size, yes or no.",
        ),
        click.option(
            "--context",
            metavar="SIZE",
            help="Of --fits: room for the CUDA context and loaded kernels.  "
            "[default: 512MiB with --device cuda, else none]",
        ),
        click.option(
            "--device",
            type=click.Choice(["cpu", "cuda"]),
            default="cpu",
            show_default=True,
            help="Whose allocator is predicted, and measured.",
        ),
        dtype_option,
        autocast_option,
        click.option("--measure", is_flag=True, help="Run the same step for real, too."),
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


@click.command()
@click.argument("model", type=MODEL)
@tracing_options
@optimizer_option
@memory_options
@table_options
def command(
    model: str, tracing: TracingOptions, options: MemoryOptions, view: View, output: Path | None
) -> None:
    """Peak memory of MODEL in one inference pass or training step, and what makes it up.

    MODEL is an entry of the zoo or package.module:factory, with keywords or without: "nin(num_classes=10)".
    Nothing of it runs, unless --measure is given.
    """
    _check(tracing, options, view.form)
    trace = _trace(model, tracing, options)
    if trace.context.fallback and options.fits is not None:
        raise InceptionLabError("--fits takes many traces, and this model runs for real", hint="leave it out")
    largest = _largest(model, tracing, options) if options.fits is not None else None
    comparison = _compare(model, tracing, options) if options.measure else None
    answer = _record(trace, tracing.request(model), options, largest, comparison).to_dict()
    emit(json.dumps(answer, indent=2) if view.form == "json" else memory_text(answer, view), output)
    refuse_partial(trace, tracing)
    if largest is not None:
        _refuse_batch(model, largest, options)


def _refuse_batch(model: str, largest: LargestBatch, options: MemoryOptions) -> None:
    """Say no where the batch that was typed does not fit, or not even one does.

    Raises:
        InceptionLabError: It is so (exit code 1).
    """
    if not largest.batch_size:
        hint = f"name a unit, such as {options.fits}GiB" if (options.fits or "").isdecimal() else ""
        raise InceptionLabError(f"not even one fits into {options.fits}", where=model, hint=hint, exit_code=1)
    if largest.requested and not largest.requested.fits:
        what = f"a batch of {largest.requested.batch_size:,} does not fit into {options.fits}"
        hint = f"use batch_size={largest.batch_size}"
        raise InceptionLabError(what, where=model, hint=hint, exit_code=1)


def _check(tracing: TracingOptions, options: MemoryOptions, form: str) -> None:
    """Refuse options that make no sense beside others."""
    if tracing.optimizer and tracing.mode == "eval":
        raise InceptionLabError("an optimizer takes no step in eval mode", hint="add --mode train")
    asks_for_more = options.limit is not None or options.measure
    if options.depth and options.by != "module":
        raise InceptionLabError("--depth is of --by module", hint="add --by module")
    if options.context is not None and options.fits is None:
        raise InceptionLabError("--context is of --fits", hint="add --fits, such as --fits 80GiB")
    if form == "csv" and asks_for_more:
        raise InceptionLabError("CSV holds the table alone", hint="take --format json or table")


def _trace(name: str, tracing: TracingOptions, options: MemoryOptions) -> Trace:
    from inception_lab import trace_for_device
    from inception_lab.loading.model import apply_without_weights

    def trace(model: nn.Module, inputs: ModelInputs) -> Trace:
        function = partial(trace_for_device, name=tracing.request(name).name, meta_only=tracing.meta_only)
        return _answer_of(function, model, inputs, tracing, options)

    with busy(f"tracing {name}"), traceback_shown(name, tracing):
        return apply_without_weights(tracing.request(name), trace)


def _largest(name: str, tracing: TracingOptions, options: MemoryOptions) -> LargestBatch:
    from inception_lab import largest_batch
    from inception_lab.loading.model import apply_without_weights
    from inception_lab.running.batches import without_batch

    def search(model: nn.Module, inputs: ModelInputs) -> LargestBatch:
        function = partial(
            largest_batch,
            limit=options.limit or 0,
            start=tracing.batch_size,
            batch_size=tracing.batch_size if _is_typed("batch_size") else None,
            context=options.context,
            progress=show,
        )
        return _answer_of(function, model, without_batch(inputs), tracing, options)

    with traceback_shown(name, tracing), progress_bar(f"largest batch of {name}") as show:
        return apply_without_weights(tracing.request(name), search)


def _compare(name: str, tracing: TracingOptions, options: MemoryOptions) -> MemoryComparison:
    from inception_lab import compare_memory
    from inception_lab.loading.model import apply_with_weights

    def compare(model: nn.Module, inputs: ModelInputs) -> MemoryComparison:
        return _answer_of(partial(compare_memory, progress=show), model, inputs, tracing, options)

    with progress_bar(f"measuring {name}") as show:
        return apply_with_weights(tracing.request(name), compare)


def _is_typed(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _answer_of(
    function: Callable[..., Result],
    model: nn.Module,
    inputs: ModelInputs,
    tracing: TracingOptions,
    options: MemoryOptions,
) -> Result:
    """Return the answer of a function of the library about the step that the options describe."""
    options.convert(model)
    return function(
        model,
        inputs,
        mode=tracing.mode,
        optimizer=tracing.optimizer,
        autocast=_dtype(options.autocast),
        device=options.device,
    )


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    return getattr(torch, name) if name else None


def _record(
    trace: Trace,
    request: ModelRequest,
    options: MemoryOptions,
    largest: LargestBatch | None,
    comparison: MemoryComparison | None,
) -> MemoryRecord:
    """The record of the memory, with what else was asked for."""
    from inception_lab import memory_record
    from inception_lab.loading.model import with_model_facts

    record = memory_record(trace, options.device, options.depth_of_modules)
    summary = with_model_facts(record.summary, request)
    record = replace(record, summary=summary)
    if largest is not None:
        notes = [STORAGES_ALONE] if options.device == "cpu" else []
        record = record.with_answer("fits", largest.to_dict(), *notes)
    if comparison is not None:
        record = record.with_answer("measured", comparison.to_dict(), *comparison.notes)
    return record
