"""The table of receptive fields: field, stride, padding, and the extent of each layer's centre unit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pandas import DataFrame, Series

from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes, source_of
from inception_lab.analyzers.receptive_field.field import INDEPENDENT, Field, fields
from inception_lab.arguments import checked
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_calls, layer_name
from inception_lab.ir.trace import Call, Trace

NUMBERS = ("receptive_field", "stride", "padding")
NEVER_RAN = "it never ran"
NOT_FORWARD = "it is not a part of the forward pass"


@checked
def receptive_field(trace: Trace, source: str = "") -> DataFrame:
    """The receptive field of each layer's output, exact through branches and rounding pools.

    Effective values as in Araujo, Norris & Sim, "Computing Receptive Fields of Convolutional Neural
    Networks", Distill 2019. A unit at position i of an axis sees the source pixels from
    i x stride - padding on, receptive_field of them, by paths on which no layer reduces over a whole axis
    and spreads the result back, as gates, attention and normalisation over space do. Batch statistics of
    training couple samples, not places, and are left out.

    Args:
        trace: Of any mode.
        source: Layer from whose output on fields are computed; empty for the first input.

    Returns:
        A row per layer call, in the order of `layer_costs`: `layer`, `call`, then tuples with an entry
        per axis: `receptive_field`, `stride`, `padding` (None where no such numbers hold), `extent` (first
        and last pixel that the centre unit sees), `status` (`exact`, `misaligned`, `bound`,
        `unknown`) with its `reason`, and `global_context`: the layers through which a unit also sees all of
        an axis, empty where there are none. `attrs["axes"]` are the dimensions of the source that the
        entries stand for: those along which windows slide or places mix.

    Raises:
        InceptionLabError: There is no such layer, or the source has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> receptive_field(trace).set_index("layer").loc["inception3a", list(NUMBERS)].tolist()
        [(59, 59), (8, 8), (23, 23)]
        >>> receptive_field(trace).attrs["axes"]
        (2, 3)
    """
    return _table(trace, source).copy()


@once_per_trace
def _table(trace: Trace, source: str = "") -> DataFrame:
    by_value = fields(trace, source)
    calls = layer_calls(trace)
    rows = [field_of_call(call, by_value) for call in calls]
    columns: dict[str, Any] = {
        "layer": [layer_name(call) for call in calls],
        "call": [call.number for call in calls],
    }
    for name in NUMBERS:
        columns[name] = [getattr(field, name) for field in rows]
    columns["extent"] = [
        field.extent(field.middle) if all(field.grid) and field.axes else None for field in rows
    ]
    columns["status"] = [field.status for field in rows]
    columns["reason"] = [field.reason for field in rows]
    columns["global_context"] = [field.global_context for field in rows]
    table = DataFrame(columns)
    table.attrs["axes"] = source_of(trace, source).axes
    return table


def field_of_call(call: Call, by_value: Mapping[int, Field]) -> Field:
    """Return the field of a layer call's output, of the fields by value; where there is none, the reason."""
    if not call.executed:
        return replace(INDEPENDENT, reason=NEVER_RAN)
    if call.path.startswith("("):
        return replace(INDEPENDENT, reason=NOT_FORWARD)
    return by_value.get(call.outputs[0], INDEPENDENT) if call.outputs else INDEPENDENT


def _layers(trace: Trace) -> DataFrame:
    """The columns that stand beside those of other analyzers; none where the input has no spatial axes.

    The status is left out where a field is exact, the global context where there is none.
    """
    try:
        table = _table(trace)[["layer", "call", *NUMBERS, "status", "global_context"]]
        inexact = [None if status == "exact" else status for status in table["status"]]
        contexts = [layers or None for layers in table["global_context"]]
        return table.assign(
            status=Series(inexact, dtype=object), global_context=Series(contexts, dtype=object)
        )
    except NoSpatialAxes:
        calls = layer_calls(trace)
        return DataFrame({"layer": [layer_name(c) for c in calls], "call": [c.number for c in calls]})


def _totals(trace: Trace, layers: DataFrame) -> Mapping[str, int]:
    """No totals: fields do not add up."""
    del trace, layers
    return {}


def _facts(trace: Trace) -> Mapping[str, Any]:
    """The dimensions of the input along which fields lie; none where it has no spatial axes."""
    try:
        return {"axes": list(source_of(trace).axes)}
    except NoSpatialAxes:
        return {}


RECEPTIVE_FIELD = Analyzer("receptive_field", _layers, _totals, _facts)
