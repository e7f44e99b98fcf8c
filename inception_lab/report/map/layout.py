"""Places of boxes: modules in order of execution from top to bottom, one column a branch.

What runs within a box is cut into stages where one value alone passes on. Within a stage each branch has a
column of its own; what a box makes and boxes further down read has a narrow one. All lengths are whole
pixels, so that the page's script, which places boxes anew as they fold, comes to the same (`place` in
`page.js`).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil

from inception_lab.analyzers.dataflow import SOURCE, Flow
from inception_lab.report.cells import cell_width
from inception_lab.report.map.units import Unit

DISTANCES = GAP_X, GAP_Y, PADDING, HEADER = 14, 16, 8, 22
MODULE, OPERATION = 34, 18
"""Heights of a box without others in it."""
_CHARACTER, _SMALL_CHARACTER, _NARROWEST, _MARGIN = 6.4, 5.7, 44, 18
_TOGGLE = 22
"""Room for the sign by which a module folds."""
WIDEST_BAND, _NARROWEST_BAND = 40, 2


@dataclass(frozen=True)
class Stage:
    """Boxes between two places where one value alone passes on.

    Attributes:
        lanes: Places of boxes, each with its column.
        skips: Places of flows that pass boxes by, each with its column, one for those of the same source.
        count: Number of columns.
        end: Place of the box below all columns, in which they meet; None where there is none.
    """

    lanes: tuple[tuple[int, int], ...]
    skips: tuple[tuple[int, int], ...]
    count: int
    end: int | None


@dataclass(frozen=True)
class Band:
    """A flow as it is drawn.

    Attributes:
        source: Place of the box that it comes from, or `SOURCE`.
        target: Place of the box that it leads to.
        width: In pixels.
        shift: From the middle of the target's upper edge to that of the band.
    """

    source: int
    target: int
    width: int
    shift: int


@dataclass
class Node:
    """A box of the map with its size and its place within the box around it.

    Attributes:
        number: Of all boxes, in order of execution.
        unit: What it shows.
        own_width: Width where it is folded or has no others in it.
        own_height: Height there.
        children: The boxes within it.
        stages: These, stage by stage.
        bands: The flows between these.
        width: As laid out.
        height: As laid out.
        x: Left edge.
        y: Upper edge.
        columns: The middle of the column of each band that passes boxes by.
    """

    number: int
    unit: Unit
    own_width: int
    own_height: int
    children: Sequence[Node]
    stages: Sequence[Stage]
    bands: Sequence[Band]
    width: int = 0
    height: int = 0
    x: int = 0
    y: int = 0
    columns: dict[int, int] = field(default_factory=dict)


def laid_out(root: Unit) -> Node:
    """Return the boxes of a net, each with its size and place."""
    node = _Nodes(root).node(root)
    place(node)
    return node


class _Nodes:
    """Numbers boxes, and scales bands by the most channels of any."""

    def __init__(self, root: Unit) -> None:
        self._count = 0
        self._scale = WIDEST_BAND / max([1, *(flow.channels for flow in _flows(root))])

    def node(self, unit: Unit) -> Node:
        number, self._count = self._count, self._count + 1
        children = [self.node(child) for child in unit.units]
        pieces = stages(unit)
        height = OPERATION if unit.is_op else MODULE
        return Node(number, unit, _own_width(unit), height, children, pieces, [*self._bands(unit, pieces)])

    def _bands(self, unit: Unit, pieces: Sequence[Stage]) -> Iterator[Band]:
        widths = [max(_NARROWEST_BAND, round(self._scale * flow.channels)) for flow in unit.flows]
        shifts = [0] * len(widths)
        for stage in pieces:
            if stage.end is not None and _is_joined(unit, stage.end):
                for number, shift in _side_by_side(unit, stage, widths):
                    shifts[number] = shift
        for flow, width, shift in zip(unit.flows, widths, shifts, strict=True):
            yield Band(flow.source, flow.target, width, shift)


def _flows(unit: Unit) -> Iterator[Flow]:
    yield from unit.flows
    for child in unit.units:
        yield from _flows(child)


def _is_joined(unit: Unit, end: int) -> bool:
    """True of a concatenation, in which bands come side by side."""
    return sum(flow.channels for flow in unit.flows if flow.target == end) == unit.units[end].channels


def _side_by_side(unit: Unit, stage: Stage, widths: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The flows into the end of a stage, in the order of their columns, and the place of each."""
    lanes, skips = dict(stage.lanes), dict(stage.skips)
    flows = [(number, flow) for number, flow in enumerate(unit.flows) if flow.target == stage.end]
    flows.sort(key=lambda pair: skips.get(pair[0], lanes.get(pair[1].source, -1)))
    left = -sum(widths[number] for number, _ in flows) // 2
    for number, _ in flows:
        yield number, left + widths[number] // 2
        left += widths[number]


def _own_width(unit: Unit) -> int:
    name, shape = _CHARACTER * cell_width(unit.short_name), _SMALL_CHARACTER * len(unit.shape_label)
    text = name + shape if unit.is_op or unit.units else max(name, shape)
    return max(_NARROWEST, ceil(text) + _MARGIN + (_TOGGLE if unit.units else 0))


