"""Propagation of dependence along a trace's dataflow, tensor version by tensor version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import AxisMap, Geometry, axis_dim, plain_dim
from inception_lab.analyzers.receptive_field.in_place_writes import Write, after_writes
from inception_lab.analyzers.receptive_field.rules.context import Dependence, RuleContext, Unknown
from inception_lab.analyzers.receptive_field.rules.registry import rule_of
from inception_lab.ir.trace import Op, Trace, Value


def propagate(
    trace: Trace, source: int, axes: Sequence[int], make_map: Callable[[int], AxisMap]
) -> Mapping[int, Dependence]:
    """The dependence of each value of the forward pass on one of them.

    Args:
        trace: Of any mode.
        source: Id of the value from which on dependence is followed.
        axes: The dimensions of the source that are followed.
        make_map: Makes the map of a source axis of a given size.

    Returns:
        By value id: its geometry, why it is not known, or None where it does not depend on the source.
    """
    propagation = Propagation(trace, source, axes, make_map)
    for op in trace.ops:
        if op.phase != "forward":
            break
        propagation.run(op)
    # a module may return a view that no operation wrote
    for call in trace.calls:
        for value in call.outputs:
            propagation.of(value)
    return MappingProxyType(propagation.dependences)


class Place(NamedTuple):
    """Elements of a storage, as a view lays them out."""

    storage: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Propagation:
    """The dependence of the values so far, and the writes into each storage; see `propagate`."""

    def __init__(
        self, trace: Trace, source: int, axes: Sequence[int], make_map: Callable[[int], AxisMap]
    ) -> None:
        self.trace = trace
        value = trace.values[source]
        self.dependences: dict[int, Dependence] = {source: _identity(value.shape, axes, make_map)}
        self._newest = {place_of(value): source}
        self._overwriting: dict[int, list[int]] = {}

    def run(self, op: Op) -> None:
        """Pass the dependence of an operation's inputs on to its outputs."""
        inputs = [self.of(value) for value in op.reads]
        outputs = self._apply_rule(op, inputs) if any(x is not None for x in inputs) else None
        for index, value in enumerate(op.writes):
            dependence = outputs[index] if isinstance(outputs, list) else outputs
            # not the source itself, which the operation that writes it must not overwrite
            self.dependences.setdefault(value, dependence)
            tensor = self.trace.values[value]
            self._newest[place_of(tensor)] = value
            if op.in_place:
                self._overwriting.setdefault(tensor.storage, []).append(value)

    def _apply_rule(self, op: Op, inputs: Sequence[Dependence]) -> Dependence | list[Dependence]:
        geometries: list[Geometry | None] = []
        for dependence in inputs:
            if isinstance(dependence, Unknown):
                return dependence
            geometries.append(dependence)
        rule = rule_of(op.base_name, op.in_place)
        if rule is None:
            return Unknown(f"no rule for {op.name}")
        values = self.trace.values
        shapes = [values[value].shape for value in op.reads]
        output_shape = values[op.writes[0]].shape if op.writes else ()
        try:
            return rule(RuleContext(op.base_name, dict(op.args), geometries, shapes, output_shape))
        # arguments that a rule does not foresee make the field unknown, never wrong
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            return Unknown(f"{op.name} on these arguments: {error}")

    def of(self, value: int) -> Dependence:
        """The dependence of a value; of one that no operation wrote as such, by what its storage held."""
        if value not in self.dependences:
            self.dependences[value] = self._by_storage(self.trace.values[value])
        return self.dependences[value]

    def _by_storage(self, value: Value) -> Dependence:
        """The newest value at the same place, with what was written over it through views since."""
        values = self.trace.values
        newest = self._newest.get(place_of(value))
        base = self.dependences[newest] if newest is not None else None
        since = values[newest].op if newest is not None else None
        # ids of operations are in order of execution; without a newest value all writes count
        writes = [
            Write(self.dependences[later], values[later])
            for later in self._overwriting.get(value.storage, ())
            if since is None or (values[later].op or 0) > since
        ]
        return after_writes(base, value, writes)


def _identity(shape: Sequence[int], axes: Sequence[int], make_map: Callable[[int], AxisMap]) -> Geometry:
    """The source itself: each of its axes is a dimension of its own."""
    axis_of = {dim: axis for axis, dim in enumerate(axes)}
    dims = [axis_dim(n, axis_of[d]) if d in axis_of else plain_dim(n) for d, n in enumerate(shape)]
    # axes of one size share a map, which is then compared by identity
    maps = {size: make_map(size) for size in {shape[d] for d in axes}}
    return Geometry(tuple(dims), tuple([maps[shape[d]] for d in axes]))


def place_of(value: Value) -> Place:
    """The elements that a value holds."""
    return Place(value.storage, value.shape, value.strides, value.offset)
