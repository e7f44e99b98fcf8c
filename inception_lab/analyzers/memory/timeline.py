"""What a pass or a training step holds in memory, by the lifetime of storages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.memory.cpu_workspaces import Processor, convolution_workspaces
from inception_lab.analyzers.memory.devices import on_device
from inception_lab.ir.structure import ROOT, layer_calls, layer_name
from inception_lab.ir.trace import Kind, Storage, Trace

KINDS: Mapping[str, tuple[Kind, ...]] = {
    "parameters": ("parameter",),
    "buffers": ("buffer",),
    "gradients": ("gradient",),
    "optimizer_state": ("optimizer state",),
    "inputs": ("input",),
    "saved": ("saved",),
    "temporaries": ("activation", "temporary"),
}
"""What memory is for, by column: `saved` are the activations kept for the backward pass."""

_NAME_PARTS = {"parameters": 1, "buffers": 1, "optimizer_state": 2}
"""How many parts of its name stand after the module that owns it: `weight`, `weight.exp_avg`."""

_FUSED_LSTM = "aten.mkldnn_rnn_layer"

Bytes = NDArray[np.int64]


def memory_timeline(trace: Trace, device: str = "cpu", rounding: int | None = None) -> DataFrame:
    """Live bytes right after each operation, all its outputs made and nothing freed yet.

    A storage lives from the operation that makes it to the moment when nothing refers to it any more, as
    in a run of the program; views and in-place operations share one, so that each is counted once. What no
    operation makes is not seen, such as the states of random generators that checkpointing keeps.

    Args:
        trace: An inference pass, or a training step; with an optimizer in steady state.
        device: Whose memory, `cpu` or `cuda`: see `devices.DEVICES`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        A row per operation: `operation`, `phase`, `layer`, the bytes of each of `KINDS`, and their sum
        `live_bytes`.

    Example:
        >>> import inception_lab as il
        >>> step = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), mode="train")
        >>> int(memory_timeline(step)["live_bytes"].max()) == peak_memory(step).peak_bytes
        True
    """
    return _timeline(on_device(trace, device, rounding))


def _timeline(trace: Trace) -> DataFrame:
    columns: dict[str, Any] = {
        "operation": [op.name for op in trace.ops],
        "phase": [op.phase for op in trace.ops],
        "layer": [_layer(trace, op.call) for op in trace.ops],
    }
    live = np.zeros(len(trace.ops), dtype=np.int64)
    for column, kinds in KINDS.items():
        storages = [s for s in trace.storages if s.kind in kinds]
        columns[column] = _live(storages, len(trace.ops))
        live += columns[column]
    return DataFrame(columns | {"live_bytes": live})


@dataclass(frozen=True, eq=False)
class PeakMemory:
    """The moment at which a pass or a step holds most.

    Attributes:
        peak_bytes: Live bytes then.
        operation: What ran.
        phase: The part of the step.
        layer: Where it ran.
        by_kind: The bytes of each of `KINDS`.
        tensors: What was alive, the largest first: `layer` that made it, `shape`, `dtype`, `kind`,
            `bytes`.
        notes: Where a run on real tensors holds something else, because a fused kernel runs there.
    """

    peak_bytes: int
    operation: str
    phase: str
    layer: str
    by_kind: Mapping[str, int]
    tensors: DataFrame
    notes: tuple[str, ...] = ()


def peak_memory(trace: Trace, device: str = "cpu", rounding: int | None = None) -> PeakMemory:
    """The peak of `memory_timeline`, the first where there are several.

    Args:
        trace: Of any mode.
        device: Whose memory, `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> peak = peak_memory(trace)
        >>> peak.peak_bytes, peak.layer, peak.operation
        (38230112, 'norm2', 'aten.add.Tensor')
    """
    trace = on_device(trace, device, rounding)
    timeline = _timeline(trace)
    if not len(timeline):
        return _without_operations(trace)
    place = int(timeline["live_bytes"].argmax())
    row = timeline.iloc[place]
    return PeakMemory(
        peak_bytes=int(row["live_bytes"]),
        operation=row["operation"],
        phase=row["phase"],
        layer=row["layer"],
        by_kind={kind: int(row[kind]) for kind in KINDS},
        tensors=_alive(trace, place),
        notes=tuple(_notes(trace)),
    )


def taken_apart(trace: Trace) -> tuple[str, ...]:
    """What came apart on meta tensors and is one operation on the CPU, which holds something else."""
    if trace.context.device != "meta":
        return ()
    found = {
        "attention": any(op.name.startswith("aten._safe_softmax") for op in trace.ops),
        "recurrent layers": any(c.type in ("RNN", "LSTM", "GRU") and c.executed for c in trace.calls),
        "the backward pass of Mish": trace.context.mode == "train"
        and any(op.name.startswith(("aten.mish.", "aten.mish_.")) for op in trace.ops),
    }
    return tuple(what for what, there in found.items() if there)


def _notes(trace: Trace) -> Iterator[str]:
    if apart := taken_apart(trace):
        yield f"{' and '.join(apart)} taken operation by operation; device='cpu' traces fused ones"
    if trace.context.mode == "train" and any(op.name.startswith(_FUSED_LSTM) for op in trace.ops):
        yield "what a fused LSTM keeps for its backward pass is not in it"


def _without_operations(trace: Trace) -> PeakMemory:
    """What is there before anything runs."""
    held = {
        column: sum(s.bytes for s in trace.storages if s.kind in kinds) for column, kinds in KINDS.items()
    }
    return PeakMemory(sum(held.values()), "", "", "", held, _alive(trace, 0))


def _live(storages: Sequence[Storage], ops: int) -> Bytes:
    """Bytes alive after each operation."""
    change = np.zeros(ops + 1, dtype=np.int64)
    for s in storages:
        change[s.born or 0] += s.bytes
        change[ops if s.dies is None else s.dies + 1] -= s.bytes
    return np.cumsum(change[:-1])


def _alive(trace: Trace, place: int) -> DataFrame:
    """The storages alive after an operation, the largest first."""
    first = {value.storage: value for value in reversed(trace.values)}
    rows = []
    for s in trace.storages:
        if s.bytes and (s.born or 0) <= place and (s.dies is None or s.dies >= place):
            value = first.get(s.id)
            rows.append(
                {
                    "layer": _maker(trace, s),
                    "shape": value.shape if value else (),
                    "dtype": value.dtype if value else "",
                    "kind": _column(s.kind),
                    "bytes": s.bytes,
                }
            )
    table = DataFrame(rows, columns=["layer", "shape", "dtype", "kind", "bytes"])
    return table.sort_values("bytes", ascending=False, kind="stable", ignore_index=True)


def _column(kind: Kind) -> str:
    return next(column for column, kinds in KINDS.items() if kind in kinds)


def _maker(trace: Trace, storage: Storage) -> str:
    """The layer that made a storage, or whose gradient it is; the name of what was there before."""
    if storage.kind == "gradient":
        return storage.name.rpartition(".")[0] or ROOT
    if storage.born is None:
        return storage.name or "(outside)"
    return _layer(trace, trace.ops[storage.born].call)


def _layer(trace: Trace, call: int) -> str:
    return layer_name(trace.calls[call]) if call >= 0 else ""


def allocator_peak(trace: Trace, processor: Processor) -> int:
    """What the CPU's allocator holds at most, with what convolutions hold within themselves by rule.

    Args:
        trace: Of any mode.
        processor: Where it is to run: `measure.hardware.this_processor()` for this machine.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 224, 224))
        >>> allocator_peak(trace, Processor(block=16, threads=1)) - peak_memory(trace).peak_bytes
        785408
    """
    trace = on_device(trace, "cpu")
    live = _timeline(trace)["live_bytes"].to_numpy(copy=True)
    for place, size in convolution_workspaces(trace, processor).items():
        live[place] += size
    return int(live.max()) if len(live) else _without_operations(trace).peak_bytes


def memory_by_module(
    trace: Trace, depth: int = 1, device: str = "cpu", rounding: int | None = None
) -> DataFrame:
    """What is alive at the peak, by the module that made it.

    Args:
        trace: Of any mode.
        depth: How many levels below the model a module may stand; deeper layers count towards it.
        device: Whose memory, `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        A row per module, the largest first: `module`, the bytes of each of `KINDS`, and their sum `bytes`.
        Parameters, their gradients and what an optimizer keeps count to the module that owns them.
    """
    alive = peak_memory(trace, device, rounding).tensors
    owners = [_owner(name, kind) for name, kind in zip(alive["layer"], alive["kind"], strict=True)]
    names = [".".join(owner.split(".")[:depth]) for owner in owners]
    table = alive.assign(module=names).pivot_table(
        index="module", columns="kind", values="bytes", aggfunc="sum", fill_value=0
    )
    table = table.reindex(columns=list(KINDS), fill_value=0).astype(np.int64)
    table["bytes"] = table.sum(axis=1)
    return table.sort_values("bytes", ascending=False, kind="stable").reset_index()


def _owner(name: str, kind: str) -> str:
    """The module that a tensor belongs to, by the name that it has in `PeakMemory.tensors`."""
    if kind == "inputs":
        return "(inputs)"
    parts = _NAME_PARTS.get(kind, 0)
    return (name.rsplit(".", parts)[0] if name.count(".") >= parts else ROOT) if parts else name


def _layers(trace: Trace) -> DataFrame:
    """In train mode, the bytes that each layer call keeps for the backward pass."""
    calls = layer_calls(trace)
    columns: dict[str, Any] = {"layer": [layer_name(c) for c in calls], "call": [c.number for c in calls]}
    if trace.context.mode == "train":
        trace = on_device(trace, "cpu")
        saved: dict[int, int] = dict.fromkeys(range(len(trace.calls)), 0)
        for s in trace.storages:
            if s.kind == "saved" and s.born is not None and trace.ops[s.born].call in saved:
                saved[trace.ops[s.born].call] += s.bytes
        columns["saved_bytes"] = [saved[c.id] for c in calls]
    return DataFrame(columns)


def _totals(trace: Trace, layers: DataFrame) -> Mapping[str, int]:
    peak = peak_memory(trace).peak_bytes
    if trace.context.mode == "eval":
        return {"peak_bytes": peak}
    return {"saved_bytes": int(layers["saved_bytes"].sum()), "train_peak_bytes": peak}


MEMORY = Analyzer("memory", _layers, _totals)
