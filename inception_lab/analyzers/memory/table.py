"""Bytes that each layer keeps for the backward pass, and the memory totals of a trace, by device."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.memory.devices import on_device
from inception_lab.analyzers.memory.peak import peak_bytes
from inception_lab.arguments import checked
from inception_lab.ir.once import table_once_per_trace
from inception_lab.ir.structure import layer_calls, layer_name
from inception_lab.ir.trace import Trace


@table_once_per_trace
def saved_by_layer(trace: Trace, device: str = "cpu", rounding: int | None = None) -> DataFrame:
    """Bytes that each layer call keeps for the backward pass.

    Args:
        trace: Of any mode.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        A row per layer call, in the order of `layer_costs`: `layer`, `call`, and in train mode
        `saved_bytes`. Inference keeps nothing, and has no such column.

    Raises:
        InceptionLabError: There are no rules for the device, or the rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Dropout())
        >>> step = il.trace(net, (16, 64), mode="train", loss=torch.sum)
        >>> [saved_by_layer(step, device).loc[1, "saved_bytes"] for device in ("cpu", "cuda")]
        [np.int64(4096), np.int64(1024)]
    """
    calls = layer_calls(trace)
    columns: dict[str, Any] = {"layer": [layer_name(c) for c in calls], "call": [c.number for c in calls]}
    if trace.context.mode == "train":
        by_call = _saved_by_call(on_device(trace, device, rounding))
        columns["saved_bytes"] = [by_call[c.id] for c in calls]
    return DataFrame(columns)


def _saved_by_call(trace: Trace) -> Mapping[int, int]:
    by_call: dict[int, int] = defaultdict(int)
    for s in trace.storages:
        if s.kind == "saved" and s.born is not None:
            by_call[trace.ops[s.born].call] += s.bytes
    return by_call


@checked
def memory_totals(trace: Trace, device: str = "cpu", rounding: int | None = None) -> dict[str, int]:
    """Return what a pass or a step holds on a device, by metric name.

    Args:
        trace: Of any mode.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        rounding: Each storage takes a multiple of so many bytes, those of the device's allocator by default.

    Returns:
        In eval mode `peak_bytes`; in train mode `saved_bytes`, the sum of `saved_by_layer`, and
        `train_peak_bytes`.

    Raises:
        InceptionLabError: There are no rules for the device, or the rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> memory_totals(trace), memory_totals(trace, "cuda")
        ({'peak_bytes': 38230112}, {'peak_bytes': 38242304})
    """
    peak = peak_bytes(trace, device, rounding)
    if trace.context.mode == "eval":
        return {"peak_bytes": peak}
    saved_bytes = int(saved_by_layer(trace, device, rounding)["saved_bytes"].sum())
    return {"saved_bytes": saved_bytes, "train_peak_bytes": peak}


def _totals(trace: Trace, layers: DataFrame) -> Mapping[str, int]:
    del layers
    return memory_totals(trace)


MEMORY = Analyzer("memory", saved_by_layer, _totals)
