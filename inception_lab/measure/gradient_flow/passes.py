"""One forward in train mode, and the backward pass of each term of its loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from inception_lab.measure.gradient_flow.activations import Activations
from inception_lab.measure.gradient_flow.loss_terms import LossTerms
from inception_lab.measure.gradient_flow.module_rows import module_rows
from inception_lab.measure.gradient_flow.weights import weight_gradients
from inception_lab.measure.real_runs import calls_reported
from inception_lab.running.step import Step


@dataclass(frozen=True)
class PassFigures:
    """The figures of one pass.

    Attributes:
        terms: Names of the loss's terms.
        losses: `loss`, each term, and `mismatch`, see `WeightGradients`.
        rows: A row per module, see `module_rows`.
    """

    terms: tuple[str, ...]
    losses: dict[str, float]
    rows: list[dict[str, Any]]


def measure_pass(step: Step, labels: Tensor, loss: LossTerms) -> PassFigures:
    """Run a prepared step's forward and a backward pass for each term of the loss.

    Args:
        step: Prepared for training, its gradients gone.
        labels: Of its samples.
        loss: Of its outputs.
    """
    activations = Activations()
    with calls_reported(step, activations), _hooks_taken_off(activations):
        with activations.watching():
            outputs = step.forward()
        terms = loss(outputs, labels)
        whole, last = sum_of(terms), [*terms][-1]

        def backward(name: str) -> None:
            activations.term = name
            value = terms[name] if name else whole
            if value.requires_grad:
                # the graph goes with the last pass over it
                value.backward(retain_graph=len(terms) > 1 and name != last)  # type: ignore[no-untyped-call]

        # those of after the forward, which may have put others in their place
        weights = weight_gradients(step.request.model.parameters(), terms, backward)
    losses = {**loss_columns(terms), "mismatch": weights.mismatch}
    rows = module_rows(step.model.modules, activations, weights.sums, list(terms))
    return PassFigures(tuple(terms), losses, rows)


@contextmanager
def _hooks_taken_off(activations: Activations) -> Iterator[None]:
    """Take the hooks off the tensors of a pass when it is over."""
    try:
        yield
    finally:
        activations.release()


def sum_of(terms: dict[str, Tensor]) -> Tensor:
    """The loss that a model is trained by."""
    first, *others = terms.values()
    for other in others:
        first = first + other
    return first


def loss_columns(terms: dict[str, Tensor]) -> dict[str, float]:
    """The value of a loss and of its terms."""
    values = {f"loss_{name}": float(term.detach()) for name, term in terms.items()}
    return {"loss": sum(values.values()), **values}
