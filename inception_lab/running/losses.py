"""The loss that is differentiated where the user names none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inception_lab.errors import InceptionLabError
from inception_lab.running.pytree import tensors_within

Loss = Callable[[Any], Tensor]
HEAD_WEIGHT = 0.3
"""Weight of an auxiliary head's loss (1409.4842 section 5)."""


def default_loss(outputs: Any) -> tuple[str, Loss]:
    """Name and function of the loss that fits a model's outputs.

    The cross-entropy where the model returns one floating tensor of N x C, the auxiliary heads of a
    named tuple (`logits`, then fields that begin with `aux`) at 0.3 each; else the sum of all floating
    outputs.

    Args:
        outputs: What the model returned.
    """
    heads = _heads(outputs)
    if all(isinstance(x, Tensor) and x.dim() == 2 and x.is_floating_point() for x in heads):
        return "cross_entropy", lambda outputs: _cross_entropy(_heads(outputs))
    return "sum", _sum_of_floating


def _heads(outputs: Any) -> list[Any]:
    """The logits, then those of the auxiliary heads where a named tuple has some."""
    if not hasattr(outputs, "_fields") or "logits" not in outputs._fields:
        return [outputs]
    heads = [getattr(outputs, field) for field in outputs._fields if field.startswith("aux")]
    flat = [x for head in heads for x in (head if isinstance(head, (list, tuple)) else [head])]
    return [outputs.logits, *(x for x in flat if x is not None)]


def _cross_entropy(heads: Sequence[Tensor]) -> Tensor:
    target = torch.zeros(heads[0].shape[0], dtype=torch.int64, device=heads[0].device)
    main, *auxiliary = [F.cross_entropy(logits, target) for logits in heads]
    for value in auxiliary:
        main = main + HEAD_WEIGHT * value
    return main


def _sum_of_floating(outputs: Any) -> Tensor:
    floating = [x for x in tensors_within(outputs) if x.is_floating_point() or x.is_complex()]
    if not floating:
        raise InceptionLabError("the model returned no floating tensor", hint="pass loss=")
    sums = [x.abs().sum() if x.is_complex() else x.sum() for x in floating]
    return torch.stack(sums).sum() if len(sums) > 1 else sums[0]
