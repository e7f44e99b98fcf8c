"""Savings by 1x1 reductions: every module with branches against the same module without them.

The naive counterpart of a branch (1409.4842, figure 2a against 2b) has no 1x1 convolution in front
of another one, so that the next convolution reads the module's whole input, and none behind a pool,
which passes its input through. Convolution is linear in its input channels, so the naive cost
follows from the trace of the reduced module.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.ir.once import once_per_trace, table_once_per_trace
from inception_lab.ir.structure import Place, places
from inception_lab.ir.trace import Op, Trace

SUM = "sum"
ALL_MODULES = "all modules"
WHOLE_NET = "whole net"

POOLS = frozenset(
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


class InputChannels(NamedTuple):
    """Input channels of a product in a branch, with and without the reduction before it.

    Attributes:
        reduced: As traced.
        naive: In the naive counterpart; 0 for a product that this does without.
    """

    reduced: int
    naive: int


class Sides(NamedTuple):
    """Weights and multiply-accumulates without and with reductions."""

    naive_weights: int
    reduced_weights: int
    naive_macs: int
    reduced_macs: int


@checked
@table_once_per_trace
def reduction_saving(trace: Trace) -> DataFrame:
    """Compare naive and reduced modules on the same input, per branch, per module and over the net.

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
    rows = [(module, branch, *sides) for module, branch, sides in _rows(trace)]
    table = DataFrame(rows, columns=["module", "branch", *Sides._fields])
    table["weights_ratio"] = table["naive_weights"] / table["reduced_weights"]
    table["macs_ratio"] = table["naive_macs"] / table["reduced_macs"]
    return table


def _rows(trace: Trace) -> Iterator[tuple[str, str, Sides]]:
    """Module, branch and costs of each row."""
    branches, outside = _ops_by_branch(trace)
    first_readers = _first_readers(trace)
    channels = naive_channels(trace)
    costs = {
        place: _sum(_product_cost(trace, op, channels.get(op.id), first_readers) for op in ops if op.macs)
        for place, ops in branches.items()
    }
    for module in dict.fromkeys(place.block for place in costs):
        inside = {place.branch: cost for place, cost in costs.items() if place.block == module}
        yield from ((module, branch, cost) for branch, cost in inside.items())
        yield module, SUM, _sum(inside.values())
    if costs:
        yield ALL_MODULES, SUM, _sum(costs.values())
        rest = [_as_traced(trace, op, first_readers) for op in outside]
        yield WHOLE_NET, SUM, _sum([*costs.values(), *rest])


def _ops_by_branch(trace: Trace) -> tuple[Mapping[Place, list[Op]], list[Op]]:
    """Forward operations of each branch, and the products that stand in none."""
    place_of = places(trace)
    branches: dict[Place, list[Op]] = defaultdict(list)
    outside: list[Op] = []
    for op in trace.ops:
        if op.phase != "forward" or op.call < 0:
            continue
        place = place_of[op.call]
        if place.branch:
            branches[place].append(op)
        elif op.macs:
            outside.append(op)
    return branches, outside


@once_per_trace
def naive_channels(trace: Trace) -> Mapping[int, InputChannels]:
    """Return the input channels of the products that differ in the naive counterpart, by operation id.

    Args:
        trace: In any mode.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> [tuple(channels) for channels in naive_channels(trace).values()][:5]
        [(192, 0), (96, 192), (192, 0), (16, 192), (192, 0)]
    """
    branches, _ = _ops_by_branch(trace)
    by_branch = (_branch_channels(trace, ops) for ops in branches.values())
    return MappingProxyType({op: channels for branch in by_branch for op, channels in branch.items()})


def _branch_channels(trace: Trace, branch: Sequence[Op]) -> dict[int, InputChannels]:
    """The same of one branch."""
    products = [op for op in branch if op.macs]
    product_of, pool_values = _sources(branch)
    sources = {op.id: product_of.get(op.reads[0]) for op in products}
    reductions = _reductions(trace, products, sources, pool_values)
    channels = {}
    for op in products:
        source = sources[op.id]
        if op.id in reductions:
            channels[op.id] = InputChannels(_weight_shape(trace, op)[1], 0)
        elif source is not None and source in reductions:
            # the channels behind the reduction, and those before it, which the naive one reads
            channels[op.id] = InputChannels(*_weight_shape(trace, reductions[source])[:2])
    return channels


