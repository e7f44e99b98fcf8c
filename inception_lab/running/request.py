"""Request of a pass or training step: its model, inputs and options, checked as they come in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode
from inception_lab.running.ambiguity import refuse_ambiguous
from inception_lab.running.inputs import Inputs
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer, optimizer_of

Execution = Literal["eager", "compiled"]

AUTOCAST_DTYPES = (None, torch.bfloat16, torch.float16)


@dataclass(frozen=True, eq=False)
class Request:
    """A pass or step to be run.

    Attributes:
        model: Any module, on any device.
        inputs: Of the model's forward, see `inputs.arguments`.
        mode: `eval` for one inference pass, `train` for forward, loss and backward.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        optimizer: Ends a training step; None for a step that ends with the backward pass.
        autocast: The dtype in which autocast runs forward and loss, None without it.
        name: Name of the model; its class where none is given.
        execution: `eager` runs operation by operation, `compiled` what torch.compile makes of the model.
        fast_path: True where attention takes PyTorch's fast path in inference, unless the user has switched
            it off; else its modules run operation by operation.

    Raises:
        InceptionLabError: It is not a module, or one of the options is not known, or makes no sense beside
            another one, or a row of integers may be a shape or not.
    """

    model: nn.Module
    inputs: Inputs
    mode: Mode = "eval"
    loss: Loss | None = None
    optimizer: NamedOptimizer | None = None
    autocast: torch.dtype | None = None
    name: str = ""
    execution: Execution = "eager"
    fast_path: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise InceptionLabError(
                f"a {type(self.model).__name__} is not a torch.nn.Module", hint="pass a model"
            )
        if self.mode not in ("eval", "train"):
            raise InceptionLabError(f"unknown mode {self.mode!r}", hint="use 'eval' or 'train'")
        if self.autocast not in AUTOCAST_DTYPES:
            raise InceptionLabError(
                f"autocast to {self.autocast}", hint="use torch.bfloat16 or torch.float16"
            )
        if self.optimizer is not None and self.mode != "train":
            raise InceptionLabError("an optimizer takes no step in eval mode", hint="use mode='train'")
        if self.execution not in get_args(Execution):
            raise InceptionLabError(f"unknown execution {self.execution!r}", hint="use 'eager' or 'compiled'")
        refuse_ambiguous(self.model, self.inputs)
        object.__setattr__(self, "name", self.name or type(self.model).__name__)

    @property
    def training(self) -> bool:
        """True where it is a training step."""
        return self.mode == "train"


def request_of(
    model: nn.Module,
    inputs: Inputs,
    *,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    name: str = "",
    execution: Execution = "eager",
    fast_path: bool = False,
) -> Request:
    """A request with the optimizer by its name, or as the user's own function.

    Args:
        model: Any module.
        inputs: Of its forward.
        mode: See `Request`.
        loss: See `Request`.
        optimizer: `sgd`, `momentum`, `adam`, `adamw`, or a function that takes the parameters.
        autocast: See `Request`.
        name: See `Request`.
        execution: See `Request`.
        fast_path: See `Request`.

    Raises:
        InceptionLabError: See `Request`; or there is no optimizer of this name.
    """
    make = optimizer_of(optimizer) if optimizer is not None else None
    return Request(model, inputs, mode, loss, make, autocast, name, execution, fast_path)
