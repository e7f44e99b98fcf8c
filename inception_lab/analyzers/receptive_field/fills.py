"""Elements known to hold a number that a softmax leaves out or that a product makes nothing of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field.cells import Cells, Shape
from inception_lab.analyzers.receptive_field.rules.context import Filling


class Fill(NamedTuple):
    """Elements that hold a known number, and so depend on nothing.

    Attributes:
        number: `-inf` for what a softmax leaves out, or 0.
        cells: 1 for elements that hold it.
    """

    number: Filling
    cells: Cells

    def or_in(self, cells: Cells, shape: Shape) -> Fill:
        """The same with more elements that hold the number."""
        dims = sorted({*self.cells.dims, *cells.dims})
        both = np.maximum(self.cells.over(dims, shape), cells.over(dims, shape))
        return self._replace(cells=Cells(tuple(dims), both))

    def without(self, cells: Cells, shape: Shape) -> Fill | None:
        """The same where elements have been written over; None where none remains."""
        dims = sorted({*self.cells.dims, *cells.dims})
        remaining = np.where(cells.over(dims, shape), np.int8(0), self.cells.over(dims, shape))
        return self._replace(cells=Cells(tuple(dims), remaining)) if remaining.any() else None


def after_write(fill: Fill | None, number: Filling | None, cells: Cells, shape: Shape) -> Fill | None:
    """The fill of a value after a number was written to some of its elements.

    Args:
        fill: Before.
        number: What was written; None for any other one.
        cells: 1 for the elements written to.
        shape: Of the value.
    """
    if fill is None:
        return Fill(number, cells) if number else None
    if fill.number == number:
        return fill.or_in(cells, shape)
    remaining = fill.without(cells, shape)
    # one number alone is followed: that which a softmax leaves out, where there is one
    if remaining is None or (number is not None and remaining.number != "-inf"):
        return Fill(number, cells) if number else None
    return remaining


def of_any(fills: Sequence[Fill | None], number: Filling, shape: Shape) -> Fill | None:
    """The elements that hold a number in one value or another, all of one shape."""
    present = [fill for fill in fills if fill is not None and fill.number == number]
    if not present:
        return None
    first, *others = present
    for other in others:
        first = first.or_in(other.cells, shape)
    return first


def side_by_side(fills: Sequence[Fill | None], sizes: Sequence[int], dim: int, shape: Shape) -> Fill | None:
    """The fill of values put together along a dimension.

    Args:
        fills: Of each value.
        sizes: Of each value, along the dimension.
        dim: The dimension.
        shape: Of the result.
    """
    present = [fill for fill in fills if fill is not None]
    if not present:
        return None
    number: Filling = "-inf" if any(fill.number == "-inf" for fill in present) else "0"
    dims = sorted({dim, *(d for fill in present for d in fill.cells.dims)})
    pieces = []
    for fill, size in zip(fills, sizes, strict=True):
        piece_shape = (*shape[:dim], size, *shape[dim + 1 :])
        if fill is not None and fill.number == number:
            pieces.append(fill.cells.over(dims, piece_shape))
        else:
            pieces.append(np.zeros((*[piece_shape[d] for d in dims], 1), np.int8))
    return Fill(number, Cells(tuple(dims), np.concatenate(pieces, axis=dims.index(dim))))
