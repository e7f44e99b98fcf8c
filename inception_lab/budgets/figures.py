"""The figures of a model, of a trace or of a lock alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from inception_lab.budgets.budget import Limit
from inception_lab.budgets.budget_metrics import LARGEST_OF


class Figures(Protocol):
    """The costs of a model, as a whole and layer by layer."""

    def total(self, metric: str) -> int | None:
        """Return the figure of the whole model; None where it has none."""

    def by_layer(self, metric: str) -> Mapping[str, int]:
        """Return the figure of each layer by its path, of a module that is called again once."""


@dataclass(frozen=True)
class RecordedFigures:
    """Figures as plain data.

    Attributes:
        totals: By metric.
        layers: Those of each layer, by path and then by metric; a metric that is missing is 0.

    Example:
        >>> figures = RecordedFigures({"params": 5}, {"fc": {"params": 5}, "relu": {}})
        >>> figures.total("macs"), figures.by_layer("params")
        (None, {'fc': 5, 'relu': 0})
    """

    totals: Mapping[str, int]
    layers: Mapping[str, Mapping[str, int]]

    def total(self, metric: str) -> int | None:
        """Return the figure of the whole model; None where it has none."""
        return self.totals.get(metric)

    def by_layer(self, metric: str) -> Mapping[str, int]:
        """Return the figure of each layer by its path."""
        if metric == "flops":  # a line of a lock need not say twice the same
            return {path: 2 * macs for path, macs in self.by_layer("macs").items()}
        return {path: row.get(metric, 0) for path, row in self.layers.items()}


def value_of(figures: Figures, limit: Limit) -> int | None:
    """Return the figure that a limit is on: of the model, or of the layers that it names together.

    None where the model has no such figure, or no layer matches.
    """
    if not limit.layers:
        return figures.total(limit.metric)
    values = matching_figures(figures, limit.metric, limit.layers).values()
    if limit.metric in LARGEST_OF:
        return max(values, default=0) or None
    return sum(values) if values else None


def matching_figures(figures: Figures, metric: str, pattern: str) -> Mapping[str, int]:
    """Return the figures of the layers that a pattern names, of all for an empty one."""
    by_layer = figures.by_layer(metric)
    return {path: value for path, value in by_layer.items() if not pattern or matches(path, pattern)}


def matches(path: str, pattern: str) -> bool:
    """Tell if a pattern names a layer, or a module that it is within.

    Args:
        path: Of the layer.
        pattern: With `*` for any text, `?` for any character and `[...]` for any of some.

    Example:
        >>> patterns = ["inception5*.branch3.*", "inception5a", "5a"]
        >>> [matches("inception5a.branch3.conv", pattern) for pattern in patterns]
        [True, True, False]
    """
    return any(fnmatchcase(outer, pattern) for outer in paths_around(path))


def paths_around(path: str) -> list[str]:
    """Return a path, and those of the modules that it is within.

    Example:
        >>> paths_around("a.b.c")
        ['a.b.c', 'a.b', 'a']
    """
    parts = path.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
