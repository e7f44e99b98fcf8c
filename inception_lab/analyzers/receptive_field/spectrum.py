"""The spectrum: the fields that a module's output mixes, in how many channels and on how many paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from pandas import DataFrame

from inception_lab.analyzers.receptive_field.axes import source_of
from inception_lab.analyzers.receptive_field.axis_layout import AxisMap, Geometry
from inception_lab.analyzers.receptive_field.axis_maps import Routes
from inception_lab.analyzers.receptive_field.channels import Segments, channel_fields
from inception_lab.analyzers.receptive_field.field import Field, fields
from inception_lab.analyzers.receptive_field.propagation import propagate
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_name, places
from inception_lab.ir.trace import Call, Trace

SPECTRUM = ["module", "axis", "field", "channels", "paths"]
SUMMARY = ["module", "axis", "smallest", "median", "largest"]


def field_spectrum(trace: Trace) -> DataFrame:
    """The receptive fields present at the output of each module with branches.

    A channel carries the widest field of all paths that lead to it. A path is a way through the
    layers from the input; convolutions and pools on it add to its field, and paths that meet in a
    concatenation or an addition are all counted. Branches of element-wise work alone are one path.

    Args:
        trace: Of any mode.

    Returns:
        A row per module, axis and field, the smallest first: `module`, `axis`, `field` in input pixels,
        `channels` and `paths` that carry it. Modules without parallel branches are left out, unless the
        net has no other; so are those whose units see everything, and those whose channels cannot be
        told apart.

    Raises:
        InceptionLabError: The input has no spatial axes.

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet", device="meta"), (1, 3, 224, 224))
        >>> spectrum = field_spectrum(trace).query("module == 'inception3a' and axis == 0")
        >>> spectrum[["field", "channels", "paths"]].values.tolist()
        [[27, 64, 1], [43, 160, 2], [59, 32, 1]]
    """
    return _spectrum(trace).copy()


@once_per_trace
def _spectrum(trace: Trace) -> DataFrame:
    value, axes = source_of(trace)
    by_value, channels = fields(trace), channel_fields(trace)
    routes = propagate(trace, value, axes, Routes.identity)
    rows: list[dict[str, Any]] = []
    for call in _modules(trace):
        output = call.outputs[0]
        geometry = routes.get(output)
        # both spectra are of one value: where either cannot be told, a row would have half a meaning
        if _has_extent(by_value.get(output)) and channels.get(output) and isinstance(geometry, Geometry):
            for axis in range(len(axes)):
                rows += _rows(call, axis, channels[output], geometry.maps[axis])
    return DataFrame(rows, columns=SPECTRUM)


def spectrum_summary(spectrum: DataFrame) -> DataFrame:
    """The smallest field on any path, the median over channels and the largest, of each module and axis.

    Args:
        spectrum: As `field_spectrum` returns it.

    Returns:
        A row per module and axis: `module`, `axis`, `smallest`, `median`, `largest`.
    """
    rows = []
    for (module, axis), part in spectrum.groupby(["module", "axis"], sort=False):
        with_channels = part[part["channels"] > 0]
        # rows are sorted by field: the median is the one at which half of the channels are reached
        half = with_channels["channels"].cumsum() >= with_channels["channels"].sum() / 2
        median = int(with_channels["field"][half].iloc[0])
        rows.append((module, axis, int(part["field"].min()), median, int(part["field"].max())))
    return DataFrame(rows, columns=SUMMARY)


def _modules(trace: Trace) -> list[Call]:
    """The modules with parallel branches, or the model's own children where there is none."""
    blocks = {place.block for place in places(trace).values() if place.branch}
    calls = [call for call in trace.calls if call.executed and call.outputs and call.path]
    with_branches = [call for call in calls if call.path in blocks]
    return with_branches or [call for call in calls if "." not in call.path]


def _has_extent(field: Field | None) -> bool:
    return field is not None and field.status in ("exact", "misaligned") and field.widest is not None


def _rows(call: Call, axis: int, segments: Segments, routes: AxisMap) -> list[dict[str, Any]]:
    paths: Mapping[int, int] = routes.paths if isinstance(routes, Routes) else {}
    channels: Counter[int] = Counter()
    for segment in segments:
        channels[segment.field[axis]] += segment.channels
    return [
        {"module": layer_name(call), "axis": axis, "field": field, "channels": channels[field],
         "paths": paths.get(field, 0)}
        for field in sorted(channels.keys() | paths.keys())
    ]  # fmt: skip
