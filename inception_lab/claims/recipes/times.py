"""Time of real runs, paired, on the machine at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.registry import measured_recipe
from inception_lab.claims.verdict import Reading, Result

if TYPE_CHECKING:
    from inception_lab.measure.timing.results import TimeRatio


@measured_recipe
def times_faster(nets: Nets, model: str, rivals: tuple[str, ...]) -> Result:
    """Time of each rival over that of a network, one image each, rounds of all taking turns.

    The first rival is the one that is most alike: it decides where none confirms.
    """
    comparison = nets.times((model, *rivals))
    context = comparison.context
    machine = f"{context['machine']}, {context['threads']} threads, torch {context['torch']}"
    return tuple(_reading(ratio, machine) for ratio in comparison.ratios)


def _reading(ratio: TimeRatio, machine: str) -> Reading:
    interval = ratio.ratio
    text = f"{interval.median:.2f}x ({interval.low:.2f} to {interval.high:.2f})"
    working = f"median of paired rounds {text} with {interval.confidence:.0%} confidence, on {machine}"
    return Reading(f"{ratio.model} over {ratio.baseline}", interval.median, working, text)
