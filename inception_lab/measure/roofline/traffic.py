"""The fewest bytes that parts of a trace must move."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Trace
from inception_lab.measure.roofline.dataflow import dataflow
from inception_lab.measure.roofline.regions import NOTHING, Region, size_of, union

Bytes = Mapping[int, int]


def compulsory_bytes(trace: Trace, group_of: Mapping[int, int]) -> dict[int, int]:
    """Return the fewest bytes that each group of operations must move.

    These are the bytes that it reads and did not write itself (operands and parameters, each once, however
    many of its operations read them), and those that it writes and that are read outside of it or outlive
    the trace. What is made and used up within the group need not move, nor a result that nobody reads. This
    is the traffic of a cache without limit, the compulsory misses of Hill & Smith (IEEE ToC 38(12), 1989).

    Args:
        trace: Of any mode.
        group_of: The group of each operation, by the operation's id; one that is missing is in none.

    Returns:
        The bytes of each group that moves any.
    """
    # A storage that is overwritten meanwhile has other content: its bytes then move again.
    regions: dict[tuple[int, int, int | None], Region] = {}
    for piece in dataflow(trace).pieces:
        reader = group_of.get(piece.reader) if piece.reader is not None else None
        producer = group_of.get(piece.producer) if piece.producer is not None else None
        if reader == producer:
            continue
        for group in (group for group in (reader, producer) if group is not None):
            key = group, piece.storage, piece.producer
            regions[key] = union(regions.get(key, NOTHING), piece.region)
    sums: dict[int, int] = defaultdict(int)
    for (group, *_), region in regions.items():
        sums[group] += size_of(region)
    return sums


@once_per_trace
def bytes_one_by_one(trace: Trace) -> Bytes:
    """Return the fewest bytes that each operation must move on its own."""
    return MappingProxyType(compulsory_bytes(trace, {op.id: op.id for op in trace.ops}))
