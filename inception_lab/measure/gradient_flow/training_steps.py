"""The steps of a short training run, one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import torch
from torch import Tensor, nn

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.ir.structure import ROOT
from inception_lab.measure.gradient_flow.activations import squared_norm
from inception_lab.measure.gradient_flow.loss_terms import LossTerms
from inception_lab.measure.gradient_flow.module_rows import in_order_of_calls
from inception_lab.measure.gradient_flow.passes import loss_columns, sum_of
from inception_lab.measure.gradient_flow.seeded_steps import SeededSteps
from inception_lab.measure.real_runs import CalledModules, calls_reported
from inception_lab.record import Row
from inception_lab.running.step import Step


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent with momentum.

    Attributes:
        learning_rate: Finite and above 0.
        momentum: From 0 to below 1.

    Raises:
        InceptionLabError: One is out of range (exit code 2).
    """

    learning_rate: float
    momentum: float

    def __post_init__(self) -> None:
        if not isfinite(self.learning_rate) or self.learning_rate <= 0:
            raise InceptionLabError(
                f"a learning rate of {self.learning_rate}", hint="use 0.01", exit_code=USAGE
            )
        if not 0 <= self.momentum < 1:
            raise InceptionLabError(f"a momentum of {self.momentum}", hint="use 0.9", exit_code=USAGE)

    def of(self, parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of parameters."""
        return torch.optim.SGD(parameters, self.learning_rate, self.momentum)


class TrainingSteps:
    """The training of a model for each seed, and the rows of the steps that are done.

    Args:
        prepared_steps: A prepared step for each seed.
        loss: Of its outputs.
        optimizer: Of its weights.

    Attributes:
        loss: As it was given.
        context: Facts about the run; empty before the first step, as all that follows.
        terms: Names of the loss's terms.
        losses: A row per step.
        gradients: A row per step and module.
    """

    def __init__(self, prepared_steps: SeededSteps, loss: LossTerms, optimizer: SGD) -> None:
        self._steps, self.loss, self._optimizer = prepared_steps, loss, optimizer
        self.context: Mapping[str, Any] = {}
        self.terms: tuple[str, ...] = ()
        self.losses: list[Row] = []
        self.gradients: list[Row] = []

    def run(self, seeds: int, count: int) -> Generator[None]:
        """Run the steps, one at each turn."""
        for seed in range(seeds):
            with self._steps.prepared(seed, keeps_state=True) as (step, batches):
                optimizer = self._optimizer.of(_trained(step))
                for number in range(count):
                    labels = next(batches)
                    self._take(step, labels, optimizer, {"seed": seed, "step": number})
                    yield

    def _take(self, step: Step, labels: Tensor, optimizer: torch.optim.Optimizer, run: Row) -> None:
        self.context = self.context or self._steps.context(step)
        calls = CalledModules()
        with calls_reported(step, calls):
            outputs = step.forward()
        terms = self.loss(outputs, labels)
        self.terms = tuple(terms)
        whole = sum_of(terms)
        if not whole.requires_grad:
            raise InceptionLabError(
                "the loss depends on no parameter", where=step.request.name, hint="pass loss="
            )
        whole.backward()  # type: ignore[no-untyped-call]
        gradients = [{**run, **row} for row in _gradient_rows(step, calls.paths)]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses = {**run, **loss_columns(terms), **self.loss.accuracy(outputs, labels)}
        self.gradients += gradients
        self.losses.append(losses)


def _trained(step: Step) -> list[nn.Parameter]:
    """The parameters that take a gradient.

    Raises:
        InceptionLabError: There is none (exit code 2).
    """
    trained: list[Any] = [p for p in step.model.parameters.values() if p.requires_grad]
    if not trained:
        raise InceptionLabError(
            "no parameter takes a gradient", where=step.request.name, hint="unfreeze one", exit_code=USAGE
        )
    return trained


def _gradient_rows(step: Step, called: Iterable[str]) -> Iterator[Row]:
    """The norms of the gradients and weights of the model and of its children, in the order of calls."""
    squares = {
        id(p): (float(squared_norm(p.grad)) if p.grad is not None else 0.0, float(squared_norm(p)))
        for p in _trained(step)
    }
    for path in in_order_of_calls(step.model.modules, called):
        module = step.model.modules[path]
        own = [squares[key] for key in dict.fromkeys(map(id, module.parameters())) if key in squares]
        if own and "." not in path:
            gradient, weight = (sqrt(sum(parts)) for parts in zip(*own, strict=True))
            yield {"module": path or ROOT, "weight_gradient": gradient, "weight_norm": weight}
