"""The worksheet of a module in a trace: every figure is one of the traced operations."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.analyzers.reductions import InputChannels, naive_channels
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import ROOT, Place, places
from inception_lab.ir.trace import Call, Op, Trace
from inception_lab.worksheets.joining import joined_channels, source_of
from inception_lab.worksheets.sheet import Branch, Sums, Working, Worksheet
from inception_lab.worksheets.workings import is_pool, naive_working, parameters_read, working_of


@checked
@once_per_trace
def worksheet(trace: Trace, module: str) -> Worksheet:
    """Write down the arithmetic of one module, layer by layer, and that of its naive counterpart.

    The naive counterpart has no 1x1 reductions (1409.4842, figure 2a against 2b); `reduction_saving` tells
    the same sums. Those of the module itself are the sums of `layer_costs` over its layers.

    Args:
        trace: In any mode; the forward pass alone is written down.
        module: Path of the module, `(model)` for the whole model; one without branches has no naive
            counterpart.

    Raises:
        InceptionLabError: There is no such module, it never ran, or nothing in it multiplies, pools or has
            parameters (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> sheet = worksheet(trace, "inception3a")
        >>> sheet.branches[2].name, sheet.branches[2].naive.macs, sheet.branches[2].reduced.macs
        ('branch3', 120422400, 12443648)
    """
    path = "" if module == ROOT else str(module)
    calls = _calls_in(trace, path)
    channels = {} if _is_part_of_a_branch(trace, calls) else naive_channels(trace)
    branches = tuple(_branches(trace, path, calls, channels))
    if not any(branch.workings for branch in branches):
        raise InceptionLabError(
            "nothing in it multiplies, pools or has parameters", where=module, hint="take a module around it"
        )
    first = next((call for call in calls.values() if call.path == path and call.executed), None)
    return Worksheet(
        module=path or ROOT,
        context=trace.context,
        input_shape=_shape(trace, first.inputs if first else ()),
        output_shape=_shape(trace, first.outputs if first else ()),
        branches=branches,
        joined_channels=joined_channels(trace, first),
        naive_joined_channels=joined_channels(trace, first, channels),
        uncounted_ops=MappingProxyType(Counter(op.name for op in _forward(trace, calls) if not op.counted)),
    )


def _calls_in(trace: Trace, path: str) -> Mapping[int, Call]:
    """The calls of a module and of those inside it, by id.

    Raises:
        InceptionLabError: There are none, or none of them ran.
    """
    inside = {call.id: call for call in trace.calls if not path or f"{call.path}.".startswith(f"{path}.")}
    if not inside:
        names = {call.path for call in trace.calls if call.path and not call.path.startswith("(")}
        # where none is near, the hint lists modules, and not all that is inside of them
        choices = {name for name in names if name.count(".") <= path.count(".")} | {ROOT}
        raise InceptionLabError(f"no module {path!r}", where=trace.context.model, hint=nearest(path, choices))
    if not any(call.executed for call in inside.values()):
        raise InceptionLabError(f"never ran in {trace.context.mode} mode", where=path)
    return inside


def _is_part_of_a_branch(trace: Trace, calls: Mapping[int, Call]) -> bool:
    """True for a module inside a branch that is more than it: a reduction alone has no counterpart."""
    place_of = places(trace)
    own = {place_of[call] for call in calls}
    return any(
        place_of[op.call] in own and place_of[op.call].branch and op.call not in calls
        for op in trace.ops
        if op.macs and op.phase == "forward" and op.call >= 0
    )


def _forward(trace: Trace, calls: Mapping[int, Call]) -> Iterator[Op]:
    return (op for op in trace.ops if op.phase == "forward" and op.call in calls)


class _Entry(NamedTuple):
    """A working, its call, and the operation that it is of; None for parameters of no product."""

    call: Call
    op: Op | None
    working: Working


def _branches(
    trace: Trace, path: str, calls: Mapping[int, Call], channels: Mapping[int, InputChannels]
) -> Iterator[Branch]:
    """The branches in the order in which they run; layers of no branch make up one without a name."""
    place_of = places(trace)
    by_name: dict[str, list[_Entry]] = defaultdict(list)
    for entry in _entries(trace, path, calls):
        by_name[_branch_name(path, place_of[entry.call.id])].append(entry)
    for name, entries in by_name.items():
        naive = (_naive(trace, entry, channels) for entry in entries)
        yield Branch(name, tuple(e.working for e in entries), tuple(w for w in naive if w is not None))


def _branch_name(path: str, place: Place) -> str:
    """Path within the module of a branch in it; empty where the module is part of the branch."""
    if not place.branch or not f"{place.block}.".startswith(f"{path}." if path else ""):
        return ""
    block = place.block.removeprefix(path).lstrip(".")
    return f"{block}.{place.branch}" if block else place.branch


def _naive(trace: Trace, entry: _Entry, channels: Mapping[int, InputChannels]) -> Working | None:
    """The working of a layer in the naive counterpart; None where this does without it."""
    op = entry.op if entry.op is not None else _normalised_product(trace, entry.call)
    input_channels = channels.get(op.id) if op is not None else None
    if input_channels is None:
        return entry.working
    if not input_channels.naive:
        return None
    return entry.working if entry.op is None else naive_working(entry.working, input_channels)


def _normalised_product(trace: Trace, call: Call) -> Op | None:
    """The product whose output a call reads, which takes its normalisation along when it is left out."""
    return source_of(trace, call.inputs[0]) if call.inputs else None


def _entries(trace: Trace, path: str, calls: Mapping[int, Call]) -> list[_Entry]:
    """Products and pools in order of execution, and the parameters of no product where their layer runs."""
    own_params = {call.path: call.params for call in calls.values() if not call.number}
    never_called = {call.path for call in calls.values() if not call.executed}
    first_op: dict[int, int] = {}
    entries: list[tuple[int, _Entry]] = []
    for op in _forward(trace, calls):
        first_op.setdefault(op.call, op.id)
        call = calls[op.call]
        if op.macs or (is_pool(op) and not _averages_channels(trace, op, call)):
            owners = never_called | {call.path}
            weights, biases = _own_parameters(trace, op, owners, own_params)
            working = working_of(trace, op, _layer_name(trace, path, call), weights, biases)
            entries.append((op.id, _Entry(call, op, working)))
    for call in calls.values():
        if not call.number and own_params[call.path]:
            working = _parameters_alone(trace, path, call, own_params[call.path])
            entries.append((first_op.get(call.id, len(trace.ops)), _Entry(call, None, working)))
    return [entry for _, entry in sorted(entries, key=lambda pair: pair[0])]


def _averages_channels(trace: Trace, op: Op, call: Call) -> bool:
    """True for the pool in a local response normalisation, to which channels are an axis of the image."""
    pool_shape, image_shape = trace.values[op.reads[0]].shape, _shape(trace, call.inputs)
    # one-dimensional pools have an axis more as well, of length one
    first_axis = prod(op.arg("kernel_size", (1,))[:1])
    return len(pool_shape) > len(image_shape) and pool_shape[1] == 1 and first_axis > 1


def _own_parameters(
    trace: Trace, op: Op, owners: Container[str], own_params: dict[str, int]
) -> tuple[int, int]:
    """Weights and biases that a product reads, taken off those that their owner has left to count.

    A parameter that is shared counts at its first owner, and at its first call: others have none left.

    Args:
        trace: That ran it.
        op: The product.
        owners: Its own layer, and modules that never run, such as those whose weights a function takes.
        own_params: Left to count of each module; changed.
    """
    amounts = {True: 0, False: 0}
    for value in parameters_read(trace, op):
        owner, count = trace.storages[value.storage].name.rpartition(".")[0], prod(value.shape)
        if owner in owners and count <= own_params.get(owner, 0):
            own_params[owner] -= count
            amounts[len(value.shape) > 1] += count
    return amounts[True], amounts[False]


def _parameters_alone(trace: Trace, path: str, call: Call, count: int) -> Working:
    """The working of parameters that no product reads, such as those of normalisation."""
    kind = call.type if call.executed else f"{call.type}, never called"
    shapes = _shape(trace, call.inputs), _shape(trace, call.outputs)
    name = _layer_name(trace, path, call)
    return Working(name, kind, *shapes, None, False, (), (), Sums(0, 0, 0, count))


def _layer_name(trace: Trace, path: str, call: Call) -> str:
    """Path of a layer within its branch, with the number of a call that is not its first."""
    within = call.path.removeprefix(path).lstrip(".") if path else call.path
    branch = _branch_name(path, places(trace)[call.id])
    name = within.removeprefix(f"{branch}.") if branch else within
    name = name or call.path.rpartition(".")[2] or ROOT
    return f"{name} (call {call.number + 1})" if call.number else name


def _shape(trace: Trace, values: Sequence[int]) -> tuple[int, ...]:
    return trace.values[values[0]].shape if values else ()
