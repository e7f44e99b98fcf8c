"""Storages that a model puts on the host by name, as `torch.autograd.graph.save_on_cpu` does.

A trace on meta tensors has them beside all others: there the CPU is one more device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from inception_lab.ir.trace import Op, Storage, Trace

_MOVE, _COPY = "_to_copy", "copy"


def without_host(trace: Trace) -> Sequence[Storage]:
    """Return the storages as a GPU has them: of the host's, copies while operations read them.

    What the host keeps comes back for an operation that reads it, and the copy goes when the last one is
    over that does.

    Args:
        trace: Of any mode.
    """
    on_host = {s.id for s in trace.storages if s.device == "cpu"}
    if not on_host:
        return trace.storages
    reads = _reads_on_the_device(trace, on_host)
    return [s if s.id not in on_host else _copy_on_the_device(s, reads.get(s.id)) for s in trace.storages]


def _reads_on_the_device(trace: Trace, on_host: set[int]) -> Mapping[int, tuple[int, int]]:
    """The first and the last operation that reads each storage of the host on the device."""
    spans: dict[int, tuple[int, int]] = {}
    for op in trace.ops:
        for value in _operands(op):
            storage = trace.values[value].storage
            if storage in on_host:
                spans[storage] = (spans.get(storage, (op.id, op.id))[0], op.id)
    return spans


def _operands(op: Op) -> Sequence[int]:
    """Values that an operation reads where it runs; a copy to or from the host runs on both sides."""
    return () if op.base_name in (_MOVE, _COPY) else op.reads


def _copy_on_the_device(storage: Storage, span: tuple[int, int] | None) -> Storage:
    if span is None:
        return storage._replace(bytes=0)
    return storage._replace(born=span[0], dies=span[1])


def without_moves_to_host(trace: Trace) -> Sequence[Storage]:
    """Return the storages as a CPU has them, where a move to the CPU makes no copy.

    Args:
        trace: Of any mode.
    """
    storages = list(trace.storages)
    for moved, source in _moves(trace):
        last = storages[moved].dies
        before = storages[source].dies
        # the source lives for as long as anybody has either of the two
        dies = None if last is None or before is None else max(last, before)
        storages[source] = storages[source]._replace(dies=dies)
        storages[moved] = storages[moved]._replace(bytes=0)
    return storages


def _moves(trace: Trace) -> Iterator[tuple[int, int]]:
    """Storages that a move to the host made, the last first, each with its source of the same type."""
    for op in reversed(trace.ops):
        if op.base_name == _MOVE:
            source, moved = trace.values[op.reads[0]], trace.values[op.writes[0]]
            if trace.storages[moved.storage].device == "cpu" and source.dtype == moved.dtype:
                yield moved.storage, source.storage
