"""Two nets that are aligned as an outline: modules, the branches in them and the layers in these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from inception_lab.comparison.alignment import Pair
from inception_lab.comparison.branch_rows import Places, partners_of
from inception_lab.comparison.module_rows import Change, ModuleRow, layer_rows
from inception_lab.ir.structure import Place

Names = tuple[str | None, str | None]
"""Of the same thing in both nets; None where one has nothing that answers to it."""
Costs = Mapping[str, float]


class OutlineRow(NamedTuple):
    """A module of the first net and the one that answers to it; or a branch in it, or a layer.

    Attributes:
        names: The path of the module or layer in each net, or the name of the branch within the module.
        types: The classes of a layer; empty for others.
        change: As of `ModuleRow`.
        costs: Of each net, by metric.
        children: In order of execution; none of a layer.
    """

    names: Names
    types: tuple[str, str]
    change: Change
    costs: tuple[Costs, Costs]
    children: tuple[OutlineRow, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, and those within it."""
        data: dict[str, Any] = {"change": self.change}
        for place, side in enumerate(("first", "second")):
            data[side] = self.names[place]
            data[f"{side}_type"] = self.types[place]
            data[f"{side}_costs"] = dict(self.costs[place])
        return data | {"children": [child.to_dict() for child in self.children]}


class _PlacedRow(NamedTuple):
    """The row of a layer, and its place in each net."""

    row: ModuleRow
    places: tuple[Place | None, Place | None]


def outline(
    pair: Pair, places: tuple[Places | None, Places | None], metrics: Sequence[str]
) -> tuple[OutlineRow, ...]:
    """Return the modules of two nets in order of execution, each layer of both in one of them.

    A net whose places are not known has those of the other one where a layer has the same path there; other
    layers are in their module at the top, and in no branch.

    Args:
        pair: Two nets that are aligned.
        places: Of the layers of each, as `ComparedModel` holds them.
        metrics: Those in which a difference is a change.
    """
    first, second = ({**(other or {}), **(own or {})} for own, other in (places, places[::-1]))
    rows = [
        _PlacedRow(row, (_place(row.paths[0], first), _place(row.paths[1], second)))
        for row in layer_rows(pair, metrics)
    ]
    modules = _grouped(rows, lambda place: place.block)
    return tuple(_group_row(names, _within_module(group)) for names, group in modules.items())


def _within_module(rows: Sequence[_PlacedRow]) -> tuple[OutlineRow, ...]:
    """The branches of a module, and its layers in none."""
    children: list[OutlineRow] = []
    for names, group in _grouped(rows, lambda place: place.branch).items():
        layers = tuple(_layer_row(placed.row) for placed in group)
        children += [_group_row(names, layers)] if any(names) else layers
    return tuple(children)


def _place(path: str | None, places: Places) -> Place | None:
    return None if path is None else places.get(path) or Place(path.split(".")[0], "")


def _grouped(rows: Sequence[_PlacedRow], name_of: Callable[[Place], str]) -> dict[Names, list[_PlacedRow]]:
    """The rows by what they are in, in the order in which this begins."""
    names: list[Names] = [
        (name_of(one) if one else None, name_of(other) if other else None)
        for one, other in (placed.places for placed in rows)
    ]
    partners = partners_of(_votes(names))
    back = {partner: name for name, partner in partners.items()}
    groups: dict[Names, list[_PlacedRow]] = {}
    for (one, other), placed in zip(names, rows, strict=True):
        key = (back.get(other), other) if one is None else (one, partners.get(one))
        groups.setdefault(key, []).append(placed)
    return groups


def _votes(names: Sequence[Names]) -> Counter[Names]:
    """The layers that speak for each two names; where none does for a name, one in both nets may."""
    votes = Counter(pair for pair in names if _may_answer(*pair))
    in_both = {first for first, _ in names} & {second for _, second in names}
    votes.update(dict.fromkeys([(name, name) for name in in_both if name and not name.isdigit()], 0))
    return votes


def _may_answer(first: str | None, second: str | None) -> bool:
    """False where one is missing, and for a branch and layers in none."""
    return first is not None and second is not None and bool(first) == bool(second)


def _layer_row(row: ModuleRow) -> OutlineRow:
    return OutlineRow(row.paths, row.types, row.change, (row.first_costs, row.second_costs))


def _group_row(names: Names, children: tuple[OutlineRow, ...]) -> OutlineRow:
    first, second = (_sums(child.costs[side] for child in children) for side in (0, 1))
    return OutlineRow(names, ("", ""), _change(names, children), (first, second), children)


def _sums(parts: Iterable[Costs]) -> Costs:
    costs: Counter[str] = Counter()
    for part in parts:
        costs.update(part)
    return costs


def _change(names: Names, children: Iterable[OutlineRow]) -> Change:
    if None in names:
        return "added" if names[0] is None else "removed"
    changes = {child.change for child in children}
    if changes - {"unchanged", "renamed"}:
        return "changed"
    return "unchanged" if changes == {"unchanged"} and names[0] == names[1] else "renamed"
