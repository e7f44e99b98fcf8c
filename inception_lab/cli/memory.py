"""`inception-lab memory`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from inception_lab.cli.options import emit, format_options, optimizer_option, tracing_options
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import Tracing
from inception_lab.metrics import METRICS, format_quantity, parse_quantity
from inception_lab.record import Record, Row
from inception_lab.report.tables import columns_of
from inception_lab.report.text import heading, render

if TYPE_CHECKING:
    import torch
    from torch import nn

    from inception_lab.analyzers.memory.peak import PeakMemory
    from inception_lab.ir.trace import Trace
    from inception_lab.measure.prediction import MemoryComparison
    from inception_lab.running.inputs import Inputs

LARGEST = 10
DTYPES = ("float32", "bfloat16", "float16")
LABELS = {"saved": METRICS["saved_bytes"].label}
ON_CUDA = (
    "as on CUDA: blocks of 512 bytes, foreach optimizers, dropout masks of a byte an element; "
    "fused operations as on the CPU; workspaces of its libraries are not in it"
)
STORAGES_ALONE = "--fits counts storages; what a convolution holds within itself is not in it, see --measure"


@click.command()
@click.argument("model")
@tracing_options
@optimizer_option
@click.option("--by", type=click.Choice(["tensor", "module"]), default="tensor", show_default=True,
              help="What the table at the peak has a row for.")  # fmt: skip
@click.option("--depth", type=click.IntRange(min=1), help="Of --by module: how deep.  [default: 1]")
@click.option("--fits", metavar="SIZE", help="The largest batch size that fits, such as into 80GiB.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True,
              help="Whose allocator is predicted, and measured.")  # fmt: skip
@click.option("--dtype", type=click.Choice(DTYPES), help="Convert the model, and its floating inputs.")
@click.option("--autocast", type=click.Choice(DTYPES[1:]), help="Run forward and loss under autocast.")
@click.option("--measure", is_flag=True, help="Run the same step for real, too.")
@format_options
def command(model: str, tracing: Tracing, form: str, output: Path | None, **wanted: Any) -> None:
    """Peak memory of MODEL in one inference pass or training step, and what makes it up.

    MODEL is an entry of the zoo, or package.module:factory. Nothing of it runs, unless --measure is given.
    """
    from inception_lab.analyzers.summary import summarise
    from inception_lab.loading.model import refuse_partial, said_of, with_model

    if tracing.optimizer and tracing.mode == "eval":
        raise InceptionLabError("an optimizer takes no step in eval mode", hint="add --mode train")
    limit = parse_quantity(wanted["fits"], "bytes") if wanted["fits"] is not None else None
    if wanted["depth"] and wanted["by"] != "module":
        raise InceptionLabError("--depth is of --by module", hint="add --by module")
    if form == "csv" and (limit is not None or wanted["measure"]):
        raise InceptionLabError("CSV holds the table alone", hint="take --format json or table")
    found = with_model(model, tracing, partial(_traced, model, tracing, wanted))
    record = said_of(model, tracing, summarise(found))
    if found.context.fallback and limit is not None:
        raise InceptionLabError("--fits takes many traces, and this model runs for real", hint="leave it out")
    answer = _answer(model, tracing, found, record, limit, wanted)
    emit(json.dumps(answer, indent=2) if form == "json" else _shown(answer, form), output)
    refuse_partial(found, tracing)
    if limit is not None and not answer["fits"]["batch_size"]:
        raise InceptionLabError(f"not even one fits into {wanted['fits']}", where=model, exit_code=1)


def _answer(
    model: str, tracing: Tracing, found: Trace, record: Record, limit: float | None, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Context and totals of the summary, the peak, its rows, and what else was asked for."""
    from inception_lab.analyzers.memory.cuda_allocator import reserved_memory
    from inception_lab.analyzers.memory.peak import peak_memory
    from inception_lab.loading.model import with_model, with_weights

    comparison = (
        with_weights(model, tracing, None, partial(_compared, tracing, wanted)) if wanted["measure"] else None
    )
    peak = peak_memory(found, wanted["device"])
    answer = {k: v for k, v in record.to_dict().items() if k != "layers"}
    name = "peak_bytes" if tracing.mode == "eval" else "train_peak_bytes"
    answer["totals"] = {**answer["totals"], name: peak.peak_bytes}
    answer["device"] = wanted["device"]
    notes = [record.context.get("note"), *peak.notes, *_remarks(limit, wanted)]
    notes += comparison.notes if comparison else ()
    if any(notes):
        answer["note"] = "; ".join(filter(None, notes))
    answer["peak"] = {
        "bytes": peak.peak_bytes, "layer": peak.layer, "operation": peak.operation, "phase": peak.phase,
        "by_kind": dict(peak.by_kind),
    }  # fmt: skip
    if wanted["device"] == "cuda":
        answer["peak"]["reserved_bytes"] = reserved_memory(found)
    if limit is not None:
        answer["fits"] = with_model(model, tracing, partial(_largest, tracing, wanted, limit))
    if comparison:
        answer["measured"] = comparison.to_dict()
    return answer | _rows(found, peak, wanted)


def _remarks(limit: float | None, wanted: Mapping[str, Any]) -> Iterator[str]:
    """What the figures leave out."""
    if wanted["device"] == "cuda":
        yield ON_CUDA
    elif limit is not None:
        yield STORAGES_ALONE


