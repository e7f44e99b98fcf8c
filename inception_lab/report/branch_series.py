"""The branches of a net by their kind, as many kinds as there are colours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType

from inception_lab.report.branch_colours import COLOURS, NO_BRANCH, OTHER_BRANCHES, branch_colours
from inception_lab.report.contents import ReportContents
from inception_lab.report.tables import rows_of, step_macs

Place = tuple[str, str]


def branch_label(contents: ReportContents, module: str, branch: str) -> str:
    """The kernels along a branch where they are known, else its name."""
    return contents.branch_kinds.get((module, branch), branch) if branch else NO_BRANCH


def metrics_shown(contents: ReportContents) -> tuple[str, str]:
    """The MACs of the run, a pass or a whole step, and the parameters."""
    return step_macs(contents.record), "params"


def branch_series(contents: ReportContents) -> Mapping[Place, str]:
    """Return the series of each branch: its label, or that of all light ones where colours do not suffice.

    Args:
        contents: Of a report.

    Returns:
        The series by module and branch; the layers of a module that are in no branch have the branch `""`.
    """
    weight = _weight(contents)
    # a branch without cost has no need of a colour of its own
    most = len(COLOURS) - (len(+weight) > len(COLOURS))
    heavy = {NO_BRANCH, *(name for name, _ in weight.most_common(most))}
    labels = {(r["module"], r["branch"]): _label_of(contents, r) for r in rows_of(contents.branches)}
    series = {place: label if label in heavy else OTHER_BRANCHES for place, label in labels.items()}
    return MappingProxyType(series)


def series_colours(contents: ReportContents) -> Mapping[str, str]:
    """Return the colour of each series, in the order in which bars are stacked: neighbours differ most.

    Args:
        contents: Of a report.

    Returns:
        The colours of `branch_colours`, where heavier branches choose first; then the greys.
    """
    series = set(branch_series(contents).values())
    by_weight = [name for name, _ in _weight(contents).most_common() if name in series]
    colours = branch_colours(by_weight)
    greys = [name for name in (OTHER_BRANCHES, NO_BRANCH) if name in series]
    order = sorted(by_weight, key=lambda name: COLOURS.index(colours[name]))
    return MappingProxyType({**{name: colours[name] for name in order}, **branch_colours(greys)})


def _weight(contents: ReportContents) -> Counter[str]:
    """The MACs and parameters of the branches of each label, as parts of the net's."""
    rows = rows_of(contents.branches)
    whole = {metric: sum(row[metric] for row in rows) or 1 for metric in metrics_shown(contents)}
    weight: Counter[str] = Counter()
    for row in rows:
        if row["branch"]:
            weight[_label_of(contents, row)] += sum(row[metric] / size for metric, size in whole.items())
    return weight


def _label_of(contents: ReportContents, row: Mapping[str, str]) -> str:
    return branch_label(contents, row["module"], row["branch"])
