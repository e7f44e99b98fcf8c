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
from inception_lab.sweeps.figures import Question, answer
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
        A row per net on the input of its card, with those keywords of the space that it takes: `model`, and
        the metrics of the space.

    Example:
        >>> space = {"model": "nin", "parameters": {"num_classes": [10]}, "metrics": ["params"]}
        >>> reference_variants(space).to_numpy().tolist()
        [['nin', 7595176]]
    """
    space = read_space(space)
    question = replace(Question.of(space), input_sizes=(), arguments=())
    names = space.references or _default_references(space.model)
    rows = []
    for number, name in enumerate(names, 1):
        figures = answer(replace(question, model=name, kwargs=_kwargs_for(name, space)), {}).figures
        rows.append({"model": name, **{metric: figures.get(metric) for metric in space.metrics}})
        if progress is not None:
            progress(number / len(names))
    return DataFrame(rows, columns=["model", *space.metrics])


def _kwargs_for(model: str, space: Space) -> dict[str, Any]:
    """The keywords of the space that a net of the zoo takes too, such as the number of classes."""
    options = CARDS[spec_of(model)].options if spec_of(model) in CARDS else {}
    return {name: value for name, value in space.kwargs.items() if name in options}


def _default_references(model: str) -> list[str]:
    spec = spec_of(model)
    return list_models(CARDS[spec].family if spec in CARDS else None)
