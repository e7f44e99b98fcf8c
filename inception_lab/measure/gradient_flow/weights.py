"""Gradients of the weights, and what each term of the loss contributes to them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import nan, sqrt

import torch
from torch import Tensor

from inception_lab.measure.gradient_flow.activations import squared_norm


@dataclass
class WeightSums:
    """Squares that belong to one parameter; those of several add up.

    Attributes:
        weight: Squared norm of the parameter.
        gradient: Of the gradient by the whole loss.
        terms: Of the gradients by each term of the loss.
        along: Inner products of these with the gradient by the whole loss.
    """

    weight: float = 0.0
    gradient: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    along: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightGradients:
    """The gradients of all weights in one step.

    Attributes:
        sums: Of each parameter that takes a gradient, by its id.
        mismatch: Norm of the sum of the terms' gradients less that of the whole loss, over the norm of the
            latter: what rounding leaves; NaN where that is 0.
    """

    sums: Mapping[int, WeightSums]
    mismatch: float


Backward = Callable[[str], None]
"""Runs the backward pass of one term, of the whole loss for an empty name."""


def weight_gradients(
    parameters: Iterable[Tensor], terms: Iterable[str], backward: Backward
) -> WeightGradients:
    """Run the backward pass of a loss, then of each of its terms where it has several.

    Args:
        parameters: Of the model, without gradients; they have none afterwards.
        terms: Names of the terms.
        backward: Adds the gradients of a term to the parameters'.
    """
    trained = {id(p): p for p in parameters if p.requires_grad}
    names = list(terms)
    backward("")
    whole = _taken(trained)
    sums = {key: _sums(trained[key], gradient) for key, gradient in whole.items()}
    if len(names) == 1:
        for each in sums.values():
            each.terms[names[0]] = each.along[names[0]] = each.gradient
        return WeightGradients(sums, 0.0)
    rest = {key: gradient.clone() for key, gradient in whole.items() if gradient is not None}
    for name in names:
        backward(name)
        for key, gradient in _taken(trained).items():
            _add_term(sums[key], name, gradient, whole[key])
            if gradient is not None:
                rest[key] -= gradient
    difference = sum(float(squared_norm(gradient)) for gradient in rest.values())
    norm = sum(each.gradient for each in sums.values())
    return WeightGradients(sums, sqrt(difference / norm) if norm else nan)


def _taken(parameters: Mapping[int, Tensor]) -> dict[int, Tensor | None]:
    """The gradients of parameters, which have none any more; None where nothing came back."""
    gradients = {key: parameter.grad for key, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.grad = None
    return gradients


def _sums(parameter: Tensor, gradient: Tensor | None) -> WeightSums:
    return WeightSums(float(squared_norm(parameter)), _square(gradient))


def _square(gradient: Tensor | None) -> float:
    return 0.0 if gradient is None else float(squared_norm(gradient))


def _add_term(sums: WeightSums, name: str, gradient: Tensor | None, whole: Tensor | None) -> None:
    sums.terms[name] = _square(gradient)
    sums.along[name] = 0.0 if gradient is None or whole is None else _inner_product(gradient, whole)


def _inner_product(one: Tensor, other: Tensor) -> float:
    """The real inner product of two gradients, in double precision."""
    one, other = (_dense(each) for each in (one, other))
    return float(torch.dot(one.double(), other.double()))


def _dense(gradient: Tensor) -> Tensor:
    dense = gradient.to_dense() if gradient.is_sparse else gradient
    return (torch.view_as_real(dense) if dense.is_complex() else dense).detach().reshape(-1)
