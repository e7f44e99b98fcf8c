"""What one model's report shows, and the tables in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from inception_lab.record import Record, Row

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class ReportData:
    """What one model's report shows.

    Attributes:
        record: The record of every analyzer, a row per layer call.
        modules: Of `module_costs`, a row per module.
        branches: Of `branch_costs`, a row per branch and per module's layers in no branch.
        saving: Of `reduction_saving`, empty where no module has parallel branches.
        spectrum: Of `field_spectrum`, empty where the input has no spatial axes.
        seen: Of `spectrum_summary`, a row per module and axis, empty where the spectrum is.
        fit: What `resolution_fit` says, by name; empty where the input has no spatial axes.
        timeline: Of `memory_timeline`, a row per operation.
        peak: What `peak_memory` says, by name, without its tensors.
        tensors: The largest tensors alive at the peak.
        held: Of `memory_by_module`, a row per module.
    """

    record: Record
    modules: DataFrame
    branches: DataFrame
    saving: DataFrame
    spectrum: DataFrame
    seen: DataFrame
    fit: Row
    timeline: DataFrame
    peak: Row
    tensors: DataFrame
    held: DataFrame

    @property
    def has_saving(self) -> bool:
        """Whether a reduction changes the cost of anything."""
        sides = ("weights", "macs")
        return any((self.saving[f"naive_{s}"] != self.saving[f"reduced_{s}"]).any() for s in sides)


def layer_rows(record: Record) -> list[Row]:
    """The layers of a record, each with its call number."""
    return [{"layer": row["layer"], "call": 0} | dict(row) for row in record.layers]


def field_status(row: Row) -> str:
    """What is known of a layer's receptive field; a row that says nothing of it is exact."""
    return str(row.get("status", "exact"))


def rows_of(frame: DataFrame) -> list[dict[str, Any]]:
    """The rows of a DataFrame as plain data."""
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


TABLES: Mapping[str, Callable[[ReportData], Sequence[Row]]] = MappingProxyType(
    {
        "layers": lambda data: layer_rows(data.record),
        "modules": lambda data: rows_of(data.modules),
        "branches": lambda data: rows_of(data.branches),
        "saving": lambda data: rows_of(data.saving),
        "spectrum": lambda data: rows_of(data.spectrum),
        "memory": lambda data: rows_of(data.held),
    }
)
"""The tables that a report writes as CSV, by name, read-only; one without rows is left out."""


def columns_of(rows: Sequence[Row]) -> list[str]:
    """Every column that a row has, in order of first appearance."""
    return list(dict.fromkeys(column for row in rows for column in row))


PUBLISHED = "top5_error"
"""What the context of a record may say of a model that no trace can tell: a published error."""


def comparison_rows(records: Sequence[Record]) -> list[Row]:
    """A row per model: what was analysed, then all its totals, then its published error."""
    return [
        {
            "model": record.context["model"],
            "input_shapes": record.context["input_shapes"],
            "mode": record.context["mode"],
            "complete": record.context["complete"],
            **record.totals,
            **{name: value for name, value in record.context.items() if name == PUBLISHED},
        }
        for record in records
    ]


def labels(records: Sequence[Record]) -> list[str]:
    """What to call each model: its name, with input and mode where needed, and a star where noted."""
    from inception_lab.report.text import shape_text

    names = [str(record.context["model"]) for record in records]
    return [
        (
            name
            if names.count(name) == 1
            else f"{name} {shape_text(record.context['input_shapes'])} {record.context['mode']}"
        )
        + " *" * ("note" in record.context)
        for name, record in zip(names, records, strict=True)
    ]
