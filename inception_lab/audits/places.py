"""Names of the places in a net, as a student finds them: a layer, or a module, a branch and a layer in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from inception_lab.audits.stations import Net, Station
from inception_lab.audits.structure import Block, stations_in


class Names:
    """The names of the stations and blocks of a net.

    Args:
        net: The net.
    """

    def __init__(self, net: Net) -> None:
        self._stations = [*net.stations.values()]
        self._within: Counter[str] = Counter()
        for station in self._stations:
            self._within.update(_prefixes(station.layer))

    def of_station(self, station: Station) -> str:
        """The outermost module that holds this station alone; kind and number where there is none."""
        own = [path for path in _prefixes(station.layer) if self._within[path] == 1]
        if own:
            return min(own, key=len)
        alike = [s.id for s in self._stations if (s.layer, s.kind) == (station.layer, station.kind)]
        number = f" {alike.index(station.id) + 1}" if len(alike) > 1 or not station.layer else ""
        name = f"{station.kind}{number}"
        return f"{station.layer}, {name}" if station.layer else name

    def of_block(self, block: Block) -> str:
        """The module that holds a block; where there is none, the number of what joins its branches."""
        module = common_module([s.layer for s in block.stations()])
        if module:
            return module
        if block.join is None:
            return "parallel layers"
        joins = [s.id for s in self._stations if s.kind == block.join.kind]
        return f"branches of {block.join.kind} {joins.index(block.join.id) + 1}"

    def of_part(self, part: Iterable[Station | Block]) -> str:
        """The module that holds several stations, else the name of the first of them."""
        stations = [*stations_in(part)]
        return common_module([s.layer for s in stations]) or self.of_station(stations[0])


def common_module(paths: Sequence[str]) -> str:
    """Return the path of the innermost module around several; empty for the model itself.

    Example:
        >>> common_module(["inception3a.branch1.conv", "inception3a.branch2.reduce.conv"])
        'inception3a'
    """
    names = [path.split(".") for path in paths]
    common = []
    for parts in zip(*names, strict=False):
        if len({*parts}) > 1:
            break
        common.append(parts[0])
    return ".".join(common)


def _prefixes(path: str) -> list[str]:
    """The path and those of all modules around it, but for the model."""
    names = path.split(".") if path else []
    return [".".join(names[: n + 1]) for n in range(len(names))]
