"""What a model costs: parameters, multiply-accumulates, other operations, activations made."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.once import table_once_per_trace
from inception_lab.ir.structure import layer_calls, layer_name, places, weighted_depth
from inception_lab.ir.trace import Op, Phase, Trace
from inception_lab.metrics import METRICS

IntArray = NDArray[np.int64]
_LARGEST = np.iinfo(np.int64).max
_PASSES: tuple[Phase, ...] = ("forward", "loss", "backward")


@table_once_per_trace
def layer_costs(trace: Trace) -> DataFrame:
    """The cost of each layer call.

    Args:
        trace: Of any mode.

    Returns:
        A row per layer call in order of execution, then the layers that were never called: `layer`,
        `call`, `type`, `executed`, `input_shape`, `output_shape`, `params`, `macs`, `flops`,
        `other_flops`, `activation_bytes`; in train mode `backward_macs` and `training_macs` too.
        Each operation and each parameter is in exactly one row, so that columns add up to totals.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> layer_costs(trace).set_index("layer").loc["inception3a.branch1.conv", "macs"]
        np.int64(9633792)
    """
    calls = layer_calls(trace)
    macs, other = _work(trace)
    forward, backward = macs["forward"], macs["backward"]
    made = _bytes_made(trace)
    columns: dict[str, Any] = {
        "layer": [layer_name(c) for c in calls],
        "call": _counts(c.number for c in calls),
        "type": [c.type for c in calls],
        "executed": np.array([c.executed for c in calls], dtype=bool),
        "input_shape": [_shape(trace, c.inputs) for c in calls],
        "output_shape": [_shape(trace, c.outputs) for c in calls],
        "params": _counts(c.params for c in calls),
        "macs": _counts(forward[c.id] for c in calls),
        "flops": _counts(2 * forward[c.id] for c in calls),
        "other_flops": _counts(other[c.id] for c in calls),
        "activation_bytes": _counts(made[c.id] for c in calls),
    }
    if trace.context.mode == "train":
        columns["backward_macs"] = _counts(backward[c.id] for c in calls)
        columns["training_macs"] = _counts(sum(macs[p][c.id] for p in _PASSES) for c in calls)
    return DataFrame(columns, copy=False)


def _counts(numbers: Iterable[int]) -> IntArray:
    """A column of whole numbers, also where it is empty; pandas would have to guess.

    Raises:
        InceptionLabError: Their sum does not fit into 64 bits (exit code 3).
    """
    column = list(numbers)
    if sum(column) > _LARGEST:
        raise InceptionLabError(
            f"a total of {sum(column):.2e} is beyond 64 bits",
            hint="take a smaller input",
            exit_code=MODEL_FAILED,
        )
    return np.array(column, dtype=np.int64)


def _work(trace: Trace) -> tuple[dict[Phase, dict[int, int]], dict[int, int]]:
    """MACs of each call by phase, and its other operations in the forward pass of the model."""
    macs: dict[Phase, dict[int, int]] = {phase: defaultdict(int) for phase in get_args(Phase)}
    other: dict[int, int] = defaultdict(int)
    for op in trace.ops:
        macs[op.phase][op.call] += op.macs
        if op.phase == "forward":
            other[op.call] += op.other_flops
    return macs, other


def _bytes_made(trace: Trace) -> dict[int, int]:
    """Bytes of the storages that each call's forward operations newly made."""
    made: dict[int, int] = defaultdict(int)
    for storage in trace.storages:
        op = _born_in(trace, storage.born)
        if op is not None and op.phase == "forward":
            made[op.call] += storage.bytes
    return made


def _born_in(trace: Trace, born: int | None) -> Op | None:
    return None if born is None else trace.ops[born]


def _shape(trace: Trace, values: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the first of these values, empty where there is none."""
    return trace.values[values[0]].shape if values else ()


def _totals(trace: Trace, layers: DataFrame) -> Mapping[str, int]:
    summed = layers[_metrics(layers)].sum()
    return {str(name): int(total) for name, total in summed.items()} | {
        "weighted_layers": weighted_depth(trace)
    }


def _metrics(layers: DataFrame) -> list[str]:
    return [name for name in layers.columns if name in METRICS]


@table_once_per_trace
def module_costs(trace: Trace, depth: int = 1) -> DataFrame:
    """The costs of whole modules, such as each Inception module of a net.

    Args:
        trace: Of any mode.
        depth: How many levels below the model a module may stand; deeper layers count towards it.

    Returns:
        A row per module in order of execution: `module`, then the sums of `layer_costs`.

    Raises:
        InceptionLabError: The depth is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> int(module_costs(trace).set_index("module").loc["inception3a", "params"])
        163696
    """
    if depth < 1:
        raise InceptionLabError(f"depth {depth} is below 1", hint="use 1 for the model's own children")
    names = [".".join(layer_name(c).split(".")[:depth]) for c in layer_calls(trace)]
    return _rolled_up(trace, {"module": names})


@table_once_per_trace
def branch_costs(trace: Trace) -> DataFrame:
    """The costs of parallel branches.

    Args:
        trace: Of any mode.

    Returns:
        A row per branch in order of execution: `module` that holds it, `branch` (empty for layers in
        no branch), then the sums of `layer_costs`.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> costs = branch_costs(trace).set_index(["module", "branch"])
        >>> int(costs.loc[("inception3a", "branch3"), "macs"])
        12443648
    """
    where = places(trace)
    found = [where[call.id] for call in layer_calls(trace)]
    return _rolled_up(trace, {"module": [p.block for p in found], "branch": [p.branch for p in found]})


def _rolled_up(trace: Trace, keys: Mapping[str, list[str]]) -> DataFrame:
    layers = layer_costs(trace)
    return (
        layers[_metrics(layers)]
        .groupby([pd.Series(v, name=k) for k, v in keys.items()], sort=False)
        .sum()
        .reset_index()
    )


COST = Analyzer("cost", layer_costs, _totals)
