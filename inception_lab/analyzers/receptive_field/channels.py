"""The fields that a value's channels carry, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, groupby, takewhile
from operator import eq
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field.axes import source_of
from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.channel_labels import (
    NOTHING,
    Label,
    LabelArray,
    Labels,
    full_along,
)
from inception_lab.analyzers.receptive_field.channel_rules.context import MoveContext, Outputs, is_axis
from inception_lab.analyzers.receptive_field.channel_rules.registry import (
    JOINING,
    LAYERS,
    combine,
    may_reduce,
    move_of,
)
from inception_lab.analyzers.receptive_field.constants import constant_of
from inception_lab.analyzers.receptive_field.lineage import Lineage, Way, ways
from inception_lab.analyzers.receptive_field.propagation import Place, geometry_of, place_of, propagate
from inception_lab.analyzers.receptive_field.rules.context import Dependence
from inception_lab.analyzers.receptive_field.spans import Span
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace, Value


class Segment(NamedTuple):
    """Neighbouring channels of one field.

    Attributes:
        channels: Their number.
        field: Source pixels along each axis, from the first to the last that an inner unit sees by local
            paths; 0 where it sees none, or the whole axis alike.
    """

    channels: int
    field: tuple[int, ...]


class Channels(NamedTuple):
    """What the channels of a value see, and over which layers.

    Attributes:
        segments: Neighbouring channels of one field, in order.
        layers: The set of layers whose outputs they hold, as `labels.routes` numbers them.
    """

    segments: tuple[Segment, ...]
    layers: int


def channels_of(trace: Trace, value: int) -> Channels | None:
    """The channels of a value of the forward pass; None where they cannot be told apart.

    Raises:
        InceptionLabError: The input has no spatial axes.
    """
    labelling = channel_labels(trace)
    array, geometry = labelling.arrays.get(value), labelling.geometries.get(value)
    if array is None or not isinstance(geometry, Geometry):
        return None
    dim = _channel_dim(geometry)
    if dim is None:
        return None
    if not array.size:
        return Channels((), 0)
    labels = labelling.labels
    by_channel = np.moveaxis(array, dim, 0).reshape(array.shape[dim], -1)
    rows = [(set(row), len(list(run))) for row, run in groupby(map(tuple, by_channel.tolist()))]
    if len(rows) == 1:
        rows = [(rows[0][0], geometry.shape[dim])]  # of all channels alike
    segments: list[Segment] = []
    layers = 0
    for numbers, width in rows:
        field = _widest_field([labels[number] for number in numbers])
        if field is None:
            return None
        segments.append(Segment(width, field))
        layers |= labels[labels.join(numbers)].layers
    return Channels(_join_neighbours(segments), layers)


def _channel_dim(geometry: Geometry) -> int | None:
    """The dimension of channels: the first without an axis, a batch apart; None without one."""
    plain = [d for d in range(len(geometry.dims)) if not geometry.axes_in([d])]
    if plain == [0]:
        # without a batch each axis is a dimension of its own, and not written into one with the channels
        return 0 if all(len(dim) == 1 for dim in geometry.dims[1:]) and geometry.dims[1:] else None
    return next((d for d in plain if d > 0), None)


def _widest_field(labels: Sequence[Label]) -> tuple[int, ...] | None:
    """The field along each axis of the unit that sees most; None where an axis has no one field."""
    spans = [span for label in labels for span in label.spans if span is not None]
    if not all(isinstance(span, Span) for span in spans):
        return None
    fields = [[span.field if isinstance(span, Span) else 0 for span in label.spans] for label in labels]
    return tuple([max(along) for along in zip(*fields, strict=True)])


def _join_neighbours(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Neighbours of one field as one segment."""
    return tuple(
        [
            Segment(sum(segment.channels for segment in run), field)
            for field, run in groupby(segments, key=lambda segment: segment.field)
        ]
    )


# ------------------------------------------------------------------------------ the pass over a trace


class Labelling(NamedTuple):
    """The labels of every value of the forward pass.

    Attributes:
        labels: The labels.
        arrays: The labels of each value by its id; None where they cannot be told.
        geometries: The layout of the source's axes in each value.
    """

    labels: Labels
    arrays: Mapping[int, LabelArray | None]
    geometries: Mapping[int, Dependence]


@once_per_trace
def channel_labels(trace: Trace) -> Labelling:
    """The labels of the channels of every value: what each sees by local paths.

    A convolution mixes all channels of a group, so that each of its outputs sees what any of them sees;
    whatever moves channels, such as a slice, a shuffle or a concatenation, moves their labels with them.

    Args:
        trace: Of any mode.

    Raises:
        InceptionLabError: The input has no spatial axes.
    """
    source, axes = source_of(trace)
    labels = Labels(len(axes))
    geometries = propagate(trace, source, geometry_of(trace.values[source].shape, axes, Lineage.identity))
    arrays = _Arrays(trace, labels, source, geometries)
    for op in trace.ops:
        if op.phase != "forward":
            break
        _label_outputs(arrays, op, geometries)
    for call in trace.calls:
        for value in call.outputs:
            arrays.of(value)
    return Labelling(labels, arrays.by_value, geometries)


