"""Bytes of a storage that a tensor covers, as sorted intervals that do not touch."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from inception_lab.ir.trace import Value

Region = NDArray[np.int64]
"""Rows of first byte and byte after the last, in order, with gaps between them."""

NOTHING: Region = np.empty((0, 2), dtype=np.int64)


def region_of(value: Value) -> Region:
    """Return the bytes of its storage that a value covers, each once.

    Example:
        >>> whole = Value(0, 0, None, (2, 3), (3, 1), 0, "float32")
        >>> left_column = whole._replace(shape=(2, 1))
        >>> region_of(whole).tolist(), region_of(left_column).tolist()
        ([[0, 24]], [[0, 4], [12, 16]])
    """
    return _region(value.shape, value.strides, value.offset, item_bytes(value.dtype))


def bytes_from_start(size: int) -> Region:
    """Return the first bytes of a storage.

    Example:
        >>> bytes_from_start(24).tolist()
        [[0, 24]]
    """
    return np.array([[0, size]], dtype=np.int64) if size else NOTHING


def item_bytes(dtype: str) -> int:
    """Return the bytes of an element of a dtype by its name."""
    size: int = getattr(torch, dtype).itemsize
    return size


@lru_cache(maxsize=4096)
def _region(shape: tuple[int, ...], strides: tuple[int, ...], offset: int, item: int) -> Region:
    if 0 in shape:
        return NOTHING
    length = 1
    starts = np.array([offset], dtype=np.int64)
    # Axes from the closest neighbours to the farthest: what continues the run so far makes it longer. An
    # axis of stride 0 repeats the same elements.
    for stride, count in sorted((abs(s), n) for s, n in zip(strides, shape, strict=True) if n > 1 and s):
        if stride <= length:
            length += stride * (count - 1)
        else:
            runs = stride * np.arange(count, dtype=np.int64)
            starts = (runs[:, None] + starts[None, :]).ravel()
    starts.sort()
    region = _merge(item * np.stack([starts, starts + length], axis=1))
    region.setflags(write=False)
    return region


def _merge(intervals: Region) -> Region:
    """Sorted intervals, those that touch or overlap made one."""
    if len(intervals) < 2:
        return intervals
    ends = np.maximum.accumulate(intervals[:, 1])
    first = np.concatenate([[True], intervals[1:, 0] > ends[:-1]])
    last = np.concatenate([first[1:], [True]])
    return np.stack([intervals[first, 0], ends[last]], axis=1)


def size_of(region: Region) -> int:
    """Return the number of bytes of a region."""
    return int((region[:, 1] - region[:, 0]).sum())


def union(one: Region, other: Region) -> Region:
    """Return the bytes in either region."""
    if one is other or not len(other):
        return one
    if not len(one):
        return other
    both = np.concatenate([one, other])
    return _merge(both[np.argsort(both[:, 0], kind="stable")])


def intersection(one: Region, other: Region) -> Region:
    """Return the bytes in both regions."""
    if not len(one) or not len(other):
        return NOTHING
    # inside of both the depth is 2
    return one if one is other else _at_depth(one, other, 1, 2)


def difference(one: Region, other: Region) -> Region:
    """Return the bytes of the first region that are not in the other one."""
    if not len(one) or not len(other):
        return one
    # inside of the first alone it is 1, where the other one counts down
    return NOTHING if one is other else _at_depth(one, other, -1, 1)


def _at_depth(one: Region, other: Region, weight: int, least: int) -> Region:
    """The bytes at a least depth, which is 1 within the first region and `weight` more within the other."""
    edges = np.concatenate([one.ravel(), other.ravel()])
    steps = np.concatenate([np.tile([1, -1], len(one)), np.tile([weight, -weight], len(other))])
    places, inverse = np.unique(edges, return_inverse=True)
    depth = np.cumsum(np.bincount(inverse, weights=steps, minlength=len(places)))
    inside = depth[:-1] >= least
    return _merge(np.stack([places[:-1][inside], places[1:][inside]], axis=1))


def prefix(region: Region, size: int) -> Region:
    """Return the first bytes of a region, as many as `size` or all of them."""
    before = np.concatenate([[0], np.cumsum(region[:, 1] - region[:, 0])])[:-1]
    ends = np.minimum(region[:, 1], region[:, 0] + np.maximum(size - before, 0))
    cut: Region = np.stack([region[:, 0], ends], axis=1)
    return cut[cut[:, 1] > cut[:, 0]]
