"""Live bytes after each operation of a pass or a training step, by the lifetimes of its storages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.analyzers.memory.devices import on_device
from inception_lab.arguments import checked
from inception_lab.ir.once import once_per_trace, table_once_per_trace
from inception_lab.ir.structure import layer_name
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
"""Uses of memory by column, each with its kinds of storages; `saved` is kept for the backward pass."""

Bytes = NDArray[np.int64]


@checked
@table_once_per_trace
def memory_timeline(trace: Trace, device: str = "cpu", rounding: int | None = None) -> DataFrame:
    """Live bytes right after each operation, all its outputs made and nothing freed yet.

    A storage lives from the operation that makes it to the moment when nothing refers to it any more, as
    in a run of the program; views and in-place operations share one, so that each is counted once. What no
    operation makes is not seen, such as the states of random generators that checkpointing keeps.

    Args:
        trace: An inference pass, or a training step; with an optimizer in steady state.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        A row per operation: `operation`, `phase`, `layer`, the bytes of each of `KINDS`, and their sum
        `live_bytes`.

    Raises:
        InceptionLabError: There are no rules for the device, or the rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> step = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224), mode="train")
        >>> int(memory_timeline(step)["live_bytes"].max()) == il.peak_memory(step).peak_bytes
        True
    """
    storages = on_device(trace, device, rounding).storages
    columns: dict[str, Any] = {
        "operation": [op.name for op in trace.ops],
        "phase": [op.phase for op in trace.ops],
        "layer": [layer_of_call(trace, op.call) for op in trace.ops],
    }
    by_kind = {
        column: _live_bytes([s for s in storages if s.kind in kinds], len(trace.ops))
        for column, kinds in KINDS.items()
    }
    return DataFrame(columns | by_kind | {"live_bytes": live_bytes(trace, device, rounding)})


@once_per_trace
def live_bytes(trace: Trace, device: str, rounding: int | None) -> Bytes:
    """The column of that name of `memory_timeline` alone, read-only; see there."""
    live = _live_bytes(on_device(trace, device, rounding).storages, len(trace.ops))
    live.flags.writeable = False
    return live


def _live_bytes(storages: Sequence[Storage], op_count: int) -> Bytes:
    """Bytes of storages alive after each of so many operations."""
    change = np.zeros(op_count + 1, dtype=np.int64)
    for s in storages:
        # what exists before the first operation is alive in the first row
        change[s.born or 0] += s.bytes
        # released after operation `dies`, whose own row still has it: the next row is the first without it
        change[op_count if s.dies is None else s.dies + 1] -= s.bytes
    return np.cumsum(change[:-1])


def layer_of_call(trace: Trace, call: int) -> str:
    """Return the name of a call's layer; empty for -1, which is an operation outside all calls."""
    return layer_name(trace.calls[call]) if call >= 0 else ""
