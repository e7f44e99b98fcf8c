"""The terms that a loss is made of, one for each classifier: the main one's and the auxiliary heads'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from inception_lab.errors import USAGE, InceptionLabError
from inception_lab.running.losses import (
    HEAD_WEIGHT,
    MAIN,
    are_class_scores,
    heads_of,
    sum_of_floating,
)

Losses = Callable[[Any], Tensor | Mapping[str, Tensor]]
"""A function of a model's outputs: a scalar, or several by name, whose sum is the loss."""

SUM, OWN = "sum", "loss"
"""The names of the one term where a model gives no class scores, and where the user's loss is one scalar."""


@dataclass(frozen=True)
class LossTerms:
    """The terms of the loss of a model's outputs.

    By default the cross-entropy of each classifier, the auxiliary heads' at a weight; of outputs that are no
    scores of two classes or more the sum.

    Attributes:
        head_weight: Weight of the auxiliary heads' losses.
        own: The user's own function, in place of these.
        classes: Names of the classes of the samples; empty where the samples are made, whose labels are
            taken modulo the classes that a model tells apart.

    Raises:
        InceptionLabError: The weight is not a finite number of 0 or more (exit code 2).
    """

    head_weight: float = HEAD_WEIGHT
    own: Losses | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isfinite(self.head_weight) or self.head_weight < 0:
            raise InceptionLabError(
                f"a weight of {self.head_weight} for heads", hint="use head_weight=0.3", exit_code=USAGE
            )

    def __call__(self, outputs: Any, labels: Tensor) -> dict[str, Tensor]:
        """Return the terms by name; the loss is their sum.

        Args:
            outputs: What a model returned.
            labels: Of the samples, on the device of the outputs.

        Raises:
            InceptionLabError: A term is not a scalar, there is none, or the samples have more classes than
                the model tells apart (exit code 2).

        Example:
            >>> import torch
            >>> logits = torch.tensor([[0.0, 0.0]])
            >>> {name: round(term.item(), 3) for name, term in LossTerms()(logits, torch.tensor([1])).items()}
            {'main': 0.693}
        """
        if self.own is not None:
            return _checked(self.own(outputs))
        heads = heads_of(outputs)
        if not _are_of(heads, labels):
            return {SUM: sum_of_floating(outputs)}
        return {name: self._of_head(name, logits, labels) for name, logits in heads.items()}

    def facts(self, terms: Iterable[str]) -> dict[str, Any]:
        """Return the name of the loss, and the weight of its heads where it has some.

        Args:
            terms: Names of its terms.
        """
        names = list(terms)
        if self.own is not None:
            return {"loss": getattr(self.own, "__name__", type(self.own).__name__)}
        weight = {"head_weight": self.head_weight} if len(names) > 1 else {}
        return {"loss": "sum" if names == [SUM] else "cross_entropy", **weight}

    def accuracy(self, outputs: Any, labels: Tensor) -> dict[str, float]:
        """Return the `accuracy` of the classifier in percent; nothing where a model gives no class scores."""
        heads = heads_of(outputs)
        if self.own is not None or not _are_of(heads, labels):
            return {}
        hits = heads[MAIN].argmax(1) == self._labels(heads[MAIN].shape[1], labels)
        return {"accuracy": 100 * float(hits.double().mean())}

    def _of_head(self, name: str, logits: Tensor, labels: Tensor) -> Tensor:
        loss = F.cross_entropy(logits, self._labels(logits.shape[1], labels))
        return loss if name == MAIN else self.head_weight * loss

    def _labels(self, count: int, labels: Tensor) -> Tensor:
        """The labels of samples for a model that tells so many classes apart."""
        if len(self.classes) > count:
            raise InceptionLabError(
                f"samples of {len(self.classes)} classes for a model of {count}",
                hint=f"build it with num_classes={len(self.classes)}",
                exit_code=USAGE,
            )
        return labels % count


def _are_of(heads: Mapping[str, Any], labels: Tensor) -> bool:
    """True where all heads give scores of two classes or more, of the samples that have these labels."""
    if not are_class_scores(heads):
        return False
    # of one class the cross-entropy is 0 whatever the score, and so is every gradient
    return all(len(logits) == len(labels) and logits.shape[1] > 1 for logits in heads.values())


def _checked(value: Any) -> dict[str, Tensor]:
    """The terms by name that a user's own loss gave."""
    terms = dict(value) if isinstance(value, Mapping) else {OWN: value}
    for name, term in terms.items():
        if not isinstance(name, str) or not name:
            raise InceptionLabError(f"the loss has a term named {name!r}", hint="name each by text")
        if not isinstance(term, Tensor) or term.dim():
            kind = f"shape {tuple(term.shape)}" if isinstance(term, Tensor) else f"a {type(term).__name__}"
            raise InceptionLabError(f"the loss {name} gave {kind}", hint="return scalar tensors")
    if not terms:
        raise InceptionLabError("the loss gave no term", hint="return a scalar tensor, or several by name")
    return terms
