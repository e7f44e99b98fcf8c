"""Optimizers by name, brought to the state in which they are from their second step on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from inception_lab.errors import InceptionLabError, nearest

MakeOptimizer = Callable[[Iterable[Tensor]], torch.optim.Optimizer]


class NamedOptimizer(NamedTuple):
    """A way to make an optimizer.

    Attributes:
        name: What it is called.
        make: Makes it from the parameters.
    """

    name: str
    make: MakeOptimizer


OPTIMIZERS: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": partial(torch.optim.SGD, lr=1e-3),
    "momentum": partial(torch.optim.SGD, lr=1e-3, momentum=0.9),
    "adam": partial(torch.optim.Adam, lr=1e-3),
    "adamw": partial(torch.optim.AdamW, lr=1e-3),
}
"""Optimizers with PyTorch's own defaults."""


def optimizer_of(given: str | NamedOptimizer | MakeOptimizer, **options: Any) -> NamedOptimizer:
    """An optimizer by its name, or the user's own.

    Args:
        given: A name from `OPTIMIZERS`, or a function that takes the parameters.
        **options: Of PyTorch's optimizer, such as `foreach=True`, which is its default on CUDA and
            holds the temporaries of all parameters at once.

    Raises:
        InceptionLabError: There is none of this name (exit code 2).
    """
    if isinstance(given, NamedOptimizer):
        return given
    if callable(given):
        return NamedOptimizer(getattr(given, "__name__", type(given).__name__), given)
    if given not in OPTIMIZERS:
        raise InceptionLabError(f"no optimizer {given!r}", hint=nearest(str(given), OPTIMIZERS))
    return NamedOptimizer(given, partial(OPTIMIZERS[given], **options))


def steady(optimizer: NamedOptimizer, parameters: Mapping[str, Tensor]) -> torch.optim.Optimizer | None:
    """The optimizer after a first step, gradients gone; None where nothing is trained.

    Args:
        optimizer: How to make it.
        parameters: By path; stand-ins, as the step writes to them.
    """
    trained = [parameter for parameter in parameters.values() if parameter.requires_grad]
    if not trained:
        return None
    made = optimizer.make(trained)
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    made.step()
    made.zero_grad(set_to_none=True)
    return made


def state_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What an optimizer keeps, as path of the parameter and name: `conv.weight.exp_avg`."""
    paths = {id(parameter): path for path, parameter in parameters.items()}
    found: dict[str, Tensor] = {}
    for parameter, kept in optimizer.state.items():
        entries: dict[str, Any] = kept
        for name, value in entries.items():
            if isinstance(value, Tensor):
                found[f"{paths.get(id(parameter), '')}.{name}"] = value
    return found
