"""The operation as a rule of channels sees it, and what a rule answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.channel_labels import (
    LabelArray,
    Labels,
    Shape,
)
from inception_lab.analyzers.receptive_field.rules.registry import is_pointwise
from inception_lab.ir.trace import Op


class MoveContext(NamedTuple):
    """An operation as a rule sees it.

    Attributes:
        op: The operation.
        name: Its base name.
        labels: The labels of the trace.
        geometries: Of each tensor read; None where it does not depend on the source.
        shapes: Of each tensor read.
        output_shapes: Of each value written.
        constant: Gives the content of a tensor read, by its place; None where that is not known.
    """

    op: Op
    name: str
    labels: Labels
    geometries: Sequence[Geometry | None]
    shapes: Sequence[Shape]
    output_shapes: Sequence[Shape]
    constant: Callable[[int], NDArray[Any] | None]

    @property
    def is_pointwise(self) -> bool:
        """True where it works element by element."""
        return is_pointwise(self.name)

    def dim(self, default: int, rank: int) -> int:
        """The argument `dim`, counted from the front."""
        return int(self.op.arg("dim", default)) % rank


def is_axis(geometry: Geometry, dim: int) -> bool:
    """True where the positions along a dimension are those of one axis, in order."""
    return len(geometry.dims[dim]) == 1 and geometry.dims[dim][0].step == 1


Outputs = Sequence[LabelArray] | None
"""An array for each value written, the last one for all further ones; None where that cannot be told."""
Move = Callable[[MoveContext, int, LabelArray], Outputs]
"""Moves the labels of one tensor read, of the place given among those read."""
