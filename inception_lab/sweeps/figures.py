"""The figures of one variant: built on meta tensors, traced, analysed as far as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from inception_lab.errors import InceptionLabError, first_line
from inception_lab.ir.trace import Mode
from inception_lab.sweeps.question import Parameters, Question

if TYPE_CHECKING:
    from inception_lab.budgets.traced import TracedFigures

Status = Literal["complete", "partial", "failed"]

FIELD = "receptive_field"


@dataclass(frozen=True)
class Answer:
    """The figures of a variant.

    Attributes:
        figures: By metric; empty of a variant that failed.
        status: `partial` where an operation could not be counted or a field is not known; `failed` where
            the model could not be built or traced.
        cause: Why it is not complete; empty where it is.
    """

    figures: Mapping[str, int | None]
    status: Status = "complete"
    cause: str = ""


def answer(question: Question, parameters: Parameters) -> Answer:
    """Return the figures of a variant; one that cannot be built or traced is an answer too.

    Args:
        question: Of all variants.
        parameters: Of this one.

    Example:
        >>> from inception_lab.sweeps.reading import read_space
        >>> space = read_space({"model": "nin", "parameters": {"num_classes": [10]}, "metrics": ["params"]})
        >>> answer(space.question, {"num_classes": 10}).figures
        {'params': 6580426}
        >>> answer(space.question, {"num_classes": -1}).status
        'failed'
    """
    try:
        return _answer(question, parameters)
    # whatever a model raises is a fact about it: one variant must not end the others
    except InceptionLabError as error:
        # the row has the keywords, with which no two variants would fail alike
        return Answer({}, "failed", error.what)
    except Exception as error:
        return Answer({}, "failed", f"{type(error).__name__}: {first_line(error)}")


def _answer(question: Question, parameters: Parameters) -> Answer:
    modes = question.modes
    by_mode = {mode: _traced(question, parameters, mode) for mode in dict.fromkeys(modes.values())}
    figures = {name: _figure(by_mode[mode], name) for name, mode in modes.items()}
    cause = "; ".join(filter(None, _doubts(by_mode, modes, figures)))
    return Answer(figures, "partial" if cause else "complete", cause)


def _traced(question: Question, parameters: Parameters, mode: Mode) -> TracedFigures:
    """The figures of a variant's trace, which it is built for: building is cheap beside a training step."""
    from inception_lab.budgets.traced import traced_figures
    from inception_lab.loading.model import apply_without_weights

    request = question.request(parameters, mode)
    keywords: dict[str, Any] = {"mode": mode, "optimizer": question.optimizer, "name": request.name}
    return apply_without_weights(request, lambda model, inputs: traced_figures(model, inputs, **keywords))


def _figure(figures: TracedFigures, metric: str) -> int | None:
    # behind a global pool every design sees everything, which would hide what tells designs apart
    return figures.widest_feature_field if metric == FIELD else figures.total(metric)


def _doubts(
    by_mode: Mapping[Mode, Any], modes: Mapping[str, Mode], figures: Mapping[str, Any]
) -> Iterator[str]:
    """The reasons for which figures are not complete."""
    from inception_lab.budgets.judge import partial_reason

    yield partial_reason(by_mode.values())
    for name, value in figures.items():
        if value is None:
            yield f"it has no {name}"
    if figures.get(FIELD) is not None:
        yield _field_doubt(by_mode[modes[FIELD]], figures[FIELD])


def _field_doubt(figures: TracedFigures, widest: int) -> str:
    """The layer whose field may be another one than the widest, and why; empty where none may."""
    fields = figures.by_layer(FIELD)
    for path, (reason, is_bound) in figures.field_doubts.items():
        # an upper bound below what another layer sees changes nothing
        if not is_bound or fields[path] >= widest:
            return f"the receptive field of {path} is not known: {reason}"
    return ""
