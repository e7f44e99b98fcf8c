"""Costs of a model: parameters, multiply-accumulates, other operations, bytes of activations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.arguments import checked
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.once import table_once_per_trace
from inception_lab.ir.structure import (
    check_depth,
    layer_calls,
    layer_name,
    module_at_depth,
    places,
    weighted_depth,
)
from inception_lab.ir.trace import Phase, Trace
from inception_lab.metrics import METRICS

IntArray = NDArray[np.int64]
_LARGEST = np.iinfo(np.int64).max


@checked
@table_once_per_trace
def layer_costs(trace: Trace) -> DataFrame:
    """Return the cost of each layer call.

    Args:
        trace: Of any mode.

    Returns:
        A row per layer call in order of execution, then the layers that were never called: `layer`,
        `call`, `type`, `executed`, `input_shape`, `output_shape`, `params`, `trainable_params`, `macs`,
        `flops`, `other_flops`, `activation_bytes`; in train mode `backward_macs` and `training_macs` too.
        Each operation and each parameter is in exactly one row, so that columns add up to totals.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> layer_costs(trace).set_index("layer").loc["inception3a.branch1.conv", "macs"]
        np.int64(9633792)
    """
    calls = layer_calls(trace)
    macs, other_flops = _work_by_call(trace)
    forward, backward = macs["forward"], macs["backward"]
    activation_bytes = _activation_bytes(trace)
    columns: dict[str, Any] = {
        "layer": [layer_name(c) for c in calls],
        "call": _counts(c.number for c in calls),
        "type": [c.type for c in calls],
        "executed": np.array([c.executed for c in calls], dtype=bool),
        "input_shape": [_shape(trace, c.inputs) for c in calls],
        "output_shape": [_shape(trace, c.outputs) for c in calls],
        "params": _counts(c.params for c in calls),
        "trainable_params": _counts(c.trainable_params for c in calls),
        "macs": _counts(forward[c.id] for c in calls),
        "flops": _counts(2 * forward[c.id] for c in calls),
        "other_flops": _counts(other_flops[c.id] for c in calls),
        "activation_bytes": _counts(activation_bytes[c.id] for c in calls),
    }
    if trace.context.mode == "train":
        columns["backward_macs"] = _counts(backward[c.id] for c in calls)
        columns["training_macs"] = _counts(sum(macs[phase][c.id] for phase in macs) for c in calls)
    return DataFrame(columns, copy=False)


def _counts(numbers: Iterable[int]) -> IntArray:
    """A column of integers.

    Raises:
        InceptionLabError: Their sum does not fit into 64 bits (exit code 3).
    """
    column = list(numbers)
    # Python's integers do not overflow, so that the sum that numpy would make wrong is seen here
    if sum(column) > _LARGEST:
        raise InceptionLabError(
            f"a total of {sum(column):.2e} is beyond 64 bits",
            hint="take a smaller input",
            exit_code=MODEL_FAILED,
        )
    return np.array(column, dtype=np.int64)  # of an empty list pandas would make floats


def _work_by_call(trace: Trace) -> tuple[dict[Phase, dict[int, int]], dict[int, int]]:
    """MACs of each call by phase, and its other operations in the forward pass."""
    macs: dict[Phase, dict[int, int]] = {phase: defaultdict(int) for phase in get_args(Phase)}
    other_flops: dict[int, int] = defaultdict(int)
    for op in trace.ops:
        macs[op.phase][op.call] += op.macs
        if op.phase == "forward":
            other_flops[op.call] += op.other_flops
    return macs, other_flops


def _activation_bytes(trace: Trace) -> dict[int, int]:
    """Bytes of the storages that the forward operations of each call newly make."""
    by_call: dict[int, int] = defaultdict(int)
    for storage in trace.storages:
        if storage.born is not None and (op := trace.ops[storage.born]).phase == "forward":
            by_call[op.call] += storage.bytes
    return by_call


def _shape(trace: Trace, values: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the first of some values; empty where there is none."""
    return trace.values[values[0]].shape if values else ()


def _totals(trace: Trace, layers: DataFrame) -> Mapping[str, int]:
    sums = layers[_metric_columns(layers)].sum()
    # a depth does not add up over layers: it is a total without a column
    return {str(name): int(total) for name, total in sums.items()} | {
        "weighted_layers": weighted_depth(trace)
    }


def _metric_columns(layers: DataFrame) -> list[str]:
    return [name for name in layers.columns if name in METRICS]


@checked
@table_once_per_trace
def module_costs(trace: Trace, depth: int = 1) -> DataFrame:
    """Return the costs of whole modules, such as each Inception module of a net.

    Args:
        trace: Of any mode.
        depth: Levels below the model at which a module may stand; deeper layers count towards it.

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
    check_depth(depth)  # also where no layer has a row
    return _sum_by(trace, {"module": [module_at_depth(layer_name(c), depth) for c in layer_calls(trace)]})


@checked
@table_once_per_trace
def branch_costs(trace: Trace) -> DataFrame:
    """Return the costs of parallel branches.

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
    place_of = places(trace)
    rows = [place_of[call.id] for call in layer_calls(trace)]
    return _sum_by(trace, {"module": [p.block for p in rows], "branch": [p.branch for p in rows]})


def _sum_by(trace: Trace, keys: Mapping[str, list[str]]) -> DataFrame:
    """Sum up the layers with equal keys, in the order in which these first stand."""
    layers = layer_costs(trace)
    return (
        layers[_metric_columns(layers)]
        .groupby([pd.Series(v, name=k) for k, v in keys.items()], sort=False)
        .sum()
        .reset_index()
    )


COST = Analyzer("cost", layer_costs, _totals)
