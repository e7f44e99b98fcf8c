"""Propagation of dependence along a trace's dataflow, tensor version by tensor version."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.axis_layout import AxisMap, Geometry
from inception_lab.analyzers.receptive_field.constants import certain_numbers_of, constant_of
from inception_lab.analyzers.receptive_field.digits import axis_dim, plain_dim
from inception_lab.analyzers.receptive_field.in_place_writes import Write, after_writes
from inception_lab.analyzers.receptive_field.rules.arithmetic import written_number
from inception_lab.analyzers.receptive_field.rules.context import (
    Dependence,
    Dependent,
    Filling,
    RuleContext,
    Shape,
    Unknown,
)
from inception_lab.analyzers.receptive_field.rules.registry import rule_of
from inception_lab.ir.trace import Op, Trace, Value


def propagate(trace: Trace, source: int, start: Dependent) -> Mapping[int, Dependence]:
    """The dependence of each value of the forward pass on one of them.

    Args:
        trace: Of any mode.
        source: Id of the value from which on dependence is followed.
        start: What is followed of it, such as `Elements.identity`.

    Returns:
        By value id: its dependence, why it is not known, or None where it does not depend on the source.
    """
    propagation = Propagation(trace, source, start)
    for op in trace.ops:
        if op.phase != "forward":
            break
        propagation.run(op)
    # a module may return a view that no operation wrote
    for call in trace.calls:
        for value in call.outputs:
            propagation.of(value)
    return MappingProxyType(propagation.dependences)


def dependence_of(trace: Trace, value: int, source: int, start: Dependent) -> Dependence:
    """The dependence of one value alone; see `propagate`."""
    propagation = Propagation(trace, source, start)
    last = trace.values[value].op
    for op in trace.ops:
        if op.phase != "forward":
            break
        propagation.run(op)
        if op.id == last:
            break
    return propagation.of(value)


def geometry_of(shape: Shape, axes: Sequence[int], make_map: Callable[[int], AxisMap]) -> Geometry:
    """The source itself: each of its axes is a dimension of its own.

    Args:
        shape: Of the source.
        axes: The dimensions of it that are followed.
        make_map: Makes the map of an axis of a given size.
    """
    axis_of = {dim: axis for axis, dim in enumerate(axes)}
    dims = [axis_dim(n, axis_of[d]) if d in axis_of else plain_dim(n) for d, n in enumerate(shape)]
    # axes of one size share a map, which is then compared by identity
    maps = {size: make_map(size) for size in {shape[d] for d in axes}}
    return Geometry(tuple(dims), tuple([maps[shape[d]] for d in axes]))


VIEWS = frozenset({"squeeze", "unsqueeze", "view", "_unsafe_view"})
"""Operations that hand on what another one made, for those that ask which it was."""


FORESEEN = (ArithmeticError, LookupError, TypeError, ValueError)
"""Errors of arguments that no rule foresees, which make a field unknown, never wrong."""


class Place(NamedTuple):
    """Elements of a storage, as a view lays them out."""

    storage: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int


class Content(NamedTuple):
    """The dependence of the content of a place after an operation."""

    dependence: Dependence
    since: int


class Propagation:
    """The dependence of the values so far, and the writes into each storage; see `propagate`."""

    def __init__(self, trace: Trace, source: int, start: Dependent) -> None:
        self.trace, self.source = trace, source
        self.dependences: dict[int, Dependence] = {source: start}
        # by place, the dependence of what it held last and the operation after which it held it
        self._newest: dict[Place, Content] = {}
        self._overwriting: dict[int, list[int]] = {}
        self._numbers: dict[int, Filling] = {}
        self._noted_storages: set[int] = set()
        self._sparse = {value.id for value in trace.values if value.is_sparse}
        self._last_op = -1
        self._note(source)

    def run(self, op: Op) -> None:
        """Pass the dependence of an operation's inputs on to its outputs."""
        inputs = [self.of(value) for value in op.reads]
        outputs = self._apply_rule(op, inputs) if any(x is not None for x in inputs) else None
        for index, value in enumerate(op.writes):
            dependence = outputs[index] if isinstance(outputs, list) else outputs
            if dependence is not None and not isinstance(dependence, Unknown):
                dependence = dependence.within(op.call)
            # not the source itself, which the operation that writes it must not overwrite
            self.dependences.setdefault(value, dependence)
            self._last_op = op.id
            self._note(value)
            if op.in_place:
                self._overwriting.setdefault(self.trace.values[value].storage, []).append(value)
                if dependence is None and written_number(self._context(op, [])) == "-inf":
                    self._numbers[value] = "-inf"

    def _note(self, value: int) -> None:
        tensor = self.trace.values[value]
        self._noted_storages.add(tensor.storage)
        self._newest[place_of(tensor)] = Content(self.dependences[value], self._last_op)

    def _apply_rule(self, op: Op, inputs: Sequence[Dependence]) -> Dependence | list[Dependence]:
        dependents: list[Dependent | None] = []
        for dependence in inputs:
            if isinstance(dependence, Unknown):
                return dependence
            dependents.append(dependence)
        values, name = self.trace.values, op.base_name
        # as pooling to one place does for channels last: other strides along dimensions of one position
        if name == "as_strided" and _lie_alike(values[op.reads[0]], values[op.writes[0]]):
            return dependents[0]
        rule = rule_of(name, op.in_place)
        if rule is None:
            return Unknown(f"no rule for {op.name}")
        if not self._sparse.isdisjoint((*op.reads, *op.writes)):
            return Unknown(f"{op.name} on a sparse tensor")  # its elements are not in the trace
        try:
            return rule(self._context(op, dependents))
        except FORESEEN as error:
            return Unknown(f"{op.name} on these arguments: {error}")

    def _context(self, op: Op, dependents: Sequence[Dependent | None]) -> RuleContext:
        """An operation as a rule sees it."""
        trace, values, source = self.trace, self.trace.values, self.source
        return RuleContext(
            op.base_name,
            dict(op.args),
            dependents,
            [values[value].shape for value in op.reads],
            values[op.writes[0]].shape if op.writes else (),
            trace.calls[op.call].type if op.call >= 0 else "",
            lambda place: constant_of(trace, op.reads[place], source),
            lambda place: _maker(trace, op.reads[place]),
            lambda place: certain_numbers_of(trace, op.reads[place], source),
        )

    def of(self, value: int) -> Dependence:
        """The dependence of a value; of one that no operation wrote as such, by what its storage held."""
        if value not in self.dependences:
            if self.trace.values[value].storage not in self._noted_storages:
                return None  # such as a weight, which nothing has written to
            try:
                self.dependences[value] = self._by_storage(self.trace.values[value])
            except FORESEEN as error:
                self.dependences[value] = Unknown(f"writes through views that are not followed: {error}")
            self._note(value)
        return self.dependences[value]

    def _by_storage(self, value: Value) -> Dependence:
        """The last content of the same place, with what was written over it through views since."""
        values = self.trace.values
        content = self._newest.get(place_of(value), Content(None, -1))
        overwriting = self._overwriting.get(value.storage, [])
        # ids of operations are in order of execution
        first = bisect_right(overwriting, content.since, key=lambda later: values[later].op or 0)
        writes = [
            Write(self.dependences[later], values[later], self._numbers.get(later))
            for later in overwriting[first:]
        ]
        return after_writes(content.dependence, value, writes)


def _maker(trace: Trace, value: int) -> Op | None:
    """The operation that made the content of a value, views of it apart."""
    op_id = trace.values[value].op
    if op_id is None:
        return None
    op = trace.ops[op_id]
    return _maker(trace, op.reads[0]) if op.base_name in VIEWS else op


def _lie_alike(one: Value, other: Value) -> bool:
    """True where two values have the same elements in the same places of one shape."""
    rows = zip(one.shape, one.strides, other.strides, strict=False)
    alike = all(size == 1 or stride == new for size, stride, new in rows)
    return alike and (one.shape, one.offset) == (other.shape, other.offset)


def place_of(value: Value) -> Place:
    """The elements that a value holds."""
    return Place(value.storage, value.shape, value.strides, value.offset)
