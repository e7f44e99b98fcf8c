"""The layers of a net by module and branch, as the page's table has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inception_lab.report.branch_series import branch_series
from inception_lab.report.contents import ReportContents


@dataclass(frozen=True)
class BranchGroup:
    """Layers of a module that are in one branch, or in none.

    Attributes:
        name: Of the branch; empty for layers in none.
        kind: The kernels along it; empty where they are not known.
        series: Of the branches that have its colour, as of `branch_series`.
        rows: Places of its layers among those of the record.
    """

    name: str
    kind: str
    series: str
    rows: tuple[int, ...]


@dataclass(frozen=True)
class ModuleGroup:
    """A module of the table.

    Attributes:
        name: Its path.
        branches: Its layers, in the order in which their branches begin.
    """

    name: str
    branches: tuple[BranchGroup, ...]

    @property
    def rows(self) -> list[int]:
        """Places of all its layers: of its branches first, as the others mostly join these."""
        return [row for branch in sorted(self.branches, key=lambda one: not one.name) for row in branch.rows]


def layer_groups(contents: ReportContents) -> list[ModuleGroup]:
    """Return the modules in order of execution, each with its layers branch by branch."""
    rows: dict[str, dict[str, list[int]]] = {}
    for number, (module, branch) in enumerate(contents.places):
        rows.setdefault(module, {}).setdefault(branch, []).append(number)
    series, kinds = branch_series(contents), contents.branch_kinds
    return [
        ModuleGroup(module, tuple([
            BranchGroup(branch, kinds.get((module, branch), ""), series[module, branch], tuple(places))
            for branch, places in branches.items()
        ]))
        for module, branches in rows.items()
    ]  # fmt: skip


def layer_kinds(groups: Sequence[ModuleGroup], numbers: Mapping[str, int]) -> dict[int, int]:
    """Return the number of the series of each layer that is in a branch, by its place in the record."""
    branches = [branch for group in groups for branch in group.branches if branch.name]
    return {row: numbers[branch.series] for branch in branches for row in branch.rows}
