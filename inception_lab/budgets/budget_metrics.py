"""The metrics that a budget may limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from inception_lab.ir.trace import Mode
from inception_lab.metrics import METRICS, RECEPTIVE_FIELD, Metric

TIME = "time"


@dataclass(frozen=True)
class BudgetMetric:
    """A metric that a budget may limit.

    Attributes:
        metric: Its label, unit and meaning.
        mode: The mode whose trace has it; None where any has.
        of_layers: True where the layers that a pattern names have a figure of it too.
        explained_by: The metric of layers by which a change of the total is explained; empty where none does.
    """

    metric: Metric
    mode: Mode | None = None
    of_layers: bool = False
    explained_by: str = ""

    @property
    def name(self) -> str:
        """Its name in a configuration."""
        return self.metric.name


def _of_layers(name: str, mode: Mode | None = None) -> BudgetMetric:
    return BudgetMetric(METRICS[name], mode, of_layers=True, explained_by=name)


_TIME = Metric(TIME, "Time", "count", "lower", "time of a step on the CPU over that of another model")

_ALL = (
    _of_layers("params"),
    _of_layers("trainable_params"),
    _of_layers("macs"),
    _of_layers("flops"),
    _of_layers("other_flops"),
    _of_layers("backward_macs", "train"),
    _of_layers("training_macs", "train"),
    _of_layers("activation_bytes"),
    _of_layers("saved_bytes", "train"),
    BudgetMetric(METRICS["peak_bytes"], "eval", explained_by="activation_bytes"),
    BudgetMetric(METRICS["train_peak_bytes"], "train", explained_by="saved_bytes"),
    BudgetMetric(RECEPTIVE_FIELD, of_layers=True, explained_by="receptive_field"),
    BudgetMetric(METRICS["weighted_layers"]),
    BudgetMetric(_TIME),
)

BUDGET_METRICS: Mapping[str, BudgetMetric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric that a budget may limit, by its name."""

LARGEST_OF = frozenset({"receptive_field"})
"""Metrics of which several layers have the largest of theirs, and not the sum."""
