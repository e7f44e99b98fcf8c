"""The spectrum: the fields that a module's output mixes, in how many channels and on how many paths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pandas import DataFrame

from inception_lab.analyzers.receptive_field.channels import Channels, channel_labels, channels_of
from inception_lab.analyzers.receptive_field.routes import Counts, all_paths
from inception_lab.arguments import checked
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_name, places
from inception_lab.ir.trace import Call, Trace

SPECTRUM = ["module", "axis", "field", "channels", "paths"]
SUMMARY = ["module", "axis", "smallest", "median", "largest"]


@checked
def field_spectrum(trace: Trace) -> DataFrame:
    """The receptive fields present at the output of each module with branches.

    A channel carries the widest field of all local paths that lead to it. A path is a way through the
    layers from the input; convolutions and pools on it add to its field, and paths that meet in a
    concatenation or an addition are all counted, those that lead to one of the module's channels. Branches
    of element-wise work alone are one path. What a unit sees through a gate or a normalisation over a whole
    axis is no path.

    Numbers of paths are exact. As they double with each residual block, a column of those beyond 64 bits
    holds Python's integers. A table of n modules in a row has n x n rows, one for each field in each.

    Args:
        trace: Of any mode.

    Returns:
        A row per module, axis and field, the smallest first: `module`, `axis`, `field` in input pixels,
        `channels` and `paths` that carry it. Channels without a local path are in no row. Modules without
        parallel branches are left out, unless the net has no other; so are those whose channels cannot be
        told apart, or see the input in uneven steps.

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
    routes = channel_labels(trace).labels.routes
    parts: list[_Part] = []
    for call in _modules(trace):
        channels = channels_of(trace, call.outputs[0])
        if channels is not None:
            for axis, paths in enumerate(routes.of(channels.layers)):
                parts += _parts(layer_name(call), axis, channels, all_paths(paths))
    if not parts:
        return DataFrame(columns=SPECTRUM)
    rows = [len(part.fields) for part in parts]
    # arrays, as there are as many rows as modules times fields
    return DataFrame(
        {
            "module": np.repeat(np.array([part.module for part in parts], dtype=object), rows),
            "axis": np.repeat([part.axis for part in parts], rows),
            "field": np.concatenate([part.fields for part in parts]),
            "channels": np.concatenate([part.channels for part in parts]),
            "paths": np.concatenate([part.paths for part in parts]),
        }
    )


def spectrum_summary(spectrum: DataFrame) -> DataFrame:
    """The smallest field on any path, the median over channels and the largest, of each module and axis.

    Args:
        spectrum: As `field_spectrum` returns it.

    Returns:
        A row per module and axis: `module`, `axis`, `smallest`, `median`, `largest`.
    """
    rows = []
    fields, channels = spectrum["field"].to_numpy(), spectrum["channels"].to_numpy()
    # as arrays, since a table for each group takes longer than all else here
    groups: Mapping[Any, Any] = spectrum.groupby(["module", "axis"], sort=False).indices
    for (module, axis), group in groups.items():
        carrying = group[channels[group] > 0]
        counts = channels[carrying].cumsum()
        # rows are sorted by field: the median is the one at which half of the channels are reached
        median = int(fields[carrying[np.argmax(counts >= counts[-1] / 2)]])
        rows.append((module, axis, int(fields[group[0]]), median, int(fields[group[-1]])))
    return DataFrame(rows, columns=SUMMARY)


def _modules(trace: Trace) -> list[Call]:
    """The modules with parallel branches, or the model's own children where there is none."""
    blocks = {place.block for place in places(trace).values() if place.branch}
    calls = [call for call in trace.calls if call.executed and call.outputs and call.path]
    with_branches = [call for call in calls if call.path in blocks]
    return with_branches or [call for call in calls if "." not in call.path]


class _Part(NamedTuple):
    """The rows of one module along one axis."""

    module: str
    axis: int
    fields: NDArray[Any]
    channels: NDArray[Any]
    paths: NDArray[Any]


def _parts(module: str, axis: int, channels: Channels, paths: Counts) -> list[_Part]:
    """The rows of a module along an axis; none where no channel has a local path."""
    widths: Counter[int] = Counter()
    for segment in channels.segments:
        widths[segment.field[axis]] += segment.channels
    del widths[0]  # of channels without a local path, which have no field
    if not widths:
        return []
    # with no paths of their own the fields of channels join the others in ascending order
    carried = np.array(sorted(widths))
    both = paths.merge(Counts(carried - 1, np.zeros(len(carried), dtype=np.int64), 0, 1))
    numbers = np.zeros(len(both.growth), dtype=np.int64)
    numbers[np.searchsorted(both.fields, carried)] = [widths[field] for field in sorted(widths)]
    return [_Part(module, axis, both.fields, numbers, both.numbers)]
