"""Facts of each box that the page's map shows, and that its script needs to colour and to fold it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Record, Row
from inception_lab.report.map.drawing import BoxFacts
from inception_lab.report.map.layout import Node
from inception_lab.report.map.units import Unit as MapUnit
from inception_lab.report.plots.wording import share_text
from inception_lab.report.text import alike_text, one_line, shape_text

_COSTS = ("macs", "training_macs", "params", "saved_bytes", "activation_bytes", "self_ms")
"""The metrics by which a reader may have the map coloured, each the sum over a box's layers."""


@dataclass(frozen=True)
class MapMetric:
    """A metric that colours the map.

    Attributes:
        name: As in `metrics.METRICS`.
        label: Its name for people.
        unit: Of its values.
        values: Of each layer of the record.
        is_sum: True where a box has the sum over its layers; else it has the value of the last of them.
    """

    name: str
    label: str
    unit: Unit
    values: tuple[float, ...]
    is_sum: bool = True

    def of(self, rows: Sequence[int]) -> float:
        """The value of a box, by its layers."""
        values = [self.values[row] for row in rows]
        return (sum(values) if self.is_sum else values[-1]) if values else 0

    def of_box(self, node: Node) -> float:
        """The value of a box of the map; an operation, which has no row, has MACs of its own."""
        return node.unit.macs if node.unit.is_op and self.name == "macs" else self.of(node.unit.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return what the script reads."""
        data = {"name": self.name, "label": self.label, "unit": self.unit, "sum": self.is_sum}
        return data | {"values": list(self.values)}


def map_metrics(record: Record, times: Sequence[float] = ()) -> list[MapMetric]:
    """Return the metrics that any layer has, MACs first."""
    layers: Sequence[Mapping[str, Any]] = record.layers
    if times:
        layers = [{**row, "self_ms": time} for row, time in zip(layers, times, strict=True)]
    metrics = [
        MapMetric(name, METRICS[name].label, METRICS[name].unit, values)
        for name in _COSTS
        if any(values := tuple([row.get(name) or 0 for row in layers]))
    ]
    fields = tuple([max(row.get("receptive_field") or [0]) for row in layers])
    if any(fields):
        metrics.append(MapMetric("receptive_field", "Receptive field", "count", fields, is_sum=False))
    return metrics


class MapFacts:
    """Tells the texts, links and colours of boxes.

    Args:
        record: Of the net.
        metrics: As of `map_metrics`; the first one colours the page as it is delivered.
        root: The boxes of the net.
        kinds: Number of the kind of branch of each layer that is in one, by its place in the record.
        links: Places on the page by path of a module.
    """

    def __init__(
        self,
        record: Record,
        metrics: Sequence[MapMetric],
        root: Node,
        kinds: Mapping[int, int],
        links: Mapping[str, str],
    ) -> None:
        self._layers, self._metrics, self._kinds, self._links = record.layers, metrics, kinds, links
        self._totals = {metric.name: sum(metric.values) for metric in metrics}
        self.largest = max([metrics[0].of_box(leaf) for leaf in leaves(root)], default=0) if metrics else 0

    def __call__(self, node: Node) -> BoxFacts:
        """The facts of a box."""
        rows = node.unit.rows
        part = (
            0.0 if node.children or not self.largest else sqrt(self._metrics[0].of_box(node) / self.largest)
        )
        kinds = {self._kinds.get(row) for row in rows}
        return BoxFacts(self._text(node), self._link(node), part, kinds.pop() if len(kinds) == 1 else None)

    def _link(self, node: Node) -> str:
        first = f"r{node.unit.rows[0]}" if node.unit.rows else ""
        return self._links.get(node.unit.layer, first) if node.children else first

    def _text(self, node: Node) -> str:
        unit = node.unit
        lines = [one_line(f"{unit.name} in {unit.layer}" if unit.is_op else f"{unit.layer}, {unit.type}")]
        if unit.outputs:
            lines.append(f"output {output_text(unit)}")
        for metric in self._metrics:
            if metric.is_sum and (value := metric.of_box(node)):
                text = format_quantity(value, metric.unit)
                lines.append(f"{metric.label} {text} ({share_text(value, self._totals[metric.name])})")
        if unit.rows and (text := field_text(self._layers[unit.rows[-1]])):
            lines.append(text)
        return "\n".join(lines)


def output_text(unit: MapUnit) -> str:
    """The shape of the first output, and the number of the others."""
    first = shape_text(unit.shape) or "a single number"
    return first if unit.outputs == 1 else f"{first}, and {unit.outputs - 1} more"


def field_text(row: Row) -> str:
    """Return a layer's field in words; empty where it has no field."""
    field, stride = row.get("receptive_field"), row.get("stride")
    if not field:
        return ""
    text = f"sees {alike_text(field)}"
    if stride:
        text += f" at stride {alike_text(stride)}"
    return text + (", and everything" if row.get("global_context") else "")


def leaves(node: Node) -> list[Node]:
    """The boxes that hold no others."""
    return [leaf for child in node.children for leaf in leaves(child)] if node.children else [node]


def box_data(root: Node) -> list[dict[str, Any]]:
    """Return what the script needs of each box to place it anew, by its number.

    Width and height of its own, layers, MACs of an operation, the numbers of boxes in it, stages (columns of
    boxes, columns of flows that pass by, number of columns, the box at the end), and flows (source, target,
    width, shift).
    """
    data: list[dict[str, Any]] = []
    _add(root, data)
    return data


def _add(node: Node, data: list[dict[str, Any]]) -> None:
    inner = {row for child in node.children for row in child.unit.rows}
    own = [row for row in node.unit.rows if row not in inner]
    data.append({"w": node.own_width, "h": node.own_height, "r": own})
    if node.unit.macs:
        data[-1]["m"] = node.unit.macs
    if node.children:
        data[-1] |= {
            "c": [child.number for child in node.children],
            "s": [[stage.lanes, stage.skips, stage.count, stage.end] for stage in node.stages],
            "f": [[band.source, band.target, band.width, band.shift] for band in node.bands],
        }
    for child in node.children:
        _add(child, data)
