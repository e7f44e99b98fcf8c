"""Time of real runs, paired, on the machine at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading, Result, Unavailable

if TYPE_CHECKING:
    from inception_lab.measure.timing.results import TimesComparison

UNMEASURED = "a real run: --measure, in Python measure=True"


@recipe
def times_faster(nets: Nets, model: str, rivals: tuple[str, ...]) -> Result:
    """Time of each rival over that of a network, one image each, rounds of all taking turns."""
    if not nets.measure:
        return Unavailable(UNMEASURED)
    comparison = _compare(nets, (model, *rivals))
    return tuple(
        Reading(
            f"{ratio.model} over {ratio.baseline}",
            ratio.ratio.median,
            f"{ratio.ratio.median:.2f}, {ratio.ratio.low:.2f} to {ratio.ratio.high:.2f} with "
            f"{ratio.ratio.confidence:.0%} confidence, on {_machine_text(comparison)}",
        )
        for ratio in comparison.ratios
    )


def _compare(nets: Nets, names: tuple[str, ...]) -> TimesComparison:
    from inception_lab.measure.timing.timing import compare_times
    from inception_lab.models.cards import get_card
    from inception_lab.models.registry import create_model

    models = [create_model(name).eval() for name in names]
    shapes = [(1, *get_card(name).input_size) for name in names]
    return compare_times(models, shapes, names=names, seconds=nets.seconds)


def _machine_text(comparison: TimesComparison) -> str:
    context = comparison.context
    return f"{context['machine']}, {context['threads']} threads, torch {context['torch']}"
