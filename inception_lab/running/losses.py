"""The loss that is differentiated where the user names none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from inception_lab.errors import InceptionLabError
from inception_lab.running.pytree import tensors_within

Loss = Callable[[Any], Tensor]
HEAD_WEIGHT = 0.3
"""Weight of an auxiliary head's loss (1409.4842 section 5)."""


MAIN = "main"
"""The name of the loss on a model's logits, beside those of its auxiliary heads."""


def default_loss(outputs: Any) -> tuple[str, Loss]:
    """Name and function of the loss that fits a model's outputs.

    The cross-entropy where the model returns one floating tensor of N x C, the auxiliary heads of a
    named tuple (`logits`, then fields that begin with `aux`) at 0.3 each; else the sum of all floating
    outputs.

    Args:
        outputs: What the model returned.
    """
    if are_class_scores(heads_of(outputs)):
        return "cross_entropy", lambda outputs: _cross_entropy([*heads_of(outputs).values()])
    return "sum", sum_of_floating


def heads_of(outputs: Any) -> dict[str, Any]:
    """The logits of a model by the name of their loss, then those of its auxiliary heads where it has some.

    Args:
        outputs: What the model returned; of a named tuple with `logits` the fields that begin with `aux` are
            heads: `aux_logits2` is `aux2`, and of a row of them the first is `aux1`.

    Example:
        >>> from collections import namedtuple
        >>> outputs = namedtuple("Outputs", "logits aux_logits")
        >>> heads_of(outputs("a", ("b", "c"))), heads_of("a")
        ({'main': 'a', 'aux1': 'b', 'aux2': 'c'}, {'main': 'a'})
    """
    if not hasattr(outputs, "_fields") or "logits" not in outputs._fields:
        return {MAIN: outputs}
    heads = {MAIN: outputs.logits}
    for field in outputs._fields:
        if field.startswith("aux"):
            heads |= _named(field.replace("_logits", ""), getattr(outputs, field))
    return {name: head for name, head in heads.items() if head is not None}


def _named(name: str, value: Any) -> dict[str, Any]:
    """A head by its name, those of a row by their numbers too."""
    is_row = isinstance(value, (list, tuple))
    return {f"{name}{number}": head for number, head in enumerate(value, 1)} if is_row else {name: value}


def are_class_scores(heads: Mapping[str, Any]) -> bool:
    """True where all heads give a floating tensor of N x C."""
    return all(isinstance(x, Tensor) and x.dim() == 2 and x.is_floating_point() for x in heads.values())


def _cross_entropy(heads: Sequence[Tensor]) -> Tensor:
    target = torch.zeros(heads[0].shape[0], dtype=torch.int64, device=heads[0].device)
    main, *auxiliary = [F.cross_entropy(logits, target) for logits in heads]
    for value in auxiliary:
        main = main + HEAD_WEIGHT * value
    return main


def sum_of_floating(outputs: Any) -> Tensor:
    """The sum of all floating outputs of a model, of complex ones of their absolute values.

    Raises:
        InceptionLabError: It has none.
    """
    floating = [x for x in tensors_within(outputs) if x.is_floating_point() or x.is_complex()]
    if not floating:
        raise InceptionLabError("the model returned no floating tensor", hint="pass loss=")
    sums = [x.abs().sum() if x.is_complex() else x.sum() for x in floating]
    return torch.stack(sums).sum() if len(sums) > 1 else sums[0]
