"""Rules of recurrent layers that run as one operation."""

from __future__ import annotations

from inception_lab.analyzers.receptive_field.placing import part
from inception_lab.analyzers.receptive_field.rules.context import Dependence, Dependent, RuleContext, Unknown
from inception_lab.analyzers.receptive_field.rules.views import flipped

TIME, FEATURES = 0, -1
"""Dimensions of a sequence; the batch lies between them."""


def recurrent_layer(op: RuleContext) -> Dependence | list[Dependence]:
    """One direction of one layer, on steps x batch x features: each step sees those before it."""
    if any(weight is not None for weight in op.inputs[1:5]):
        return Unknown(f"weights of {op.name} depend on the input")
    steps, batch, width = op.output_shape
    # every feature of a step sees all features of those before
    states = [state.collapse([FEATURES]) for state in op.inputs[5:] if state is not None]
    parts = [op.union([state], (1, batch, 1)).spread(TIME, steps) for state in states]
    if op.inputs[0] is not None:
        parts.append(_accumulated(op.inputs[0].collapse([FEATURES]), bool(op.args.get("reverse"))))
    outputs = op.union(parts, (steps, batch, 1)).spread(FEATURES, width)
    last = 0 if op.args.get("reverse") else steps - 1
    state = part(outputs, TIME, last, last + 1).drop([TIME])
    return [outputs, state, state, None]


def _accumulated(value: Dependent, is_reversed: bool) -> Dependent:
    if not is_reversed:
        return value.accumulate(TIME)
    return flipped(flipped(value, (TIME,)).accumulate(TIME), (TIME,))
