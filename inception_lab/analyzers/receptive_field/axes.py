"""The spatial axes of an input or of a layer's output, found through the dataflow.

An axis is spatial where windows slide along it or places mix; features, which weights contract, and
samples, which never meet, have none. Every dimension of the source is followed until the evidence is
in; see `axis_roles`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import Geometry, axis_dim, plain_dim
from inception_lab.analyzers.receptive_field.axis_roles import (
    Evidence,
    Positions,
    Reading,
    Strength,
    evidence_of,
)
from inception_lab.analyzers.receptive_field.propagation import Propagation, geometry_of
from inception_lab.analyzers.receptive_field.rules.context import Dependence
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Call, Op, Trace


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
    evidence = _Search(trace, value).run()
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
    return () if _Search(trace, value).run() else _behind_channels(trace, value)


def _arriving_axes(trace: Trace, value: int) -> tuple[int, ...]:
    """The dimensions of a value in which the spatial axes of the input arrive."""
    try:
        source = source_of(trace)
    except NoSpatialAxes:
        return _usual_axes(trace, value)
    search = _Search(trace, source.value)
    search.run(to_the_end=True)
    geometry = search.geometry(value)
    dims = range(len(geometry.dims)) if geometry else ()
    return tuple([d for d in dims if geometry and set(geometry.axes_in([d])) & set(source.axes)])


# ------------------------------------------------------------------------------ through the dataflow


class _Search:
    """Every dimension of a value followed through the operations, and the evidence on the way."""

    def __init__(self, trace: Trace, value: int) -> None:
        self._trace, self._rank = trace, len(trace.values[value].shape)
        shape = trace.values[value].shape
        start = geometry_of(shape, range(len(shape)), Positions.identity)
        self._propagation = Propagation(trace, value, start)
        self._weights: set[int] = set()
        self._activations: set[int] = set()
        self._written: dict[int, list[int]] = {}

    def run(self, to_the_end: bool = False) -> list[Evidence]:
        """Follow the operations until no later one can change a verdict.

        Args:
            to_the_end: Follow all of them.
        """
        evidence: list[Evidence] = []
        settled: set[int] = set()
        for op in self._trace.ops:
            if op.phase != "forward" or (len(settled) == self._rank and not to_the_end):
                break
            signs = self._run(op)
            evidence += signs
            settled |= {sign.axis for sign in signs if sign.strength == Strength.CONVOLUTION}
        return evidence

    def _run(self, op: Op) -> list[Evidence]:
        """Follow one operation, and return the evidence that it gives."""
        geometries = [self.geometry(value) for value in op.reads]
        self._propagation.run(op)
        if not any(geometries):
            self._note_weights(op)
            return []
        context = self._context(op, geometries)
        for value in op.writes:
            self._keep_layout(value, context.first)
            self._written.setdefault(self._trace.values[value].storage, []).append(value)
        return evidence_of(context, [self._is_weight(value) for value in op.reads])

    def _context(self, op: Op, geometries: Sequence[Geometry | None]) -> Reading:
        values = self._trace.values
        shapes = [values[value].shape for value in op.reads]
        output_shape = values[op.writes[0]].shape if op.writes else ()
        return Reading(op.base_name, dict(op.args), geometries, shapes, output_shape)

    # -------------------------------------------------------------------------- values made of weights

    def _note_weights(self, op: Op) -> None:
        """Note values that are made of parameters, and those that are made of other inputs too."""
        if any(value in self._activations or self._kind(value) == "input" for value in op.reads):
            self._activations.update(op.writes)
        elif any(self._is_weight(value) for value in op.reads):
            self._weights.update(op.writes)

    def _is_weight(self, value: int) -> bool:
        return value in self._weights or self._kind(value) == "parameter"

    def _kind(self, value: int) -> str:
        return self._trace.storages[self._trace.values[value].storage].kind

    # -------------------------------------------------------------------------- layouts kept

    def geometry(self, value: int) -> Geometry | None:
        """The axes of a value; of one that was written over in parts, those of a part."""
        dependence = self._propagation.of(value)
        storage = self._trace.values[value].storage
        written = self._written.get(storage, [])
        if _is_exact(dependence) or value in written:
            return dependence if isinstance(dependence, Geometry) else None
        for part in reversed(written):
            geometry, shape = self.geometry(part), self._trace.values[value].shape
            if geometry and len(geometry.dims) == len(shape):
                self._propagation.dependences[value] = _resized(geometry, shape)
                break
        dependence = self._propagation.dependences[value]
        return dependence if isinstance(dependence, Geometry) else None

    def _keep_layout(self, value: int, source: Geometry) -> None:
        """Give an output the axes of a like input where its own are not known, or only as a bound."""
        dependence, shape = self._propagation.dependences[value], self._trace.values[value].shape
        # an extent that is not known exactly does not move the axes, as in a concatenation along one
        if not _is_exact(dependence) and _differing_dims(source, shape) <= 1:
            dependence = _resized(source, shape)
        if isinstance(dependence, Geometry) and len(shape) == len(source.dims):
            dependence = _with_reduced_axes(dependence, source)
        self._propagation.dependences[value] = dependence


def _is_exact(dependence: Dependence) -> bool:
    if isinstance(dependence, Geometry):
        return not dependence.bound_reason
    return dependence is None


def _differing_dims(source: Geometry, shape: Sequence[int]) -> float:
    """The number of dimensions of another size, infinite where the rank differs."""
    same_rank = len(shape) == len(source.dims)
    return sum(a != b for a, b in zip(source.shape, shape, strict=True)) if same_rank else inf


def _resized(source: Geometry, shape: Sequence[int]) -> Geometry:
    """The axes of a value in another of the same rank, such as a concatenation."""
    geometry = source
    for dim, size in enumerate(shape):
        if size != source.shape[dim]:
            geometry = _with_size(geometry, dim, size)
    return geometry._replace(bound_reason="")


def _with_size(geometry: Geometry, dim: int, size: int) -> Geometry:
    axes = geometry.axes_in([dim])
    if len(axes) != 1 or len(geometry.dims[dim]) > 1:
        return geometry.with_dim(dim, plain_dim(size))
    maps = list(geometry.maps)
    maps[axes[0]] = Positions.of_part(maps[axes[0]], size)
    return geometry._replace(maps=tuple(maps)).with_dim(dim, axis_dim(size, axes[0]))


def _with_reduced_axes(geometry: Geometry, source: Geometry) -> Geometry:
    """The same where a reduced dimension is still that of its axis: a mean over channels is a channel."""
    for dim, digits in enumerate(geometry.dims):
        axes = source.axes_in([dim]) if not digits else ()
        if len(axes) == 1 and not geometry.axes_in(range(len(geometry.dims))).count(axes[0]):
            geometry = geometry.with_dim(dim, axis_dim(1, axes[0]))
    return geometry
