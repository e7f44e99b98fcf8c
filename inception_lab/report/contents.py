"""The contents of one model's report, before anything is rendered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from inception_lab.errors import InceptionLabError
from inception_lab.record import Record, Row

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
        times: The times of a real run, as of `LayerTimes.to_record`: `self_ms` and `share` of each call in
            its layers, `step_ms` and its spread in its totals, the machine in its context. None where nothing
            was timed.
        claims: Published claims about the model, rows as of `Confirmation.to_dict`: `id`, `claim`, `source`,
            `claimed`, `computed`, `verdict`, `note`.
        changes: The net beside a saved record, module by module, as of `Comparison.to_dict`; the record is
            the first of its two models. None where there is nothing to compare with.

    Raises:
        InceptionLabError: `times`, `claims` or `changes` are of another kind.
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
    times: Record | None = None
    claims: Sequence[Row] = ()
    changes: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.times is not None and not _are_times(self.times):
            raise _refusal("times", self.times, "il.layer_times(...).to_record()")
        if not _are_claims(self.claims):
            raise _refusal("claims", self.claims, 'il.confirm(...).to_dict()["claims"]')
        if self.changes is not None and not _are_changes(self.changes):
            raise _refusal("changes", self.changes, 'il.compare("before.json", trace).to_dict()')

    @property
    def has_saving(self) -> bool:
        """True where a reduction changes the cost of anything."""
        sides = ("weights", "macs")
        return any((self.saving[f"naive_{s}"] != self.saving[f"reduced_{s}"]).any() for s in sides)


def _are_times(times: Any) -> bool:
    return isinstance(times, Record) and "step_ms" in times.totals


def _are_claims(claims: Any) -> bool:
    is_list = isinstance(claims, Sequence) and not isinstance(claims, str)
    return is_list and all(isinstance(row, Mapping) and "verdict" in row for row in claims)


def _are_changes(changes: Any) -> bool:
    """True for two models and their modules; of more there are none."""
    return isinstance(changes, Mapping) and {"models", "modules"} <= changes.keys()


def _refusal(name: str, value: object, hint: str) -> InceptionLabError:
    return InceptionLabError(f"a {type(value).__name__} that holds no {name}", hint=f"pass {name}={hint}")