def _traced(
    name: str, tracing: Tracing, wanted: Mapping[str, Any], model: nn.Module, inputs: Inputs
) -> Trace:
    from inception_lab.measure.prediction import trace_for_device

    _convert(model, wanted)
    return trace_for_device(
        model,
        inputs,
        mode=tracing.mode,
        optimizer=tracing.optimizer,
        autocast=_dtype(wanted["autocast"]),
        device=wanted["device"],
        name=name,
        meta_only=tracing.meta_only,
    )


def _convert(model: nn.Module, wanted: Mapping[str, Any]) -> None:
    if wanted["dtype"]:
        model.to(_dtype(wanted["dtype"]))


def _dtype(name: str | None) -> torch.dtype | None:
    import torch

    return getattr(torch, name) if name else None


def _rows(found: Trace, peak: PeakMemory, wanted: Mapping[str, Any]) -> dict[str, list[Row]]:
    from inception_lab.analyzers.memory.by_module import memory_by_module

    if wanted["by"] == "module":
        table = memory_by_module(found, wanted["depth"] or 1, wanted["device"])
        return {"modules": cast("list[Row]", table.to_dict("records"))}
    rows = cast("list[Row]", peak.tensors.to_dict("records"))
    return {"layers": [{**row, "shape": list(row["shape"])} for row in rows]}


def _largest(
    tracing: Tracing, wanted: Mapping[str, Any], limit: float, model: nn.Module, inputs: Inputs
) -> Row:
    """The largest batch that fits, what it takes, and what one more would take."""
    from inception_lab.limits import largest_batch

    _convert(model, wanted)
    sizes = [size[1:] if isinstance(size, tuple) else size for size in cast("list[Any]", inputs)]
    return largest_batch(
        model,
        sizes,
        limit,
        mode=tracing.mode,
        optimizer=tracing.optimizer,
        autocast=_dtype(wanted["autocast"]),
        device=wanted["device"],
        start=tracing.batch_size,
    ).to_dict()


def _compared(
    tracing: Tracing, wanted: Mapping[str, Any], model: nn.Module, inputs: Inputs
) -> MemoryComparison:
    """The same step predicted and run for real."""
    from inception_lab.measure.prediction import compare_memory

    _convert(model, wanted)
    return compare_memory(
        model,
        inputs,
        mode=tracing.mode,
        optimizer=tracing.optimizer,
        autocast=_dtype(wanted["autocast"]),
        device=wanted["device"],
    )


def _shown(answer: Mapping[str, Any], form: str) -> str:
    rows: Sequence[Row] = answer.get("layers") or answer.get("modules") or []
    if form == "csv":
        return render(rows, columns_of(rows), form)
    shown = rows[:LARGEST] if "layers" in answer else rows
    parts = [_said(answer), render(shown, columns_of(shown), form) if shown else ""]
    rest = len(rows) - len(shown)
    return "\n".join(filter(None, parts)) + (f"and {rest} smaller ones, see --format csv\n" if rest else "")


def _said(answer: Mapping[str, Any]) -> str:
    """The peak in words, and what makes it up."""
    peak = answer["peak"]
    where = f" in {peak['layer']} ({peak['operation']}, {peak['phase']})" if peak["layer"] else ""
    batch = [size for shape in answer["input_shapes"] for size in shape][:1]
    label = f"Peak, batch {batch[0]:,}" if "fits" in answer and batch else "Peak"
    lines = [f"{label:<17} {peak['bytes']:>18,}   {_size(peak['bytes'])}{where}"]
    lines += [
        f"{LABELS.get(kind) or heading(kind):<17} {size:>18,}   {_size(size)}"
        for kind, size in peak["by_kind"].items()
        if size
    ]
    if "reserved_bytes" in peak:
        lines.append(f"{'Reserved':<17} {peak['reserved_bytes']:>18,}   {_size(peak['reserved_bytes'])}")
    if "fits" in answer:
        lines.append(_said_of_batch(answer["fits"]))
    measured = answer.get("measured", {})
    for name in (name for name in measured if name.endswith("_error_bytes")):
        size = measured[name.replace("_error_bytes", "_bytes")]
        kind = name.removesuffix("_error_bytes")
        lines.append(f"{heading(kind):<17} {size:>18,}   {_size(size)}, predicted {measured[name]:+,} bytes")
    for name, size in measured.get("workspaces", {}).items():
        lines.append(f"{heading(name):<17} {size:>18,}   {_size(size)} of workspaces")
    if "note" in answer:
        lines.append(f"Note              {answer['note']}")
    return "\n".join(lines) + "\n"


def _said_of_batch(fits: Row) -> str:
    if not fits["batch_size"]:
        return "Fits              not even one"
    one_more = f"{fits['batch_size'] + 1:,} would"
    taken, refused = f"{fits['peak_bytes']:,} bytes", f"{one_more} take {fits['one_more_bytes']:,}"
    if "reserved_bytes" in fits:
        taken, refused = f"{taken} ({fits['reserved_bytes']:,} reserved)", f"{one_more} run out of it"
    return f"Fits              batch size {fits['batch_size']:,} in {taken}; {refused}"


def _size(size: int) -> str:
    return format_quantity(size, "bytes")
