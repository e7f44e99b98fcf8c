"""The targets of the race: what is promised, and if the figures keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from peers.contenders import META_FORWARD, OURS
from peers.results import Case, Results, Spread, Turn

Figure = Callable[[Results, str], Spread | None]
"""From the results and a model to the figure that a target is about."""


@dataclass(frozen=True)
class Target:
    """A promise, and how it is measured.

    Args:
        text: The promise in words.
        figure: What is measured for it.
        limit: The figure must be at most this, or at least this where `at_least`.
        at_least: True where more is better.
        goal: A hope beyond the limit.
    """

    text: str
    figure: Figure
    limit: float
    at_least: bool = False
    goal: float | None = None

    @property
    def requirement(self) -> str:
        """The limit, as in `<= 0.25`."""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}"

    def verdict(self, spread: Spread | None) -> str:
        """Tell if the median keeps the promise."""
        if spread is None:
            return "not measured"
        if not self._keeps(spread.median, self.limit):
            return "missed"
        if self.goal is None:
            return "met"
        return f"met, goal of {self.goal:g} {'met' if self._keeps(spread.median, self.goal) else 'missed'}"

    def _keeps(self, value: float, limit: float) -> bool:
        return value >= limit if self.at_least else value <= limit


def warm_ratio(over: str, under: str) -> Figure:
    """Warm CPU time of one contender over that of another, at batch size 1."""
    return lambda results, model: results.ratio(Case(model, 1, over), Case(model, 1, under))


def cold_ratio(turn: Turn) -> Figure:
    """Our cold start over the first or the second meta forward of a fresh process."""
    return lambda results, model: Spread.of_ratios(
        results.cold(Case(model, 1, OURS), "first"), results.cold(Case(model, 1, META_FORWARD), turn)
    )


def batch_512(results: Results, model: str) -> Spread | None:
    """Our warm time at batch size 512 over that at batch size 1."""
    return results.ratio(Case(model, 512, OURS), Case(model, 1, OURS))


def added_memory(batch: int, turn: Turn) -> Figure:
    """MB that our run adds to a fresh process."""
    return lambda results, model: results.added_memory(Case(model, batch, OURS), turn)


def microseconds_per_operation(results: Results, model: str) -> Spread | None:
    """Our warm CPU time at batch size 1, divided by the operations that a forward dispatches."""
    seconds = results.seconds(Case(model, 1, OURS))
    return Spread.of([1e6 * s / results.operations[model] for s in seconds])


TARGETS = (
    Target("warm trace + costs / plain meta forward", warm_ratio(OURS, META_FORWARD), 1 / 4),
    Target("warm trace + costs, microseconds per dispatched operation", microseconds_per_operation, 20),
    Target("fvcore / warm trace + costs", warm_ratio("fvcore", OURS), 10, at_least=True, goal=15),
    Target("torchinfo / warm trace + costs", warm_ratio("torchinfo", OURS), 8, at_least=True),
    Target("torchinfo on meta / warm trace + costs", warm_ratio("torchinfo on meta", OURS), 8, at_least=True),
    Target("cold trace + costs / cold (first) meta forward", cold_ratio("first"), 1 / 2),
    Target("cold trace + costs / warm (second) meta forward", cold_ratio("second"), 1 / 2),
    Target("trace + costs at batch 512 / at batch 1", batch_512, 1.2),
    Target("MB added at batch 1, first run", added_memory(1, "first"), 30),
    Target("MB added at batch 1, second run", added_memory(1, "second"), 30),
    Target("MB added at batch 512, first run", added_memory(512, "first"), 30),
    Target("MB added at batch 512, second run", added_memory(512, "second"), 30),
)
