"""The saving table as pairs: the cost of a part of a net without and with its reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inception_lab.analyzers.reductions import ALL_MODULES, SUM, WHOLE_NET
from inception_lab.report.contents import ReportContents
from inception_lab.report.tables import rows_of, step_macs


@dataclass(frozen=True)
class Pair:
    """One row of the saving table.

    Attributes:
        module: The module, or the sum's name.
        branch: The branch, or `sum`.
        naive: MACs without reductions.
        reduced: MACs as it is.
        naive_weights: Weights without reductions.
        reduced_weights: Weights as it is.
    """

    module: str
    branch: str
    naive: int
    reduced: int
    naive_weights: int
    reduced_weights: int

    @property
    def ratio(self) -> float:
        """Naive over reduced MACs, 1 where there are none."""
        return self.naive / self.reduced if self.reduced else 1.0

    @property
    def weights_ratio(self) -> float:
        """Naive over reduced weights, 1 where there are none."""
        return self.naive_weights / self.reduced_weights if self.reduced_weights else 1.0

    @property
    def name(self) -> str:
        """The branch within its module, or the sum."""
        return self.module if self.branch == SUM else f"{self.module} {self.branch}"


@dataclass(frozen=True)
class Saving:
    """The saving table by kind of row.

    Attributes:
        branches: A pair per branch.
        modules: A pair per module.
        sums: All modules, and the whole net.
    """

    branches: Sequence[Pair]
    modules: Sequence[Pair]
    sums: Sequence[Pair]

    @property
    def best(self) -> Pair:
        """The branch whose MACs shrink most."""
        return max(self.branches, key=lambda pair: pair.ratio)

    @property
    def net(self) -> Pair:
        """The whole net."""
        return next(pair for pair in self.sums if pair.module == WHOLE_NET)

    def levels(self) -> list[Pair]:
        """From the best branch over its module and all modules to the whole net."""
        home = [pair for pair in self.modules if pair.module == self.best.module]
        return [self.best, *home, *self.sums]


def macs_name(contents: ReportContents) -> str:
    """The MACs that the saving table has, which are those of the forward also of a training step."""
    return "MACs" if step_macs(contents.record) == "macs" else "forward MACs"


def saving_of(contents: ReportContents) -> Saving:
    """The saving table by kind of row."""
    pairs = [
        Pair(
            row["module"],
            row["branch"],
            *(row[f"{side}_{what}"] for what in ("macs", "weights") for side in ("naive", "reduced")),
        )
        for row in rows_of(contents.saving)
    ]
    sums = [pair for pair in pairs if pair.module in (ALL_MODULES, WHOLE_NET)]
    inside = [pair for pair in pairs if pair not in sums]
    return Saving(
        [pair for pair in inside if pair.branch != SUM], [pair for pair in inside if pair.branch == SUM], sums
    )
