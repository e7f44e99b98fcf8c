"""Units that the map draws as one box: single modules and operations, and small chains of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from inception_lab.analyzers.dataflow import Box, Flow
from inception_lab.record import Row
from inception_lab.report.cells import shorten_middle
from inception_lab.report.text import one_line, shape_text

MOST_IN_UNIT = 3
"""Modules and operations of a unit at most, as a convolution, its normalisation and its activation are."""
MOST_OPERATIONS = 300
"""Of a net that calls no module; one that runs more is drawn as one box."""
MOST_CHARACTERS = 32
"""Of a name in a box; all of it stands beside the map."""


@dataclass(frozen=True)
class Unit:
    """A box of the map.

    Attributes:
        name: The path of the module from the box around it, or the name of the operation.
        layer: Path of the module; of an operation that of the one that runs it.
        type: Class of the module, or name of the operation.
        is_op: True of an operation.
        shape: Of the output.
        channels: Of the output.
        rows: Places of its layers among those of the record, its own operations last.
        units: What runs within it, in order of execution; empty where it is drawn whole.
        flows: The values between these.
        macs: Multiply-accumulates of an operation.
        outputs: Number of outputs.
    """

    name: str
    layer: str
    type: str
    is_op: bool
    shape: tuple[int, ...]
    channels: int
    rows: tuple[int, ...]
    units: tuple[Unit, ...]
    flows: tuple[Flow, ...]
    macs: int = 0
    outputs: int = 1

    @property
    def short_name(self) -> str:
        """The name as there is room for it in a box."""
        return shorten_middle(one_line(self.name), MOST_CHARACTERS)

    @property
    def shape_label(self) -> str:
        """The shape of the output without the batch."""
        return shape_text([self.shape[1:]]) if len(self.shape) > 1 else ""


def units(root: Box, layers: tuple[Row, ...]) -> Unit:
    """Return the boxes to draw of a net.

    Args:
        root: As of `dataflow`.
        layers: The rows of the record of the same trace.
    """
    places: dict[tuple[str, int], int] = {}
    for place, row in enumerate(layers):
        places[row["layer"], row.get("call", 0)] = place
    unit = _unit(root, "", places)
    return _whole(unit) if _is_layer(root) else unit


def _unit(box: Box, around: str, places: Mapping[tuple[str, int], int]) -> Unit:
    key = box.layer, box.call
    own = (places[key],) if key in places and not box.is_op else ()
    inner = [(child, _unit(child, box.layer, places)) for child in box.boxes]
    within = tuple([_whole(unit) if _is_chain(child) else unit for child, unit in inner])
    # what a module runs itself mostly joins what its children make
    rows = (*(row for unit in within for row in unit.rows), *own)
    name = box.type if box.is_op else _name_within(box.layer, around)
    return Unit(
        name, box.layer, box.type, box.is_op, box.shape, box.channels, rows, within, box.flows, box.macs,
        box.outputs,
    )  # fmt: skip


def _whole(unit: Unit) -> Unit:
    """A box without the others in it."""
    return replace(unit, units=(), flows=())


def _is_chain(box: Box) -> bool:
    """True of a chain that computes one product at most."""
    few = len(box.boxes) <= MOST_IN_UNIT and box.weighted <= 1
    return few and all(not child.boxes for child in box.boxes)


def _is_layer(root: Box) -> bool:
    """True of a net that calls no module and is a chain, or loops over many steps as a recurrent layer."""
    is_loop = len(root.boxes) > MOST_OPERATIONS
    return all(child.is_op for child in root.boxes) and (is_loop or _is_chain(root))


def _name_within(layer: str, around: str) -> str:
    return layer.removeprefix(f"{around}.") if around else layer
