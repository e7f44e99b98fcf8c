"""The results of the race: a timing and probes for each case, and the figures drawn from them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from peers.contenders import CONTENDERS, OURS
from peers.options import Options

MB = 1_000_000
Turn = Literal["first", "second"]
"""The run in a fresh process."""


@dataclass(frozen=True)
class Case:
    """One contender on one model at one batch size."""

    model: str
    batch: int
    contender: str


@dataclass(frozen=True)
class Timing:
    """CPU seconds of each round, and the MACs counted; or the reason why there are none."""

    seconds: tuple[float, ...] = ()
    macs: int | None = None
    why_not: str = ""


@dataclass(frozen=True)
class Probe:
    """Figures of a fresh process: CPU seconds of imports, and CPU seconds and bytes added of two runs.

    The imports are those of pandas and, after it, of this package's tracer and cost analyzer. The imports
    of torch itself, at its first meta tensor, are part of the first run.
    """

    pandas: float
    package: float
    first: float
    second: float
    first_added: int | None
    second_added: int | None
    method: str

    def seconds(self, turn: Turn) -> float:
        """CPU seconds of one of its runs."""
        return self.first if turn == "first" else self.second

    def added_bytes(self, turn: Turn) -> int | None:
        """Bytes that one of its runs added to the peak of resident memory; None where nothing tells."""
        return self.first_added if turn == "first" else self.second_added


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    q1: float
    median: float
    q3: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Return the spread of these values; None where there are none."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0]) if values else None
        # the rounds are all there is, and not a sample: their extremes are the extremes
        return cls(*statistics.quantiles(values, n=4, method="inclusive"))

    @classmethod
    def of_ratios(cls, over: Sequence[float], under: Sequence[float]) -> Spread | None:
        """Return the spread of the ratios of values taken in the same round."""
        # a fresh process that failed leaves one sequence shorter, and a clock may read 0
        return cls.of([a / b for a, b in zip(over, under, strict=False) if b])

    def text(self, scale: float = 1, digits: int = 2) -> str:
        """Return the median, then both quartiles in brackets."""
        q1, median, q3 = (f"{x * scale:.{digits}f}" for x in (self.q1, self.median, self.q3))
        return f"{median} [{q1}, {q3}]"


@dataclass(frozen=True)
class Results:
    """Everything that one run of the race measured.

    Attributes:
        options: The arguments.
        timings: Of each case.
        probes: Of each case, one for each fresh process.
        operations: Those that one forward of each model dispatches.
    """

    options: Options
    timings: dict[Case, Timing]
    probes: dict[Case, tuple[Probe, ...]]
    operations: dict[str, int] = field(default_factory=dict)

    def seconds(self, case: Case) -> tuple[float, ...]:
        """CPU seconds of each round; none where the case did not run."""
        return self.timings.get(case, Timing()).seconds

    def ratio(self, over: Case, under: Case) -> Spread | None:
        """CPU time of one case over that of another, round by round."""
        return Spread.of_ratios(self.seconds(over), self.seconds(under))

    def cold(self, case: Case, turn: Turn) -> list[float]:
        """CPU seconds of the first or the second run in each fresh process."""
        return [probe.seconds(turn) for probe in self.probes.get(case, ())]

    def added_memory(self, case: Case, turn: Turn) -> Spread | None:
        """MB that the first or the second run in a fresh process added to resident memory at most."""
        sizes = [probe.added_bytes(turn) for probe in self.probes.get(case, ())]
        return Spread.of([size / MB for size in sizes if size is not None])

    def agreement(self, case: Case) -> str:
        """Tell if a contender's MACs equal ours at the same batch size; empty where one counts none."""
        macs, ours = (self.timings[c].macs for c in (case, Case(case.model, case.batch, OURS)))
        if macs is None or ours is None:
            return ""
        if case.contender == OURS:
            return "reference"
        if macs == ours:
            return "equal"
        return "NOT EQUAL" if CONTENDERS[case.contender].comparable else "own definition"
