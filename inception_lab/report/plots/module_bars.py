"""The cost of each module as bars: its branches by kind, equal neighbours as one, small ones together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from inception_lab.report.branch_series import branch_series, metrics_shown
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.rows import dearest, run_name, runs_of_equal
from inception_lab.report.tables import rows_of

Parts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Bar:
    """One row of the plot.

    Attributes:
        name: Of the module, or of several.
        parts: Cost by metric and series; series without cost are absent.
        is_rest: True where it sums up modules that have no row of their own.
    """

    name: str
    parts: Parts
    is_rest: bool = False

    def total(self, metric: str) -> int:
        """Sum over all series."""
        return sum(self.parts[metric].values())


def bars_of(contents: ReportContents) -> list[Bar]:
    """A bar per module that has MACs or parameters, in order of execution; equal neighbours are one.

    Together they are the whole net.
    """
    series = branch_series(contents)
    homes, metrics = homes_of(contents), metrics_shown(contents)
    modules: dict[str, dict[str, Counter[str]]] = {}
    for row in rows_of(contents.branches):
        place = row["module"], row["branch"]
        parts = modules.setdefault(homes[row["module"]], {metric: Counter() for metric in metrics})
        for metric in metrics:
            if row[metric]:
                parts[metric][series[place]] += row[metric]
    bars = [Bar(module, parts) for module, parts in modules.items() if any(parts.values())]
    return [_sum_of(run_name([bar.name for bar in run]), run) for run in runs_of_equal(bars, _cost)]


def _cost(bar: Bar) -> tuple[frozenset[tuple[str, int]], ...]:
    return tuple(frozenset(part.items()) for part in bar.parts.values())


def _sum_of(name: str, bars: Sequence[Bar], *, is_rest: bool = False) -> Bar:
    parts = {metric: Counter[str]() for metric in bars[0].parts}
    for bar in bars:
        for metric, part in bar.parts.items():
            parts[metric].update(part)
    return Bar(name, parts, is_rest)


def fitted_bars(bars: Sequence[Bar], most: int) -> list[Bar]:
    """The dearest bars in order of execution, at most so many, the last of which sums up all others."""
    # a module is as dear as its larger share: of the net's MACs or of its parameters
    whole = {metric: total(bars, metric) or 1 for metric in bars[0].parts}
    weight = [max(bar.total(metric) / whole[metric] for metric in whole) for bar in bars]
    large, small = dearest(weight, most)
    rest = [_sum_of(f"{len(small)} others", [bars[i] for i in small], is_rest=True)] if small else []
    return [bars[i] for i in large] + rest


def total(bars: Iterable[Bar], metric: str) -> int:
    """Sum over all bars."""
    return sum(bar.total(metric) for bar in bars)


def homes_of(contents: ReportContents) -> dict[str, str]:
    """The module in whose bar each module is: itself, or the one around it.

    The branches of a residual block may lie one level below the block, and branches may split again.
    """
    rows = rows_of(contents.branches)
    modules = dict.fromkeys(row["module"] for row in rows)
    with_branches = {row["module"] for row in rows if row["branch"]}
    inside = {module: [m for m in modules if m.startswith(f"{module}.")] for module in modules}
    # a module of the top level may also hold many blocks, each of which is told apart
    homes = {m: home for home in modules if home in with_branches or len(inside[home]) == 1
             for m in inside[home]}  # fmt: skip
    return {module: homes.get(module, module) for module in modules}