def _label_outputs(arrays: _Arrays, op: Op, geometries: Mapping[int, Dependence]) -> None:
    """Give the values that an operation writes their labels."""
    trace = arrays.trace
    inputs = [arrays.of(value) for value in op.reads]
    read = [geometries.get(value) for value in op.reads]
    context = MoveContext(
        op,
        op.base_name,
        arrays.labels,
        [geometry if isinstance(geometry, Geometry) else None for geometry in read],
        [trace.values[value].shape for value in op.reads],
        [trace.values[value].shape for value in op.writes],
        lambda place: constant_of(trace, op.reads[place], arrays.source),
    )
    if not op.writes:  # a question, such as for a tensor's number
        return
    moved = _moved_inputs(context, inputs)
    for index, value in enumerate(op.writes):
        geometry = geometries.get(value)
        if geometry is None:  # of what does not depend on the source
            arrays.write(op, value, np.full((1,) * len(trace.values[value].shape), NOTHING))
        elif isinstance(geometry, Geometry):
            arrays.write(op, value, _output(context, moved, geometry, index))
        else:
            arrays.write(op, value, None)


def _moved_inputs(context: MoveContext, inputs: Sequence[LabelArray | None]) -> list[Outputs]:
    """The labels of each tensor read where the operation puts them, output by output."""
    move = move_of(context)
    moved: list[Outputs] = []
    for place, (array, geometry) in enumerate(zip(inputs, context.geometries, strict=True)):
        if geometry is None:
            array = np.full((1,) * len(context.shapes[place]), NOTHING)
        moved.append(None if array is None else move(context, place, array))
    return moved


def _output(
    context: MoveContext, moved: Sequence[Outputs], geometry: Geometry, index: int
) -> LabelArray | None:
    """The labels of one value written: each input's after the operation, joined or put together."""
    rank = len(geometry.dims)
    by_input = _ways(context, geometry)
    parts: list[LabelArray] = []
    for place, (outputs, axis_ways) in enumerate(zip(moved, by_input, strict=True)):
        is_read = context.geometries[place] is not None and (any(axis_ways) or context.name in JOINING)
        if not is_read:  # overwritten, or of a dependence on its shape alone
            parts.append(np.full((1,) * len(context.shapes[place]), NOTHING))
        elif outputs is None or _loses_places(context, axis_ways, geometry):
            return None
        else:
            array = outputs[min(index, len(outputs) - 1)]
            # parts put together are moved there by `combine`, and nothing else happens to them
            is_moved = context.name in JOINING
            parts.append(array if is_moved else _through(context, array, axis_ways, place))
    output = combine(context, parts, rank)
    return output if output is None or output.ndim == rank else None


def _ways(context: MoveContext, geometry: Geometry) -> list[list[list[Way]]]:
    """The ways from each input to an output, along each axis."""
    by_input: list[list[list[Way]]] = [[[] for _ in geometry.maps] for _ in context.geometries]
    for axis, target in enumerate(geometry.maps):
        places: dict[Lineage, list[int]] = {}  # inputs may share a map, which is compared by identity
        for place, source in enumerate(context.geometries):
            if source is not None and isinstance(lineage := source.maps[axis], Lineage):
                places.setdefault(lineage, []).append(place)
        if isinstance(target, Lineage):
            for lineage, way in ways(target, places):
                for place in places[lineage]:
                    by_input[place][axis].append(way)
    return by_input


def _loses_places(context: MoveContext, axis_ways: Sequence[Sequence[Way]], geometry: Geometry) -> bool:
    """True where an operation that need not read all of an axis is followed as one that does."""
    reduces = any(not step.op.stride for along in axis_ways for way in along for step in way)
    if not reduces or context.name in JOINING:
        return False
    # as where two places of one axis meet, in a product of rows with rows
    is_new_bound = bool(geometry.bound_reason) and not any(g and g.bound_reason for g in context.geometries)
    return is_new_bound or not may_reduce(context.name)


def _through(
    context: MoveContext, array: LabelArray, axis_ways: Sequence[Sequence[Way]], place: int
) -> LabelArray:
    """The labels after an operation's part along each axis."""
    ops = [step.op for along in axis_ways for way in along for step in way]
    is_layer = context.name in LAYERS or any(op.grow or op.stride != 1 for op in ops)
    if not ops and not is_layer and all(axis_ways):
        return array
    layer = (context.op.id, place) if is_layer else None
    return context.labels.map_through(array, axis_ways, layer)


# ------------------------------------------------------------------------------ values and their storages


