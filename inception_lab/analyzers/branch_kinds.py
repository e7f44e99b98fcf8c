"""Kinds of parallel branches: the kernels along each, as papers name them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType

from inception_lab.analyzers.reductions import POOLS
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import places
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
        Such as `1x1`, `1x1 → 3x3` or `pool → 1x1`, by module and branch. A branch without kernels, or with
        more than `MOST_STEPS` in a row, is not in it.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> kinds = branch_kinds(trace)
        >>> [kinds["inception3a", f"branch{number}"] for number in (1, 2, 3, 4)]
        ['1x1', '1x1 → 3x3', '1x1 → 5x5', 'pool → 1x1']
    """
    steps: dict[tuple[str, str], list[str]] = defaultdict(list)
    place_of = places(trace)
    for op in trace.ops:
        if op.phase == "forward" and op.call >= 0 and (place := place_of[op.call]).branch:
            steps[place] += filter(None, [_step(trace, op)])
    kinds = {place: _ARROW.join(names) for place, names in steps.items() if 0 < len(names) <= MOST_STEPS}
    return MappingProxyType(kinds)


def _step(trace: Trace, op: Op) -> str:
    """The kernel of a convolution, or the name of another operation that mixes; empty for the rest."""
    if op.base_name in POOLS:
        return "pool"
    if op.base_name == "convolution":
        return _kernel(trace, op)
    return "linear" if op.macs else ""


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
