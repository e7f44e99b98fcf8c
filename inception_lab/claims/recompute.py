"""The answer: every claim with its readings, its verdict, and the verdict that was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from inception_lab import __version__
from inception_lab.arguments import checked
from inception_lab.claims.catalogue import ALL
from inception_lab.claims.claim import Claim, Figure
from inception_lab.claims.nets import Nets
from inception_lab.claims.units import value_text
from inception_lab.claims.verdict import Reading, Result, Unavailable, Verdict, judge, worst
from inception_lab.errors import InceptionLabError, nearest

if TYPE_CHECKING:
    from inception_lab.measure.timing.rounds import Progress

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class CheckedFigure:
    """One figure of a claim, recomputed.

    Attributes:
        figure: As it is claimed.
        result: Its readings, the plain one first; or the reason for none.
        verdict: On this figure alone.
    """

    figure: Figure
    result: Result
    verdict: Verdict

    @property
    def readings(self) -> tuple[Reading, ...]:
        """The readings; empty where there are none."""
        return self.result.readings if isinstance(self.result, Unavailable) else self.result

    @property
    def deciding(self) -> Reading | None:
        """The reading that the verdict is about: one that confirms, else the plain one; None for none."""
        if isinstance(self.result, Unavailable):
            return None
        confirming = (reading for reading in self.readings if reading.name == self.verdict.detail)
        return next(confirming, self.readings[0])

    @property
    def computed(self) -> str:
        """The value under the deciding reading, with its unit."""
        reading = self.deciding
        text = "not computed" if reading is None else reading_text(reading, self.figure)
        return f"{self.figure.label}: {text}" if self.figure.label else text

    def to_dict(self) -> dict[str, Any]:
        """Return the figure, its readings and its verdict as plain data, None for an end that it lacks."""
        claimed = self.figure.claimed
        ends = {"low": claimed.low, "high": claimed.high}
        return {
            "label": self.figure.label,
            "claimed": str(self.figure),
            **{name: end if isfinite(end) else None for name, end in ends.items()},
            "tolerance": claimed.tolerance,
            "unit": claimed.unit,
            "recipe": str(self.figure.recipe),
            "verdict": str(self.verdict),
            "readings": [
                {"reading": reading.name, "value": reading.value, "working": reading.working}
                for reading in self.readings
            ],
        }


@dataclass(frozen=True, slots=True)
class CheckedClaim:
    """A claim, recomputed.

    Attributes:
        claim: As it is published.
        figures: Each of its figures, in order.
        verdict: The worst of those on the figures.
        timed: True where a real run is part of it, so that it belongs to a machine.
    """

    claim: Claim
    figures: tuple[CheckedFigure, ...]
    verdict: Verdict
    timed: bool = False

    @property
    def as_expected(self) -> bool:
        """True where the verdict is the recorded one; a verdict on a measurement is not compared."""
        return self.timed or str(self.verdict) == self.claim.expected_verdict

    @property
    def computed(self) -> str:
        """The computed values, in the order of the claim's figures."""
        return "; ".join(dict.fromkeys(figure.computed for figure in self.figures))

    def to_dict(self) -> dict[str, Any]:
        """Return the row that other programs read."""
        return {
            "id": self.claim.id,
            "claim": self.claim.claim,
            "source": self.claim.sources,
            "claimed": self.claim.claimed,
            "computed": self.computed,
            "verdict": self.verdict.kind,
            "note": self.claim.note,
            "detail": self.verdict.detail,
            "deviation": round(self.verdict.deviation, 6) if self.verdict.kind == "off" else None,
            "expected_verdict": self.claim.expected_verdict,
            "as_expected": self.as_expected,
            "figures": [figure.to_dict() for figure in self.figures],
        }


