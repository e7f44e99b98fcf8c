"""The source positions that a value's positions stand for, along one axis; see `axis_search`."""

from __future__ import annotations

import numpy as np

from inception_lab.analyzers.receptive_field.axis_layout import AxisMap
from inception_lab.analyzers.receptive_field.axis_ops import OUTSIDE, AxisOp, IntArray


class Positions:
    """The source positions that a value's positions stand for, as far as they were only moved.

    Attributes:
        positions: A source position for each, -1 where it stands for none; None where several met.
        in_patches: True where each stands for a patch, as several digits of an axis do that were contracted.
    """

    __slots__ = ("_history", "_size", "in_patches", "positions")

    def __init__(self, size: int, positions: IntArray | None, history: int, in_patches: bool = False) -> None:
        self._size, self.positions, self._history, self.in_patches = size, positions, history, in_patches

    @classmethod
    def identity(cls, size: int) -> Positions:
        """Each position stands for itself."""
        return cls(size, np.arange(size), 0)

    def __len__(self) -> int:
        return self._size

    def after(self, op: AxisOp) -> Positions:
        """The positions of what an operation makes of these."""
        if not op.moves:
            return self
        if self.positions is not None and op.stride and not op.grow:
            moved = np.append(self.positions, OUTSIDE)[op.taps[:, 0]]
            return Positions(op.length, moved, 0, self.in_patches)
        # of what reads several positions, a partition into patches alone takes no other size
        in_patches = self.in_patches or (op.grow > 0 and op.sizes is None)
        return Positions(op.length, None, hash((self._key, id(op))), in_patches)

    @property
    def _key(self) -> int:
        """The same for equal positions, by what was done to them where several met."""
        return self._history if self.positions is None else hash(self.positions.tobytes())

    def merge(self, other: Positions) -> Positions:
        """The positions of what depends on both."""
        if self.is_same(other):
            return self
        size, in_patches = max(len(self), len(other)), self.in_patches or other.in_patches
        return Positions(size, None, hash((self._key, other._key)), in_patches)

    def is_same(self, other: Positions) -> bool:
        """True where both stand for the same source positions, and were made of them in the same way."""
        return self is other or self._key == other._key

    @classmethod
    def of_part(cls, part: AxisMap, size: int) -> Positions:
        """The positions of what is larger than a part whose positions are known."""
        return cls(size, None, hash((part._key, size)) if isinstance(part, Positions) else 0)

    def covers(self, other: Positions) -> bool:
        """Always: the extents do not matter here."""
        del other
        return True
