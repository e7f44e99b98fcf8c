"""Each GPU kernel and each moment of the CPU given to a layer, or to the reason why it has none."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from typing import Literal, NamedTuple

from inception_lab.measure.profile.events import (
    OPTIMIZER_PREFIX,
    PHASE_RANGE,
    Events,
    Launch,
    RangeKind,
    Work,
)
from inception_lab.measure.profile.nesting import Moment, Nesting, nest

EVALUATE = "autograd::engine::evaluate_function: "
"""Prefix of the range in which autograd runs one node of the backward pass."""

WITHIN = "launched within the layer"
BY_FLOW = "launched by the backward of the layer's operator"
NO_CORRELATION = "no correlation in the trace"
NO_LAUNCH = "launch not in the trace"
OUTSIDE = "launched outside every {}"

LayerKind = Literal["layer", "module", "operator"]

# MseLossBackward0, torch::autograd::CopyBackwards, torch::autograd::AccumulateGrad
_BACKWARD_NODE = re.compile(r"(?:\w+::)*\w*(?:Backwards?\d*|AccumulateGrad)")


class Owner(NamedTuple):
    """The owner of the work of one launch, or of the time that a range of the CPU spent in itself.

    Attributes:
        layer: Empty where it belongs to none.
        phase: forward, loss, backward or optimizer; empty where the launch is not in the trace, and for the
            own time of an annotation outside of these.
        route: `WITHIN` or `BY_FLOW`, or the reason why it belongs to no layer.
        launched_by: The outermost operator around it, autograd's own wrapper of a node only where it is the
            one; where there is none, the call of the runtime or driver, or the range itself.
        operator: The innermost operator around it; empty where there is none.
        call: Index of the range of the layer's call, for a launch; None where it belongs to none.
    """

    layer: str
    phase: str
    route: str
    launched_by: str
    operator: str
    call: int | None = None


@dataclass(frozen=True)
class Attribution:
    """The owners of the work and of the ranges of a trace.

    Attributes:
        layer_kind: The ranges that are its layers.
        nesting: Its ranges, and those around its launches.
        owners: One for each piece of work, in the order of the events.
        launches: The index of the launch of each piece of work, None where it is not in the trace.
        range_owners: One for each range: the owner of the time in which it is the innermost one.
    """

    layer_kind: LayerKind
    nesting: Nesting
    owners: Sequence[Owner]
    launches: Sequence[int | None]
    range_owners: Sequence[Owner]


def attribute(events: Events) -> Attribution:
    """Give each piece of work on a GPU, and each range of the CPU, to a layer.

    Work belongs to the call of the runtime or driver with its correlation, that to the innermost layer around
    it on its thread. A backward operator, which another thread may run, belongs to the layer of the forward
    operator that a flow leads from. Annotations on the GPU take no part. Layers are this project's own
    ranges where there are some, else modules, else operators.
    """
    kinds = {item.kind for item in events.ranges}
    layer_kind: LayerKind = "layer" if "layer" in kinds else "module" if "module" in kinds else "operator"
    flow_ends = [*events.forward_ends, *events.backward_ends]
    moments = [Moment(item.thread, item.start, item.end) for item in events.launches]
    moments += [Moment(item.thread, item.time, item.time) for item in flow_ends]
    nesting = nest(events.ranges, moments)
    places = _Places(nesting, layer_kind, _forward_ranges(events, nesting))
    table = _LaunchTable(events.launches)
    launches = [table.find(work) for work in events.work]

    @cache  # all kernels of a CUDA graph share the one launch of the graph
    def owner_of_launch(index: int) -> Owner:
        return places.owner_of_launch(nesting.around[index], events.launches[index].name)

    def owner(work: Work, launch: int | None) -> Owner:
        if launch is not None:
            return owner_of_launch(launch)
        return Owner("", "", NO_LAUNCH if work.correlation else NO_CORRELATION, "", "")

    return Attribution(
        layer_kind,
        nesting,
        [owner(work, launch) for work, launch in zip(events.work, launches, strict=True)],
        launches,
        places.range_owners(),
    )


class _LaunchTable:
    """Calls of the runtime and the driver by correlation."""

    def __init__(self, launches: Sequence[Launch]) -> None:
        self._launches = launches
        self._indices: dict[int, list[int]] = defaultdict(list)
        order = sorted(range(len(launches)), key=lambda i: (launches[i].start, -launches[i].end, launches[i]))
        for index in order:
            self._indices[launches[index].correlation].append(index)

    def find(self, work: Work) -> int | None:
        """Return the index of the launch of a piece of work, None where there is none."""
        indices = self._indices.get(work.correlation)
        if not work.correlation or not indices:
            return None
        # a driver's call may lie within the runtime's: the last before the kernel is the inner one
        earlier = bisect_right(indices, work.start, key=lambda i: self._launches[i].start)
        return indices[max(earlier - 1, 0)]


def _forward_ranges(events: Events, nesting: Nesting) -> dict[int, int]:
    """The range of the forward operator of each backward operator, by the index of the latter's range."""
    first = len(events.launches)
    second = first + len(events.forward_ends)
    sources: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for end, index in zip(events.forward_ends, nesting.around[first:second], strict=True):
        if index is not None:
            sources[end.flow].append((end.time, end.thread, index))
    targets = zip(events.backward_ends, nesting.around[second:], strict=True)
    forward_of: dict[int, int] = {}
    for end, index in sorted(targets, key=itemgetter(0)):
        # ids are unique within a session alone: the latest forward before this backward is its own
        earlier = [source for source in sources[end.flow] if source[0] < end.time]
        if index is not None and earlier:
            forward_of[_outermost_from(nesting, index, end.time)] = max(earlier)[-1]
    return forward_of


