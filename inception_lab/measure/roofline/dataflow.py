"""The flow of data between the operations of a trace, byte by byte: views and in-place writes followed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

import torch

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace
from inception_lab.measure.roofline.regions import (
    Region,
    bytes_from_start,
    difference,
    intersection,
    prefix,
    region_of,
    size_of,
    union,
)

_ALLOCATIONS = frozenset({"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"})
"""Operations that only reserve memory."""

_LIKE_OPERAND = frozenset(
    {"zeros_like", "ones_like", "full_like", "rand_like", "randn_like", "randint_like", "new_zeros",
     "new_ones", "new_full", "zero", "fill", "copy"}
)  # fmt: skip
"""Operations that make a tensor like their first one, or overwrite it, without reading its content."""

_OVERWRITING = frozenset(
    {"zero", "fill", "copy", "bernoulli", "uniform", "normal", "_foreach_zero", "_foreach_copy"}
)
"""Operations that in place do not read what they overwrite; others of these names read their first tensor."""

_IN_PLACE_VIEWS = frozenset(
    {"squeeze", "unsqueeze", "t", "transpose", "swapaxes", "swapdims", "as_strided", "detach", "set",
     "resize"}
)  # fmt: skip
"""Operations that in place change the shape or the storage of a tensor, and move nothing."""

_LOOK_UPS = frozenset({"embedding", "index", "index_select", "gather", "take"})
"""Operations that read as much of their first tensor as they write."""

_UPDATING_STATISTICS = frozenset(
    {"native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "miopen_batch_norm",
     "_batch_norm_with_update"}
)  # fmt: skip
"""Normalisations that in training write the buffers that they read."""


class Piece(NamedTuple):
    """Bytes that one operation wrote, and that another one reads.

    Attributes:
        storage: Their storage.
        producer: The operation that wrote them, None where they were there before the first one.
        reader: The operation that reads them, None where they outlive the trace.
        region: Their place in the storage.
    """

    storage: int
    producer: int | None
    reader: int | None
    region: Region


class Dataflow(NamedTuple):
    """The flow of data in a trace.

    Attributes:
        pieces: All that is read, in the order of reading; at the end what outlives the trace.
        before: The operations that each has to wait for: those whose results it reads, and those whose data
            or results it overwrites.
        launches: The operations that compute or move anything: neither views nor bare allocations.
    """

    pieces: tuple[Piece, ...]
    before: Mapping[int, frozenset[int]]
    launches: frozenset[int]


@once_per_trace
def dataflow(trace: Trace) -> Dataflow:
    """Follow the content of each storage through a trace.

    An operation reads its operands whole, but for look-ups, which read as much of a table as they write.
    """
    follower = _Follower(trace)
    for op in trace.ops:
        follower.follow(op)
    follower.finish()
    before = MappingProxyType({id: frozenset(ops) for id, ops in follower.before.items()})
    return Dataflow(tuple(follower.pieces), before, frozenset(follower.launches))


@dataclass
class _Content:
    """The content of one storage.

    Attributes:
        writes: Operations, and the regions of theirs that are not overwritten yet.
        reads: Operations, and the regions that they read since these were written.
    """

    writes: list[tuple[int, Region]] = field(default_factory=list)
    reads: list[tuple[int, Region]] = field(default_factory=list)

    def producers(self, region: Region) -> Iterator[tuple[int | None, Region]]:
        """The parts of a region by who wrote them."""
        for op, op_region in self.writes:
            part = intersection(region, op_region)
            if len(part):
                yield op, part
                region = difference(region, part)
        if len(region):
            yield None, region

    def overwrite(self, op: int, region: Region) -> set[int]:
        """Note a write; returns the operations that have to be done before it."""
        overlapping_ops = {
            id for id, other in (*self.writes, *self.reads) if len(intersection(other, region))
        }
        self.writes = [*_without(self.writes, region), (op, region)]
        self.reads = _without(self.reads, region)
        return overlapping_ops - {op}


def _without(entries: Sequence[tuple[int, Region]], region: Region) -> list[tuple[int, Region]]:
    rest = ((op, difference(other, region)) for op, other in entries)
    return [(op, other) for op, other in rest if len(other)]


class _Follower:
    """Follows the operations of a trace in their order.

    Args:
        trace: Of any mode.
    """

    def __init__(self, trace: Trace) -> None:
        self.values, self.storages = trace.values, trace.storages
        self.contents: dict[int, _Content] = defaultdict(_Content)
        self.pieces: list[Piece] = []
        self.before: dict[int, set[int]] = defaultdict(set)
        self.launches: list[int] = []

    def follow(self, op: Op) -> None:
        """Note what an operation reads, then what it writes."""
        # A view's reader waits for the view too, and through it for what the view was taken of.
        self.before[op.id] |= {v.op for v in map(self.values.__getitem__, op.reads) if v.op is not None}
        if not self._does_work(op):
            return
        self.launches.append(op.id)
        for storage, region in self._regions_read(op).items():
            content = self.contents[storage]
            for producer, part in content.producers(region):
                self.pieces.append(Piece(storage, producer, op.id, part))
                self.before[op.id] |= {producer} if producer is not None else set()
            content.reads.append((op.id, region))
        for storage, region in self._regions_written(op).items():
            self.before[op.id] |= self.contents[storage].overwrite(op.id, region)

    def _does_work(self, op: Op) -> bool:
        if op.base_name in _ALLOCATIONS or not (op.reads or op.writes):
            return False
        storages = {self.values[id].storage for id in op.writes}
        return not op.writes or _writes_to_operands(op) or not storages <= self._storages_read(op)

    def _storages_read(self, op: Op) -> set[int]:
        return {self.values[id].storage for id in op.reads}

    def _regions_read(self, op: Op) -> dict[int, Region]:
        regions = self._regions(op.reads[_unread_operands(op) :])
        if op.base_name in _LOOK_UPS and op.reads:
            storage = self.values[op.reads[0]].storage
            size = sum(map(size_of, self._regions_written(op).values()))
            # the rows are not in the trace: as many bytes from the beginning stand for them
            regions[storage] = prefix(regions[storage], size)
        return regions

    def _regions_written(self, op: Op) -> dict[int, Region]:
        values = list(op.writes)
        if op.in_place and not values:
            values += op.reads[: _written_operands(op)]
        if op.base_name in _UPDATING_STATISTICS and op.arg("training", True):
            values += [id for id in op.reads if self.storages[self.values[id].storage].kind == "buffer"]
        return self._regions(values)

    def _regions(self, values: Sequence[int]) -> dict[int, Region]:
        regions: dict[int, Region] = {}
        for value in map(self.values.__getitem__, values):
            storage = self.storages[value.storage]
            # its indices are in storages of their own, which no value tells of
            region = bytes_from_start(storage.bytes) if value.is_sparse else region_of(value)
            earlier = regions.get(value.storage)
            regions[value.storage] = region if earlier is None else union(earlier, region)
        return regions

    def finish(self) -> None:
        """Note what outlives the trace: outputs, gradients, what parameters and buffers have become."""
        for storage, content in self.contents.items():
            if self.storages[storage].dies is None:
                self.pieces += [Piece(storage, op, None, region) for op, region in content.writes]


def _writes_to_operands(op: Op) -> bool:
    """True where an operation changes a tensor that it is given, which a view does not."""
    if op.in_place:
        return op.base_name not in _IN_PLACE_VIEWS
    return op.name.endswith((".out", "_out"))


def _unread_operands(op: Op) -> int:
    """The number of operands, the first ones, whose content makes no difference."""
    if op.in_place and op.base_name in _OVERWRITING:
        return 1 if op.writes else _written_operands(op)
    return 1 if op.base_name in _LIKE_OPERAND else 0


def _written_operands(op: Op) -> int:
    """The number of operands, the first ones, that an operation writes which returns nothing.

    Of operations on lists, as in an optimizer, these are the tensors of the first list; else all may be.
    """
    lists, tensors = _list_arguments(op.name)
    return (len(op.reads) - tensors) // lists if lists else len(op.reads)


@cache
def _list_arguments(name: str) -> tuple[int, int]:
    """Numbers of lists of tensors and of tensors that an operation takes which writes to the first list.

    Zeros for one that writes to several lists, which need not be equally long, and for an unknown one.
    """
    try:
        arguments = attrgetter(name)(torch.ops)._schema.arguments
    except AttributeError:  # of a library that is not loaded, or of another release
        return 0, 0
    kinds = [str(argument.type) for argument in arguments]
    is_written = [argument.alias_info is not None and argument.alias_info.is_write for argument in arguments]
    if not any(is_written[:1]) or any(is_written[1:]):
        return 0, 0
    return kinds.count("List[Tensor]"), kinds.count("Tensor")
