"""The operations of a trace under the rows of a table of times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Op, Trace
from inception_lab.measure.roofline.dataflow import dataflow
from inception_lab.measure.roofline.traffic import bytes_one_by_one, compulsory_bytes
from inception_lab.measure.timing.clock import BACKWARD, OUTSIDE
from inception_lab.measure.timing.results import LayerTimes

FACTS = ("input_shapes", "mode", "dtype", "autocast", "optimizer")
"""The facts of the context in which times and trace have to agree."""


class Work(NamedTuple):
    """The work under one row of a table of times.

    Attributes:
        macs: Of all its operations.
        other_flops: Of all its operations.
        products: Operations with multiply-accumulates.
        others: Operations that compute or move anything else.
        compulsory_bytes: The fewest that they must move together.
        unfused_bytes: The fewest that they must move one by one, added up.
    """

    macs: int = 0
    other_flops: int = 0
    products: int = 0
    others: int = 0
    compulsory_bytes: int = 0
    unfused_bytes: int = 0

    @property
    def flops(self) -> int:
        """Operations of arithmetic of any kind."""
        return 2 * self.macs + self.other_flops

    @property
    def launches(self) -> int:
        """Operations that compute or move anything."""
        return self.products + self.others


def rows_of_operations(times: LayerTimes, trace: Trace) -> Mapping[int, int]:
    """Return the row of each operation, by the operation's id, in the table of the layers' times.

    A backward operation is under its layer where that has a time of its own in the backward pass, else under
    the row of the whole pass.

    Raises:
        InceptionLabError: The times are not of the model, the inputs and the step that were traced
            (exit code 2).
    """
    check_match(times, trace)
    row_of_call = _rows_of_calls(times, trace)
    layers = times.layers
    backward_ms = list(layers["backward_ms"]) if "backward_ms" in layers else [0.0] * len(layers)
    outside = _row(list(layers["layer"]), OUTSIDE.path)
    backward = _row(list(layers["layer"]), BACKWARD.path, outside)

    def row_of(op: Op) -> int:
        row = row_of_call.get(op.call, outside)
        return backward if op.phase == "backward" and not backward_ms[row] > 0 else row

    return {op.id: row_of(op) for op in trace.ops}


def check_match(times: LayerTimes, trace: Trace) -> None:
    """Refuse times that are not of the step that was traced.

    Raises:
        InceptionLabError: A fact of the context differs, or the model was compiled (exit code 2).
    """
    if times.context.get("execution", "eager") != "eager":
        raise InceptionLabError(
            "a compiled model runs other operations than the trace", hint="use execution='eager'"
        )
    for name in FACTS:
        fact, trace_fact = _plain(times.context.get(name)), _plain(getattr(trace.context, name))
        if fact != trace_fact:
            raise InceptionLabError(
                f"times of {name} {fact} beside a trace of {trace_fact}", hint="trace what was timed"
            )


def _plain(fact: object) -> object:
    return [list(shape) for shape in fact] if isinstance(fact, (list, tuple)) else fact


def _row(names: Sequence[str], name: str, default: int = -1) -> int:
    """The first row of a name, counted from the end where it is the default."""
    places = [place for place, other in enumerate(names) if other == name]
    return places[0] if places else default % len(names)


def _rows_of_calls(times: LayerTimes, trace: Trace) -> Mapping[int, int]:
    """The row of each call that ran, by the call's id."""
    layers = times.layers[times.layers["executed"]]
    keys = zip(layers["layer"], layers["call"], layers["type"], strict=True)
    row_of_key = dict(zip(keys, layers.index, strict=True))
    calls = {c.id: (layer_name(c), c.number, c.type) for c in trace.calls if c.executed}
    launches = dataflow(trace).launches
    # what autograd does around the layers need not have a row, nor what launches nothing on a GPU
    launching_calls = {op.call for op in trace.ops if op.id in launches and op.phase != "backward"}
    untimed_layers = sorted({calls[call] for call in launching_calls if call in calls} - row_of_key.keys())
    if untimed_layers:
        raise InceptionLabError(
            f"layer {untimed_layers[0][0]!r} of the trace has no time", hint="trace the model that was timed"
        )
    return {id: row_of_key[key] for id, key in calls.items() if key in row_of_key}


def work_by_row(trace: Trace, row_of: Mapping[int, int]) -> Mapping[int, Work]:
    """Return the work under each row.

    Args:
        trace: Of any mode.
        row_of: The row of each operation, of a layer or of a module.
    """
    launches = dataflow(trace).launches
    bytes_together = compulsory_bytes(trace, row_of)
    bytes_alone = bytes_one_by_one(trace)
    work: dict[int, Work] = defaultdict(Work)
    for op in trace.ops:
        row, runs = row_of[op.id], op.id in launches
        work[row] = Work(
            macs=work[row].macs + op.macs,
            other_flops=work[row].other_flops + op.other_flops,
            products=work[row].products + (runs and bool(op.macs)),
            others=work[row].others + (runs and not op.macs),
            compulsory_bytes=bytes_together.get(row, 0),
            unfused_bytes=work[row].unfused_bytes + bytes_alone.get(op.id, 0),
        )
    return work
