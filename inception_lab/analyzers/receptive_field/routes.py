"""Paths through the layers of a net, counted by the field that the layers on them add up to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from inception_lab.analyzers.receptive_field.lineage import Way

_MOST = 1 << 62
"""Paths up to which their numbers are kept in arrays of 64 bits; beyond it of Python's own integers."""


class Counts(NamedTuple):
    """Numbers of paths by field, in arrays: as many fields as layers make a dictionary per value too slow.

    Attributes:
        growth: By how many `1 / unit` pixels a path's field exceeds one pixel, in ascending order.
        numbers: The paths of each growth; 64-bit integers, Python's own where their sum might not fit.
        total: Their sum.
        unit: Parts of a pixel in which growth is given, as an upsampled unit is less than a pixel wide.
    """

    growth: NDArray[np.int64]
    numbers: NDArray[np.int64] | NDArray[np.object_]
    total: int
    unit: int

    def grown(self, by: Fraction) -> Counts:
        """The paths with one more layer on each."""
        unit = lcm(self.unit, by.denominator)
        growth = self.growth * (unit // self.unit) + by.numerator * (unit // by.denominator)
        return self._replace(growth=growth, unit=unit)

    def merge(self, other: Counts) -> Counts:
        """The paths of both, none of which is one of the other's."""
        unit, total = lcm(self.unit, other.unit), self.total + other.total
        growth = np.concatenate([self.growth * (unit // self.unit), other.growth * (unit // other.unit)])
        numbers = np.concatenate([self.numbers, other.numbers]).astype(np.int64 if total < _MOST else object)
        order = np.argsort(growth, kind="stable")
        growth = growth[order]
        starts = np.flatnonzero(np.diff(growth, prepend=growth[:1] - 1))
        return Counts(growth[starts], np.add.reduceat(numbers[order], starts), total, unit)

    @property
    def fields(self) -> NDArray[np.int64]:
        """The field of each growth in whole pixels, rounded up as a part of a pixel is seen as one."""
        return np.asarray(1 - -self.growth // self.unit)


ByStride = Mapping[Fraction, Counts]
"""The paths by their stride, which layers to come grow by."""

_ONE_PATH = Counts(np.array([0]), np.array([1]), 1, 1)


class Routes:
    """The paths that end in each layer; a set of layers is an integer with a bit for each.

    A value that is reached over several layers has the paths of all of them. As a bit is set once, however
    often values that share a layer are merged, branches of element-wise work alone are one path.
    """

    def __init__(self, axes: int) -> None:
        self._axes = axes
        self._layers: dict[object, int] = {}
        self._by_layer: list[tuple[ByStride, ...]] = []
        # a set less its newest layer is mostly a set met before: each needs one more sum, not one per layer
        self._by_set: dict[int, tuple[ByStride, ...]] = {0: ({},) * axes}

    def source(self) -> int:
        """The set of the source alone: one path, on which each pixel sees itself."""
        return self._add("source", ({Fraction(1): _ONE_PATH},) * self._axes)

    def through(self, layer: object, sets: Sequence[int], ways: Sequence[Sequence[Way]]) -> list[int]:
        """The sets of channels after a layer that keeps them apart, by their sets before it.

        Args:
            layer: What tells it from others.
            sets: The layers before it, by channel.
            ways: Its operations along each axis; empty along one whose paths end here.
        """
        # channels may share some of their paths, which go through the layer once
        after = {part: self._one_more(layer, part, ways) for part in _disjoint_parts(sets)}
        return [sum(new for part, new in after.items() if part & before) for before in sets]

    def _one_more(self, layer: object, before: int, ways: Sequence[Sequence[Way]]) -> int:
        """The set of one layer alone that continues all paths of the layers before it."""
        key = layer, before
        if key in self._layers:
            return 1 << self._layers[key]
        paths = self.of(before)
        return self._add(key, tuple([_continued(p, w) for p, w in zip(paths, ways, strict=True)]))

    def _add(self, key: object, paths: tuple[ByStride, ...]) -> int:
        self._layers[key] = len(self._by_layer)
        self._by_layer.append(paths)
        return 1 << self._layers[key]

    def of(self, layers: int) -> tuple[ByStride, ...]:
        """The paths that end in any layer of a set, along each axis."""
        newest: list[int] = []
        older = layers
        while older not in self._by_set:
            newest.append(older.bit_length() - 1)
            older ^= 1 << newest[-1]
        paths = self._by_set[older]
        for layer in reversed(newest):
            paths = tuple([_merged(p, q) for p, q in zip(paths, self._by_layer[layer], strict=True)])
        self._by_set[layers] = paths
        return paths


def _disjoint_parts(sets: Iterable[int]) -> list[int]:
    """The largest sets of which each of some sets is made up."""
    parts: list[int] = []
    for layers in sets:
        common = [part & layers for part in parts]
        alone = [part & ~layers for part in parts]
        # the parts are disjoint, so that their sum is their union
        parts = [part for part in (*common, *alone, layers & ~sum(common)) if part]
    return parts


def _continued(paths: ByStride, ways: Sequence[Way]) -> ByStride:
    """Paths with one more layer, the widest of its ways."""
    longer: ByStride = {}
    local = [way for way in ways if all(op.stride for op, _ in way)]
    if not local:
        return longer
    for stride, counts in paths.items():
        growth, new_stride = max(_grown(stride, way) for way in local)
        longer = _merged(longer, {new_stride: counts.grown(growth)})
    return longer


def _grown(stride: Fraction, way: Way) -> tuple[Fraction, Fraction]:
    """The span that operations add to a field, and the stride after them."""
    growth = Fraction(0)
    for op, _ in way:
        growth, stride = growth + op.grow * stride, stride * op.stride
    return growth, stride


def _merged(one: ByStride, other: ByStride) -> ByStride:
    merged = dict(one)
    for stride, counts in other.items():
        merged[stride] = merged[stride].merge(counts) if stride in merged else counts
    return merged


def all_paths(paths: ByStride) -> Counts:
    """The paths of all strides by field, in whole pixels."""
    total = Counts(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 0, 1)
    for counts in paths.values():
        # rounding makes one of several fields; a growth is a pixel less than the field
        total = total.merge(counts._replace(growth=counts.fields - 1, unit=1))
    return total
