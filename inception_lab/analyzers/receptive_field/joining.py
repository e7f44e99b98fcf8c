"""Parts of one value joined, where what they tell together is no more than what each tells."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import prod

import numpy as np

from inception_lab.analyzers.receptive_field.cells import Cells, Numbers, Shape, nothing_of, shared
from inception_lab.analyzers.receptive_field.parts import Part

MOST_PARTS = 4
"""Parts beyond which those of a kind are joined into one with an entry for each element."""

MOST_ENTRIES = 1 << 23
"""Entries beyond which no part is made of parts that differ element by element."""


def join(parts: Sequence[Part], shape: Shape) -> tuple[Part, ...]:
    """As few parts as tell the same."""
    if len(parts) < 2:
        return tuple(parts)
    kinds: dict[tuple[bool, ...], list[Part]] = {}
    for part in parts:
        kinds.setdefault(part.kind, []).append(part)
    joined = [part for of_kind in kinds.values() for part in _joined(of_kind, shape)]
    return tuple(joined)


def without_empty(parts: Sequence[Part]) -> tuple[Part, ...]:
    """The parts in which some element sees something, or one of them where there is none.

    A part that was cut off would go on as a local path by which nothing is seen.
    """
    if len(parts) < 2:
        return tuple(parts)
    return tuple([part for part in parts if not part.sees_nothing] or parts[:1])


def _joined(parts: Sequence[Part], shape: Shape, most: int = MOST_PARTS) -> list[Part]:
    """Parts of one kind, those as one that can be."""
    remaining: list[Part] = []
    for part in parts:
        for k, other in enumerate(remaining):
            if (both := _both(other, part, shape)) is not None:
                remaining[k] = both
                break
        else:
            remaining.append(part)
    if len(remaining) > most:
        return [reduce(lambda a, b: _element_by_element(a, b, shape), remaining)]
    return remaining


def _both(one: Part, other: Part, shape: Shape) -> Part | None:
    """Two parts as one; None where a box around both would claim what neither sees."""
    if len(one.cells) > 1 and (one.has_gaps or other.has_gaps):
        if _covers(one, other):
            return with_ways_of(one, other)
        return with_ways_of(other, one) if _covers(other, one) else None
    cells = []
    for a, b in zip(one.cells, other.cells, strict=True):
        if a is b or (a.dims == b.dims and a.data is b.data):
            cells.append(a)
        # dimensions of neither alone would make a table of both, of rows times columns say
        elif set(a.dims) <= set(b.dims) or set(b.dims) <= set(a.dims):
            dims = a.dims if len(a.dims) > len(b.dims) else b.dims
            cells.append(Cells(dims, shared(np.maximum(a.over(dims, shape), b.over(dims, shape)))))
        else:
            return None
    return with_ways_of(one._replace(cells=tuple(cells), has_gaps=one.has_gaps and other.has_gaps), other)


def _covers(one: Part, other: Part) -> bool:
    """True where the other sees nothing that this one does not see."""
    for a, b in zip(one.cells, other.cells, strict=True):
        if a is b:
            continue
        if a.dims != b.dims or not (a.data is b.data or (a.data >= b.data).all()):
            return False
    return True


def with_ways_of(one: Part, other: Part) -> Part:
    """The same with the places and the ways of both."""
    places = tuple([a | b for a, b in zip(one.places, other.places, strict=True)])
    whole = tuple([a | b if a and b else a for a, b in zip(one.whole, other.whole, strict=True)])
    return one._replace(places=places, whole=whole)


def _element_by_element(one: Part, other: Part, shape: Shape) -> Part:
    """Two parts as one with an entry for each element, so that those that see nothing add nothing."""
    dims = tuple(sorted({d for part in (one, other) for cells in part.cells for d in cells.dims}))
    if prod(shape[d] for d in dims) > MOST_ENTRIES:
        raise ValueError(f"{prod(shape):,} elements that differ in what they see")
    first, second = _canonical_over(one, dims, shape), _canonical_over(other, dims, shape)
    cells = tuple([Cells(dims, np.maximum(a, b)) for a, b in zip(first, second, strict=True)])
    return with_ways_of(one._replace(cells=cells, has_gaps=True), other)


def _canonical_over(part: Part, dims: tuple[int, ...], shape: Shape) -> list[Numbers]:
    data = [cells.over(dims, shape) for cells in part.cells]
    if not part.has_gaps:
        return data
    nothing = np.logical_or.reduce([table[..., 0] == nothing_of(table) for table in data])
    return [np.where(nothing[..., None], nothing_of(table), table) for table in data]


def as_one(parts: Sequence[Part], shape: Shape) -> Part:
    """All parts as one, in which what sees nothing along one axis sees nothing along any."""
    (one,) = _joined(parts, shape, most=1)
    if not one.has_gaps or len(one.cells) == 1:
        return one
    empty = [cells for cells in one.cells if cells.nothing.any()]
    if not empty:
        return one
    dims = tuple(sorted({d for cells in empty for d in cells.dims}))
    nothing = np.logical_or.reduce([c.over(dims, shape)[..., 0] == nothing_of(c.data) for c in empty])
    mask = Cells(dims, nothing[..., None])
    return one._replace(cells=tuple([c.blank(mask) for c in one.cells]))
