"""Parts of a dimension, and positions of it written over, of whatever is followed of a value."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.analyzers.receptive_field.rules.context import Dependent

Places = NDArray[np.int64]


def part(value: Dependent, dim: int, start: int, stop: int, step: int = 1) -> Dependent:
    """A slice of a dimension of a value."""
    size = value.shape[dim]
    if (start, step) == (0, 1) and stop >= size:
        return value
    make_op = partial(axis_ops.axis_slice, start=start, stop=stop, stride=step)
    return value.along(dim, make_op, len(range(start, min(stop, size), step)))


def pick(value: Dependent | None, dim: int, places: Places) -> Dependent | None:
    """Some positions of a dimension of a value; None of one that sees nothing."""
    if value is None:
        return None
    steps = set(np.diff(places).tolist())
    # a slice keeps its numbers, which a table of positions would lose
    if len(places) and len(steps) <= 1 and all(step > 0 for step in steps):
        return part(value, dim, int(places[0]), int(places[-1]) + 1, steps.pop() if steps else 1)
    return value.take(dim, places)


def put(
    base: Dependent | None, rows: Dependent | None, dim: int, places: Places, size: int
) -> Dependent | None:
    """A value with some positions of a dimension written over.

    Args:
        base: The value; None where it sees nothing.
        rows: What is written, a position each; None where that sees nothing.
        dim: The dimension.
        places: The positions, each once.
        size: Of the dimension.
    """
    if base is None and rows is None:
        return None
    if len(places) == size and bool((np.diff(places) == 1).all()):
        return rows
    if len(places) and bool((np.diff(places) == 1).all()):
        first, last = int(places[0]), int(places[-1]) + 1
        before, after = _piece(base, dim, 0, first), _piece(base, dim, last, size)
        return together([before, last - first if rows is None else rows, after], dim)
    index = np.arange(size)
    index[places] = size + np.arange(len(places))
    both = together([size if base is None else base, len(places) if rows is None else rows], dim)
    return None if both is None else both.take(dim, index)


def scattered(value: Dependent, dim: int, places: Places, size: int) -> Dependent:
    """Positions of a dimension of a value, added up at the places of another one.

    Args:
        value: The value.
        dim: The dimension.
        places: Of each position; -1 for one that is left out.
        size: Of the dimension afterwards.
    """
    operation = axis_ops.scatter(places, size)
    return value.along(dim, lambda _: operation, size)


def _piece(base: Dependent | None, dim: int, start: int, stop: int) -> Dependent | int:
    if base is None or start == stop:
        return stop - start
    return part(base, dim, start, stop)


def together(pieces: Sequence[Dependent | int], dim: int) -> Dependent | None:
    """Pieces one after the other along a dimension; a number stands for as many that see nothing."""
    pieces = [piece for piece in pieces if not isinstance(piece, int) or piece]
    values = [piece for piece in pieces if not isinstance(piece, int)]
    if not values:
        return None
    return values[0] if len(pieces) == 1 else type(values[0]).concatenated(pieces, dim)
