"""Receptive fields of layers."""

from __future__ import annotations

from typing import Literal

from inception_lab.analyzers.receptive_field.field import field_of
from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.costs import Readings
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading, Result, Unavailable

AXES = ("height", "width")
Fact = Literal["receptive_field", "stride", "padding"]


@recipe
def receptive_field(nets: Nets, model: str, layer: str, fact: Fact) -> Result:
    """Receptive field, effective stride or effective padding of a layer, along height and width."""
    field = field_of(nets.trace(model), layer)
    numbers: tuple[int, ...] | None = getattr(field, fact)
    if numbers is None:
        return Unavailable(f"a field with a centre: {field.reason}")
    return _by_axis(f"{layer} of {model}", numbers)


def _by_axis(where: str, numbers: tuple[int, ...]) -> Readings:
    readings = [Reading(name, size, f"{size} at {where}") for name, size in zip(AXES, numbers, strict=True)]
    # on a square grid the second axis would only repeat the first
    return tuple(readings[:1] if len(set(numbers)) == 1 else readings)
