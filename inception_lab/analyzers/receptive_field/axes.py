"""The spatial axes of an input or of a layer's output, found through the dataflow.

An axis is spatial where windows slide along it or places mix; features, which weights contract, and
samples, which never meet, have none. Every dimension of the source is followed until the evidence is
in; see `axis_search` and `axis_roles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_roles import Evidence, Strength
from inception_lab.analyzers.receptive_field.axis_search import Search
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Call, Trace


class NoSpatialAxes(InceptionLabError):  # noqa: N818 - it says what is missing
    """The input, or the layer named as the source, has no spatial axes to see."""


class Source(NamedTuple):
    """The value from which fields are computed.

    Attributes:
        value: Its id.
        axes: Its spatial dimensions, in order.
    """

    value: int
    axes: tuple[int, ...]


@once_per_trace
def source_of(trace: Trace, layer: str = "") -> Source:
    """The value from which fields are computed, and its spatial dimensions.

    That is the output of the layer named, else the first input along which windows slide or places mix.
    Where nothing behind a layer tells, its axes are those in which the input's arrive.

    Args:
        trace: Of any mode.
        layer: Path of the layer; empty for the input.

    Raises:
        NoSpatialAxes: Nothing slides or mixes along any dimension.
        InceptionLabError: There is no such layer.

    Example:
        >>> import inception_lab as il, torch
        >>> source_of(il.trace(torch.nn.Conv2d(3, 8, 3), (3, 32, 40))).axes
        (1, 2)
    """
    candidates = call_of(trace, layer).outputs if layer else _inputs(trace)
    fallback = _arriving_axes if layer else _usual_axes
    for find_axes in (_spatial_axes, fallback):
        for value in candidates:
            if axes := find_axes(trace, value):
                return Source(value, axes)
    raise NoSpatialAxes(
        f"{layer or 'the input'} has no spatial axes: no window slides along it and no places mix",
        where=trace.context.model,
        hint="name a layer that has, as source='LAYER'",
    )


def _inputs(trace: Trace) -> Sequence[int]:
    storages = {storage.id for storage in trace.storages if storage.kind == "input"}
    return [value.id for value in trace.values if value.storage in storages and value.op is None]


def call_of(trace: Trace, layer: str) -> Call:
    """The first call of a layer.

    Raises:
        InceptionLabError: There is none; the nearest names are offered.
    """
    for call in trace.calls:
        if layer_name(call) == layer and call.number == 0 and call.executed:
            return call
    names = {layer_name(call) for call in trace.calls if call.executed}
    raise InceptionLabError(f"no layer {layer!r}", where=trace.context.model, hint=nearest(layer, names))


# ------------------------------------------------------------------------------ from the evidence


def _spatial_axes(trace: Trace, value: int) -> tuple[int, ...]:
    """The dimensions that are places by the evidence."""
    evidence = Search(trace, value).run()
    verdicts = [_verdict(evidence, axis) for axis in range(len(trace.values[value].shape))]
    places = [axis for axis, verdict in enumerate(verdicts) if verdict and verdict.role == "place"]
    if places and _is_batch(places, verdicts, evidence):
        places.remove(0)
    usual_axes = _behind_channels(trace, value)
    has_channels = usual_axes[:1] == (2,) and _are_channels(verdicts, len(places) > 1 or len(usual_axes) > 1)
    if has_channels:
        places = [axis for axis in places if axis != 1]
    # without weights and samples, as in a cumulative sum, nothing contradicts the usual layout
    is_plain = all(sign.role == "place" for sign in evidence)
    return usual_axes if evidence and is_plain and set(places) <= set(usual_axes) else tuple(places)


def _verdict(evidence: Sequence[Evidence], axis: int) -> Evidence | None:
    """The first of the strongest evidence on an axis."""
    signs = [sign for sign in evidence if sign.axis == axis]
    return max(signs, key=lambda sign: sign.strength, default=None)


def _is_batch(
    places: Sequence[int], verdicts: Sequence[Evidence | None], evidence: Sequence[Evidence]
) -> bool:
    """True where the first dimension holds samples that are compared after the places within each."""
    if places[0] != 0 or verdicts[0] is None or verdicts[0].strength == Strength.CONVOLUTION:
        return False
    first_sign, *others = [
        evidence.index(verdict) for verdict in verdicts if verdict and verdict.role == "place"
    ]
    return any(sign < first_sign for sign in others)


def _are_channels(verdicts: Sequence[Evidence | None], has_others: bool) -> bool:
    """True where the second dimension holds channels that are only normalised, and no other holds features.

    Args:
        verdicts: Of each dimension.
        has_others: True where another dimension may hold the places.
    """
    if any(verdict and verdict.role == "feature" for verdict in verdicts):
        return False
    batch, channels = verdicts[:2]
    # windows over channels, as those of a local response, leave a batch; those of an image without one do not
    weakest = Strength.OPERATION if batch and batch.role == "sample" else Strength.STATISTIC
    is_place = channels is not None and channels.role == "place" and channels.strength <= weakest
    return is_place and has_others


def _behind_channels(trace: Trace, value: int) -> tuple[int, ...]:
    """All dimensions but the first two; of whole numbers, such as tokens, all but the first."""
    tensor = trace.values[value]
    is_floating = tensor.dtype.startswith(("float", "bfloat", "complex"))
    return tuple(range(2 if is_floating else 1, len(tensor.shape)))


def _usual_axes(trace: Trace, value: int) -> tuple[int, ...]:
    """The dimensions behind the channels where no operation gives any evidence, as in a net of views."""
    return () if Search(trace, value).run() else _behind_channels(trace, value)


def _arriving_axes(trace: Trace, value: int) -> tuple[int, ...]:
    """The dimensions of a value in which the spatial axes of the input arrive."""
    try:
        source = source_of(trace)
    except NoSpatialAxes:
        return _usual_axes(trace, value)
    search = Search(trace, source.value)
    search.run(to_the_end=True)
    geometry = search.geometry(value)
    dims = range(len(geometry.dims)) if geometry else ()
    return tuple([d for d in dims if geometry and set(geometry.axes_in([d])) & set(source.axes)])
