"""Follow a trace's dataflow from one value on, tensor version by tensor version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from inception_lab.analyzers.receptive_field.axis_layout import Geometry, Map, digit, none
from inception_lab.analyzers.receptive_field.in_place_writes import patched
from inception_lab.analyzers.receptive_field.rules.context import Dependence, RuleContext, Unknown
from inception_lab.analyzers.receptive_field.rules.registry import rule_of
from inception_lab.ir.trace import Op, Trace, Value


def propagate(
    trace: Trace, source: int, axes: Sequence[int], start: Callable[[int], Map]
) -> Mapping[int, Dependence]:
    """What is known of each value of the forward pass.

    Args:
        trace: Of any mode.
        source: Id of the value from which on dependence is followed.
        axes: The dimensions of the source that are followed.
        start: Makes the map of a source axis of a given size.

    Returns:
        By value id: its geometry, why it is not known, or None where it does not depend on the source.
    """
    propagation = Propagation(trace, source, axes, start)
    for op in trace.ops:
        if op.phase != "forward":
            break
        propagation.run(op)
    for call in trace.calls:
        for value in call.outputs:
            propagation.of(value)
    return MappingProxyType(propagation.known)


class Propagation:
    """What is known so far, and which values each storage has held."""

    def __init__(self, trace: Trace, source: int, axes: Sequence[int], start: Callable[[int], Map]) -> None:
        self.trace = trace
        shape = trace.values[source].shape
        places = {dim: axis for axis, dim in enumerate(axes)}
        dims = [digit(n, places[d]) if d in places else none(n) for d, n in enumerate(shape)]
        sizes = {shape[d] for d in axes}
        maps = {size: start(size) for size in sizes}
        self.known: dict[int, Dependence] = {
            source: Geometry(tuple(dims), tuple([maps[shape[d]] for d in axes]))
        }
        self.newest: dict[tuple[Any, ...], int] = {_place(trace.values[source]): source}
        self.overwritten: dict[int, list[int]] = {}

    def run(self, op: Op) -> None:
        """Pass on what is known of an operation's inputs to its outputs."""
        given = [self.of(value) for value in op.reads]
        made = self._passed_on(op, given) if any(x is not None for x in given) else None
        values = self.trace.values
        for place, value in enumerate(op.writes):
            found = made[place] if isinstance(made, list) else made
            self.known.setdefault(value, found)
            self.newest[_place(values[value])] = value
            if op.in_place:
                self.overwritten.setdefault(values[value].storage, []).append(value)

    def _passed_on(self, op: Op, given: list[Dependence]) -> Dependence | list[Dependence]:
        geometries: list[Geometry | None] = []
        for known in given:
            if isinstance(known, Unknown):
                return known
            geometries.append(known)
        rule = rule_of(op.base_name, op.in_place)
        if rule is None:
            return Unknown(f"no rule for {op.name}")
        values = self.trace.values
        shapes = [values[v].shape for v in op.reads]
        out = values[op.writes[0]].shape if op.writes else ()
        try:
            return rule(RuleContext(op.base_name, dict(op.args), geometries, shapes, out))
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:
            return Unknown(f"{op.name} on these arguments: {error}")

    def of(self, value: int) -> Dependence:
        """What is known of a value; of one that no operation wrote as such, by what its storage held."""
        if value not in self.known:
            self.known[value] = self._by_storage(self.trace.values[value])
        return self.known[value]

    def _by_storage(self, value: Value) -> Dependence:
        """The newest value at the same place, with what was written over it through views since."""
        values = self.trace.values
        earlier = self.newest.get(_place(value))
        base = self.known[earlier] if earlier is not None else None
        since = values[earlier].op if earlier is not None else None
        patches = [
            (self.known[written], values[written])
            for written in self.overwritten.get(value.storage, ())
            if since is None or (values[written].op or 0) > since
        ]
        return patched(base, value, patches)


def _place(value: Value) -> tuple[Any, ...]:
    return value.storage, value.shape, value.strides, value.offset
