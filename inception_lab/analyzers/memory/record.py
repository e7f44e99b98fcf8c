"""The memory of a pass or a training step on a device as plain data, beside context and totals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast

from inception_lab.analyzers.memory.by_module import memory_by_module
from inception_lab.analyzers.memory.cuda_allocator import reserved_memory
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.peak import PeakMemory, peak_memory
from inception_lab.analyzers.memory.table import memory_totals
from inception_lab.analyzers.summary import summarise
from inception_lab.arguments import checked
from inception_lab.ir.trace import Trace
from inception_lab.record import Record, Row


@dataclass(frozen=True)
class MemoryRecord:
    """The memory of a pass or a training step on a device.

    Attributes:
        summary: Context and totals, those of memory as the device has them; without rows.
        device: A key of `devices.DEVICES`.
        peak: `bytes`, the place and the parts of the peak; on CUDA also `reserved_bytes`.
        row_kind: `layers` for a row per tensor alive at the peak, `modules` for a row per module.
        rows: As of `PeakMemory.tensors`, or of `memory_by_module`.
        notes: Omissions of these figures.
        answers: More that was asked of the same step, by its name in `to_dict`.

    Example:
        >>> import inception_lab as il, torch
        >>> record = memory_record(il.trace(torch.nn.Linear(10, 20), (4, 10)))
        >>> record.with_answer("fits", {"batch_size": 9}).to_dict()["fits"], record.peak["bytes"]
        ({'batch_size': 9}, 1360)
    """

    summary: Record
    device: str
    peak: Row
    row_kind: Literal["layers", "modules"]
    rows: tuple[Row, ...]
    notes: tuple[str, ...] = ()
    answers: Mapping[str, Row] = field(default_factory=dict)

    def with_answer(self, name: str, answer: Row, *notes: str) -> MemoryRecord:
        """Return the record with one more answer, and notes on it.

        Args:
            name: Its name in `to_dict`.
            answer: Such as that of `largest_batch` or `compare_memory`, by its own `to_dict`.
            notes: Omissions of its figures.
        """
        return replace(self, answers={**self.answers, name: answer}, notes=(*self.notes, *notes))

    def to_dict(self) -> dict[str, Any]:
        """Return the record as the JSON that `inception-lab memory` writes."""
        data = self.summary.to_dict() | {"device": self.device}
        # rows have a place and a name of their own, behind all that is said about the step
        del data["layers"]
        if note := "; ".join(filter(None, [data.get("note"), *self.notes])):
            data["note"] = note
        rows = [dict(row) for row in self.rows]
        return data | {"peak": dict(self.peak), **self.answers, self.row_kind: rows}


@checked
def memory_record(trace: Trace, device: str = "cpu", depth: int | None = None) -> MemoryRecord:
    """Return what a pass or a training step holds on a device: its totals, its peak, what is alive then.

    Args:
        trace: Of any mode.
        device: A key of `devices.DEVICES`: `cpu` or `cuda`.
        depth: For a row per module, as of `memory_by_module`; None for a row per tensor.

    Raises:
        InceptionLabError: There are no rules for the device, or the depth is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> data = memory_record(trace, "cuda").to_dict()
        >>> data["totals"]["peak_bytes"], data["peak"]["layer"], data["layers"][0]["shape"]
        (38242304, 'norm2', [1000, 1024])
    """
    summary, peak = summarise(trace), peak_memory(trace, device)
    totals = {**summary.totals, **memory_totals(trace, device)}
    return MemoryRecord(
        summary=replace(summary, totals=totals, layers=()),
        device=device,
        peak=_peak_row(trace, peak, device),
        row_kind="layers" if depth is None else "modules",
        rows=_tensor_rows(peak) if depth is None else _module_rows(trace, depth, device),
        notes=tuple(filter(None, [*peak.notes, DEVICES[device].omissions])),
    )


def _peak_row(trace: Trace, peak: PeakMemory, device: str) -> Row:
    row = {
        "bytes": peak.peak_bytes,
        "layer": peak.layer,
        "operation": peak.operation,
        "phase": peak.phase,
        "by_kind": dict(peak.by_kind),
    }
    return row | ({"reserved_bytes": reserved_memory(trace)} if device == "cuda" else {})


def _tensor_rows(peak: PeakMemory) -> tuple[Row, ...]:
    rows = cast("list[Row]", peak.tensors.to_dict("records"))
    return tuple([{**row, "shape": list(row["shape"])} for row in rows])


def _module_rows(trace: Trace, depth: int, device: str) -> tuple[Row, ...]:
    return tuple(cast("list[Row]", memory_by_module(trace, depth, device).to_dict("records")))
