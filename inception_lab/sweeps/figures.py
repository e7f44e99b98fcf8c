"""The figures of one variant: built on meta tensors, traced, analysed as far as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.errors import InceptionLabError, first_line
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import (
    ModelRequest,
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
)
from inception_lab.sweeps.space import BATCH_SIZE, INPUT_SIZE, SETTINGS, Parameters, Space

Status = Literal["complete", "partial", "failed"]


@dataclass(frozen=True)
class Question:
    """What is asked of every variant of a space.

    Attributes:
        model: MODEL as the user names it.
        kwargs: Keywords that do not vary.
        input_sizes: Text, one per input; empty for the model's own.
        arguments: Text, of the model's forward.
        batch_size: Images in a batch.
        mode: Of the trace from which metrics come that traces of both modes have.
        optimizer: Name of the one that ends a training step, None without.
        metrics: Names of the figures.
    """

    model: str
    kwargs: Parameters
    input_sizes: tuple[str, ...]
    arguments: tuple[str, ...]
    batch_size: int
    mode: Mode
    optimizer: str | None
    metrics: tuple[str, ...]

    @classmethod
    def of(cls, space: Space) -> Question:
        """The question of a space."""
        names = cls.__dataclass_fields__
        return cls(**{name: getattr(space, name) for name in names})

    def request(self, parameters: Parameters) -> ModelRequest:
        """The request for the model of a variant."""
        keywords = {name: value for name, value in parameters.items() if name not in SETTINGS}
        size = parameters.get(INPUT_SIZE)
        return model_request(
            self.model,
            {**self.kwargs, **keywords},
            tuple(map(parse_input_size, self.input_sizes if size is None else [size])),
            parameters.get(BATCH_SIZE, self.batch_size),
            forward_arguments(map(parse_argument, self.arguments)),
        )

    @property
    def modes(self) -> dict[str, Mode]:
        """The mode of the trace from which each metric comes."""
        return {name: BUDGET_METRICS[name].mode or self.mode for name in self.metrics}


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
        >>> answer(Question.of(space), {"num_classes": 10}).figures
        {'params': 6580426}
        >>> answer(Question.of(space), {"num_classes": -1}).status
        'failed'
    """
    try:
        return _answer(question, parameters)
    # whatever a model raises is a fact about it: one variant must not end the others
    except Exception as error:
        is_told = isinstance(error, InceptionLabError)
        return Answer({}, "failed", str(error) if is_told else f"{type(error).__name__}: {first_line(error)}")


def _answer(question: Question, parameters: Parameters) -> Answer:
    from torch import nn

    from inception_lab.budgets.traced import TracedFigures, traced_figures
    from inception_lab.loading.model import ModelInputs, apply_without_weights

    request, modes = question.request(parameters), question.modes

    def traced(model: nn.Module, inputs: ModelInputs) -> dict[Mode, TracedFigures]:
        return {
            mode: traced_figures(model, inputs, mode=mode, optimizer=question.optimizer, name=request.name)
            for mode in dict.fromkeys(modes.values())
        }

    by_mode = apply_without_weights(request, traced)
    figures = {name: by_mode[mode].total(name) for name, mode in modes.items()}
    cause = "; ".join(filter(None, _doubts(by_mode, modes, figures)))
    return Answer(figures, "partial" if cause else "complete", cause)


def _doubts(
    by_mode: Mapping[Mode, Any], modes: Mapping[str, Mode], figures: Mapping[str, Any]
) -> Iterator[str]:
    """The reasons for which figures are not complete."""
    from inception_lab.budgets.judge import partial_reason

    yield partial_reason(by_mode.values())
    for name, value in figures.items():
        if value is None:
            yield f"it has no {name}"
    if "receptive_field" in modes:
        yield _field_doubt(by_mode[modes["receptive_field"]])


def _field_doubt(figures: Any) -> str:
    """The layer whose field may be wider than those that are known, and why; empty where none may."""
    doubts, fields = figures.field_doubts, figures.by_layer("receptive_field")
    certain = max((value for path, value in fields.items() if path not in doubts), default=0)
    for path, (reason, is_bound) in doubts.items():
        # an upper bound below what another layer sees for certain changes nothing
        if not is_bound or fields[path] > certain:
            return f"the receptive field of {path} is not known: {reason}"
    return ""
