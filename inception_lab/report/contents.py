"""The contents of one model's report, before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from inception_lab.record import Record

if TYPE_CHECKING:
    from pandas import DataFrame

    from inception_lab.analyzers.dataflow import Box
    from inception_lab.analyzers.memory.peak import PeakMemory
    from inception_lab.analyzers.receptive_field.resolution import ResolutionFit


@dataclass(frozen=True, eq=False)
class ReportContents:
    """All results that one model's report shows; `collect.collect` makes it from a trace.

    Attributes:
        record: The record of every analyzer, a row per layer call.
        modules: Result of `module_costs`, a row per module.
        branches: Result of `branch_costs`, a row per branch and per module's layers in no branch.
        saving: Result of `reduction_saving`, empty where no module has parallel branches.
        spectrum: Result of `field_spectrum`, empty where the input has no spatial axes.
        field_ranges: Result of `spectrum_summary`, a row per module and axis; empty where the spectrum is.
        fit: Result of `resolution_fit`; its sizes are empty where the input has no spatial axes.
        timeline: Result of `memory_timeline`, a row per operation.
        peak: Result of `peak_memory`.
        module_memory: Result of `memory_by_module`, a row per module.
        branch_kinds: Result of `branch_kinds`, the kernels along a branch by module and branch.
        places: Module and branch of each row of the record, as in `branches`.
        dataflow: Result of `dataflow`, the net as boxes within boxes.
    """

    record: Record
    modules: DataFrame
    branches: DataFrame
    saving: DataFrame
    spectrum: DataFrame
    field_ranges: DataFrame
    fit: ResolutionFit
    timeline: DataFrame
    peak: PeakMemory
    module_memory: DataFrame
    branch_kinds: Mapping[tuple[str, str], str] = field(default_factory=dict)
    places: tuple[tuple[str, str], ...] = ()
    dataflow: Box | None = None

    @property
    def has_saving(self) -> bool:
        """True where a reduction changes the cost of anything."""
        sides = ("weights", "macs")
        return any((self.saving[f"naive_{s}"] != self.saving[f"reduced_{s}"]).any() for s in sides)
