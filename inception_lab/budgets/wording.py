"""Verdicts in words, short enough for the failure of a test."""

from __future__ import annotations

from collections.abc import Iterator

from inception_lab.budgets.budget import Limit
from inception_lab.budgets.verdict import Finding, Verdict

MOST_LAYERS = 5
"""Layers that a failure lists."""


class BudgetExceeded(AssertionError):  # noqa: N818 - it says what the test found
    """A budget that is not kept.

    Attributes:
        verdict: The verdict.
    """

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        super().__init__(failure_text(verdict))


def limit_name(limit: Limit) -> str:
    """Return a limit's metric, and its layers.

    Example:
        >>> limit_name(Limit("macs", "inception5*"))
        'macs of inception5*'
    """
    return f"{limit.metric} of {limit.layers}" if limit.layers else limit.metric


def failure_text(verdict: Verdict) -> str:
    """Return a line for each limit that is not kept, and under it the layers that grew since the lock.

    Where there is no lock, the layers that have most of the metric stand there.
    """
    return "\n".join(_lines(verdict))


def _lines(verdict: Verdict) -> Iterator[str]:
    yield f"{verdict.budget.name} does not keep its budget"
    if verdict.error:
        yield f"  {verdict.error}"
    for finding in verdict.findings:
        if not finding.passed:
            yield from _finding_lines(finding)


def _finding_lines(finding: Finding) -> Iterator[str]:
    yield f"  {limit_name(finding.limit)}: {finding.reason}"
    if finding.limit.message:
        yield f"    {finding.limit.message}"
    if grown := [change for change in finding.changes if change.after > change.before]:
        yield f"    grew: {_list([f'{c.layer} +{c.after - c.before:,.0f}' for c in grown])}"
    elif finding.largest:
        yield f"    largest: {_list([f'{path} {value:,.0f}' for path, value in finding.largest])}"


def _list(items: list[str]) -> str:
    more = len(items) - MOST_LAYERS
    return ", ".join(items[:MOST_LAYERS]) + (f" and {more} more" if more > 0 else "")
