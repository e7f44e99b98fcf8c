"""Models that begin from the same weights, as far as they have the same layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from inception_lab.arguments import checked


@checked
def share_weights(
    build: Callable[[], nn.Module], reference: Callable[[], nn.Module]
) -> Callable[[], nn.Module]:
    """Return a function that builds a model with the weights of another one where both have the same.

    Under one seed two models draw other weights as soon as one has a layer more. With this they begin alike:
    every parameter and buffer of the same path and shape is copied.

    Args:
        build: Builds the model.
        reference: Builds the other one; from the same random numbers on as the model.

    Example:
        >>> plain = lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
        >>> wider = share_weights(lambda: nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 9)), plain)
        >>> _ = torch.manual_seed(0)
        >>> first = plain()
        >>> _ = torch.manual_seed(0)
        >>> torch.equal(wider()[0].weight, first[0].weight)
        True
    """

    def build_alike() -> nn.Module:
        with torch.random.fork_rng([]):
            weights = reference().state_dict()
        model = build()
        own = model.state_dict()
        shared = {name: weights[name] for name in own if _are_alike(own[name], weights.get(name))}
        model.load_state_dict(shared, strict=False)
        return model

    return build_alike


def _are_alike(own: Any, other: Any) -> bool:
    if not (isinstance(own, Tensor) and isinstance(other, Tensor)):
        return False
    return own.shape == other.shape and own.dtype == other.dtype
