"""Series and parallel parts of a net, from its dataflow alone.

A station through which every path from the input to the output goes stands on the trunk. What lies between
two of these in parallel is a block of branches, each of which is taken apart in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from inception_lab.audits.stations import INPUT, Net, Station

Elements = tuple["Station | Block", ...]

_SINK = 1 << 62
"""Stands for what reads the last stations of a part."""


@dataclass(frozen=True, eq=False)
class Block:
    """Parallel branches.

    Attributes:
        branches: In the order in which the station behind them joins them; a shortcut is empty.
        join: The station that reads them; None where several do.
    """

    branches: tuple[Elements, ...]
    join: Station | None

    def stations(self) -> Iterator[Station]:
        """All stations in it, branch by branch."""
        for branch in self.branches:
            yield from stations_in(branch)


def stations_in(elements: Iterable[Station | Block]) -> Iterator[Station]:
    """Return the stations of a part of a net, branch by branch."""
    for element in elements:
        if isinstance(element, Station):
            yield element
        else:
            yield from element.stations()


def main_part(net: Net) -> Elements:
    """Return the part of a net that its deepest output needs, with its branches.

    Args:
        net: Of any structure; branches that share stations stand one behind the other.
    """
    return _parts(net, _ancestors(net, _main_output(net)))


def side_parts(net: Net) -> tuple[Elements, ...]:
    """Return the parts that the deepest output does without, such as auxiliary heads."""
    rest = set(net.stations) - _ancestors(net, _main_output(net))
    return tuple(_parts(net, part) for part in _connected(net, rest))


def _parts(net: Net, ids: set[int]) -> Elements:
    # what reads a station from outside of the part makes no path through it
    part = Net({id: station for id, station in net.stations.items() if id in ids}, net.outputs)
    return _sequence(part, ids, None)


def _main_output(net: Net) -> Iterable[int]:
    depth = {INPUT: 0}
    for id, station in net.stations.items():
        depth[id] = max((depth.get(source, 0) for source in station.sources), default=0) + 1
    known = [output for output in net.outputs if output in net.stations]
    # a net whose outputs are hidden, in an object of its own, ends with its last station
    last = [*known, *([] if known else [*net.stations][-1:])]
    return [max(last, key=lambda id: depth[id])] if last else []


def _ancestors(net: Net, ids: Iterable[int]) -> set[int]:
    ancestors: set[int] = set()
    pending = [*ids]
    while pending:
        id = pending.pop()
        if id in net.stations and id not in ancestors:
            ancestors.add(id)
            pending += net.stations[id].sources
    return ancestors


def _connected(net: Net, ids: set[int]) -> list[set[int]]:
    """Groups of stations that feed one another, by their first ones."""
    groups: list[set[int]] = []
    for id in sorted(ids):
        sources = set(net.stations[id].sources) & ids
        fed = [group for group in groups if not group.isdisjoint(sources)]
        groups = [group for group in groups if group.isdisjoint(sources)]
        groups.append({id}.union(*fed))
    return sorted(groups, key=min)


def _sequence(net: Net, ids: set[int], join: Station | None) -> Elements:
    order = sorted(ids)
    trunk = _on_every_path(net, order)
    if len(order) > 1 and not trunk and len(_connected(net, ids)) == 1:
        # branches that share stations are not parallel
        return tuple(net.stations[id] for id in order)
    elements: list[Station | Block] = []
    behind: int | None = None
    for id in [*trunk, None]:
        between = {n for n in order if (behind is None or n > behind) and (id is None or n < id)}
        if between:
            station = net.stations[id] if id is not None else None
            elements.append(_block(net, between, behind, station or join))
        if id is not None:
            elements.append(net.stations[id])
            behind = id
    return tuple(elements)


def _on_every_path(net: Net, order: Sequence[int]) -> list[int]:
    """The stations that no link jumps over, from what is before the part to what is behind it."""
    within = set(order)
    targets = _targets(net, order)
    entries = [id for id in order if not within.issuperset(net.stations[id].sources)]
    farthest = max(entries, default=_SINK)
    trunk = []
    for id in order:
        if farthest <= id:
            trunk.append(id)
        farthest = max(farthest, targets[id])
    return trunk


def _targets(net: Net, order: Sequence[int]) -> Mapping[int, int]:
    """The last station that reads each one; one behind them all where none of the part does."""
    within, targets = set(order), dict.fromkeys(order, 0)
    for id, station in net.stations.items():
        for source in station.sources:
            if source in within:
                targets[source] = max(targets[source], id if id in within else _SINK)
    return {id: target or _SINK for id, target in targets.items()}


def _block(net: Net, ids: set[int], behind: int | None, join: Station | None) -> Block:
    parts = _connected(net, ids)
    sources = join.sources if join else ()
    places = {source: place for place, source in reversed([*enumerate(sources)])}
    keyed = [(min([places[id] for id in part if id in places], default=min(part)), part) for part in parts]
    shortcut = INPUT if behind is None else behind
    if shortcut in places:
        keyed.append((places[shortcut], set()))
    keyed.sort(key=lambda pair: pair[0])
    return Block(tuple(_sequence(net, part, join) if part else () for _, part in keyed), join)
