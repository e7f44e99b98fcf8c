"""The dataflow of a Trace: its rows, its depth, its branches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.errors import InceptionLabError
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Call, Trace

ROOT = "(model)"


class Place(NamedTuple):
    """Place of a layer among parallel branches.

    Attributes:
        block: Path of the innermost module around it that has parallel branches, else of its own
            top-level module.
        branch: Name within the block of the branch that it is part of, empty outside of branches.
    """

    block: str
    branch: str


@once_per_trace
def layer_calls(trace: Trace) -> tuple[Call, ...]:
    """Return the calls that have a row: together they hold all operations and all parameters, each once.

    These are the calls that ran an operation of their own, those of modules with parameters of their
    own, and modules without children that were never called.
    """
    with_ops = {op.call for op in trace.ops}
    return tuple(c for c in trace.calls if c.id in with_ops or c.params or (c.leaf and not c.executed))


def layer_name(call: Call) -> str:
    """Return the path of a call's module; the model itself has a name of its own."""
    return call.path or ROOT


def module_at_depth(layer: str, depth: int) -> str:
    """Return the path of the module around a layer that is at most so many levels below the model.

    Raises:
        InceptionLabError: The depth is below 1 (exit code 2).

    Example:
        >>> module_at_depth("inception3a.branch3.reduce.conv", 2)
        'inception3a.branch3'
    """
    check_depth(depth)
    return ".".join(layer.split(".")[:depth])


def in_common_order(models: Sequence[Sequence[str]]) -> list[str]:
    """Return the modules of several models, each once, every one behind the one that it follows in its model.

    Example:
        >>> in_common_order([["a", "b", "d"], ["a", "c", "d"]])
        ['a', 'c', 'b', 'd']
    """
    order: list[str] = []
    for modules in models:
        place = 0
        for name in modules:
            if name not in order:
                order.insert(place, name)
            place = order.index(name) + 1
    return order


def check_depth(depth: int) -> None:
    """Refuse a depth above which there is no module.

    Raises:
        InceptionLabError: It is below 1 (exit code 2).
    """
    if depth < 1:
        raise InceptionLabError(f"depth {depth} is below 1", hint="use 1 for the model's own children")


@once_per_trace
def weighted_products(trace: Trace) -> frozenset[int]:
    """Return the products of the forward pass with weights, by operation id: not those of activations alone.

    Weights are parameters, and values made of parameters alone.
    """
    parameters = {s.id for s in trace.storages if s.kind == "parameter"}
    products: set[int] = set()
    weight_ops: set[int | None] = set()  # those that read weights alone, as for a normalised weight
    for op in trace.ops:
        if op.phase != "forward":
            break
        sources = [trace.values[value] for value in op.reads]
        weights = [v for v in sources if v.storage in parameters or v.op in weight_ops]
        if sources and len(weights) == len(sources):
            weight_ops.add(op.id)
        if op.macs and weights:
            products.add(op.id)
    return frozenset(products)


@once_per_trace
def weighted_depth(trace: Trace) -> int:
    """Count the convolutions and linear layers on the longest path from an input to an output.

    Of products those of `weighted_products` count, of modules that run in parallel the longest.

    Example:
        >>> import inception_lab as il
        >>> weighted_depth(il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224)))
        22
    """
    depth: dict[int | None, int] = {None: 0}
    products = weighted_products(trace)
    for op in trace.ops:
        if op.phase != "forward":
            break
        before = max((depth[trace.values[value].op] for value in op.reads), default=0)
        depth[op.id] = before + (op.id in products)
    return max(depth.values())


@once_per_trace
def places(trace: Trace) -> Mapping[int, Place]:
    """Return the place of each call among parallel branches, by call id.

    A module is a block where two or more groups of its children read the same values, each group
    being children that feed one another. The innermost block around a layer is the one that counts.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> place_of = {call.path: places(trace)[call.id] for call in trace.calls}
        >>> place_of["inception3a.branch3.reduce.conv"], place_of["conv1.conv"]
        (Place(block='inception3a', branch='branch3'), Place(block='conv1', branch=''))
    """
    children: dict[int | None, list[Call]] = defaultdict(list)
    for call in trace.calls:
        if call.executed:
            children[call.parent].append(call)
    by_call: dict[int, Place] = {}
    blocks = set()
    for call in trace.calls:  # a parent comes before its children
        parent_place = by_call.get(call.parent) if call.parent is not None else None
        is_inside = parent_place is not None and (parent_place.branch or parent_place.block in blocks)
        top_level = Place(call.path.partition(".")[0] or ROOT, "")
        by_call.setdefault(call.id, parent_place if parent_place and is_inside else top_level)
        if branches := list(_branches(trace, call, children[call.id])):
            by_call.update((child.id, Place(call.path, branch)) for child, branch in branches)
            if not by_call[call.id].branch and call.path:
                by_call[call.id] = Place(call.path, "")
                blocks.add(call.path)
    return MappingProxyType(by_call)


def _branches(trace: Trace, block: Call, children: list[Call]) -> Iterator[tuple[Call, str]]:
    """Children of a call with the name of their branch, where it has two branches or more."""
    block_inputs = {_origin(trace, block, value) for value in block.inputs}
    groups = _groups(trace, block, children)
    branches = [
        group
        for group in groups
        if any(_origin(trace, block, value) in block_inputs for child in group for value in child.inputs)
    ]
    if len(branches) < 2:
        return
    for group in branches:
        name = group[0].path.removeprefix(block.path).lstrip(".")
        for child in group:
            yield child, name


def _groups(trace: Trace, block: Call, children: Iterable[Call]) -> list[list[Call]]:
    """Children that feed one another, directly or through operations of the block on one value."""
    producers: dict[int, list[Call]] = {}
    groups: list[list[Call]] = []
    for child in children:
        origins = (_origin(trace, block, value) for value in child.inputs)
        sources = {id(group): group for origin in origins if (group := producers.get(origin))}
        # what reads from several groups, such as a concatenation, begins a group of its own
        group = next(iter(sources.values())) if len(sources) == 1 else []
        if not group:
            groups.append(group)
        group.append(child)
        producers.update((value, group) for value in child.outputs)
    return groups


def _origin(trace: Trace, block: Call, value: int) -> int:
    """The value that this one was made from by the block's own operations on one value alone."""
    while (op := trace.values[value].op) is not None and trace.ops[op].call == block.id:
        reads = trace.ops[op].reads
        if len(reads) != 1:
            break
        value = reads[0]
    return value
