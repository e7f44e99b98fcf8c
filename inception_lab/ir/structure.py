"""The dataflow of a Trace: which rows it has, how deep it is, where it branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Call, Trace

ROOT = "(model)"


class Place(NamedTuple):
    """Where a layer stands among parallel branches.

    Attributes:
        block: Path of the innermost module around it that has parallel branches, else of its own
            top-level module.
        branch: Name within the block of the branch that it is part of, empty for what is in none.
    """

    block: str
    branch: str


@once_per_trace
def layer_calls(trace: Trace) -> tuple[Call, ...]:
    """The calls that have a row: together they hold all operations and all parameters, each once.

    These are the calls that ran an operation of their own, those of modules with parameters of their
    own, and modules without children that were never called.
    """
    busy = {op.call for op in trace.ops}
    return tuple(c for c in trace.calls if c.id in busy or c.params or (c.leaf and not c.executed))


def layer_name(call: Call) -> str:
    """The path of a call's module; the model itself has a name of its own."""
    return call.path or ROOT


@once_per_trace
def weighted_depth(trace: Trace) -> int:
    """Convolutions and linear layers on the longest path from an input to an output.

    Only products with a parameter count, or with what is made of parameters alone. Modules that run in
    parallel count once, the longest.

    Example:
        >>> import inception_lab as il
        >>> weighted_depth(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
        22
    """
    parameters = {s.id for s in trace.storages if s.kind == "parameter"}
    depth: dict[int | None, int] = {None: 0}
    derived: set[int | None] = set()
    for op in trace.ops:
        if op.phase != "forward":
            break
        sources = [trace.values[value] for value in op.reads]
        weights = [v for v in sources if v.storage in parameters or v.op in derived]
        if sources and len(weights) == len(sources):
            derived.add(op.id)
        depth[op.id] = max((depth[v.op] for v in sources), default=0) + bool(op.macs and weights)
    return max(depth.values())


@once_per_trace
def places(trace: Trace) -> Mapping[int, Place]:
    """Where each call stands among parallel branches, by call id.

    A module is a block where two or more groups of its children read the same values, each group
    being children that feed one another. The innermost block around a layer is the one that counts.
    """
    children: dict[int | None, list[Call]] = defaultdict(list)
    for call in trace.calls:
        if call.executed:
            children[call.parent].append(call)
    found: dict[int, Place] = {}
    for call in trace.calls:
        above = found.get(call.parent) if call.parent is not None else None
        inside = above is not None and above.branch
        found.setdefault(
            call.id, above if above and inside else Place(call.path.partition(".")[0] or ROOT, "")
        )
        for child, branch in _branches(trace, call, children[call.id]):
            found[child.id] = Place(call.path, branch)
    return MappingProxyType(found)


def _branches(trace: Trace, block: Call, children: list[Call]) -> Iterator[tuple[Call, str]]:
    """Children of a call with the name of their branch, where it has two branches or more."""
    entering = {_origin(trace, block, value) for value in block.inputs}
    groups = _groups(trace, block, children)
    parallel = [g for g in groups if any(_origin(trace, block, v) in entering for c in g for v in c.inputs)]
    if len(parallel) < 2:
        return
    for group in parallel:
        name = group[0].path.removeprefix(block.path).lstrip(".")
        for child in group:
            yield child, name


def _groups(trace: Trace, block: Call, children: Iterable[Call]) -> list[list[Call]]:
    """Children that feed one another, directly or through operations of the block on one value."""
    maker: dict[int, list[Call]] = {}
    groups: list[list[Call]] = []
    for child in children:
        feeding = {id(group): group for v in child.inputs if (group := maker.get(_origin(trace, block, v)))}
        group = next(iter(feeding.values())) if len(feeding) == 1 else []
        if not group:
            groups.append(group)
        group.append(child)
        maker.update((value, group) for value in child.outputs)
    return groups


def _origin(trace: Trace, block: Call, value: int) -> int:
    """The value that this one was made from by the block's own operations on one value alone."""
    while (op := trace.values[value].op) is not None and trace.ops[op].call == block.id:
        reads = trace.ops[op].reads
        if len(reads) != 1:
            break
        value = reads[0]
    return value
