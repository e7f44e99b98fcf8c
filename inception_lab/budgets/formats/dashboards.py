"""The figures of a check as dashboards read them: Bencher, and github-action-benchmark."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.verdict import Check, Finding


class _Figure(NamedTuple):
    """A figure of a model or of some of its layers."""

    benchmark: str
    finding: Finding


def bencher_json(check: Check) -> str:
    """Return the figures in Bencher Metric Format, for `bencher run --adapter json`.

    A benchmark is a budget, or the layers of one that a pattern names; a measure is a metric. What could not
    be told is absent. Source: https://bencher.dev/docs/reference/bencher-metric-format.

    Example:
        >>> bencher_json(Check(None, ()))
        '{}'
    """
    benchmarks: dict[str, dict[str, Any]] = {}
    for benchmark, finding in _figures(check):
        benchmarks.setdefault(benchmark, {})[finding.limit.metric] = {"value": finding.value}
    return json.dumps(benchmarks, indent=2)


def smaller_is_better_json(check: Check) -> str:
    """Return the figures for `tool: customSmallerIsBetter` of github-action-benchmark.

    A figure that has a minimum alone is left out, as its growth is not a regression. Source: the type
    `BenchmarkResult` in src/extract.ts of benchmark-action/github-action-benchmark.

    Example:
        >>> smaller_is_better_json(Check(None, ()))
        '[]'
    """
    entries = {
        f"{benchmark}/{finding.limit.metric}": _entry(finding)
        for benchmark, finding in _figures(check)
        if _has_upper_bound(finding)
    }
    return json.dumps([{"name": name, **entry} for name, entry in entries.items()], indent=2)


def _figures(check: Check) -> Iterator[_Figure]:
    for verdict in check.verdicts:
        for finding in verdict.findings:
            layers = finding.limit.layers
            if finding.value is not None:
                yield _Figure(verdict.budget.name + f"/{layers}" * bool(layers), finding)


def _has_upper_bound(finding: Finding) -> bool:
    limit = finding.limit
    return not (limit.most is None and limit.growth is None and limit.ratio is None)


def _entry(finding: Finding) -> dict[str, Any]:
    metric = BUDGET_METRICS[finding.limit.metric].metric
    extra = [] if finding.allowed is None else [f"limit: {finding.allowed:,.15g}"]
    extra += [] if finding.locked is None else [f"lock: {finding.locked:,.15g}"]
    return {
        "unit": "bytes" if metric.unit == "bytes" else metric.label,
        "value": finding.value,
        **({"extra": "\n".join(extra)} if extra else {}),
    }
