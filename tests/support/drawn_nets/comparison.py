"""What the package says of a drawn net beside what oracles say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import inception_lab as il
from inception_lab.analyzers.receptive_field.axes import NoSpatialAxes, source_of
from inception_lab.analyzers.receptive_field.field import INDEPENDENT, Field, fields
from inception_lab.analyzers.receptive_field.projective import projective_field
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Trace
from support.dependence_oracle import NOTHING, Span, dependence, projection, spans
from support.drawn_nets.nets import Built, Slid, Spec, State, build

Spans = tuple[Span | None, ...]

CERTAIN = ("exact", "misaligned")

NEAR = 1024
"""Bytes by which a predicted peak may differ from a real one: what operations hold within themselves."""


class Fault(NamedTuple):
    """Something that the package says of a step and that is not so.

    Attributes:
        kind: "extent", "local extent", "projective", "bound", "projective bound", "grid", "error", "macs" or
            "memory".
        step: Number of the step.
        said: By the package, in words.
        truth: By the oracle.
    """

    kind: str
    step: str
    said: str
    truth: str

    def __str__(self) -> str:
        return f"{self.kind} at step {self.step}: {self.said}; right is {self.truth}"


@dataclass(frozen=True)
class Comparison:
    """A net compared.

    Attributes:
        spec: The net.
        statuses: Of the field of each step, with its reason where it is not certain.
        faults: In order of the steps, one of a kind for each.
    """

    spec: Spec
    statuses: dict[str, tuple[str, str]]
    faults: list[Fault] = field(default_factory=list)


def compare_fields(spec: Spec) -> Comparison:
    """The fields of each step of a net beside its true dependence."""
    built = build(spec)
    comparison = Comparison(spec, {})
    try:
        trace = _traced(built.net, spec)
        by_step = _fields_by_step(trace, built)
    except Exception as error:
        comparison.faults.append(Fault("error", "", _in_words(error), "a field"))
        return comparison
    truth = _Truth(built, spec)
    for step, state in built.states.items():
        computed = by_step[step]
        comparison.statuses[step] = _status(computed)
        comparison.faults.extend(_faults_of_step(step, trace, computed, state, truth))
    return comparison


def _status(computed: Field) -> tuple[str, str]:
    """The status with its reason; `independent` of what is known not to depend on the source."""
    is_independent = computed.reason == INDEPENDENT.reason
    return "independent" if is_independent else computed.status, computed.reason


def _traced(net: nn.Sequential, spec: Spec) -> Trace:
    """The trace of a net, all of whose axes are spatial ones."""
    trace = il.trace(net, spec.shape)
    try:
        axes = source_of(trace).axes
    except NoSpatialAxes:
        axes = ()
    is_known = axes == tuple(range(2, len(spec.shape)))
    return trace if is_known else il.trace(Slid(net, spec.shape), spec.shape)


def _fields_by_step(trace: Trace, built: Built) -> dict[str, Field]:
    by_value = fields(trace)
    outputs = {layer_name(call): call.outputs for call in trace.calls if call.number == 0}
    return {step: by_value.get(outputs[step][0], INDEPENDENT) for step in built.states}


def _in_words(error: Exception) -> str:
    name = type(error).__name__
    has_hint = isinstance(error, InceptionLabError) and getattr(error, "hint", "")
    return f"{name}: {str(error).splitlines()[0] if str(error) else ''}{'' if has_hint else ' (no hint)'}"


class _Truth:
    """What the steps of a net depend on, with the axes that are held fixed."""

    def __init__(self, built: Built, spec: Spec) -> None:
        net = built.net.double()
        self.axes = len(spec.shape) - 2
        self.pixels = spec.shape[2:]
        self.whole = dependence(net, spec.shape)
        self.held = [dependence(net, spec.shape, axis) for axis in range(self.axes)]

    def extent(self, step: str, unit: tuple[int, ...]) -> tuple[Span, ...]:
        return spans(self.whole[step][unit])

    def local_extent(self, step: str, unit: tuple[int, ...]) -> tuple[Span, ...]:
        return tuple(spans(held[step][unit])[axis] for axis, held in enumerate(self.held))


# ------------------------------------------------------------------------------ fields


def _faults_of_step(step: str, trace: Trace, computed: Field, state: State, truth: _Truth) -> Iterator[Fault]:
    if computed.status == "unknown":
        if computed.reason == INDEPENDENT.reason and truth.whole[step].any():
            yield Fault("extent", step, "independent", "it depends on the source")
        return
    if 0 in state.shape:
        return
    for check in (_extent_fault, _local_fault):
        if fault := _mildest([check(step, computed, state, order, truth) for order in _orders(state)]):
            yield fault
    for part in (0, 2, 3, 1):
        pixel = tuple([min(n // part, n - 1) if part else 0 for n in truth.pixels])
        faults = [_projection_fault(step, trace, computed, pixel, order, truth) for order in _orders(state)]
        if fault := _mildest(faults):
            yield fault
            return


def _orders(state: State) -> list[tuple[int, ...]]:
    """The orders in which the units of a field may be counted: by axes of the source, or as they lie."""
    return list(dict.fromkeys([state.axes, tuple(range(len(state.axes)))]))


def _mildest(faults: Sequence[Fault | None]) -> Fault | None:
    """None where there is none in some order of units."""
    return None if None in faults else faults[0]


def _extent_fault(
    step: str, computed: Field, state: State, order: tuple[int, ...], truth: _Truth
) -> Fault | None:
    units = list(np.ndindex(*state.shape[2:]))
    said = [_joint(_said(computed, unit, order, "extent")) for unit in units]
    return _first_wrong("extent", step, computed, units, said, [truth.extent(step, unit) for unit in units])


def _local_fault(
    step: str, computed: Field, state: State, order: tuple[int, ...], truth: _Truth
) -> Fault | None:
    if not state.has_local or computed.status not in CERTAIN:
        return None
    units = list(np.ndindex(*state.shape[2:]))
    said = [_said(computed, unit, order, "local_extent") for unit in units]
    right = [_known(truth.local_extent(step, unit), one) for unit, one in zip(units, said, strict=True)]
    return _first_wrong("local extent", step, computed, units, said, right)


def _known(local: Spans, said: Spans | str) -> Spans:
    """Local spans; where nothing is local, which is a matter of definition, what is said."""
    if isinstance(said, str):
        return local
    return tuple([one if span == NOTHING else span for span, one in zip(local, said, strict=True)])


def _said(computed: Field, unit: tuple[int, ...], order: tuple[int, ...], name: str) -> Spans | str:
    """The extent of a unit as computed, or the error that is raised."""
    try:
        return tuple(getattr(computed, name)(_position(computed, unit, order)))
    except Exception as error:
        return _in_words(error)


def _position(computed: Field, unit: tuple[int, ...], order: tuple[int, ...]) -> tuple[int, ...]:
    """A unit of an output as its field counts it; 0 where one unit stands for all."""
    counted = dict(zip(order, unit, strict=True))
    return tuple([0 if n == 1 else counted[axis] for axis, n in enumerate(computed.grid)])


def _first_wrong(
    kind: str, step: str, computed: Field, units: Sequence[Any], said: Sequence[Any], right: Sequence[Spans]
) -> Fault | None:
    """The first unit of which something wrong is said."""
    is_certain = computed.status in CERTAIN
    for unit, one, other in zip(units, said, right, strict=True):
        if isinstance(one, str):
            return Fault("grid", step, f"{computed.status} unit {unit}: {one}", f"{other}")
        if (one != other) if is_certain else not _contains(one, other):
            name = kind if is_certain else "bound"
            return Fault(name, step, f"{computed.status} unit {unit} sees {one}", f"{other}")
    return None


def _joint(spans: Spans | str) -> Spans | str:
    """Spans that are nothing along each axis where they are along one, as the unit sees nothing then."""
    absent = [span for span in spans if span in (None, NOTHING)]
    return tuple(absent[:1] * len(spans)) if absent and not isinstance(spans, str) else spans


def _contains(spans: Spans, others: Spans) -> bool:
    return all(
        other in (None, NOTHING) or (one is not None and one[0] <= other[0] and other[1] <= one[1])
        for one, other in zip(spans, others, strict=True)
    )


def _projection_fault(
    step: str, trace: Trace, computed: Field, pixel: tuple[int, ...], order: tuple[int, ...], truth: _Truth
) -> Fault | None:
    grid = computed.grid if len(computed.grid) == len(order) else (0,) * len(order)
    reached = dict(zip(order, projection(truth.whole[step], pixel), strict=True))
    right = tuple([None if reached[n] == NOTHING else reached[n] for n in range(len(order))])
    # one unit may stand for all along an axis that see the same
    right = tuple([(0, 0) if span and n == 1 else span for span, n in zip(right, grid, strict=True)])
    try:
        said: Spans | str = _joint(projective_field(trace, pixel, step))
    except Exception as error:
        said = _in_words(error)
    is_certain = computed.status in CERTAIN
    if len(said) != len(right) and not isinstance(said, str):
        return Fault("grid", step, f"{computed.status} pixel {pixel} reaches {said}", f"{right}")
    if isinstance(said, str) or ((said != right) if is_certain else not _contains(said, right)):
        kind = "projective" if is_certain else "projective bound"
        return Fault(kind, step, f"{computed.status} pixel {pixel} reaches {said}", f"{right}")
    return None


# ------------------------------------------------------------------------------ counts and peaks


def faults_of_macs(spec: Spec) -> list[Fault]:
    """The MACs of a net beside those that torch's own counter finds."""
    net = build(spec).net
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.rand(spec.shape))
    try:
        macs = int(il.layer_costs(il.trace(net, spec.shape)).macs.sum())
    except Exception as error:
        return [Fault("error", "", _in_words(error), "a count")]
    right = counter.get_total_flops() // 2
    return [] if macs == right else [Fault("macs", "", f"{macs} MACs", f"{right}")]


def faults_of_memory(spec: Spec) -> list[Fault]:
    """The peak of a net beside that of a real run."""
    try:
        comparison = il.compare_memory(build(spec).net, spec.shape)
    except Exception as error:
        return [Fault("error", "", _in_words(error), "a peak")]
    errors, measurement = comparison.errors, comparison.measurement
    is_near = abs(errors["tracked_bytes"]) <= NEAR and abs(errors["allocator_bytes"]) <= NEAR
    if is_near or comparison.notes:
        return []
    said = f"{comparison.prediction.tracked_bytes} tracked, {comparison.prediction.allocator_bytes} allocated"
    right = f"{measurement.tracked_bytes} tracked, {measurement.allocator_bytes} allocated"
    return [Fault("memory", "", said, right)]
