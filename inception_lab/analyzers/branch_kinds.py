"""Kinds of parallel branches: the kernels along each, as papers name them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from inception_lab.analyzers.reductions import POOLS
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import places, weighted_products
from inception_lab.ir.trace import Op, Trace

MOST_STEPS = 5
"""Kernels of the longest branch that is called by them."""
_ARROW = " \N{RIGHTWARDS ARROW} "


@once_per_trace
def branch_kinds(trace: Trace) -> Mapping[tuple[str, str], str]:
    """Return the kernels along each parallel branch.

    Args:
        trace: Of any mode.

    Returns:
        Such as `1x1`, `1x1 → 3x3` or `pool → 1x1`, by module and branch; a product of activations, as in
        attention, is a `matmul`. A branch without kernels, with more than `MOST_STEPS` in a row, or with
        other ones in another call of the module is not in it.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> kinds = branch_kinds(trace)
        >>> [kinds["inception3a", f"branch{number}"] for number in (1, 2, 3, 4)]
        ['1x1', '1x1 → 3x3', '1x1 → 5x5', 'pool → 1x1']
    """
    steps: dict[tuple[str, str], dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    place_of = places(trace)
    for op in trace.ops:
        if op.phase == "forward" and op.call >= 0 and (place := place_of[op.call]).branch:
            steps[place][_call_of(trace, place.block, op.call)] += filter(None, [_step(trace, op)])
    kinds = {place: _kind(list(calls.values())) for place, calls in steps.items()}
    return MappingProxyType({place: kind for place, kind in kinds.items() if kind})


def _call_of(trace: Trace, block: str, call: int) -> int:
    """The call of the block in which one of its layers was called."""
    while trace.calls[call].path != block and (parent := trace.calls[call].parent) is not None:
        call = parent
    return call


def _kind(calls: Sequence[Sequence[str]]) -> str:
    """The kernels of a branch that are the same in all calls of its block; else empty, as for too many."""
    first, *others = calls
    is_alike = all(other == first for other in others)
    return _ARROW.join(first) if is_alike and len(first) <= MOST_STEPS else ""


def _step(trace: Trace, op: Op) -> str:
    """The kernel of a convolution, or the name of another operation that mixes; empty for the rest."""
    if op.base_name in POOLS:
        return "pool"
    if op.base_name == "convolution":
        return _kernel(trace, op)
    if not op.macs:
        return ""
    return "linear" if op.id in weighted_products(trace) else "matmul"


def _kernel(trace: Trace, op: Op) -> str:
    weight = trace.values[op.reads[1]].shape
    groups, channels = op.arg("groups"), trace.values[op.reads[0]].shape[1]
    is_depthwise = groups == channels > 1
    words = [
        "depthwise" if is_depthwise else "grouped" if groups > 1 else "",
        "dilated" if max(op.arg("dilation")) > 1 else "",
        "transposed" if op.arg("transposed") else "",
        "x".join(map(str, weight[2:])),
    ]
    return " ".join(filter(None, words))
