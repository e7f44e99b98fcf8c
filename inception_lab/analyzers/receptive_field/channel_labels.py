"""Labels of channels: numbers for what a channel sees, in arrays laid out as the value itself.

An array has the rank of its value, of size 1 along each dimension where all elements have one label, so
that a value whose channels are alike takes a single number. Whatever moves elements moves the labels too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import reduce
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.lineage import Way
from inception_lab.analyzers.receptive_field.routes import Routes
from inception_lab.analyzers.receptive_field.spans import ITSELF, AnySpan, Span, merge_spans

LabelArray = NDArray[np.int64]
Shape = tuple[int, ...]
NOTHING = 0
"""The label of what does not depend on the source."""


class Label(NamedTuple):
    """A channel's dependence on the source.

    Attributes:
        spans: Along each axis, by local paths alone.
        layers: The set of layers, as `Routes` numbers them, over which the source was reached.
    """

    spans: tuple[AnySpan, ...]
    layers: int


class Labels:
    """The labels of one trace, each with a number.

    Attributes:
        routes: The paths of the layers that they name.
    """

    def __init__(self, axes: int) -> None:
        self.routes = Routes(axes)
        self._labels = [Label((None,) * axes, 0)]
        self._numbers = {self._labels[0]: NOTHING}
        self._pairs: dict[tuple[int, int], int] = {}
        self.source = self._number(Label((ITSELF,) * axes, self.routes.source()))

    def __getitem__(self, number: int) -> Label:
        return self._labels[number]

    def _number(self, label: Label) -> int:
        number = self._numbers.setdefault(label, len(self._labels))
        if number == len(self._labels):
            self._labels.append(label)
        return number

    # -------------------------------------------------------------------------- one by one

    def join(self, numbers: Iterable[int]) -> int:
        """The label of what depends on all of these."""
        # in ascending order the labels of one layer of a dense net begin with all those of the one before
        return reduce(self._join_two, sorted(numbers), NOTHING)

    def _join_two(self, one: int, other: int) -> int:
        if one == other or NOTHING in (one, other):
            return max(one, other)
        pair = (one, other) if one < other else (other, one)
        if pair not in self._pairs:
            a, b = self._labels[one], self._labels[other]
            spans = tuple([merge_spans(p, q) for p, q in zip(a.spans, b.spans, strict=True)])
            self._pairs[pair] = self._number(Label(spans, a.layers | b.layers))
        return self._pairs[pair]

    def through(
        self, numbers: Sequence[int], ways: Sequence[Sequence[Way]], layer: object = None
    ) -> list[int]:
        """The labels of what an operation that keeps channels apart makes of those with these labels.

        Args:
            numbers: The labels before.
            ways: Its operations along each axis, for every way that leads through it.
            layer: What tells the layer from others; None for an operation that is not one.
        """
        labels = [self._labels[number] for number in numbers]
        sets = [label.layers for label in labels]
        if layer is not None:
            sets = self.routes.through(layer, sets, ways)
        return [
            self._number(Label(tuple(map(_along, label.spans, ways)), layers))
            for label, layers in zip(labels, sets, strict=True)
        ]

    def moved(self, number: int, axis: int, units: int) -> int:
        """The label of what was put so many units further on along an axis."""
        spans, layers = self._labels[number]
        span = spans[axis]
        if not isinstance(span, Span):
            return number
        return self._number(Label((*spans[:axis], span.moved(units), *spans[axis + 1 :]), layers))

    def inner(self, numbers: Sequence[int]) -> int | None:
        """The label of inner units along an axis at whose places these stand; None where there is no one.

        Units that see nothing, as in padding, and units that see as much in another place, as behind the
        seam of a circular padding, are not inner ones.
        """
        dependent = [number for number in numbers if number != NOTHING]
        if not dependent:
            return NOTHING
        shapes = {tuple(map(_shape, self._labels[number].spans)) for number in set(dependent)}
        if len(shapes) > 1:
            return None
        middle = self._labels[dependent[len(dependent) // 2]]
        return self._number(Label(middle.spans, self._labels[self.join(set(dependent))].layers))

    # -------------------------------------------------------------------------- arrays of them

    def map_through(
        self, array: LabelArray, ways: Sequence[Sequence[Way]], layer: object = None
    ) -> LabelArray:
        """`through` for the labels of an array."""
        if array.size < 2:
            return np.full(array.shape, self.through([*map(int, array.flat)], ways, layer)[:1] or NOTHING)
        numbers, places = np.unique(array, return_inverse=True)
        after = np.array(self.through(numbers.tolist(), ways, layer))
        return np.asarray(after[places.reshape(array.shape)])

    def join_arrays(self, arrays: Sequence[LabelArray], rank: int) -> LabelArray:
        """Element by element, broadcast as arithmetic does it."""
        return reduce(self._join_two_arrays, [with_rank(array, rank) for array in arrays])

    def _join_two_arrays(self, one: LabelArray, other: LabelArray) -> LabelArray:
        if one is other:
            return one
        if one.size == other.size == 1:
            return np.full(one.shape, self.join((int(one.flat[0]), int(other.flat[0]))))
        count = len(self._labels)
        pairs = one * count + other
        if not pairs.size:
            return pairs
        codes, places = np.unique(pairs, return_inverse=True)
        joined = np.array([self.join(divmod(code, count)) for code in codes.tolist()])
        return np.asarray(joined[places.reshape(pairs.shape)])

    def map_moved(self, array: LabelArray, axis: int, units: int) -> LabelArray:
        """`moved` for each label of an array."""
        if not array.size:
            return array
        numbers, places = np.unique(array, return_inverse=True)
        moved = np.array([self.moved(number, axis, units) for number in numbers.tolist()])
        return np.asarray(moved[places.reshape(array.shape)])

    def inner_along(self, array: LabelArray, dim: int) -> LabelArray | None:
        """The label of inner units along a dimension, which stays with size 1; None where there is no one."""
        if array.shape[dim] == 1:
            return array
        rows = np.moveaxis(array, dim, -1)
        flat_rows = rows.reshape(prod(rows.shape[:-1]), rows.shape[-1])
        inner = [self.inner(row) for row in flat_rows.tolist()]
        if None in inner:
            return None
        return np.expand_dims(np.array(inner, dtype=np.int64).reshape(rows.shape[:-1]), dim)

    def join_over(self, array: LabelArray, dims: Collection[int]) -> LabelArray:
        """All labels along some dimensions joined, which stay with size 1."""
        dims = [d % array.ndim for d in dims]
        if all(array.shape[d] == 1 for d in dims):
            return array
        others = [d for d in range(array.ndim) if d not in dims]
        sizes = [prod(array.shape[d] for d in part) for part in (others, dims)]
        rows = array.transpose(*others, *dims).reshape(sizes)
        joined = np.array([self.join(set(row)) for row in rows.tolist()], dtype=np.int64)
        return joined.reshape([1 if d in dims else n for d, n in enumerate(array.shape)])


def _along(span: AnySpan, axis_ways: Sequence[Way]) -> AnySpan:
    """A span after each of the ways through an operation, all merged."""
    ends: list[AnySpan] = []
    for way in axis_ways:
        end = span
        for op, is_cut in way:
            end = None if end is None else end.after(op)
            if is_cut and isinstance(end, Span):
                end = end._replace(is_cut=True)
        ends.append(end)
    return reduce(merge_spans, ends, None)


def _shape(span: AnySpan) -> AnySpan:
    return span.shape if isinstance(span, Span) else span


def with_rank(array: LabelArray, rank: int) -> LabelArray:
    """The array with dimensions of size 1 before it."""
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def full_along(array: LabelArray, dims: Iterable[int], shape: Sequence[int]) -> LabelArray:
    """The array with an entry for each position along some dimensions."""
    sizes = [shape[d] if d in set(dims) else n for d, n in enumerate(array.shape)]
    return np.broadcast_to(array, sizes)


def thin(array: LabelArray) -> LabelArray:
    """The array of size 1 along each dimension where all elements have one label."""
    for dim, size in enumerate(array.shape):
        if size > 1:
            first = array.take([0], axis=dim)
            if (array == first).all():
                array = first
    return array
