"""Storages of a step at any batch size, from steps of a few, where their bytes grow evenly with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from inception_lab.ir.trace import Storage

StoragesOf = Callable[[int], Sequence[Storage]]
"""The storages of a step of a batch size."""


def even_growth(traced: Mapping[int, Sequence[Storage]], batch_size: int) -> StoragesOf | None:
    """Return the storages at any batch size, None where the traces contradict that they grow evenly.

    Most nets do the same operations at any batch, on tensors with a first axis of that size. Others split
    the batch, say, or branch on it: all that was traced from half of the batch to twice as much has to be
    what is returned, storage by storage, in the order of their lives.

    Args:
        traced: The storages at some batch sizes, `batch_size` and one more among them, with exact bytes.
        batch_size: Around which they are to grow evenly.

    Example:
        >>> def rows(size):
        ...     return [Storage(0, 40 * size, "input", "0", None, None)]
        >>> storages_of = even_growth({8: rows(8), 9: rows(9)}, 8)
        >>> storages_of(5) == rows(5), even_growth({8: rows(8), 9: rows(9), 10: rows(9)}, 8)
        (True, None)
    """
    first, second = traced[batch_size], traced[batch_size + 1]
    slopes = [after.bytes - before.bytes for before, after in zip(first, second, strict=False)]

    def storages_of(size: int) -> list[Storage]:
        steps = size - batch_size
        return [s._replace(bytes=s.bytes + steps * slope) for s, slope in zip(first, slopes, strict=False)]

    near = {size: storages for size, storages in traced.items() if batch_size <= 2 * size <= 4 * batch_size}
    return storages_of if all(storages_of(size) == [*near[size]] for size in near) else None
