"""Gradients and activations of real passes at initialisation, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.registry import measured_recipe
from inception_lab.claims.verdict import Reading, Result

if TYPE_CHECKING:
    from inception_lab.measure.gradient_flow.results import GradientFlow

Variants = tuple[tuple[str, str], ...]
"""The name of each reading, and its model."""

_MAIN, _WHOLE, _NORM, _VARIANCE = "weight_gradient_main", "weight_gradient", "weight_norm", "output_variance"

STEPS, RATE = 12, 0.01
"""Of a short training run."""


@measured_recipe
def gradient_decay(nets: Nets, variants: Variants, first: str, last: str) -> Result:
    """Gradient of the main loss by the first module's weights, relative to these, over that of the last one.

    The norms themselves are of unlike numbers of weights.
    """
    flows = ((name, nets.gradient_flow(model)) for name, model in variants)
    return tuple(_reading(name, _decay(flow, first, last), f"{first} over {last}") for name, flow in flows)


def _decay(flow: GradientFlow, first: str, last: str) -> list[float]:
    ends = (flow.paired_ratios((_MAIN, module), (_NORM, module)) for module in (first, last))
    return _ratios(*ends)


@measured_recipe
def gradient_added_by_heads(nets: Nets, variants: Variants, module: str) -> Result:
    """Gradient of a module's weights by the whole loss over that by the main loss alone."""
    flows = ((name, nets.gradient_flow(model)) for name, model in variants)
    what = f"{module}, with heads over without"
    return tuple(
        _reading(name, flow.paired_ratios((_WHOLE, module), (_MAIN, module)), what) for name, flow in flows
    )


@measured_recipe
def gradient_depends_less(
    nets: Nets, plain: tuple[str, str], normalised: tuple[str, str], module: str
) -> Result:
    """True where two ways to draw weights change a module's gradient less in the normalised network."""
    without, with_it = (_change(nets, pair, module) for pair in (plain, normalised))
    working = f"{module}'s gradient changes {without:.3g}-fold without, {with_it:.3g}-fold with it"
    return (Reading("at initialisation", float(with_it < without), working),)


def _change(nets: Nets, models: tuple[str, str], module: str) -> float:
    """The larger of two networks' gradients over the other one, in the median of the runs."""
    change = median(_ratios(*(nets.gradient_flow(model).values(_MAIN, module) for model in models)))
    return max(change, 1 / change)


@measured_recipe
def unstable_unscaled(
    nets: Nets, unscaled: str, scaled: str, module: str, last: str, side: int, beyond: float
) -> Result:
    """True where training without residual scales ends in no number; or where gradients are much larger."""
    run, other = (nets.short_training(model, side, STEPS, RATE) for model in (unscaled, scaled))
    highest = [float(each.losses["loss"].max()) for each in (run, other)]
    short = (
        f"over {STEPS} steps of SGD at {RATE:g} the loss reaches {highest[0]:.3g} without scales, "
        f"{highest[1]:.3g} with them"
    )
    flows = [nets.gradient_flow(model, side) for model in (unscaled, scaled)]
    gradient = median(_ratios(*(flow.values(_WHOLE, module) for flow in flows)))
    variance = median(_ratios(*(flow.values(_VARIANCE, last) for flow in flows)))
    start = (
        f"{module}'s gradient is {gradient:.3g} times as large as with scales, the variance of {last}'s "
        f"output {variance:.3g} times, on {side}x{side}"
    )
    return (
        Reading("a short run ends in no number", float(not isfinite(highest[0])), short),
        Reading("gradients at initialisation", float(gradient > beyond), start),
    )


def _ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """Ratios run by run."""
    return [value / other for value, other in zip(values, others, strict=True)]


def _reading(name: str, ratios: Sequence[float], what: str) -> Reading:
    value = median(ratios)
    working = f"{what}: {value:.3g}, median of {len(ratios)} seeds, {min(ratios):.3g} to {max(ratios):.3g}"
    return Reading(name, value, working, f"{value:.3g}x")
