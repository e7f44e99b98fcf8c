"""The operation as a rule is handed it, and what a rule answers of the value that the operation makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry

Shape = tuple[int, ...]


class Unknown(NamedTuple):
    """A dependence that cannot be told.

    Attributes:
        reason: Why not.
    """

    reason: str


Dependence = Geometry | Unknown | None
"""None for a value that does not depend on the source."""


class RuleContext(NamedTuple):
    """An operation as a rule sees it.

    Attributes:
        name: Its base name.
        args: Its arguments that are not tensors, by name.
        inputs: Dependence of each tensor read; at least one depends on the source.
        shapes: Shapes of the tensors read.
        output_shape: Shape of the first value written.
    """

    name: str
    args: Mapping[str, Any]
    inputs: Sequence[Geometry | None]
    shapes: Sequence[Shape]
    output_shape: Shape

    @property
    def first(self) -> Geometry:
        """The first of the inputs that depends on the source."""
        return next(geometry for geometry in self.inputs if geometry is not None)


Rule = Callable[[RuleContext], Dependence | list[Dependence]]
"""Gives the dependence of the first value written, and of all others with it, or of each."""
