"""The rule that judges a claim by numbers alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from inception_lab.claims.quantity import Quantity

Kind = Literal["confirmed", "confirmed under a reading", "not checkable here", "off", "contradicted"]
SEVERITY: dict[Kind, int] = {
    "confirmed": 0,
    "confirmed under a reading": 1,
    "not checkable here": 2,
    "off": 3,
    "contradicted": 4,
}
"""Of several verdicts on one claim the worst is that of the claim."""

CONTRADICTED_BEYOND = 0.25
"""A figure that is off by more than this part of it is contradicted."""


class Reading(NamedTuple):
    """A value under one way to read a claim.

    Attributes:
        name: Such as `biases apart`.
        value: In the unit of the claim; 1 or 0 for a statement.
        working: The arithmetic that leads to it.
        text: The value as this reading counts it, where that is not the unit of the claim.
    """

    name: str
    value: float
    working: str = ""
    text: str = ""


class Unavailable(NamedTuple):
    """The reason for which a figure cannot be computed here.

    Attributes:
        needs: The thing that it would take.
        readings: Values that come near it; they decide nothing.
    """

    needs: str
    readings: tuple[Reading, ...] = ()


Result = tuple[Reading, ...] | Unavailable
"""Readings, the plain one first; or the reason for none."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The judgement on a claim or on one of its figures.

    Attributes:
        kind: One of five.
        detail: The reading, or the thing that is needed; empty for other kinds.
        deviation: Of the plain reading, as a part of the claimed figure; 0 where it is within the range.

    Example:
        >>> print(Verdict("off", deviation=0.0874))
        off by 8.7%
    """

    kind: Kind
    detail: str = ""
    deviation: float = 0.0

    def __str__(self) -> str:
        if self.kind == "off":
            return f"off by {100 * self.deviation:.1f}%"
        return f"{self.kind}: {self.detail}" if self.detail else self.kind


def judge(claimed: Quantity, result: Result) -> Verdict:
    """Judge a claimed figure by the values that were computed.

    The plain reading, the first, decides how far off a claim is; another one can only confirm it.

    Args:
        claimed: The figure with its tolerance.
        result: The readings, or the reason for none.

    Raises:
        ValueError: There is no reading.

    Example:
        >>> from inception_lab.claims.quantity import exactly
        >>> readings = (Reading("plain", 21), Reading("with the pools", 27))
        >>> print(judge(exactly(21), readings), judge(exactly(27), readings), sep=" | ")
        confirmed | confirmed under a reading: with the pools
        >>> print(judge(exactly(20), readings), judge(exactly(10), readings), sep=" | ")
        off by 5.0% | contradicted
    """
    if isinstance(result, Unavailable):
        return Verdict("not checkable here", result.needs)
    if not result:
        raise ValueError("no reading")
    deviation = claimed.deviation(result[0].value)
    confirming = next((reading for reading in result if claimed.accepts(reading.value)), None)
    if confirming is result[0]:
        return Verdict("confirmed", deviation=deviation)
    if confirming is not None:
        return Verdict("confirmed under a reading", confirming.name, deviation)
    return Verdict("off" if deviation <= CONTRADICTED_BEYOND else "contradicted", deviation=deviation)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the verdict on a claim of several figures: the worst, of equal ones that which is further off.

    Readings and needs of the same kind stand beside one another.

    Raises:
        ValueError: There is no verdict.
    """
    ranked = sorted(verdicts, key=lambda verdict: (SEVERITY[verdict.kind], verdict.deviation))
    if not ranked:
        raise ValueError("no verdict")
    last = ranked[-1]
    details = dict.fromkeys(v.detail for v in ranked if v.kind == last.kind and v.detail)
    return Verdict(last.kind, "; ".join(sorted(details)), last.deviation)
