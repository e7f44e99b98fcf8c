"""What a rule sees of an operation, and what it tells of the value that the operation makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry

Shape = tuple[int, ...]


class Unknown(NamedTuple):
    """What cannot be told, and why."""

    why: str


Dependence = Geometry | Unknown | None
"""None for a value that does not depend on the source."""


class RuleContext(NamedTuple):
    """An operation as a rule sees it.

    Attributes:
        name: Its base name.
        args: Its arguments that are not tensors, by name.
        given: What is known of each tensor read.
        shapes: Their shapes.
        out: Shape of the first value written.
    """

    name: str
    args: Mapping[str, Any]
    given: Sequence[Geometry | None]
    shapes: Sequence[Shape]
    out: Shape

    @property
    def first(self) -> Geometry:
        """The first of the tensors that depends on the source."""
        return next(known for known in self.given if known is not None)


Rule = Callable[[RuleContext], Dependence | list[Dependence]]
"""Gives what is known of the first value written, and of all others with it, or of each."""
