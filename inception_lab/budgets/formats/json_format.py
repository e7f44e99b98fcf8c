"""The answer of a check as plain data, and as the JSON that programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from inception_lab import __version__
from inception_lab.budgets.budget import Budget, Limit
from inception_lab.budgets.verdict import Check, Finding, Verdict
from inception_lab.record import SCHEMA


def check_to_dict(check: Check) -> dict[str, Any]:
    """Return a check as plain data, with a row per budget under `budgets`.

    Args:
        check: Fields that it has no value for are absent.

    Example:
        >>> check_to_dict(Check(None, ()))["budgets"]
        []
    """
    return {
        "schema": SCHEMA,
        "tool": f"inception_lab {__version__}",
        **_present(torch=next((verdict.torch for verdict in check.verdicts if verdict.torch), "")),
        **_present(configuration=_path_text(check.configuration), lock=_path_text(check.lock)),
        "passed": check.passed,
        "budgets": [_verdict_row(verdict) for verdict in check.verdicts],
    }


def check_to_json(check: Check) -> str:
    """Return a check as JSON; see `check_to_dict`."""
    return json.dumps(check_to_dict(check), indent=2)


def _path_text(path: Any) -> str | None:
    return None if path is None else str(path)


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _verdict_row(verdict: Verdict) -> dict[str, Any]:
    return {
        **_budget_fields(verdict.budget),
        "status": verdict.status,
        **_present(error=verdict.error),
        "limits": [_finding_row(finding) for finding in verdict.findings],
    }


def _budget_fields(budget: Budget) -> dict[str, Any]:
    return {
        "budget": budget.name,
        "model": budget.model,
        "kwargs": {name: _plain(value) for name, value in budget.kwargs.items()},
        "input_sizes": list(budget.input_sizes),
        **({"arguments": list(budget.arguments)} if budget.arguments else {}),
        "batch_size": budget.batch_size,
        "mode": budget.mode,
        **_present(optimizer=budget.optimizer, line=budget.line),
    }


def _plain(value: Any) -> Any:
    """The value as JSON keeps it, or else its text."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value)


def _finding_row(finding: Finding) -> dict[str, Any]:
    limit = finding.limit
    return {
        "metric": limit.metric,
        **_present(layers=limit.layers, **_bounds(limit)),
        "severity": limit.severity,
        "passed": finding.passed,
        **_present(
            value=_number(finding.value),
            allowed=_number(finding.allowed),
            locked=_number(finding.locked),
            reason=finding.reason,
            message=limit.message,
            line=limit.line,
        ),
        "changes": [
            {"layer": change.layer, "before": _number(change.before), "after": _number(change.after)}
            for change in finding.changes
        ],
    }


def _bounds(limit: Limit) -> Mapping[str, Any]:
    """The bounds under the names that they have in the configuration."""
    growth, ratio = limit.growth, limit.ratio
    return {
        "max": _number(limit.most),
        "min": _number(limit.least),
        "growth": growth and _present(percent=_number(growth.percent), amount=_number(growth.amount)),
        "ratio": ratio and {"max": _number(ratio.most), "to": ratio.to},
    }


def _number(value: float | None) -> float | None:
    """A whole number without a fraction, as bytes and counts are."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
