"""Maps that remember how they were made, so that each operation's part in them can be told apart."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp


class Step(NamedTuple):
    """One operation along an axis.

    Attributes:
        op: The operation.
        is_cut: True where it leaves out places at the ends, so that to reduce the rest is not to see all.
    """

    op: AxisOp
    is_cut: bool


Way = tuple[Step, ...]
"""Operations along one axis, one after another."""


class Lineage:
    """The map of a value along one axis as what was done to others.

    Attributes:
        op: What was done; None where two maps were merged, and for the source itself.
        parent: The map that it was done to, the first of two; None for the source itself.
        other: The second of two that were merged.
    """

    __slots__ = ("_length", "op", "other", "parent")

    def __init__(
        self,
        length: int,
        op: AxisOp | None = None,
        parent: Lineage | None = None,
        other: Lineage | None = None,
    ) -> None:
        # no tuple of parents: there are as many maps as a dense net has edges
        self._length, self.op, self.parent, self.other = length, op, parent, other

    @classmethod
    def identity(cls, size: int) -> Lineage:
        """The source itself."""
        return cls(size)

    def __len__(self) -> int:
        return self._length

    def after(self, op: AxisOp) -> Lineage:
        """The map of what an operation makes of this."""
        return Lineage(op.length, op, self)

    def merge(self, other: Lineage) -> Lineage:
        """The map of what depends on both."""
        return Lineage(max(self._length, other._length), None, self, other)

    def covers(self, other: Lineage) -> bool:
        """Never: both are a part of what was done."""
        del other
        return False


def ways(target: Lineage, sources: Collection[Lineage]) -> Iterator[tuple[Lineage, Way]]:
    """The operations from each of some maps to a later one, for every way that leads there.

    Args:
        target: The later map.
        sources: The maps, found by their hash: a dictionary or a set.
    """
    unfinished: list[tuple[Lineage, Way]] = [(target, ())]
    while unfinished:
        lineage, way = unfinished.pop()
        if lineage in sources:
            yield lineage, way
            continue
        if lineage.parent is not None:
            longer = way if lineage.op is None else (_step(lineage.op, lineage.parent), *way)
            unfinished.append((lineage.parent, longer))
        if lineage.other is not None:
            unfinished.append((lineage.other, way))


def _step(op: AxisOp, before: Lineage) -> Step:
    is_slice = op.regular and not op.grow and op.stride == 1
    return Step(op, is_slice and op.length < len(before))
