"""The answer of a check as data: what each limit allowed, what the model has, and what grew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from inception_lab.budgets.budget import Budget, Limit

Status = Literal["passed", "warned", "failed", "error"]


class Change(NamedTuple):
    """A layer whose share of a metric is another one than in the lock.

    Attributes:
        layer: Its path.
        before: The locked value, 0 for a new layer.
        after: The value now, 0 for a layer that is gone.
    """

    layer: str
    before: float
    after: float


@dataclass(frozen=True)
class Finding:
    """One limit held against the model.

    Attributes:
        limit: The limit.
        value: What the model has; None where it could not be told.
        allowed: The bound that decides: maximum, minimum, locked value with growth, multiple of the other's.
        passed: True where it is kept.
        locked: The value in the lock; None where it has none.
        changes: The layers that changed since the lock, the largest growth first.
        reason: The failure in one sentence, or why the limit could not be judged; empty where it is kept.
        largest: Layers with most of the metric and their figures, where there is no lock to compare with.
    """

    limit: Limit
    value: float | None
    allowed: float | None
    passed: bool
    locked: float | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""
    largest: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Verdict:
    """A budget with what became of each of its limits.

    Attributes:
        budget: The budget.
        findings: One per limit; empty where the model could not be built or traced.
        error: Why the model could not be built or traced, or is partial; empty where it could.
        torch: The version of PyTorch that traced it; empty where none did.
    """

    budget: Budget
    findings: tuple[Finding, ...]
    error: str = ""
    torch: str = ""

    @property
    def status(self) -> Status:
        """The worst that became of its limits."""
        if self.error:
            return "error"
        broken = {finding.limit.severity for finding in self.findings if not finding.passed}
        return "failed" if "error" in broken else "warned" if broken else "passed"


@dataclass(frozen=True)
class Check:
    """The verdicts on all budgets of a configuration.

    Attributes:
        configuration: The file; None for a budget of a test.
        verdicts: In the order of the configuration.
        lock: The lock that was read; None where there is none.
    """

    configuration: Path | None
    verdicts: tuple[Verdict, ...]
    lock: Path | None = None

    @property
    def passed(self) -> bool:
        """True where no budget failed."""
        return all(verdict.status in ("passed", "warned") for verdict in self.verdicts)
