"""Every dimension of a value followed through the operations, and the evidence for its role on the way.

Extents do not matter here: where the exact ones are lost, as behind an operation without a rule, the axes
are kept in the dimensions that look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.receptive_field.axis_layout import Geometry
from inception_lab.analyzers.receptive_field.axis_ops import OUTSIDE, IntArray
from inception_lab.analyzers.receptive_field.axis_positions import Positions
from inception_lab.analyzers.receptive_field.axis_roles import (
    Evidence,
    Reading,
    Strength,
    evidence_of,
    joined_axes,
    selected_position,
)
from inception_lab.analyzers.receptive_field.digits import axis_dim, plain_dim
from inception_lab.analyzers.receptive_field.propagation import Propagation, geometry_of
from inception_lab.analyzers.receptive_field.rules.context import Dependence
from inception_lab.ir.trace import Op, Trace, Value


class Search:
    """Every dimension of a value followed through the operations, and the evidence on the way."""

    def __init__(self, trace: Trace, value: int) -> None:
        self._trace, self._rank = trace, len(trace.values[value].shape)
        shape = trace.values[value].shape
        start = geometry_of(shape, range(len(shape)), Positions.identity)
        self._propagation = Propagation(trace, value, start)
        self._weights: set[int] = set()
        self._activations: set[int] = set()
        self._written: dict[int, dict[int, None]] = {}
        self._slices: dict[int, _Slices | None] = {}

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
            self._keep_layout(value, context)
            self._written.setdefault(self._trace.values[value].storage, {})[value] = None
            if op.in_place:
                self._note_slice(value)
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
        """The axes of a value; of one that was written over in parts, those of its parts."""
        dependence = self._propagation.of(value)
        written = self._written.get(self._trace.values[value].storage, {})
        # what an operation wrote as such is not put together of what others wrote
        if written and value not in written:
            dependence = self._of_parts(value, dependence, written)
            self._propagation.dependences[value] = dependence
        return dependence if isinstance(dependence, Geometry) else None

    def _of_parts(self, value: int, dependence: Dependence, written: dict[int, None]) -> Dependence:
        """The axes of a value that was written over in parts."""
        tensor, last = self._trace.values[value], next(reversed(written))
        part = self._propagation.dependences[last]
        if not isinstance(part, Geometry):
            return dependence
        if slices := self._slices.get(tensor.storage):
            return slices.in_value(dependence, tensor)
        if not _is_exact(dependence) and len(part.dims) == len(tensor.shape):
            return _resized(part, tensor.shape)
        return dependence

    def _note_slice(self, value: int) -> None:
        """Note that a view of a storage was written, as far as all such views are slices that are alike."""
        tensor, geometry = self._trace.values[value], self._propagation.dependences[value]
        slices = self._slices.setdefault(tensor.storage, _Slices(tensor.shape, tensor.strides, {}))
        alike = slices and (slices.shape, slices.strides) == (tensor.shape, tensor.strides)
        if alike and slices and isinstance(geometry, Geometry):
            axes = range(len(geometry.maps))
            slices.selected[tensor.offset] = tuple([selected_position(geometry, axis) for axis in axes])
        else:
            self._slices[tensor.storage] = None

    def _keep_layout(self, value: int, op: Reading) -> None:
        """Give an output the axes of a like input where its own are not known, or only as a bound."""
        source = op.first
        dependence, shape = self._propagation.dependences[value], self._trace.values[value].shape
        # an extent that is not known exactly does not move the axes, as in a concatenation along one
        if not _is_exact(dependence) and _differing_dims(source, shape) <= 1:
            dependence = _resized(source, shape)
        if isinstance(dependence, Geometry) and len(shape) == len(source.dims):
            dependence = _with_reduced_axes(dependence, source)
        if isinstance(dependence, Geometry) and op.name in ("cat", "stack"):
            dependence = _with_joined_axis(dependence, op)
        self._propagation.dependences[value] = dependence


def _with_joined_axis(geometry: Geometry, op: Reading) -> Geometry:
    """The same where positions of an axis, selected one by one, are put together to a dimension again."""
    dim, parts = op.args.get("dim", 0) % len(geometry.dims), op.inputs
    axes = joined_axes(op)
    if len(axes) != 1 or geometry.axes_in([dim]) or len(parts) != geometry.shape[dim]:
        return geometry
    positions = [selected_position(part, axes[0]) if part else OUTSIDE for part in parts]
    return _with_positions(geometry, dim, axes[0], np.array(positions))


def _with_positions(geometry: Geometry, dim: int, axis: int, positions: IntArray) -> Geometry:
    """The same where a dimension holds these positions of an axis."""
    joined = Positions(len(positions), positions, 0)
    maps = (*geometry.maps[:axis], joined, *geometry.maps[axis + 1 :])
    return geometry._replace(maps=maps).with_dim(dim, axis_dim(len(positions), axis))


class _Slices(NamedTuple):
    """Slices of one tensor along one dimension, written one by one.

    Attributes:
        shape: Of each.
        strides: Of each.
        selected: The position of each axis that a slice stands for, None for several, by its offset.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    selected: dict[int, tuple[int | None, ...]]

    def in_value(self, dependence: Dependence, value: Value) -> Dependence:
        """The dependence of the tensor, with the axis of which each slice stands for one position."""
        dims = [dim for dim in range(len(value.shape)) if self._are_along(dim, value)]
        axis = self._axis()
        if not isinstance(dependence, Geometry) or len(dims) != 1 or axis is None:
            return dependence
        size, stride = value.shape[dims[0]], value.strides[dims[0]]
        places = (np.array(list(self.selected)) - value.offset) // stride
        within = (places >= 0) & (places < size)
        rows = [OUTSIDE if row[axis] is None else row[axis] for row in self.selected.values()]
        selected = np.array(rows)
        positions = np.full(size, OUTSIDE)
        positions[places[within]] = selected[within]
        return _with_positions(dependence, dims[0], axis, positions)

    def _axis(self) -> int | None:
        """The one axis of which the slices stand for different positions."""
        first, last = next(iter(self.selected.values()), ()), next(reversed(self.selected.values()), ())
        axes = [axis for axis, position in enumerate(first) if None is not position != last[axis] is not None]
        return axes[0] if len(axes) == 1 else None

    def _are_along(self, dim: int, value: Value) -> bool:
        rest = [d for d in range(len(value.shape)) if d != dim]
        shape, strides = tuple([value.shape[d] for d in rest]), tuple([value.strides[d] for d in rest])
        return (shape, strides) == (self.shape, self.strides) and value.strides[dim] > 0


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
