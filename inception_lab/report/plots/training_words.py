"""The findings of a plot of training runs, in words."""

from __future__ import annotations

import numpy as np

from inception_lab.report.plots.curves import Curve
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.training_runs import GradientMap, TrainingPlot, gradient_maps, loss_curves
from inception_lab.report.plots.wording import number_text, part_text, runs_text, variants_text
from inception_lab.report.text import optimizer_text


def title(subject: TrainingPlot) -> str:
    """The main finding: how far one model's loss falls, or where it ends smallest and largest."""
    curves = [curve for curve in loss_curves(subject) if curve.is_drawn]
    if len(curves) == 1:
        first, last = (_finite(curves[0])[end] for end in (0, -1))
        if len(_finite(curves[0])) == 1:
            return f"The main loss is {number_text(first)} at its one step"
        return (
            f"The main loss goes from {number_text(first)} to {number_text(last)} in {_steps(curves)} steps"
        )
    ends = {curve.name: float(_finite(curve)[-1]) for curve in curves}
    low, high = (pick(ends, key=lambda name: ends[name]) for pick in (min, max))
    if number_text(ends[low]) == number_text(ends[high]):
        return f"The main loss ends at {number_text(ends[low])} in {variants_text(len(ends))}"
    lowest = f"the main loss is smallest in {headline(low)} ({number_text(ends[low])})"
    steps = _steps(curves)
    return (
        f"At the last of {steps} step{'s' * (steps != 1)} {lowest}, largest in {headline(high)} "
        f"({number_text(ends[high])})"
    )


def _finite(curve: Curve) -> list[float]:
    return [float(value) for value in curve.median if np.isfinite(value)]


def _steps(curves: list[Curve]) -> int:
    return max(len(curve.x) for curve in curves)


def subtitle(subject: TrainingPlot) -> str:
    """The kind of plot, and the runs that it is of."""
    facts = subject.context
    names = [curve.name for curve in loss_curves(subject) if curve.is_drawn]
    seeds = f"{facts['seeds']} seed{'s' * (facts['seeds'] != 1)}"
    runs = ", ".join([*([optimizer_text(facts)] if "learning_rate" in facts else []), seeds])
    return f"Short training \N{MIDDLE DOT} {runs_text(names, facts, runs)}"


def caption(subject: TrainingPlot) -> str:
    """The gradient of the first module beside that of the last, at the first step and at the last one."""
    texts = [text for each in gradient_maps(subject) if (text := _ends_text(each))]
    if not texts:
        curves = [curve for curve in loss_curves(subject) if curve.is_drawn]
        ends = [f"{number_text(_finite(curve)[-1])} in {curve.name}" for curve in curves]
        return f"The main loss after the last step is {', '.join(ends)}."
    return f"By its norm, {'; '.join(texts)}."


def _ends_text(gradients: GradientMap) -> str:
    """The ratio of the first module's gradient to the last one's, at both ends of the run."""
    ratios = gradients.norms[0] / gradients.norms[-1]
    finite = ratios[np.isfinite(ratios)]
    if len(gradients.modules) == 1 or not len(finite):
        return ""
    start, end = (part_text(float(ratio)) for ratio in (finite[0], finite[-1]))
    modules = f"the gradient of {gradients.modules[0]} is {start} that of {gradients.modules[-1]}"
    last = f", {end} it at the last" if len(finite) > 1 else ""
    return f"in {gradients.name} {modules} at the first step{last}"
