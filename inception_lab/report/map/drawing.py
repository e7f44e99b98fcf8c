"""The map as SVG: whole and unfolded, for a reader without scripts and for `page.js` to move about."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from html import escape

from inception_lab.analyzers.dataflow import SOURCE
from inception_lab.report.map.layout import GAP_Y, HEADER, Node


@dataclass(frozen=True)
class BoxFacts:
    """Facts of a box that the page shows beside its name and place.

    Attributes:
        text: All of it, for who hovers or listens, in lines.
        link: Place on the page that a click leads to; empty for none.
        part: From 0 to 1, how much colour it has.
        kind: Number of the kind of branch that it belongs to; None outside of branches.
    """

    text: str
    link: str = ""
    part: float = 0.0
    kind: int | None = None


Facts = Callable[[Node], BoxFacts]


def map_svg(root: Node, title: str, facts: Facts) -> str:
    """Return the map of a net as SVG for a page of HTML.

    Args:
        root: As of `laid_out`.
        title: What it shows, in one line.
        facts: Tells what the page shows of a box.
    """
    width, height = root.width + 2, root.height + 2  # with half of the lines around
    size = f'width="{width}" height="{height}" viewBox="-1 -1 {width} {height}"'
    boxes = "".join(_box(root, facts))
    return f'<svg id="map" {size} role="group" aria-label="{escape(title)}">{boxes}</svg>'


def _box(node: Node, facts: Facts) -> Iterator[str]:
    fact = facts(node)
    kind = "" if fact.kind is None else f" k{fact.kind}"
    yield f'<g id="b{node.number}" class="{_class(node)}{kind}" transform="translate({node.x} {node.y})"'
    yield f' style="--t:{fact.part:.2f}">' if fact.part else ">"
    link = f'<a href="#{fact.link}"' if fact.link else "<g"
    yield f'{link} class="b"><title>{escape(fact.text)}</title>'
    yield f'<rect width="{node.width}" height="{node.height}"/>'
    if fact.kind is not None and not node.children:
        yield f'<path class="s" d="M0 1h4v{node.height - 2}h-4z"/>'
    tops = _tops(node)
    for number, band in enumerate(node.bands):
        yield f'<path class="f" d="{_way(node, number, tops)}" stroke-width="{band.width}"/>'
    yield from _texts(node)
    yield "</a>" if fact.link else "</g>"
    for child in node.children:
        yield from _box(child, facts)
    yield "</g>"


def _class(node: Node) -> str:
    return "o" if node.unit.is_op else "m" if node.children else "l"


def _texts(node: Node) -> Iterator[str]:
    name, shape, middle = escape(node.unit.short_name), escape(node.unit.shape_label), node.width // 2
    if node.children:
        yield f'<text x="{22 if node.number else 8}" y="15">{name} <tspan>{shape}</tspan></text>'
    elif node.unit.is_op:
        yield f'<text x="{middle}" y="13">{name} <tspan>{shape}</tspan></text>'
    else:
        yield f'<text x="{middle}" y="14">{name}<tspan x="{middle}" dy="13">{shape}</tspan></text>'


def _tops(node: Node) -> set[int]:
    """The first box of each column."""
    firsts = ({lane: box for box, lane in reversed(stage.lanes)} for stage in node.stages)
    return {box for first in firsts for box in first.values()}


def _way(node: Node, number: int, tops: Container[int]) -> str:
    """The way of a band through the box around it, from edge to edge."""
    band, target = node.bands[number], node.children[node.bands[number].target]
    x, y = target.x + target.width // 2 + band.shift, target.y
    left, top = node.width // 2, 0
    if band.source != SOURCE:
        source = node.children[band.source]
        left, top = source.x + source.width // 2, source.y + source.height
    column = node.columns.get(number)
    if column is not None:
        aside = f"C{left} {top + 16} {column} {top} {column} {top + 18}"
        return f"M{left} {top}{aside}V{y - 18}C{column} {y} {x} {y - 16} {x} {y}"
    # nothing stands above the first box of a column, nor below the source of any other such band
    if band.target in tops:
        return _aside_then_down(left, top, x, y, HEADER if band.source == SOURCE else top)
    return _down_then_aside(left, top, x, y)


def _aside_then_down(left: int, top: int, x: int, y: int, start: int) -> str:
    bottom = min(y, start + 2 * GAP_Y)
    middle = (start + bottom) // 2
    down = f"V{y}" if y > bottom else ""
    return f"M{left} {top}C{left} {middle} {x} {middle} {x} {bottom}{down}"


def _down_then_aside(left: int, top: int, x: int, y: int) -> str:
    bottom = max(top, y - 2 * GAP_Y)
    down = f"V{bottom}" if bottom > top else ""
    return f"M{left} {top}{down}C{left} {y} {x} {bottom} {x} {y}"