class _Arrays:
    """The labels of the values so far, and of what was written into each storage."""

    def __init__(
        self, trace: Trace, labels: Labels, source: int, geometries: Mapping[int, Dependence]
    ) -> None:
        self.trace, self.labels, self._geometries = trace, labels, geometries
        value = trace.values[source]
        self.source = source
        self.by_value: dict[int, LabelArray | None] = {
            source: np.full((1,) * len(value.shape), labels.source)
        }
        self._newest: dict[Place, int] = {place_of(value): source}
        self._overwriting: dict[int, list[int]] = {}

    def write(self, op: Op, value: int, array: LabelArray | None) -> None:
        """Note what an operation has written."""
        tensor = self.trace.values[value]
        if value != self.source:  # which the operation that writes it must not overwrite
            self.by_value[value] = array
        self._newest[place_of(tensor)] = value
        if op.in_place:
            self._overwriting.setdefault(tensor.storage, []).append(value)

    def of(self, value: int) -> LabelArray | None:
        """The labels of a value, also of one that was written through views of its storage."""
        if value not in self.by_value:
            tensor = self.trace.values[value]
            self.by_value[value] = self._by_storage(tensor)
            # the next version of it begins from here: of n slices written each write is followed once
            self._newest[place_of(tensor)] = value
        return self.by_value[value]

    def _by_storage(self, value: Value) -> LabelArray | None:
        newest = self._newest.get(place_of(value))
        array: LabelArray | None = np.full((1,) * len(value.shape), NOTHING)
        since = -1
        if newest is not None:
            array, since = self.by_value[newest], self._written_by(newest)
        writes = takewhile(
            lambda later: self._written_by(later) > since, reversed(self._overwriting.get(value.storage, []))
        )
        for later in reversed(list(writes)):
            if array is not None:
                array = self._written_over(array, value, later)
        return array

    def _written_by(self, value: int) -> int:
        """The operation that wrote a value; ids are in order of execution."""
        op = self.trace.values[value].op
        return -1 if op is None else op

    def _written_over(self, array: LabelArray, value: Value, later: int) -> LabelArray | None:
        """The labels of a value after a write through a view; None where that lies across dimensions."""
        written, view = self.by_value[later], self.trace.values[later]
        if written is None:
            return None
        if view.shape == value.shape and (view.strides, view.offset) == (value.strides, value.offset):
            return written
        if written.size == array.size == 1 and written.flat[0] == array.flat[0]:
            return array
        selected = _selected_dims(value, view)
        box = None if selected is None else _box(value, _with_dims(view, selected))
        if selected is None or box is None:
            return None
        written = np.expand_dims(written, selected)
        partial = [d for d, run in enumerate(box) if len(run) < value.shape[d]]
        runs = {d: box[d] for d in partial if d not in selected}
        moved = self._moved(written, self._geometries.get(later), runs, selected)
        if moved is None:
            return None
        varied = [d for d, n in enumerate(moved.shape) if n > 1]
        whole = np.array(full_along(array, {*partial, *varied}, value.shape))
        # along dimensions that are written whole and alike the array keeps its one label
        places = [run if n > 1 else range(1) for run, n in zip(box, whole.shape, strict=True)]
        whole[np.ix_(*places)] = moved
        return whole

    def _moved(
        self, written: LabelArray, geometry: Dependence, runs: Mapping[int, range], selected: Sequence[int]
    ) -> LabelArray | None:
        """What was written, as seen from the places that it takes; None where these are not in a row."""
        if not isinstance(geometry, Geometry):
            return written
        for dim, run in runs.items():
            own_dim = dim - sum(d < dim for d in selected)
            if axes := geometry.axes_in([own_dim]):
                if run.step != 1 or not is_axis(geometry, own_dim):
                    return None
                written = self.labels.map_moved(written, axes[0], run.start)
        return written


def _selected_dims(value: Value, view: Value) -> tuple[int, ...] | None:
    """The dimensions of a value of which a view has one position each; None where there are no such."""
    missing = len(value.shape) - len(view.shape)
    if missing < 0:
        return None
    candidates = combinations(range(len(value.shape)), missing)
    fitting = [dims for dims in candidates if _box(value, _with_dims(view, dims)) is not None]
    # slices in steps may fit too: the dimensions that remain have the value's own strides
    return max(fitting, key=lambda dims: _equal_strides(value, _with_dims(view, dims)), default=None)


def _equal_strides(value: Value, view: Value) -> int:
    return sum(map(eq, value.strides, view.strides))


def _with_dims(view: Value, dims: Sequence[int]) -> Value:
    """The view with more dimensions of one position."""
    shape, strides = list(view.shape), list(view.strides)
    for dim in dims:
        shape.insert(dim, 1)
        strides.insert(dim, 1)
    return view._replace(shape=tuple(shape), strides=tuple(strides))


def _box(value: Value, view: Value) -> list[range] | None:
    """The positions of a view along each dimension of a value; None where it is not laid out along them."""
    if len(view.shape) != len(value.shape):
        return None
    missing = view.offset - value.offset
    box = [range(size) for size in view.shape]
    # the slowest dimension takes as much of the distance as it can
    for dim in sorted(range(len(value.strides)), key=lambda d: -value.strides[d]):
        stride, size = value.strides[dim], view.shape[dim]
        if value.shape[dim] == 1 or not stride:
            continue
        start, missing = divmod(missing, stride)
        step, rest = divmod(view.strides[dim], stride) if size > 1 else (1, 0)
        box[dim] = range(start, start + max(step, 1) * size, max(step, 1))
        if rest or step < 1 or start < 0 or (size and box[dim][-1] >= value.shape[dim]):
            return None
    return None if missing else box
