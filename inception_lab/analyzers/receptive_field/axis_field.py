"""The field along one axis: the spans of the units, and the three numbers that describe them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.axis_maps import Interior
from inception_lab.analyzers.receptive_field.cells import Cells, nothing_of

Pixels = NDArray[np.int64]
Span = tuple[int, int]
NOTHING: Span = (0, -1)
"""The span of a unit that sees nothing but padding."""


class AxisField(NamedTuple):
    """The pixels that units see along one axis of the source.

    Attributes:
        spans: Of every path.
        local_spans: Of paths on which nothing was reduced over the whole axis; None where there is none.
        interior: The three numbers of the local paths; None where no such numbers hold.
        dim: The dimension of the grid that runs along the axis; None where it runs along several axes.
        units: Its size.
    """

    spans: Cells
    local_spans: Cells | None
    interior: Interior | None
    dim: int | None
    units: int

    def is_like(self, other: AxisField) -> bool:
        """True where the spans of both are the same table along another dimension."""
        return (
            self.spans.data is other.spans.data
            and self.local_spans is not None
            and other.local_spans is not None
            and self.local_spans.data is other.local_spans.data
            and (self.spans.dims, self.local_spans.dims) == ((self.dim,), (self.dim,))
            and (other.spans.dims, other.local_spans.dims) == ((other.dim,), (other.dim,))
        )

    @property
    def first(self) -> Pixels:
        """The first pixel that each unit along the axis sees on local paths, over all units beside it."""
        return -self._ends[:, 0]

    @property
    def last(self) -> Pixels:
        """The last pixel that each unit along the axis sees on local paths, over all units beside it."""
        return self._ends[:, 1]

    @property
    def _ends(self) -> Pixels:
        spans = self.spans if self.local_spans is None else self.local_spans
        data = spans.reduce({d for d in spans.dims if d != self.dim}).data.astype(np.int64)
        return np.broadcast_to(data, (self.units, 2))

    def span(self, unit: Sequence[int]) -> Span:
        """First and last pixel that a unit sees."""
        return _span(self.spans, unit)

    def local_span(self, unit: Sequence[int]) -> Span:
        """First and last pixel that a unit sees on local paths; on all, where there are no others."""
        return _span(self.spans if self.local_spans is None else self.local_spans, unit)

    @property
    def widest(self) -> int:
        """The field of an inner unit, or the pixels between the first and the last that any unit sees."""
        if self.interior:
            return self.interior.field
        first, last = _span(self.spans.reduce(self.spans.dims), ())
        return last - first + 1


def _span(spans: Cells, unit: Sequence[int]) -> Span:
    before, last = spans.data[tuple([unit[d] for d in spans.dims])].tolist()
    return NOTHING if last == nothing_of(spans.data) else (-before, last)
