"""`inception-lab memory`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import click

from inception_lab.cli.memory_text import memory_text
from inception_lab.cli.model import refuse_partial, traceback_shown
from inception_lab.cli.options import (
    TracingOptions,
    emit,
    format_options,
    optimizer_option,
    tracing_options,
    typed_options,
)
from inception_lab.errors import InceptionLabError
from inception_lab.metrics import parse_quantity
from inception_lab.record import Row

if TYPE_CHECKING:
    import torch
    from torch import nn

    from inception_lab.analyzers.memory.peak import PeakMemory
    from inception_lab.ir.trace import Trace
    from inception_lab.limits import LargestBatch
    from inception_lab.loading.model import ModelInputs
    from inception_lab.measure.prediction import MemoryComparison

DTYPES = ("float32", "bfloat16", "float16")
STORAGES_ALONE = "--fits counts storages; what a convolution holds within itself is not in it, see --measure"


@dataclass(frozen=True)
class MemoryOptions:
    """Options of the memory command alone.

    Attributes:
        by: `tensor` or `module`: the rows of the table at the peak.
        depth: Levels below the model at which modules have rows, None for the first.
        fits: A limit for the largest batch, as text with a unit; None where none is asked for.
        device: Whose allocator is predicted, and measured.
        dtype: Name of the dtype that the model is converted to, None for its own.
        autocast: Name of the dtype of autocast, None without.
        measure: Run the same step for real, too.
    """

    by: Literal["tensor", "module"]
    depth: int | None
    fits: str | None
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
        click.option("--fits", metavar="SIZE", help="The largest batch size that fits, such as into 80GiB."),
        click.option(
            "--device",
            type=click.Choice(["cpu", "cuda"]),
            default="cpu",
            show_default=True,
            help="Whose allocator is predicted, and measured.",
        ),
        click.option(
            "--dtype", type=click.Choice(DTYPES), help="Convert the model, and its floating inputs."
        ),
        click.option(
            "--autocast", type=click.Choice(DTYPES[1:]), help="Run forward and loss under autocast."
        ),
        click.option("--measure", is_flag=True, help="Run the same step for real, too."),
    ),
)
"""Adds the options of this command alone, which arrive as `options`."""


@click.command()
@click.argument("model")
@tracing_options
@optimizer_option
@memory_options
@format_options
def command(
    model: str, tracing: TracingOptions, options: MemoryOptions, form: str, output: Path | None
) -> None:
    """Peak memory of MODEL in one inference pass or training step, and what makes it up.

    MODEL is an entry of the zoo, or package.module:factory. Nothing of it runs, unless --measure is given.
    """
    _check(tracing, options, form)
    trace = _trace(model, tracing, options)
    if trace.context.fallback and options.fits is not None:
        raise InceptionLabError("--fits takes many traces, and this model runs for real", hint="leave it out")
    largest = _largest(model, tracing, options) if options.fits is not None else None
    comparison = _compare(model, tracing, options) if options.measure else None
    answer = _answer(trace, tracing, options, largest, comparison)
    emit(json.dumps(answer, indent=2) if form == "json" else memory_text(answer, form), output)
    refuse_partial(trace, tracing)
    if largest is not None and not largest.batch_size:
        raise InceptionLabError(f"not even one fits into {options.fits}", where=model, exit_code=1)


def _check(tracing: TracingOptions, options: MemoryOptions, form: str) -> None:
    """Refuse options that make no sense beside others."""
    if tracing.optimizer and tracing.mode == "eval":
        raise InceptionLabError("an optimizer takes no step in eval mode", hint="add --mode train")
    asks_for_more = options.limit is not None or options.measure
    if options.depth and options.by != "module":
        raise InceptionLabError("--depth is of --by module", hint="add --by module")
    if form == "csv" and asks_for_more:
        raise InceptionLabError("CSV holds the table alone", hint="take --format json or table")


def _trace(name: str, tracing: TracingOptions, options: MemoryOptions) -> Trace:
    from inception_lab import trace_for_device
    from inception_lab.loading.model import apply_without_weights

    def trace(model: nn.Module, inputs: ModelInputs) -> Trace:
        options.convert(model)
        return trace_for_device(
            model,
            inputs,
            mode=tracing.mode,
            optimizer=tracing.optimizer,
            autocast=_dtype(options.autocast),
            device=options.device,
            name=name,
            meta_only=tracing.meta_only,
        )

    with traceback_shown(name, tracing):
        return apply_without_weights(tracing.request(name), trace)


def _largest(name: str, tracing: TracingOptions, options: MemoryOptions) -> LargestBatch:
    from inception_lab import largest_batch
    from inception_lab.loading.model import apply_without_weights

    def search(model: nn.Module, inputs: ModelInputs) -> LargestBatch:
        options.convert(model)
        return largest_batch(
            model,
            [size[1:] if isinstance(size, tuple) else size for size in inputs],
            options.limit or 0,
            mode=tracing.mode,
            optimizer=tracing.optimizer,
            autocast=_dtype(options.autocast),
            device=options.device,
            start=tracing.batch_size,
        )

    with traceback_shown(name, tracing):
        return apply_without_weights(tracing.request(name), search)


def _compare(name: str, tracing: TracingOptions, options: MemoryOptions) -> MemoryComparison:
    from inception_lab import compare_memory
    from inception_lab.loading.model import apply_with_weights

    def compare(model: nn.Module, inputs: ModelInputs) -> MemoryComparison:
        options.convert(model)
        return compare_memory(
            model,
            inputs,
            mode=tracing.mode,
            optimizer=tracing.optimizer,
            autocast=_dtype(options.autocast),
            device=options.device,
        )

    return apply_with_weights(tracing.request(name), compare)


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    return getattr(torch, name) if name else None


def _answer(
    trace: Trace,
    tracing: TracingOptions,
    options: MemoryOptions,
    largest: LargestBatch | None,
    comparison: MemoryComparison | None,
) -> dict[str, Any]:
    """Context and totals of the summary, the peak, its rows, and what else was asked for."""
    from inception_lab import peak_memory, summarise
    from inception_lab.analyzers.memory.table import memory_totals
    from inception_lab.loading.model import with_model_facts

    record = with_model_facts(summarise(trace), tracing.request(trace.context.model))
    peak = peak_memory(trace, options.device)
    answer = {name: value for name, value in record.to_dict().items() if name != "layers"}
    answer["totals"] = {**answer["totals"], **memory_totals(trace, options.device)}
    answer["device"] = options.device
    notes = [record.context.get("note"), *peak.notes, *_notes(options)]
    if note := "; ".join(filter(None, [*notes, *(comparison.notes if comparison else ())])):
        answer["note"] = note
    answer["peak"] = _peak_row(trace, peak, options.device)
    if largest is not None:
        answer["fits"] = largest.to_dict()
    if comparison is not None:
        answer["measured"] = comparison.to_dict()
    return answer | _rows(trace, peak, options)


def _notes(options: MemoryOptions) -> Iterator[str]:
    """Omissions of the predicted figures."""
    from inception_lab.measure.prediction import ON_CUDA

    if options.device == "cuda":
        yield ON_CUDA
    elif options.fits is not None:
        yield STORAGES_ALONE


def _peak_row(trace: Trace, peak: PeakMemory, device: str) -> dict[str, Any]:
    from inception_lab import reserved_memory

    row = {
        "bytes": peak.peak_bytes,
        "layer": peak.layer,
        "operation": peak.operation,
        "phase": peak.phase,
        "by_kind": dict(peak.by_kind),
    }
    return row | ({"reserved_bytes": reserved_memory(trace)} if device == "cuda" else {})


def _rows(trace: Trace, peak: PeakMemory, options: MemoryOptions) -> dict[str, list[Row]]:
    from inception_lab import memory_by_module

    if options.by == "module":
        table = memory_by_module(trace, options.depth or 1, options.device)
        return {"modules": cast("list[Row]", table.to_dict("records"))}
    rows = cast("list[Row]", peak.tensors.to_dict("records"))
    return {"layers": [{**row, "shape": list(row["shape"])} for row in rows]}
