"""The moment at which a pass or a training step holds most, and what is alive then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from pandas import DataFrame

from inception_lab.analyzers.memory.cpu_recurrent import LAYER, lstm_of, recurrent_workspaces
from inception_lab.analyzers.memory.cpu_temporaries import temporaries
from inception_lab.analyzers.memory.cpu_workspaces import Processor, convolution_workspaces
from inception_lab.analyzers.memory.devices import on_device
from inception_lab.analyzers.memory.timeline import KINDS, layer_of_call, live_bytes, memory_timeline
from inception_lab.arguments import checked
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Kind, Storage, Trace, Value

_COLUMN_OF_KIND: Mapping[Kind, str] = {kind: column for column, kinds in KINDS.items() for kind in kinds}
_RECURRENT = ("RNN", "LSTM", "GRU")
_ATTENTION = ("MultiheadAttention", "TransformerEncoderLayer")


@dataclass(frozen=True, eq=False)
class PeakMemory:
    """The moment at which a pass or a step holds most.

    Attributes:
        peak_bytes: Live bytes right after the operation.
        operation: Name of the operation, such as `aten.add.Tensor`; empty where none ran.
        phase: The part of the step that it belongs to.
        layer: Path of the module that ran it.
        by_kind: The bytes of each of `timeline.KINDS`.
        tensors: The tensors alive then, the largest first: `layer` that made it (the name of a parameter or
            buffer, `(input)` of an input), `shape`, `dtype`, `kind`, `bytes`.
        notes: Parts whose real run holds something else, because a fused kernel runs there.
    """

    peak_bytes: int
    operation: str
    phase: str
    layer: str
    by_kind: Mapping[str, int]
    tensors: DataFrame
    notes: tuple[str, ...] = ()


@checked
def peak_memory(trace: Trace, device: str = "cpu", rounding: int | None = None) -> PeakMemory:
    """Return the peak of `memory_timeline`, the first where there are several.

    Args:
        trace: Of any mode.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Raises:
        InceptionLabError: There are no rules for the device, or the rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> peak = peak_memory(trace)
        >>> peak.peak_bytes, peak.layer, peak.operation
        (38230112, 'norm2', 'aten.add.Tensor')
    """
    peak = _peak(trace, device, rounding)
    return replace(peak, by_kind=dict(peak.by_kind), tensors=peak.tensors.copy())


def peak_bytes(trace: Trace, device: str, rounding: int | None) -> int:
    """Return the bytes of `peak_memory` alone, for which no table is made."""
    live = live_bytes(trace, device, rounding)
    return int(live.max()) if len(live) else _peak(trace, device, rounding).peak_bytes


@once_per_trace
def _peak(trace: Trace, device: str, rounding: int | None) -> PeakMemory:
    timeline = memory_timeline(trace, device, rounding)
    trace = on_device(trace, device, rounding)
    if not len(timeline):
        return _peak_without_operations(trace)
    op = int(timeline["live_bytes"].argmax())
    row = timeline.iloc[op]
    return PeakMemory(
        peak_bytes=int(row["live_bytes"]),
        operation=row["operation"],
        phase=row["phase"],
        layer=row["layer"],
        by_kind={column: int(row[column]) for column in KINDS},
        tensors=_live_tensors(trace, op),
        notes=tuple(_notes(trace, device)),
    )


def _peak_without_operations(trace: Trace) -> PeakMemory:
    """The memory of a trace in which nothing runs: what exists before it."""
    tensors = _live_tensors(trace, 0)
    by_kind = {column: int(tensors.loc[tensors["kind"] == column, "bytes"].sum()) for column in KINDS}
    return PeakMemory(sum(by_kind.values()), "", "", "", by_kind, tensors)


def _live_tensors(trace: Trace, op: int) -> DataFrame:
    """The storages alive right after an operation, the largest first."""
    # the first version of a storage tells its shape: later ones may be views
    first_values = {value.storage: value for value in reversed(trace.values)}
    rows = [
        _tensor_row(trace, s, first_values.get(s.id))
        for s in trace.storages
        if s.bytes and (s.born or 0) <= op and (s.dies is None or s.dies >= op)
    ]
    table = DataFrame(rows, columns=["layer", "shape", "dtype", "kind", "bytes"])
    return table.sort_values("bytes", ascending=False, kind="stable", ignore_index=True)


def _tensor_row(trace: Trace, storage: Storage, value: Value | None) -> tuple[object, ...]:
    shape, dtype = (value.shape, value.dtype) if value else ((), "")
    return _maker(trace, storage), shape, dtype, _COLUMN_OF_KIND[storage.kind], storage.bytes


def _maker(trace: Trace, storage: Storage) -> str:
    """The layer that made a storage, or whose gradient it is; the name of what existed before."""
    if storage.kind == "input":
        return _input_name(trace, storage)
    if storage.kind == "gradient":
        return storage.name.rpartition(".")[0] or ROOT
    if storage.born is None:
        return storage.name or "(outside)"
    return layer_of_call(trace, trace.ops[storage.born].call)


def _input_name(trace: Trace, storage: Storage) -> str:
    """The place of an input, which no layer made, among several of them."""
    is_alone = [s.kind for s in trace.storages].count("input") == 1
    return "(input)" if is_alone else f"(input {storage.name})"


def _notes(trace: Trace, device: str) -> Iterator[str]:
    if parts := decomposed_on_meta(trace):
        names = " and ".join(parts)
        yield f"{names} taken operation by operation; trace_for_device(device='cpu') traces what runs"
    if trace.context.autocast and takes_fast_path(trace):
        yield "attention taken operation by operation; the fast path of inference holds something else"
    layers = [op for op in trace.ops if op.base_name == LAYER]
    if trace.context.mode == "train" and any(device != "cpu" or lstm_of(trace, op) is None for op in layers):
        yield "what a fused LSTM keeps for its backward pass is not in it"


@once_per_trace
def decomposed_on_meta(trace: Trace) -> tuple[str, ...]:
    """Name the parts that ran operation by operation on meta tensors and are one fused kernel on the CPU.

    A fused kernel holds something else, so that such a model is better traced with `device="cpu"`.
    """
    if trace.context.device != "meta":
        return ()
    names = {op.base_name for op in trace.ops}
    present = {
        "attention": "_safe_softmax" in names or takes_fast_path(trace),
        "recurrent layers": any(c.type in _RECURRENT and c.executed for c in trace.calls),
        "the backward pass of Mish": trace.context.mode == "train" and "mish" in names,
    }
    return tuple(part for part, is_present in present.items() if is_present)


def takes_fast_path(trace: Trace) -> bool:
    """True where modules of attention ran that take PyTorch's fast path in inference."""
    return trace.context.mode == "eval" and any(c.type in _ATTENTION and c.executed for c in trace.calls)


@once_per_trace
def allocator_peak(trace: Trace, processor: Processor) -> int:
    """Return the most that the CPU's allocator holds, what operations take and give back by rule included.

    Args:
        trace: Of any mode.
        processor: Where it is to run: `measure.hardware.this_processor()` for this machine.

    Returns:
        Bytes.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 224, 224))
        >>> allocator_peak(trace, Processor(block=16, threads=1)) - peak_memory(trace).peak_bytes
        785408
    """
    live = live_bytes(trace, "cpu", None).copy()
    if not len(live):
        return _peak(trace, "cpu", None).peak_bytes
    workspaces = {**convolution_workspaces(trace, processor), **recurrent_workspaces(trace)}
    # taken and given back within its operation, so that a workspace adds to that row alone
    for op, size in {**temporaries(trace), **workspaces}.items():
        live[op] += size
    return int(live.max())
