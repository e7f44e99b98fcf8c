"""What 1x1 reductions save: every module with branches against the same module without them.

The naive counterpart of a branch (1409.4842, figure 2a against 2b) has no 1x1 convolution in front
of another one, so that the next convolution reads the module's whole input, and none behind a pool,
which passes its input through. Convolution is linear in its input channels, so the naive cost
follows from the trace of the reduced module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

from pandas import DataFrame

from inception_lab.ir.once import table_once_per_trace
from inception_lab.ir.structure import places
from inception_lab.ir.trace import Op, Trace

SUM = "sum"
ALL_MODULES = "all modules"
WHOLE_NET = "whole net"

_POOLS = frozenset(
    {
        "max_pool2d_with_indices",
        "max_pool3d_with_indices",
        "avg_pool2d",
        "avg_pool3d",
        "_adaptive_avg_pool2d",
        "_adaptive_avg_pool3d",
        "adaptive_max_pool2d",
        "adaptive_max_pool3d",
        "fractional_max_pool2d",
        "fractional_max_pool3d",
        "mkldnn_max_pool2d",
        "mkldnn_max_pool3d",
        "mkldnn_adaptive_avg_pool2d",
    }
)
"""Operations that pool each channel by itself, by base name; PyTorch makes 1-d pools of 2-d ones."""


class Sides(NamedTuple):
    """Weights and multiply-accumulates without and with reductions."""

    naive_weights: int
    reduced_weights: int
    naive_macs: int
    reduced_macs: int


@table_once_per_trace
def reduction_saving(trace: Trace) -> DataFrame:
    """Naive against reduced on the same input, per branch, per module and over the net.

    Args:
        trace: Of a net whose modules have parallel branches, in any mode.

    Returns:
        A row per branch, a row `sum` per module, then the sums of `all modules` and of the
        `whole net` with its stem and classifier: `module`, `branch`, `naive_weights`,
        `reduced_weights` (biases apart), `naive_macs`, `reduced_macs`, `weights_ratio`, `macs_ratio`
        (naive / reduced). Empty where no module has parallel branches.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> saving = reduction_saving(trace).set_index(["module", "branch"])
        >>> saving.loc[("inception3a", "branch3"), ["naive_macs", "reduced_macs"]].tolist()
        [120422400, 12443648]
    """
    branches, outside = _products_by_branch(trace)
    first = _first_readers(trace)
    costs = {place: _cost(trace, ops, first) for place, ops in branches.items()}
    rows: list[tuple[str, str, Sides]] = []
    for module in dict.fromkeys(module for module, _ in costs):
        inside = {branch: cost for (block, branch), cost in costs.items() if block == module}
        rows += [(module, branch, cost) for branch, cost in inside.items()]
        rows.append((module, SUM, _sum(list(inside.values()))))
    if rows:
        modules = _sum(list(costs.values()))
        rows.append((ALL_MODULES, SUM, modules))
        rows.append((WHOLE_NET, SUM, _sum([modules, *(_unchanged(trace, op, first) for op in outside)])))
    table = DataFrame([(m, b, *cost) for m, b, cost in rows], columns=["module", "branch", *Sides._fields])
    table["weights_ratio"] = table["naive_weights"] / table["reduced_weights"]
    table["macs_ratio"] = table["naive_macs"] / table["reduced_macs"]
    return table


def _products_by_branch(trace: Trace) -> tuple[Mapping[tuple[str, str], list[Op]], list[Op]]:
    """Forward operations of each branch, and the products that stand in none."""
    where = places(trace)
    branches: dict[tuple[str, str], list[Op]] = defaultdict(list)
    outside: list[Op] = []
    for op in trace.ops:
        if op.phase != "forward" or op.call < 0:
            continue
        place = where[op.call]
        if place.branch:
            branches[place].append(op)
        elif op.macs:
            outside.append(op)
    return branches, outside


def _cost(trace: Trace, branch: Sequence[Op], first: Mapping[int, int]) -> Sides:
    """Cost of one branch, without and with its reductions."""
    products = [op for op in branch if op.macs]
    source, pooled = _sources(branch)
    readers: dict[int | None, list[Op]] = defaultdict(list)
    for op in products:
        readers[source.get(op.reads[0])].append(op)
    gone = {
        op.id: op
        for op in readers[None]
        if _is_reduction(trace, op, readers[op.id]) or (_is_pointwise(trace, op) and op.reads[0] in pooled)
    }
    return _sum([_without(trace, op, first, gone, source.get(op.reads[0])) for op in products])


def _sources(branch: Sequence[Op]) -> tuple[dict[int, int], set[int]]:
    """The product that each value in a branch comes from, and the values that come from a pool alone."""
    source: dict[int, int] = {}
    pooled: set[int] = set()
    for op in branch:
        before = op.reads[0] if op.reads else None
        if op.macs:
            source.update(dict.fromkeys(op.writes, op.id))
        elif before in source:
            source.update(dict.fromkeys(op.writes, source[before]))
        elif op.base_name in _POOLS or before in pooled:
            pooled.update(op.writes)
    return source, pooled


def _is_pointwise(trace: Trace, op: Op) -> bool:
    """True for a convolution with a kernel of one, stride one and one group."""
    kernel = trace.values[op.reads[1]].shape[2:]
    return _is_convolution(op) and op.arg("groups") == 1 and {*kernel, *op.arg("stride")} == {1}


def _is_convolution(op: Op) -> bool:
    # the weight of a transposed one has the channels of its input first: the rules here do not hold for it
    return op.base_name == "convolution" and not op.arg("transposed")


def _is_reduction(trace: Trace, op: Op, readers: Sequence[Op]) -> bool:
    """Whether convolutions read what this pointwise one makes, and nothing beside it."""
    width = trace.values[op.reads[1]].shape[0]
    fed = [r for r in readers if _is_convolution(r) and trace.values[r.reads[1]].shape[1] == width]
    return bool(readers) and len(fed) == len(readers) and _is_pointwise(trace, op)


def _without(
    trace: Trace, op: Op, first: Mapping[int, int], gone: Mapping[int, Op], source: int | None
) -> Sides:
    """Cost of a product where those that are `gone` leave its input as wide as theirs."""
    cost = _unchanged(trace, op, first)
    if op.id in gone:
        return cost._replace(naive_weights=0, naive_macs=0)
    if source is None or source not in gone:
        return cost
    narrow, wide = trace.values[gone[source].reads[1]].shape[:2]
    return cost._replace(
        naive_weights=cost.reduced_weights // narrow * wide, naive_macs=cost.reduced_macs // narrow * wide
    )


def _unchanged(trace: Trace, op: Op, first: Mapping[int, int]) -> Sides:
    """Cost of a product; a weight counts where it is first read."""
    sources = [trace.values[value] for value in op.reads]
    own = [v for v in sources if len(v.shape) > 1 and trace.storages[v.storage].kind == "parameter"]
    weights = sum(prod(v.shape) for v in own if first[v.storage] == op.id)
    return Sides(weights, weights, op.macs, op.macs)


def _first_readers(trace: Trace) -> Mapping[int, int]:
    """The first product that reads each storage."""
    readers: dict[int, int] = {}
    for op in trace.ops:
        if op.macs:
            for value in op.reads:
                readers.setdefault(trace.values[value].storage, op.id)
    return readers


def _sum(costs: Sequence[Sides]) -> Sides:
    return Sides(*(sum(column) for column in zip(*costs, strict=True))) if costs else Sides(0, 0, 0, 0)
