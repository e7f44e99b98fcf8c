"""Each GPU kernel given to the layer that launched it, or to the reason why it has none."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Literal, NamedTuple

from inception_lab.measure.profile.events import (
    OPTIMIZER_PREFIX,
    PHASE_RANGE,
    Events,
    Launch,
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
    """The owner of the work of one launch.

    Attributes:
        layer: Empty where it belongs to none.
        phase: forward, loss, backward or optimizer; empty where the launch is not in the trace.
        route: `WITHIN` or `BY_FLOW`, or the reason why it belongs to no layer.
        launched_by: The outermost operator around the launch, autograd's own wrapper of a node only where it
            is the one; the call of the runtime or driver where there is none.
        operator: The innermost operator around the launch; empty where there is none.
        call: Index of the range of the layer's call; None where it belongs to none.
    """

    layer: str
    phase: str
    route: str
    launched_by: str
    operator: str
    call: int | None = None


@dataclass(frozen=True)
class Attribution:
    """The owners of the work of a trace.

    Attributes:
        layer_kind: The ranges that are its layers.
        nesting: Its ranges, and those around its launches.
        owners: One for each piece of work, in the order of the events.
        launches: The index of the launch of each piece of work, None where it is not in the trace.
    """

    layer_kind: LayerKind
    nesting: Nesting
    owners: Sequence[Owner]
    launches: Sequence[int | None]


def attribute(events: Events) -> Attribution:
    """Give each piece of work on a GPU to the layer that launched it.

    It belongs to the call of the runtime or driver with its correlation, that to the innermost layer around
    it on its thread. A backward operator, which another thread runs, belongs to the layer of the forward
    operator that a flow leads from. Annotations on the GPU take no part. Layers are this project's own
    ranges where there are some, else modules, else operators.
    """
    kinds = {item.kind for item in events.ranges}
    layer_kind: LayerKind = "layer" if "layer" in kinds else "module" if "module" in kinds else "operator"
    flow_ends = [*events.forward_ends, *events.backward_ends]
    moments = [Moment(item.thread, item.start, item.end) for item in events.launches]
    moments += [Moment(item.thread, item.time, item.time) for item in flow_ends]
    nesting = nest(events.ranges, moments)
    surroundings = _Surroundings(nesting, layer_kind, _forward_ranges(events, nesting))
    table = _LaunchTable(events.launches)
    launches = [table.find(work) for work in events.work]

    @cache  # all kernels of a CUDA graph share the one launch of the graph
    def owner_of_launch(index: int) -> Owner:
        return surroundings.owner(nesting.around[index], events.launches[index].name)

    def owner(work: Work, launch: int | None) -> Owner:
        if launch is not None:
            return owner_of_launch(launch)
        return Owner("", "", NO_LAUNCH if work.correlation else NO_CORRELATION, "", "")

    owners = [owner(work, launch) for work, launch in zip(events.work, launches, strict=True)]
    return Attribution(layer_kind, nesting, owners, launches)


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


@dataclass(frozen=True)
class _Surroundings:
    """The ranges around launches, and what they say.

    Attributes:
        nesting: The ranges of the trace.
        layer_kind: The ranges that are its layers.
        forward_of: The range of the forward operator of each backward operator.
    """

    nesting: Nesting
    layer_kind: LayerKind
    forward_of: Mapping[int, int]

    def owner(self, innermost: int | None, call: str) -> Owner:
        """Return the owner of what a call of the runtime or driver launched within a range."""
        chain = [self.nesting.ranges[index] for index in self.nesting.outwards(innermost)]
        operators = [item.name for item in chain if item.kind == "operator"]
        # within a node's wrapper lie the node and the sums of gradients, which are not the node's
        callers = [name for name in operators if not name.startswith(EVALUATE)] or operators or [call]
        layer_call, route = self._layer_call(innermost)
        return Owner(
            layer="" if layer_call is None else self.nesting.ranges[layer_call].name,
            phase=self._phase(innermost),
            route=route or OUTSIDE.format(self.layer_kind),
            launched_by=callers[-1].removeprefix(EVALUATE),
            operator=operators[0] if operators else "",
            call=layer_call,
        )

    def _layer_call(self, innermost: int | None) -> tuple[int | None, str]:
        """The nearest layer around a range or around the forward of its operator, and the route to it."""
        ranges, chain = self.nesting.ranges, list(self.nesting.outwards(innermost))
        nearest = next((index for index in chain if ranges[index].kind == self.layer_kind), None)
        for index in chain:
            # a module around the launch and within the backward operator ran its forward again; where
            # operators are the layers, the backward ones are within themselves, and their forward goes first
            if index == nearest and self.layer_kind != "operator":
                break
            if index in self.forward_of:
                layer_call, route = self._layer_call(self.forward_of[index])
                if route:
                    return layer_call, BY_FLOW
        return (None, "") if nearest is None else (nearest, WITHIN)

    def _phase(self, innermost: int | None) -> str:
        """The phase that the nearest range tells which tells one; forward where none does."""
        for index in self.nesting.outwards(innermost):
            item = self.nesting.ranges[index]
            if item.kind == "annotation" and item.name.startswith(PHASE_RANGE):
                return item.name.removeprefix(PHASE_RANGE)
            if item.kind == "annotation" and item.name.startswith(OPTIMIZER_PREFIX):
                return "optimizer"
            if index in self.forward_of or (item.kind == "operator" and _is_backward_node(item.name)):
                return "backward"
        return "forward"


def _is_backward_node(name: str) -> bool:
    return name.startswith(EVALUATE) or _BACKWARD_NODE.fullmatch(name) is not None
