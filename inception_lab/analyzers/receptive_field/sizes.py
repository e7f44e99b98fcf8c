"""Maps from sizes of the source along one axis to sizes of a value, for the smallest input."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_ops import AxisOp, IntArray


class Sizes:
    """The number of positions that there would be for other sizes of the source.

    Attributes:
        count: Positions, by candidate size.
        fits: True where the operations up to here take a candidate size.
        traced_count: Positions in the trace itself.
    """

    __slots__ = ("count", "fits", "traced_count")

    def __init__(self, count: IntArray, fits: NDArray[np.bool_], traced_count: int) -> None:
        self.count, self.fits, self.traced_count = count, fits, traced_count

    @classmethod
    def up_to(cls, size: int) -> Sizes:
        """The candidates 1, 2, ... up to the size that was traced."""
        return cls(np.arange(1, size + 1), np.ones(size, dtype=np.bool_), size)

    def __len__(self) -> int:
        return self.traced_count

    def after(self, op: AxisOp) -> Sizes:
        """The sizes of a value that an operation makes of this one."""
        if op.sizes is None:
            # no other size is known to work, and this one gives what the trace shows
            count, fits = self.count * 0 + op.length, self.count == self.traced_count
            return Sizes(count, self.fits & fits, op.length)
        count = op.sizes(self.count)
        return Sizes(count, self.fits & (count >= 1), op.length)

    def merge(self, other: Sizes) -> Sizes:
        """The sizes of a value that depends on both: equal, or 1, which goes with every size."""
        one, two = self.count, other.count
        fits = self.fits & other.fits & ((one == two) | (one == 1) | (two == 1))
        return Sizes(np.maximum(one, two), fits, max(self.traced_count, other.traced_count))

    def covers(self, other: Sizes) -> bool:
        """Never: both have to fit."""
        del other
        return False
