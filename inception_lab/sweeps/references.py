"""Nets of the zoo, with the figures that the variants of a sweep have, to be drawn beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pandas import DataFrame

from inception_lab.arguments import checked
from inception_lab.loading.options import spec_of
from inception_lab.models.cards import CARDS
from inception_lab.models.registry import list_models
from inception_lab.sweeps.figures import answer
from inception_lab.sweeps.reading import SpaceSource, read_space
from inception_lab.sweeps.space import Space

Progress = Callable[[float], None]


@checked
def reference_variants(space: SpaceSource, *, progress: Progress | None = None) -> DataFrame:
    """Return the figures of nets of the zoo as a sweep asks for them: same batch, mode and optimizer.

    Args:
        space: Of the sweep, which names the nets in `references`; by default those of its model's family, of
            a model that is not in the zoo all.
        progress: Told the part of the work that is done.

    Returns:
        A row per net on the input of its card, with as many classes as the space says: `model`, the metrics
        of the space, `status` and `cause` as of a variant.

    Raises:
        InceptionLabError: The space has a fault (exit code 2).

    Example:
        >>> space = {"model": "nin", "parameters": {"num_classes": [10]}, "metrics": ["params"]}
        >>> reference_variants(space).to_numpy().tolist()
        [['nin', 7595176, 'complete', '']]
    """
    space = read_space(space)
    question = replace(space.question, input_sizes=(), arguments=())
    names = space.references or _default_references(space.model)
    rows = []
    for number, name in enumerate(names, 1):
        result = answer(replace(question, model=name, kwargs=_task_of(space)), {})
        figures = [result.figures.get(metric) for metric in space.metrics]
        rows.append([name, *figures, result.status, result.cause])
        if progress is not None:
            progress(number / len(names))
    return DataFrame(rows, columns=["model", *space.metrics, "status", "cause"])


def _task_of(space: Space) -> dict[str, Any]:
    """The keyword that says what a net is for, which every entry of the zoo takes; the rest is its design."""
    return {name: value for name, value in space.kwargs.items() if name == "num_classes"}


def _default_references(model: str) -> list[str]:
    spec = spec_of(model)
    return list_models(CARDS[spec].family if spec in CARDS else None)
