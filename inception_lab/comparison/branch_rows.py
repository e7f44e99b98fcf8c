"""Rows of the parallel branches of two nets that are aligned, and of the layers in no branch.

A branch of one net answers to that of the other in which most partners of its layers are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from inception_lab.comparison.alignment import Pair
from inception_lab.comparison.module_rows import Change, module_rows
from inception_lab.comparison.module_tree import ModuleNode
from inception_lab.ir.structure import Place

Name = TypeVar("Name")
Places = Mapping[str, Place]
"""The place of each layer among parallel branches, by its path."""


class BranchRow(NamedTuple):
    """A branch of the first net and the one that answers to it; or the layers of a module in no branch.

    Attributes:
        first: The branch of the first net; None where it is added.
        second: The branch of the second net; None where it is removed.
        change: As of `ModuleRow`.
        first_costs: The costs of its layers, by metric.
        second_costs: The same of the second net.
    """

    first: Place | None
    second: Place | None
    change: Change
    first_costs: Mapping[str, float]
    second_costs: Mapping[str, float]

    @property
    def paths(self) -> tuple[str | None, str | None]:
        """The paths of the branch in both nets."""
        return self._path(self.first), self._path(self.second)

    @staticmethod
    def _path(place: Place | None) -> str | None:
        return ".".join(filter(None, place)) if place else None

    @property
    def types(self) -> tuple[str, str]:
        """Branches have none."""
        return "", ""

    def growth(self, metric: str) -> float:
        """The cost in the second net less that in the first."""
        return self.second_costs.get(metric, 0) - self.first_costs.get(metric, 0)

    def to_dict(self, metrics: Sequence[str]) -> dict[str, Any]:
        """The row as plain data: its costs in some metrics and their growth; None in place of a branch."""
        row: dict[str, Any] = {"change": self.change}
        for side, place in (("first", self.first), ("second", self.second)):
            row[f"{side}_module"] = place.block if place else None
            row[f"{side}_branch"] = place.branch if place else None
        for metric in metrics:
            before, after = self.first_costs.get(metric, 0), self.second_costs.get(metric, 0)
            row |= {f"first_{metric}": before, f"second_{metric}": after, f"{metric}_growth": after - before}
        return row


def branch_rows(pair: Pair, places: tuple[Places, Places], metrics: Sequence[str]) -> Iterator[BranchRow]:
    """Rows that add up to both nets, each layer in one: in the order of the first net, then what is added.

    Args:
        pair: Two nets that are aligned.
        places: Of the layers of each.
        metrics: Those in which a difference is a change.
    """
    costs = [_costs(net, of_net) for net, of_net in zip(pair.nodes, places, strict=True)]
    partners = _partners(pair, places)
    changes = _changes(pair, places, metrics)
    for place, first_costs in costs[0].items():
        partner = partners.get(place)
        if partner is None:
            yield BranchRow(place, None, "removed", first_costs, {})
        else:
            is_changed = place in changes[0] or partner in changes[1]
            change: Change = "changed" if is_changed else "unchanged" if place == partner else "renamed"
            yield BranchRow(place, partner, change, first_costs, costs[1][partner])
    for place, second_costs in costs[1].items():
        if place not in partners.values():
            yield BranchRow(None, place, "added", {}, second_costs)


def _costs(net: ModuleNode, places: Places) -> dict[Place, dict[str, float]]:
    """The costs of the layers at each place, in the order in which these first stand."""
    costs: dict[Place, dict[str, float]] = {}
    for node in net.nodes():
        if node.own is not None:
            at_place = costs.setdefault(places[node.path], {})
            for metric, cost in node.own.items():
                at_place[metric] = at_place.get(metric, 0) + cost
    return costs


def _partners(pair: Pair, places: tuple[Places, Places]) -> dict[Place, Place]:
    votes: Counter[tuple[Place, Place]] = Counter()
    for ends in _place_pairs(pair, places):
        # of a module with several branches nothing says which of them answers to which
        if len(ends[0]) == len(ends[1]) == 1:
            votes[min(ends[0]), min(ends[1])] += 1
    return partners_of(votes)


def partners_of(votes: Counter[tuple[Name, Name]]) -> dict[Name, Name]:
    """Return the partner of each thing that has one: those for which most layers speak, each once.

    Args:
        votes: Layers of both nets that answer to each other, by what they are in.

    Example:
        >>> partners_of(Counter({("a", "x"): 1, ("a", "y"): 5, ("b", "x"): 2, ("b", "y"): 4}))
        {'a': 'y', 'b': 'x'}
    """
    partners: dict[Name, Name] = {}
    for (name, partner), _ in votes.most_common():
        if name not in partners and partner not in partners.values():
            partners[name] = partner
    return partners


def _place_pairs(pair: Pair, places: tuple[Places, Places]) -> Iterator[tuple[set[Place], set[Place]]]:
    """The places of the layers in two modules that answer to each other, for the innermost of these."""
    if pair.first and pair.second:
        of_first, of_second = places
        if not pair.children:
            yield _places_in(pair.first.nodes(), of_first), _places_in(pair.second.nodes(), of_second)
        elif pair.first.own is not None and pair.second.own is not None:
            yield {of_first[pair.first.path]}, {of_second[pair.second.path]}
    for child in pair.children:
        yield from _place_pairs(child, places)


def _places_in(modules: Iterable[ModuleNode], places: Places) -> set[Place]:
    return {places[node.path] for node in modules if node.own is not None}


def _changes(pair: Pair, places: tuple[Places, Places], metrics: Sequence[str]) -> list[set[Place]]:
    """The places of each net in which something is not as in the other."""
    changes: list[set[Place]] = [set(), set()]
    for row in module_rows(pair, metrics, None):
        if row.change not in ("unchanged", "renamed"):
            for layers, of_net, of_changes in zip(row.layers, places, changes, strict=True):
                of_changes |= _places_in(layers, of_net)
    return changes
