"""Audit of an implementation against a reference net: where it departs, layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from inception_lab import __version__
from inception_lab.arguments import checked
from inception_lab.audits.alignment import Aligner, BlockPair, BranchPair, StationPair
from inception_lab.audits.places import Names
from inception_lab.audits.properties import NOTHING, consequences, differences, text_of
from inception_lab.audits.stations import DROPOUT, Net, Station, read_net
from inception_lab.audits.structure import Block, Elements, main_part, side_parts, stations_in
from inception_lab.ir.trace import Trace
from inception_lab.record import SCHEMA

if TYPE_CHECKING:
    from pandas import DataFrame

Severity = Literal["departure", "effect", "note"]
Pair = StationPair | BlockPair

WHOLE_NET = "whole net"


class AuditRow(NamedTuple):
    """A property in which two nets differ, at one place.

    Attributes:
        severity: `departure` for what is done otherwise there, `effect` for what comes of departures there or
            before, `note` for what a trace cannot decide.
        place: In the reference, such as `inception3a, branch 3, layer 2`; in the audited net where the
            reference has nothing there.
        property: Such as `kernel`.
        value: Of the audited net, as people write it; `none` for what it lacks.
        reference: Of the reference.
        layer: Path of the module in the audited net; None where it has none there.
        reference_layer: The same of the reference.
    """

    severity: Severity
    place: str
    property: str
    value: str
    reference: str
    layer: str | None = None
    reference_layer: str | None = None


@dataclass(frozen=True, eq=False)
class Audit:
    """The answer of an audit.

    Attributes:
        model: Name of the net that was audited.
        reference: Name of the reference.
        rows: What differs, in the order of the reference; departures of a place before effects there.

    Example:
        >>> import inception_lab as il
        >>> nets = [il.create_model(name, device="meta") for name in ("googlenet_3x3", "googlenet_bn")]
        >>> answer = il.audit(*(il.trace(net, (1, 3, 224, 224)) for net in nets))
        >>> next(row for row in answer.departures if row.property == "kernel")[1:5]
        ('inception3a, branch 3, layer 2', 'kernel', '3x3', '5x5')
    """

    model: str
    reference: str
    rows: tuple[AuditRow, ...]

    @property
    def departs(self) -> bool:
        """True where the net does anything otherwise than the reference."""
        return any(row.severity != "note" for row in self.rows)

    @property
    def departures(self) -> tuple[AuditRow, ...]:
        """The points in which the net itself differs."""
        return self._of("departure")

    @property
    def effects(self) -> tuple[AuditRow, ...]:
        """The consequences: output grids, parameters, MACs and receptive fields."""
        return self._of("effect")

    @property
    def notes(self) -> tuple[AuditRow, ...]:
        """The points that a trace cannot decide."""
        return self._of("note")

    def _of(self, severity: Severity) -> tuple[AuditRow, ...]:
        return tuple(row for row in self.rows if row.severity == severity)

    @property
    def table(self) -> DataFrame:
        """A row per property that differs, with the fields of `AuditRow` as columns."""
        from pandas import DataFrame

        return DataFrame(list(self.rows), columns=list(AuditRow._fields))

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as the JSON that other programs read; what is absent has no field."""
        rows = [{k: v for k, v in row._asdict().items() if v is not None} for row in self.rows]
        return {
            "schema": SCHEMA,
            "tool": f"inception_lab {__version__}",
            "model": self.model,
            "reference": self.reference,
            "departs": self.departs,
            "rows": rows,
        }


@checked
def audit(trace: Trace, reference: Trace) -> Audit:
    """Say where a net departs from a reference, layer by layer.

    Layers are found by the dataflow: weighted layers, pools and joins, in order along each branch, whatever
    modules are called or whether there are any. A departure is named where it is made; grids, parameters,
    MACs and receptive fields that come of it, there and further on, are effects.

    Args:
        trace: Of the net that is audited.
        reference: Of the reference, best on an input of the same size.

    Returns:
        A row for each property that differs.

    Example:
        >>> import inception_lab as il
        >>> net = il.create_model("googlenet_notebook", device="meta")
        >>> reference = il.create_model("googlenet", device="meta")
        >>> answer = audit(*(il.trace(model, (1, 3, 224, 224)) for model in (net, reference)))
        >>> [row.place for row in answer.departures if row.property == "head"]
        ['aux1', 'aux2']
    """
    names = [t.context.model for t in (trace, reference)]
    return Audit(names[0], names[1], tuple(_Auditor(trace, reference).rows()))