def _weight_shape(trace: Trace, convolution: Op) -> tuple[int, ...]:
    return trace.values[convolution.reads[1]].shape


def _reductions(
    trace: Trace, products: Sequence[Op], sources: Mapping[int, int | None], pool_values: Container[int]
) -> Mapping[int, Op]:
    """Products of a branch that its naive counterpart does without, by id."""
    readers: dict[int | None, list[Op]] = defaultdict(list)
    for op in products:
        readers[sources[op.id]].append(op)
    # only a product that reads the module's input can be one: None is the source of those
    return {
        op.id: op
        for op in readers[None]
        if _is_reduction(trace, op, readers[op.id])
        or (_is_pointwise(trace, op) and op.reads[0] in pool_values)
    }


def _sources(branch: Sequence[Op]) -> tuple[dict[int, int], set[int]]:
    """The product that each value in a branch comes from, and the values that come from a pool alone."""
    product_of: dict[int, int] = {}
    pool_values: set[int] = set()
    for op in branch:
        operand = op.reads[0] if op.reads else None
        if op.macs:
            product_of.update(dict.fromkeys(op.writes, op.id))
        elif operand in product_of:  # an activation or a normalisation passes its product on
            product_of.update(dict.fromkeys(op.writes, product_of[operand]))
        elif op.base_name in POOLS or operand in pool_values:
            pool_values.update(op.writes)
    return product_of, pool_values


def _is_pointwise(trace: Trace, op: Op) -> bool:
    """True for a convolution with a kernel of one, stride one and one group."""
    kernel = trace.values[op.reads[1]].shape[2:]
    return _is_convolution(op) and op.arg("groups") == 1 and {*kernel, *op.arg("stride")} == {1}


def _is_convolution(op: Op) -> bool:
    # the weight of a transposed one has the channels of its input first: the rules here do not hold for it
    return op.base_name == "convolution" and not op.arg("transposed")


def _is_reduction(trace: Trace, op: Op, readers: Sequence[Op]) -> bool:
    """True where convolutions read the output of a pointwise one, and nothing beside it."""
    width = trace.values[op.reads[1]].shape[0]
    # a reader of groups, or of a concatenation, has weights for another number of channels
    alone = [r for r in readers if _is_convolution(r) and trace.values[r.reads[1]].shape[1] == width]
    return bool(readers) and len(alone) == len(readers) and _is_pointwise(trace, op)


def _product_cost(
    trace: Trace, op: Op, channels: InputChannels | None, first_readers: Mapping[int, int]
) -> Sides:
    """Cost of a product, whose naive counterpart reads what the reduction before it reads."""
    cost = _as_traced(trace, op, first_readers)
    if channels is None:
        return cost
    # linear in the input channels: multiplied by the channels before the reduction over those behind it
    return cost._replace(
        naive_weights=cost.reduced_weights // channels.reduced * channels.naive,
        naive_macs=cost.reduced_macs // channels.reduced * channels.naive,
    )


def _as_traced(trace: Trace, op: Op, first_readers: Mapping[int, int]) -> Sides:
    """Cost of a product as it ran, on both sides; a weight counts where it is first read."""
    operands = [trace.values[value] for value in op.reads]
    weights = [v for v in operands if len(v.shape) > 1 and trace.storages[v.storage].kind == "parameter"]
    count = sum(prod(v.shape) for v in weights if first_readers[v.storage] == op.id)
    return Sides(count, count, op.macs, op.macs)


def _first_readers(trace: Trace) -> Mapping[int, int]:
    """The first product that reads each storage."""
    readers: dict[int, int] = {}
    for op in trace.ops:
        if op.macs:
            for value in op.reads:
                readers.setdefault(trace.values[value].storage, op.id)
    return readers


def _sum(costs: Iterable[Sides]) -> Sides:
    return Sides(*map(sum, zip(Sides(0, 0, 0, 0), *costs, strict=True)))
