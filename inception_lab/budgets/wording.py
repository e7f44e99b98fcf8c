"""A verdict in words: what broke which limit, what the lock had, and the layers that changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inception_lab.budgets.budget import Limit
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.verdict import Change, Check, Finding, Verdict
from inception_lab.metrics import Unit, format_quantity

FEW = 5
"""The layers that a short text names."""

_LEAST_PERCENT = 0.01
_MOST_PERCENT = 1_000_000
_STATUS_WORDS = {"passed": "kept", "warned": "kept with warnings", "failed": "failed", "error": "not judged"}


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


def unit_of(metric: str) -> Unit:
    """Return the unit of a metric of budgets.

    Example:
        >>> unit_of("peak_bytes")
        'bytes'
    """
    return BUDGET_METRICS[metric].metric.unit


def quantity_texts(metric: str, *values: float) -> list[str]:
    """Return values of one metric as people read them; exactly, where rounding makes two look the same.

    Example:
        >>> quantity_texts("params", 7_210_000, 7e6), quantity_texts("params", 7_000_001, 7e6)
        (['7.21 M', '7.00 M'], ['7,000,001', '7,000,000'])
    """
    unit = unit_of(metric)
    texts = [format_quantity(value, unit) for value in values]
    if len(set(texts)) == len(set(values)):
        return texts
    return [f"{value:,.15g}{' bytes' * (unit == 'bytes')}" for value in values]


def percent_text(part: float) -> str:
    """Return a part of a whole in percent, without an exponent however small or large.

    Example:
        >>> [percent_text(part) for part in (0.166, 24, 1e-9, -1e9)]
        ['16.6 %', '2,400 %', 'under 0.01 %', 'over 1,000,000 %']
    """
    percent = abs(100 * part)
    if percent > _MOST_PERCENT:
        return f"over {_MOST_PERCENT:,} %"
    if 0 < percent < _LEAST_PERCENT:
        return f"under {_LEAST_PERCENT} %"
    return f"{percent:,.0f} %" if percent >= 999.5 else f"{percent:.3g} %"


def changes_of_interest(finding: Finding) -> list[Change]:
    """Return the layers that moved a figure towards its limit, the largest change first.

    Args:
        finding: One above its bound has layers that grew, one below a minimum those that shrank.
    """
    if _is_below(finding):
        shrunk = [change for change in finding.changes if change.after < change.before]
        return sorted(shrunk, key=lambda change: change.after - change.before)
    return [change for change in finding.changes if change.after > change.before]


def _is_below(finding: Finding) -> bool:
    return finding.value is not None and finding.allowed is not None and finding.value < finding.allowed


def change_text(metric: str, change: Change) -> str:
    """Return a layer's change of a metric on one line.

    Example:
        >>> change_text("macs", Change("conv1", 2e6, 5e6)), change_text("params", Change("fc", 0, 1024))
        ('conv1  +3.00 M (2.00 M -> 5.00 M)', 'fc  +1.02 k (new)')
    """
    difference = format_quantity(abs(change.after - change.before), unit_of(metric))
    sign = "+" if change.after > change.before else "-"
    if not change.before or not change.after:
        return f"{change.layer}  {sign}{difference} ({'gone' if change.before else 'new'})"
    before, after = quantity_texts(metric, change.before, change.after)
    return f"{change.layer}  {sign}{difference} ({before} -> {after})"


def layer_texts(finding: Finding, most: int | None = FEW) -> Iterator[str]:
    """Yield a text per layer behind a broken limit, and how many there are beyond the first ones.

    Args:
        finding: The layers are those that changed since the lock; without one, those with most of the metric.
        most: Layers to name; None for all that changed, those that moved away from the limit too.
    """
    # a peak is explained by what layers allocate
    metric = BUDGET_METRICS[finding.limit.metric].explained_by
    changes: Sequence[Change] = finding.changes if most is None else changes_of_interest(finding)
    yield from (change_text(metric, change) for change in changes[:most])
    if rest := len(changes[len(changes) if most is None else most :]):
        yield f"and {rest} more"
    is_above = finding.allowed is not None and not _is_below(finding)
    if is_above and finding.largest and not finding.changes:
        largest = (f"{layer} {format_quantity(value, unit_of(metric))}" for layer, value in finding.largest)
        yield f"largest: {', '.join(largest)}"


def finding_text(finding: Finding) -> str:
    """Return what became of a limit in one sentence, with what the lock had."""
    return f"{limit_name(finding.limit)}: {_kept_text(finding) if finding.passed else _broken_text(finding)}"


def _broken_text(finding: Finding) -> str:
    """The reason, and the locked value where it does not say it."""
    if finding.locked is None or f" {finding.locked:,.15g} " in finding.reason:
        return finding.reason
    return f"{finding.reason}; the lock has {finding.locked:,.15g}"


def _kept_text(finding: Finding) -> str:
    value, bound, lock = figure_texts(finding)
    parts = [value, bound and f"{bound_word(finding)} {bound}", lock and f"locked {lock}", finding.reason]
    return ", ".join(filter(None, parts))


def figure_texts(finding: Finding) -> list[str]:
    """Return the value, its bound and the locked value as people read them; empty where there is none."""
    values = (finding.value, finding.allowed, finding.locked)
    texts = iter(quantity_texts(finding.limit.metric, *(value for value in values if value is not None)))
    return ["" if value is None else next(texts) for value in values]


def bound_word(finding: Finding) -> str:
    """Return `at most` or `at least`, as the bound of a limit is meant."""
    is_minimum = finding.allowed == finding.limit.least and finding.allowed != finding.limit.most
    return "at least" if is_minimum else "at most"


def broken_findings(verdict: Verdict) -> list[Finding]:
    """Return the findings whose limits are not kept, errors before warnings."""
    findings = [finding for finding in verdict.findings if not finding.passed]
    return sorted(findings, key=lambda finding: finding.limit.severity == "warn")


def verdict_lines(verdict: Verdict, most: int | None = FEW) -> Iterator[str]:
    """Yield a budget's failures in words, each with the user's message and the layers behind it further in.

    Nothing where every limit is kept.

    Args:
        verdict: On one budget.
        most: Layers to name for each limit, None for all.
    """
    if verdict.error:
        yield verdict.error
    for finding in broken_findings(verdict):
        yield finding_text(finding)
        if finding.limit.message:
            yield f"  {finding.limit.message}"
        yield from (f"  {text}" for text in layer_texts(finding, most))


def failure_text(verdict: Verdict) -> str:
    """Return the failure of a budget in a test: what is not kept, and the layers behind it."""
    lines = [f"{verdict.budget.name} does not keep its budget", *verdict_lines(verdict)]
    return "\n  ".join(lines)


def summary_line(check: Check) -> str:
    """Return how many budgets there are and what became of them, on one line.

    Example:
        >>> summary_line(Check(None, ()))
        'no budgets'
    """
    counts = Counter(verdict.status for verdict in check.verdicts)
    parts = [f"{counts[status]} {word}" for status, word in _STATUS_WORDS.items() if counts[status]]  # type: ignore[index]
    count = len(check.verdicts)
    return f"{count} budget{'s' * (count != 1)}: {', '.join(parts)}" if count else "no budgets"