class _Auditor:
    """Walks over two aligned nets."""

    def __init__(self, trace: Trace, reference: Trace) -> None:
        self.traces = trace, reference
        self.nets = read_net(trace), read_net(reference)
        self.names = Names(self.nets[0]), Names(self.nets[1])
        self.aligner = Aligner()
        self.same_input = trace.context.input_shapes == reference.context.input_shapes

    def rows(self) -> Iterator[AuditRow]:
        pairs = self.aligner.align(*map(main_part, self.nets))
        yield from self._sequence(pairs, "")
        yield from self._side_parts()
        yield from self._totals()
        yield from self._notes()

    def _sequence(self, pairs: Iterable[Pair], around: str) -> Iterator[AuditRow]:
        for pair in pairs:
            if isinstance(pair, StationPair):
                yield from self._station(pair, around or self._name(pair.second, pair.first))
            elif pair.first and pair.second:
                name = around or self.names[1].of_block(pair.second)
                for branch in pair.branches:
                    yield from self._branch(branch, name)
            else:
                yield from self._block_alone(pair, around)

    def _name(self, reference: Station | None, station: Station | None) -> str:
        if reference is not None:
            return self.names[1].of_station(reference)
        return self.names[0].of_station(station) if station is not None else ""

    def _branch(self, branch: BranchPair, block: str) -> Iterator[AuditRow]:
        first, second = branch.places
        number = second if second is not None else first
        place = f"{block}, branch {(number or 0) + 1}"
        if first is None or second is None:
            yield from self._alone("branch", place, _stations(branch.pairs), is_added=second is None)
            return
        several = len(branch.pairs) > 1
        for n, pair in enumerate(branch.pairs, 1):
            yield from self._sequence([pair], f"{place}, layer {n}" if several else place)

    def _block_alone(self, pair: BlockPair, around: str) -> Iterator[AuditRow]:
        side, block = (1, pair.second) if pair.second else (0, pair.first)
        assert block is not None
        place = around or self.names[side].of_block(block)
        yield from self._alone("branches", place, [*block.stations()], is_added=side == 0)

    def _station(self, pair: StationPair, place: str) -> Iterator[AuditRow]:
        first, second = pair.first, pair.second
        if first is None or second is None:
            station = first or second
            assert station is not None
            yield from self._alone("layer", place, [station], is_added=second is None)
            return
        paths = first.layer, second.layer
        for difference in differences(first, second):
            yield AuditRow("departure", place, *difference, *paths)
        for difference in consequences(first, second, same_input=self.same_input):
            yield AuditRow("effect", place, *difference, *paths)

    def _alone(
        self, name: str, place: str, stations: list[Station], *, is_added: bool, text: str = ""
    ) -> Iterator[AuditRow]:
        """The parts that only one of the nets has, and their costs."""
        layer = stations[0].layer if len(stations) == 1 else None
        paths = (layer, None) if is_added else (None, layer)
        sides = [text or _described(stations), NOTHING]
        yield AuditRow("departure", place, name, *(sides if is_added else sides[::-1]), *paths)
        for metric, attribute in self._metrics().items():
            if total := sum(getattr(station, attribute) for station in stations):
                costs = [text_of(total), text_of(0)]
                yield AuditRow("effect", place, metric, *(costs if is_added else costs[::-1]), *paths)

    def _metrics(self) -> dict[str, str]:
        """The costs that can be compared, with the attribute of stations that has each."""
        return {"parameters": "params"} | ({"MACs": "macs"} if self.same_input else {})

    def _side_parts(self) -> Iterator[AuditRow]:
        """Heads, in order: those of both nets layer by layer."""
        firsts, seconds = map(side_parts, self.nets)
        for n in range(max(len(firsts), len(seconds))):
            first = firsts[n] if n < len(firsts) else None
            second = seconds[n] if n < len(seconds) else None
            if first is not None and second is not None:
                yield from self._sequence(self.aligner.align(first, second), "")
            else:
                yield from self._head(first, second)

    def _head(self, first: Elements | None, second: Elements | None) -> Iterator[AuditRow]:
        side, part = (1, second) if second is not None else (0, first or ())
        stations = [*stations_in(part)]
        text = f"a head that runs in {self.traces[side].context.mode} mode: {_amounts(stations)}"
        place = self.names[side].of_part(part)
        yield from self._alone("head", place, stations, is_added=side == 0, text=text)

    def _totals(self) -> Iterator[AuditRow]:
        for name, attribute in self._metrics().items():
            first, second = (_total(net, attribute) for net in self.nets)
            if first != second:
                yield AuditRow("effect", WHOLE_NET, name, text_of(first), text_of(second))

    def _notes(self) -> Iterator[AuditRow]:
        if not self.same_input:
            shapes = [
                ", ".join("x".join(map(str, s)) for s in t.context.input_shapes) or NOTHING
                for t in self.traces
            ]
            yield AuditRow("note", WHOLE_NET, "input", *shapes)
        if not all(trace.context.complete for trace in self.traces):
            names = [", ".join(t.context.uncounted_ops) or NOTHING for t in self.traces]
            yield AuditRow("note", WHOLE_NET, "uncounted operations", *names)
        modes = [trace.context.mode for trace in self.traces]
        if modes[0] != modes[1]:
            yield AuditRow("note", WHOLE_NET, "mode", *modes)
        elif modes[0] == "eval":
            counts = [_dropouts(trace) for trace in self.traces]
            if counts[0] != counts[1]:
                yield AuditRow("note", WHOLE_NET, "dropout layers", *map(str, counts))


def _stations(pairs: Iterable[Pair]) -> list[Station]:
    """The stations of pairs of which one side is missing."""
    stations: list[Station] = []
    for pair in pairs:
        element: Station | Block | None = pair.first or pair.second
        stations += stations_in([element] if element is not None else [])
    return stations


def _described(stations: list[Station]) -> str:
    if not stations:
        return "a shortcut"
    if len(stations) > 1:
        return f"{len(stations)} layers: {_amounts(stations)}"
    station = stations[0]
    kernel = f" {text_of(station.window.kernel)}" if station.window.kernel else ""
    channels = f" to {station.channels:,} channels" if station.is_weighted else ""
    followers = ", then ".join(follower.name for follower in station.followers if follower.kind != DROPOUT)
    return f"{station.kind}{kernel}{channels}{followers and f' with {followers}'}"


def _amounts(stations: list[Station]) -> str:
    params, macs = sum(s.params for s in stations), sum(s.macs for s in stations)
    return f"{params:,} parameters, {macs:,} MACs"


def _total(net: Net, attribute: str) -> int:
    return sum(getattr(station, attribute) for station in net.stations.values())


def _dropouts(trace: Trace) -> int:
    """Modules of dropout that were called; a function leaves no mark in eval mode."""
    return sum(call.executed and "Dropout" in call.type for call in trace.calls)