def stages(unit: Unit) -> list[Stage]:
    """Return the stages of what runs within a box."""
    cuts = [*_cuts(unit)]
    stage_of = [number for number, (first, last) in enumerate(cuts) for _ in range(first, last + 1)]
    flows: list[list[tuple[int, Flow]]] = [[] for _ in cuts]
    for number, flow in enumerate(unit.flows):
        flows[stage_of[flow.target]].append((number, flow))
    return [_Lanes(*cut, inner).stage() for cut, inner in zip(cuts, flows, strict=True)]


def _cuts(unit: Unit) -> Iterator[tuple[int, int]]:
    """The first and the last box of each stage: behind the last one, nothing earlier is read."""
    count = len(unit.units)
    reach = [-1] * (count + 1)  # the last reader of what each box makes; at the end that of the source
    for flow in unit.flows:
        reach[flow.source] = max(reach[flow.source], flow.target)
    first, farthest = 0, reach[SOURCE]
    for place in range(count):
        if farthest <= place:
            yield first, place
            first = place + 1
        farthest = max(farthest, reach[place])
    if first < count:
        yield first, count - 1


class _Lanes:
    """Gives each box of a stage, and each value that passes one by, a column."""

    def __init__(self, first: int, last: int, flows: Sequence[tuple[int, Flow]]) -> None:
        self._first, self._last, self._flows = first, last, flows
        self._sources: dict[int, list[int]] = {}
        for _, flow in flows:
            self._sources.setdefault(flow.target, []).append(flow.source)
        self._lanes: dict[int, int] = {}
        self._above: dict[int, int] = {}
        """The box right above each, in its column."""

    def stage(self) -> Stage:
        meeting = {*self._sources.get(self._last, ())}
        end = self._last if self._last > self._first and len(meeting) > 1 else None
        count = self._columns(range(self._first, self._last + (end is None)))
        covered = {*self._above.values()}
        passing = [(n, flow.source) for n, flow in self._flows if self._passes_by(flow, end, covered)]
        columns = {source: count + n for n, source in enumerate(dict.fromkeys(s for _, s in passing))}
        skips = tuple((number, columns[source]) for number, source in passing)
        return Stage(tuple(self._lanes.items()), skips, count + len(columns), end)

    def _columns(self, places: range) -> int:
        """A box stands below the first of its sources below which nothing stands yet; returns the number."""
        lowest: dict[int, int] = {}
        count = 0
        for place in places:
            above = next((source for source in self._sources.get(place, ()) if source in lowest), None)
            if above is None:
                self._lanes[place], count = count, count + 1
            else:
                self._above[place] = above
                self._lanes[place] = lowest.pop(above)
            lowest[place] = self._lanes[place]
        return count

    def _passes_by(self, flow: Flow, end: int | None, covered: Container[int]) -> bool:
        """True of a flow with boxes below its source, or from further up, into the middle of a column."""
        is_direct = flow.target != end and self._above.get(flow.target, flow.source) == flow.source
        return not is_direct and (flow.source not in self._lanes or flow.source in covered)


def place(node: Node) -> None:
    """Give a box and all within it their sizes and places, from the innermost outwards."""
    if not node.children:
        node.width, node.height = node.own_width, node.own_height
        return
    for child in node.children:
        place(child)
    y, widths, sources = HEADER, [], _sources(node)
    for stage in node.stages:
        width, y = _place_stage(node, stage, y, sources)
        widths.append(width)
    node.width = max(node.own_width, *(width + 2 * PADDING for width in widths))
    node.height = y + GAP_Y
    for stage, width in zip(node.stages, widths, strict=True):
        _shift(node, stage, (node.width - width) // 2)


def _sources(node: Node) -> dict[int, list[Node]]:
    """The boxes within this one that each of them reads from."""
    sources: dict[int, list[Node]] = {number: [] for number in range(len(node.children))}
    for band in node.bands:
        if band.source != SOURCE:
            sources[band.target].append(node.children[band.source])
    return sources


def _place_stage(
    node: Node, stage: Stage, top: int, sources: Mapping[int, Sequence[Node]]
) -> tuple[int, int]:
    """Place the boxes of a stage from the left edge on; returns its width and its lower edge."""
    widths = [0] * stage.count
    for number, lane in stage.lanes:
        widths[lane] = max(widths[lane], node.children[number].width)
    for number, lane in stage.skips:
        widths[lane] = max(widths[lane], node.bands[number].width)
    starts, x = [], 0
    for width in widths:
        starts.append(x)
        x += width + GAP_X
    end = None if stage.end is None else node.children[stage.end]
    total = max(x - GAP_X, end.width if end else 0)
    bottoms = [top] * stage.count
    for number, lane in stage.lanes:
        child = node.children[number]
        above = [source.y + source.height for source in sources[number]]
        child.y = max([bottoms[lane], *above]) + GAP_Y
        child.x = starts[lane] + (widths[lane] - child.width) // 2
        bottoms[lane] = child.y + child.height
    for number, lane in stage.skips:
        node.columns[number] = starts[lane] + widths[lane] // 2
    bottom = max(bottoms)
    if end:
        end.x, end.y = (total - end.width) // 2, bottom + 2 * GAP_Y
        bottom = end.y + end.height
    return total, bottom


def _shift(node: Node, stage: Stage, by: int) -> None:
    """Move a stage to the right, into the middle of the box around it."""
    for number, _ in stage.lanes:
        node.children[number].x += by
    if stage.end is not None:
        node.children[stage.end].x += by
    for number, _ in stage.skips:
        node.columns[number] += by
