"""What a sweep asks of each variant: a model, its inputs, its step, and the figures of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.ir.trace import Mode
from inception_lab.loading.options import (
    ModelRequest,
    forward_arguments,
    model_request,
    parse_argument,
    parse_input_size,
)

Parameters = Mapping[str, Any]
"""The values of a variant's parameters by name."""

INPUT_SIZE = "input-size"
BATCH_SIZE = "batch-size"
TRAIN_BATCH_SIZE = "train-batch-size"
SETTINGS = (INPUT_SIZE, BATCH_SIZE, TRAIN_BATCH_SIZE)
"""Parameters that are not keywords of the model."""


@dataclass(frozen=True)
class Question:
    """What is asked of every variant of a space.

    Attributes:
        model: MODEL as the user names it.
        kwargs: Keywords that do not vary.
        input_sizes: Text, one per input; empty for the model's own.
        arguments: Text, of the model's forward.
        batch_size: Images in a batch.
        train_batch_size: Those of a training step; None for as many.
        mode: Of the trace from which metrics come that traces of both modes have.
        optimizer: Name of the one that ends a training step, None without.
        metrics: Names of the figures.
    """

    model: str
    kwargs: Parameters
    input_sizes: tuple[str, ...]
    arguments: tuple[str, ...]
    batch_size: int
    train_batch_size: int | None
    mode: Mode
    optimizer: str | None
    metrics: tuple[str, ...]

    def request(self, parameters: Parameters, mode: Mode) -> ModelRequest:
        """The request for the model of a variant, as a pass of a mode runs it."""
        keywords = {name: value for name, value in parameters.items() if name not in SETTINGS}
        size = parameters.get(INPUT_SIZE)
        return model_request(
            self.model,
            {**self.kwargs, **keywords},
            tuple(map(parse_input_size, self.input_sizes if size is None else [size])),
            self._batch_size(parameters, mode),
            forward_arguments(map(parse_argument, self.arguments)),
        )

    def _batch_size(self, parameters: Parameters, mode: Mode) -> int:
        of_training = parameters.get(TRAIN_BATCH_SIZE, self.train_batch_size) if mode == "train" else None
        size: int = of_training or parameters.get(BATCH_SIZE, self.batch_size)
        return size

    @property
    def modes(self) -> dict[str, Mode]:
        """The mode of the trace from which each metric comes."""
        return {name: BUDGET_METRICS[name].mode or self.mode for name in self.metrics}
