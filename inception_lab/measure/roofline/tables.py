"""Times of layers and modules beside what the ceilings allow, as tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast, get_args

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import module_at_depth
from inception_lab.ir.trace import Phase, Trace
from inception_lab.measure.roofline.bounds import roofline_columns
from inception_lab.measure.roofline.critical_path import Cell, longest_path, segments_of
from inception_lab.measure.roofline.joining import Work, rows_of_operations, work_by_row
from inception_lab.measure.roofline.limits import Ceilings
from inception_lab.measure.timing.context import precisions_of
from inception_lab.measure.timing.results import LayerTimes

_AGREED = ("machine", "device", "threads", "torch")
"""The facts in which times and ceilings have to agree."""


_OF_LAYERS = ("layer", "call", "type", "executed", "self_ms", "share", "kernels")
_OF_MODULES = ("module", "self_ms", "share", "kernels")
"""Columns of the times that their rooflines have too; kernels are those of a GPU."""


@checked
def roofline(times: LayerTimes, trace: Trace, ceilings: Ceilings) -> DataFrame:
    """Return each layer's time beside what the ceilings of the machine allow.

    A layer's operations take at least as long as their arithmetic at the highest rate, and as long as their
    fewest bytes at the rate of a copy; the longer of the two is the roof (Williams, Waterman & Patterson,
    CACM 52(4), 2009). The fewest bytes are those that cross the layer's border: operands and parameters
    each once, and what is used later; see `traffic.compulsory_bytes`. Of a training step, a layer's row holds
    its backward operations if it has a time of their own; else all of them are under `(backward)`. Arithmetic
    is that of the trace: of a backward pass, products alone.

    Args:
        times: Of a model.
        trace: Of the same model, inputs and mode.
        ceilings: Of the same machine, threads, dtype and precision; under autocast of its dtype.

    Returns:
        `layer`, `call`, `type`, `executed`, `self_ms`, `share`, on a GPU `kernels`, as in `times.layers`;
        `macs`, `macs_share` (percent of the step), `other_flops`, `launches` (operations that compute or
        move anything), `compulsory_bytes`, `unfused_bytes` (the same, operation by operation), `intensity`
        (FLOPs, which is 2 x macs + other_flops, per compulsory byte), `gflops_per_s`,
        `attainable_gflops_per_s` (at this intensity), `roof_share` (percent; the roof's time over the
        layer's), `bound` (`compute`, `memory` or `launch`: the limit that explains most of the time, if that
        is half of it, or all of it for launches on a GPU; else `none`) and `note`, which flags shares above
        100%.

    Raises:
        InceptionLabError: Times, trace and ceilings are not of one step on one machine (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        >>> times = il.layer_times(model, (4, 8), threads=1, seconds=0)
        >>> ceilings = il.measure_ceilings(threads=1, seconds=0)
        >>> table = roofline(times, il.trace(model, (4, 8)), ceilings).set_index("layer")
        >>> table.loc[["0", "1"], "compulsory_bytes"].tolist()  # 4 x (32 + 64 + 8 + 32) and 4 x (32 + 32)
        [544, 256]
    """
    work = work_by_row(trace, rows_of_operations(times, trace))
    _check_machine(times, ceilings)
    macs = sum(op.macs for op in trace.ops)
    rows = _plain_rows(times.layers[[name for name in _OF_LAYERS if name in times.layers]])
    return DataFrame(
        [
            row | roofline_columns(work.get(place, Work()), row["self_ms"], ceilings, macs)
            for place, row in enumerate(rows)
        ]
    )


@checked
def roofline_by_module(times: LayerTimes, trace: Trace, ceilings: Ceilings, depth: int = 1) -> DataFrame:
    """Return each module's time beside what the ceilings allow, and what its branches could gain.

    As `roofline`, each module as a whole: its fewest bytes are what enters and leaves it and its parameters.
    What one of its layers makes and another one uses up need not move.

    Args:
        times: As for `roofline`.
        trace: As for `roofline`.
        ceilings: As for `roofline`.
        depth: Levels below the model at which a module may stand; deeper layers count towards it.

    Returns:
        `module`, `self_ms` and `share` as in `times.by_module`, the columns of `roofline`, `kernels` where
        the times have them, `critical_path_ms` (the longest path through the dataflow of the module's
        layers) and `side_by_side_gain` (`self_ms` over it: how much faster the module would be at most if
        whatever can run side by side did, and cost nothing by that). Calls that dispatch no operation are
        Python, and so on every path.

    Raises:
        InceptionLabError: As of `roofline`; or the depth is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        >>> times = il.layer_times(model, (4, 8), threads=1, seconds=0)
        >>> ceilings = il.measure_ceilings(threads=1, seconds=0)
        >>> table = roofline_by_module(times, il.trace(model, (4, 8)), ceilings)
        >>> table["side_by_side_gain"].tolist()
        [1.0, 1.0, 1.0, 1.0]
    """
    row_of = rows_of_operations(times, trace)
    _check_machine(times, ceilings)
    modules = times.by_module(depth)
    names = [module_at_depth(layer, depth) for layer in times.layers["layer"]]
    place_of = {name: place for place, name in enumerate(modules["module"])}
    work = work_by_row(trace, {op: place_of[names[row]] for op, row in row_of.items()})
    paths, macs = _Paths(times, trace, row_of, names), sum(op.macs for op in trace.ops)
    columns = modules[[name for name in _OF_MODULES if name in modules]]
    return DataFrame(
        [
            row | roofline_columns(work.get(place, Work()), row["self_ms"], ceilings, macs)
            | paths.columns(row["module"], row["self_ms"])
            for place, row in enumerate(_plain_rows(columns))
        ]
    )  # fmt: skip


@checked
def roofline_totals(times: LayerTimes, trace: Trace) -> Mapping[str, float]:
    """Return the figures of the whole step: what must move, what runs, and its longest path.

    Args:
        times: Of a model.
        trace: Of the same model, inputs and mode.

    Returns:
        `launches`, `compulsory_bytes` of the step as a whole, `unfused_bytes`, `critical_path_ms`,
        `side_by_side_gain`.

    Raises:
        InceptionLabError: As of `roofline` (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        >>> times = il.layer_times(model, (4, 8), threads=1, seconds=0)
        >>> totals = roofline_totals(times, il.trace(model, (4, 8)))
        >>> totals["launches"], totals["compulsory_bytes"]  # 4 x (32 + 64 + 8 + 32)
        (2, 544)
    """
    row_of = rows_of_operations(times, trace)
    work = work_by_row(trace, dict.fromkeys(row_of, 0)).get(0, Work())
    paths = _Paths(times, trace, row_of, list(times.layers["layer"]))
    return {
        "launches": work.launches,
        "compulsory_bytes": work.compulsory_bytes,
        "unfused_bytes": work.unfused_bytes,
        **paths.columns(None, times.step_ms),
    }


@checked
def macs_beside_time(times: LayerTimes, trace: Trace, depth: int = 1) -> DataFrame:
    """Return each module's share of the MACs beside its share of the time.

    Args:
        times: Of a model.
        trace: Of the same model, inputs and mode.
        depth: Levels below the model at which a module may stand.

    Returns:
        `module`, `macs` (of all that its time holds, in train mode of the backward pass too), `macs_share`
        and `share` (percent of the step), `self_ms`, and `time_per_macs`: the second share over the first,
        1 where a module's MACs are as fast as those of the whole step; NaN where it has none.

    Raises:
        InceptionLabError: Times and trace are not of one step, or the depth is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU())
        >>> times = il.layer_times(model, (4, 8), seconds=0)
        >>> macs_beside_time(times, il.trace(model, (4, 8)))["macs_share"].tolist()
        [0.0, 100.0, 0.0, 0.0]
    """
    row_of = rows_of_operations(times, trace)
    modules = times.by_module(depth)
    names = [module_at_depth(layer, depth) for layer in times.layers["layer"]]
    macs: dict[str, int] = defaultdict(int)
    for op in trace.ops:
        macs[names[row_of[op.id]]] += op.macs
    table = modules[["module", "self_ms", "share"]].copy()
    table.insert(1, "macs", [macs[name] for name in table["module"]])
    table.insert(2, "macs_share", 100 * table["macs"] / (sum(macs.values()) or 1))
    table["time_per_macs"] = (table["share"] / table["macs_share"]).where(table["macs"] > 0)
    return table


def _plain_rows(table: DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", table.to_dict("records"))


class _Paths:
    """The longest paths through the modules of a step.

    Args:
        times: Of a model.
        trace: Of the same model.
        row_of: The row of each operation.
        names: The module of each row.
    """

    def __init__(
        self, times: LayerTimes, trace: Trace, row_of: Mapping[int, int], names: Sequence[str]
    ) -> None:
        cells = _cell_times(times)
        self._segments = segments_of(trace, row_of, cells, names)
        dispatching = {(row_of[op.id], op.phase) for op in trace.ops}
        self._python_ms: dict[str, float] = defaultdict(float)
        for (row, phase), ms in cells.items():
            if (row, phase) not in dispatching:
                self._python_ms[names[row]] += ms

    def columns(self, module: str | None, self_ms: float) -> dict[str, float]:
        """The longest path through a module, None for all, and the most that it could gain."""
        python = sum(self._python_ms.values()) if module is None else self._python_ms[module]
        path = min(self_ms, round(longest_path(self._segments, module) + python, 6))
        return {"critical_path_ms": path, "side_by_side_gain": self_ms / path if path else 1.0}


def _cell_times(times: LayerTimes) -> dict[Cell, float]:
    """Milliseconds of each row in each phase."""
    layers = times.layers
    phases = [phase for phase in get_args(Phase) if f"{phase}_ms" in layers]
    columns = {phase: f"{phase}_ms" for phase in phases} or {"forward": "self_ms"}
    return {(row, phase): float(ms) for phase, name in columns.items() for row, ms in enumerate(layers[name])}


def _check_machine(times: LayerTimes, ceilings: Ceilings) -> None:
    """Refuse ceilings of another machine, or of another arithmetic than the one that products run in."""
    context = times.context
    facts = {name: context.get(name) for name in _AGREED}
    facts["dtype"] = context.get("autocast", context.get("dtype"))
    if facts["dtype"] == "float32":  # others are rounded to nothing else
        facts["precision"] = ", ".join(precisions_of(context))
    for name, fact in facts.items():
        if getattr(ceilings, name) != fact:
            raise InceptionLabError(
                f"times of {name} {fact} beside ceilings of {getattr(ceilings, name)}",
                hint="measure the ceilings with the same device, threads, dtype and precision",
            )