def reading_text(reading: Reading, figure: Figure) -> str:
    """Return the value of a reading with its unit."""
    return reading.text or value_text(reading.value, figure.claimed.unit)


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Published claims, recomputed.

    Attributes:
        claims: In the order of the catalogue, by source.
    """

    claims: tuple[CheckedClaim, ...]

    @property
    def surprises(self) -> tuple[CheckedClaim, ...]:
        """The claims whose verdict differs from the recorded one."""
        return tuple(claim for claim in self.claims if not claim.as_expected)

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as the JSON that other programs read."""
        return {
            "schema": SCHEMA,
            "tool": f"inception_lab {__version__}",
            "claims": [claim.to_dict() for claim in self.claims],
        }


@checked
def confirm(
    ids: Sequence[str] = (),
    *,
    source: str = "",
    measure: bool = False,
    seconds: float = 20.0,
    progress: Progress | None = None,
) -> Confirmation:
    """Recompute published claims about Inception networks, and judge each by its numbers.

    A figure is confirmed within its tolerance, by its plain reading or by another one; otherwise the plain
    reading decides: up to 25% away it is off, beyond that contradicted, as is a statement that does not hold.

    Args:
        ids: Of the claims; all of them by default.
        source: Only those of a source whose name or title has this text, in any case.
        measure: Run networks on this machine for the claims about time and gradients, which takes minutes.
        seconds: Time budget of each network that is timed.
        progress: Told the part of the measurement that is done, from 0 to 1.

    Raises:
        InceptionLabError: There is no claim of an id, or of the source (exit code 2).

    Example:
        >>> claim = confirm(["mul_reduced"]).claims[0]
        >>> claim.computed, str(claim.verdict)
        ('12,443,648 MACs', 'confirmed')
    """
    claims = select_claims(ids, source)
    nets = Nets(measure=measure, seconds=seconds, progress=progress)
    return Confirmation(tuple(check_claim(claim, nets) for claim in claims))


def select_claims(ids: Sequence[str] = (), source: str = "") -> tuple[Claim, ...]:
    """Return claims in the order of the catalogue.

    Args:
        ids: As for `confirm`.
        source: As for `confirm`.

    Raises:
        InceptionLabError: There is no claim of an id, or of the source (exit code 2).

    Example:
        >>> [claim.id for claim in select_claims(["22", "27"])]
        ['22', '27']
    """
    if isinstance(ids, str):  # whose letters would be taken for ids
        raise InceptionLabError(f"ids is the text {ids!r}", hint=f"pass [{ids!r}]")
    names = {claim.id for claim in ALL}
    for id in ids:
        if id not in names:
            raise InceptionLabError(f"no claim {id!r}", hint=nearest(id, names))
    text = source.casefold()
    claims = tuple(
        claim
        for claim in ALL
        if (not ids or claim.id in ids) and text in f"{claim.sources} {claim.source.title}".casefold()
    )
    if not claims:
        sources = {claim.source.name for claim in ALL}
        raise InceptionLabError(f"no claim of source {source!r}", hint=nearest(source, sources))
    return claims


def check_claim(claim: Claim, nets: Nets) -> CheckedClaim:
    """Recompute one claim.

    Args:
        claim: Any claim.
        nets: Traces, shared with other claims.

    Raises:
        KeyError: There is no recipe of a name in it.
    """
    from inception_lab.claims.recipes import MEASURED

    figures = tuple(_check_figure(figure, nets) for figure in claim.figures)
    timed = nets.measure and any(figure.recipe.name in MEASURED for figure in claim.figures)
    return CheckedClaim(claim, figures, worst(figure.verdict for figure in figures), timed)


def _check_figure(figure: Figure, nets: Nets) -> CheckedFigure:
    # the recipes import pandas and torch, which the catalogue alone does not need
    from inception_lab.claims.recipes import RECIPES

    result: Result
    try:
        result = RECIPES[figure.recipe.name](nets, **figure.recipe.arguments)
    except InceptionLabError as error:
        # a network that lost a layer, or no longer runs, must not hide the verdicts on all others
        result = Unavailable(str(error))
    return CheckedFigure(figure, result, judge(figure.claimed, result))
