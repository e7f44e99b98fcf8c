"""Rows of two nets that are aligned: a row per module, with what it costs in each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from inception_lab.comparison.alignment import Pair
from inception_lab.comparison.module_tree import ModuleNode

Change = Literal["unchanged", "changed", "renamed", "added", "removed"]


class ModuleRow(NamedTuple):
    """A module of the first net and the one that answers to it, with the costs that the row holds.

    Attributes:
        first: Of the first net; None where it is added.
        second: Of the second net; None where it is removed.
        change: The one that counts: `renamed` is one that is unchanged otherwise.
        is_whole: True for all that is in the modules, False for themselves alone: their children have rows.
        first_costs: By metric.
        second_costs: The same of the second net.
    """

    first: ModuleNode | None
    second: ModuleNode | None
    change: Change
    is_whole: bool
    first_costs: Mapping[str, float]
    second_costs: Mapping[str, float]

    @property
    def paths(self) -> tuple[str | None, str | None]:
        """The paths of the modules."""
        return self.first.path if self.first else None, self.second.path if self.second else None

    @property
    def types(self) -> tuple[str, str]:
        """The classes of the modules; empty where one is missing or its class is not told."""
        return self.first.type if self.first else "", self.second.type if self.second else ""

    @property
    def layers(self) -> tuple[tuple[ModuleNode, ...], tuple[ModuleNode, ...]]:
        """The modules of each net whose costs the row holds."""
        return self._layers_in(self.first), self._layers_in(self.second)

    def _layers_in(self, module: ModuleNode | None) -> tuple[ModuleNode, ...]:
        if module is None:
            return ()
        return tuple(module.nodes()) if self.is_whole else (module,)

    def growth(self, metric: str) -> float:
        """The cost in the second net less that in the first."""
        return self.second_costs.get(metric, 0) - self.first_costs.get(metric, 0)

    def to_dict(self, metrics: Sequence[str]) -> dict[str, Any]:
        """The row as plain data: its costs in some metrics and their growth; None in place of a module."""
        row: dict[str, Any] = {"change": self.change}
        for side, node in (("first", self.first), ("second", self.second)):
            row[f"{side}_module"] = node.path if node else None
            row[f"{side}_type"] = node.type if node else None
        for metric in metrics:
            before, after = self.first_costs.get(metric, 0), self.second_costs.get(metric, 0)
            row |= {f"first_{metric}": before, f"second_{metric}": after, f"{metric}_growth": after - before}
        return row


def module_rows(pair: Pair, metrics: Sequence[str], depth: int | None) -> Iterator[ModuleRow]:
    """Rows that add up to both nets, each module in one.

    What is added, removed or renamed as a whole has one row. So have two modules in which no structure is
    common.

    Args:
        pair: Two nets that are aligned.
        metrics: Those in which a difference is a change.
        depth: Levels of modules below the pair that may have rows, None for any.
    """
    if not pair.children or depth == 0 or _is_renamed(pair, metrics):
        yield _whole(pair, metrics)
        return
    if any(node.own is not None for node in pair.nodes):
        yield _own(pair, metrics)
    for child in pair.children:
        yield from module_rows(child, metrics, None if depth is None else depth - 1)


def layer_rows(pair: Pair, metrics: Sequence[str]) -> Iterator[ModuleRow]:
    """Rows that add up to both nets, one for each layer, also of modules that are added, removed or renamed.

    Of two modules without a common structure, the layers of one are removed and those of the other added.

    Args:
        pair: Two nets that are aligned.
        metrics: Those in which a difference is a change.
    """
    if pair.first is None or pair.second is None:
        yield from _alone(pair)
    elif pair.children or not any(node.children for node in pair.nodes):
        if any(node.own is not None for node in pair.nodes):
            yield _own(pair, metrics)
        for child in pair.children:
            yield from layer_rows(child, metrics)
    else:
        yield from _alone(Pair(pair.first, None))
        yield from _alone(Pair(None, pair.second))


def _alone(pair: Pair) -> Iterator[ModuleRow]:
    """The layers of a module that nothing answers to."""
    for node in pair.nodes[0].nodes():
        if node.own is not None and pair.first:
            yield ModuleRow(node, None, "removed", False, node.own, {})
        elif node.own is not None:
            yield ModuleRow(None, node, "added", False, {}, node.own)


def _whole(pair: Pair, metrics: Sequence[str]) -> ModuleRow:
    first, second = (node.costs if node else {} for node in (pair.first, pair.second))
    return ModuleRow(pair.first, pair.second, _change(pair, metrics), True, first, second)


def _own(pair: Pair, metrics: Sequence[str]) -> ModuleRow:
    first, second = (node.own or {} if node else {} for node in (pair.first, pair.second))
    change: Change = "changed" if _differs_itself(pair, metrics) else _change_of_name(pair)
    return ModuleRow(pair.first, pair.second, change, False, first, second)


def _change(pair: Pair, metrics: Sequence[str]) -> Change:
    if pair.first is None:
        return "added"
    if pair.second is None:
        return "removed"
    return "changed" if _differs(pair, metrics) else _change_of_name(pair)


def _change_of_name(pair: Pair) -> Change:
    return "unchanged" if len({node.name for node in pair.nodes}) == 1 else "renamed"


def _is_renamed(pair: Pair, metrics: Sequence[str]) -> bool:
    return len({node.name for node in pair.nodes}) > 1 and not _differs(pair, metrics)


def _differs(pair: Pair, metrics: Sequence[str]) -> bool:
    """True where anything in one module is not as in the other."""
    if pair.first is None or pair.second is None or _differs_itself(pair, metrics):
        return True
    if not pair.children:  # both are layers, or no structure in them is common
        return bool(pair.first.children or pair.second.children)
    return any(_differs(child, metrics) for child in pair.children)


def _differs_itself(pair: Pair, metrics: Sequence[str]) -> bool:
    first, second = pair.nodes
    own, other = first.own or {}, second.own or {}
    costs_differ = any(own.get(metric, 0) != other.get(metric, 0) for metric in metrics)
    return first.type != second.type or costs_differ