def _outermost_from(nesting: Nesting, index: int, time: int) -> int:
    """The operator that a flow leads to: the outermost of those that start at its very time."""
    ranges = nesting.ranges
    chain = [i for i in nesting.outwards(index) if ranges[i].start == time and ranges[i].kind == "operator"]
    return chain[-1] if chain else index


class _Place(NamedTuple):
    """Facts that the ranges from one outwards tell.

    Attributes:
        layer: The nearest layer, or that of the forward of a backward operator; empty for none.
        route: `WITHIN` or `BY_FLOW`, empty for none.
        phase: That of the nearest range that tells one; empty where none does.
        caller: The outermost operator; empty for none.
        node: The outermost wrapper of a node of the backward pass; empty for none.
        operator: The innermost operator; empty for none.
    """

    layer: str = ""
    route: str = ""
    phase: str = ""
    caller: str = ""
    node: str = ""
    operator: str = ""


class _Places:
    """The place of each range, worked out once, from the outermost inwards.

    Args:
        nesting: The ranges of the trace.
        layer_kind: The ranges that are its layers.
        forward_of: The range of the forward operator of each backward operator.
    """

    def __init__(self, nesting: Nesting, layer_kind: LayerKind, forward_of: Mapping[int, int]) -> None:
        self._nesting, self._layer_kind, self._forward_of = nesting, layer_kind, forward_of
        self._places: list[_Place | None] = [None] * len(nesting.ranges)
        self._calls: list[int | None] = [None] * len(nesting.ranges)
        self._outside = OUTSIDE.format(layer_kind)

    def owner_of_launch(self, innermost: int | None, call: str) -> Owner:
        """Return the owner of what a call of the runtime or driver launched within a range."""
        owner = self._owner(innermost, call)
        return owner if innermost is None else owner._replace(call=self._calls[innermost])

    def range_owners(self) -> list[Owner]:
        """Return the owner of each range's own time; equal owners are one object."""
        owners: dict[Owner, Owner] = {}
        all_owners = []
        for index, item in enumerate(self._nesting.ranges):
            owner = self._owner(index, item.name.partition("#")[0])
            if item.kind == "annotation" and not (owner.layer or owner.operator):
                # such as that of a whole step, whose own time is between the phases
                owner = owner._replace(phase=self._place(index).phase)
            all_owners.append(owners.setdefault(owner, owner))
        return all_owners

    def _owner(self, innermost: int | None, name: str) -> Owner:
        """The owner of what happens within a range; the name counts where no operator is around it."""
        place = self._place(innermost)
        return Owner(
            layer=place.layer,
            phase=place.phase or "forward",
            route=place.route or self._outside,
            # within a node's wrapper lie the node and the sums of gradients, which are not the node's
            launched_by=(place.caller or place.node or name).removeprefix(EVALUATE),
            operator=place.operator,
        )

    def _place(self, innermost: int | None) -> _Place:
        chain = []
        index = innermost
        while index is not None and self._places[index] is None:
            chain.append(index)
            index = self._nesting.parents[index]
        place = (self._places[index] if index is not None else None) or _Place()
        call = self._calls[index] if index is not None else None
        for index in reversed(chain):
            # a flow that leads back to its own range, as a damaged trace may have, finds what is around it
            self._places[index], self._calls[index] = place, call
            place, call = self._places[index], self._calls[index] = self._within(place, call, index)
        return place

    def _within(self, outer: _Place, outer_call: int | None, index: int) -> tuple[_Place, int | None]:
        """The place of a range within another place, and the call of its layer."""
        item, forward = self._nesting.ranges[index], self._forward_of.get(index)
        source = None if forward is None else self._place(forward)
        place = _place_within(outer, item.kind, item.name, self._layer_kind, source)
        if forward is not None and source is not None and source.route and place.route == BY_FLOW:
            return place, self._calls[forward]
        is_call = item.kind == self._layer_kind and place.route == WITHIN
        return place, index if is_call else outer_call


@lru_cache(maxsize=2**16)  # far fewer than ranges, so that equal places are one object
def _place_within(
    outer: _Place, kind: RangeKind, name: str, layer_kind: LayerKind, source: _Place | None
) -> _Place:
    """The place of a range within another place; `source` is that of its forward operator."""
    layer, route = outer.layer, outer.route
    # a module around the launch and within the backward operator ran its forward again; where operators
    # are the layers, the backward ones are within themselves, and their forward goes first
    if kind == layer_kind != "operator":
        layer, route = name, WITHIN
    elif source is not None and source.route:
        layer, route = source.layer, BY_FLOW
    elif kind == layer_kind and route != BY_FLOW:
        layer, route = name, WITHIN
    place = outer._replace(layer=layer, route=route, phase=_phase_within(outer, kind, name, source))
    if kind != "operator":
        return place
    is_wrapper = name.startswith(EVALUATE)
    return place._replace(
        caller=outer.caller or ("" if is_wrapper else name),
        node=outer.node or (name if is_wrapper else ""),
        operator=name,
    )


def _phase_within(outer: _Place, kind: RangeKind, name: str, source: _Place | None) -> str:
    if kind == "annotation" and name.startswith(PHASE_RANGE):
        return name.removeprefix(PHASE_RANGE)
    if kind == "annotation" and name.startswith(OPTIMIZER_PREFIX):
        return "optimizer"
    is_backward = kind == "operator" and _is_backward_node(name)
    return "backward" if source is not None or is_backward else outer.phase


def _is_backward_node(name: str) -> bool:
    return name.startswith(EVALUATE) or _BACKWARD_NODE.fullmatch(name) is not None
