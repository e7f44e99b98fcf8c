"""Optimizers by name, brought to the state in which they are from their second step on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError, nearest
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.running import torch_internals
from inception_lab.running.layouts import layout_of
from inception_lab.running.pytree import tensors_within

if TYPE_CHECKING:
    from torch._ops import OpOverload

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


def optimizer_of(optimizer: str | NamedOptimizer | MakeOptimizer, **options: Any) -> NamedOptimizer:
    """An optimizer by its name, or the user's own.

    Args:
        optimizer: A name from `OPTIMIZERS`, or a function that takes the parameters.
        **options: Of PyTorch's optimizer, such as `foreach=True`, which is its default on CUDA and
            holds the temporaries of all parameters at once.

    Raises:
        InceptionLabError: There is none of this name (exit code 2).
    """
    if isinstance(optimizer, NamedOptimizer):
        return optimizer
    if callable(optimizer):
        return NamedOptimizer(getattr(optimizer, "__name__", type(optimizer).__name__), optimizer)
    if optimizer not in OPTIMIZERS:
        raise InceptionLabError(f"no optimizer {optimizer!r}", hint=nearest(str(optimizer), OPTIMIZERS))
    return NamedOptimizer(optimizer, partial(OPTIMIZERS[optimizer], **options))


def steady(
    maker: NamedOptimizer,
    parameters: Mapping[str, Tensor],
    mode: AbstractContextManager[object] | None = None,
) -> torch.optim.Optimizer | None:
    """The optimizer after a first step, gradients gone; None where nothing is trained.

    Args:
        maker: Makes it.
        parameters: By path; stand-ins, as the step writes to them.
        mode: The mode in which they live, if any.

    Raises:
        InceptionLabError: It cannot be made, or cannot take a step (exit code 3).
    """
    trainable = [parameter for parameter in parameters.values() if parameter.requires_grad]
    if not trainable:
        return None
    try:
        with mode or nullcontext(), _WithoutArithmetic():  # type: ignore[no-untyped-call]
            optimizer = maker.make(trainable)
            _take_first_step(optimizer, trainable)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise InceptionLabError(
            f"cannot take a step: {type(error).__name__}: {reason}",
            where=maker.name,
            hint="its step must need no closure",
            exit_code=MODEL_FAILED,
        ) from error
    return optimizer


class _WithoutArithmetic(torch_internals.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Leaves out what only changes numbers that meta tensors do not have; its kernels take long."""

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, unless it works element by element on meta tensors."""
        del types
        if not all(tensor.is_meta for tensor in tensors_within(args[:1])):
            return func(*args, **(kwargs or {}))
        many = parse_operation_name(str(func)).base.startswith("_foreach_")
        if func._schema.is_mutable and (many or torch.Tag.pointwise in func.tags):
            return args[0] if func._schema.returns else None  # its shape and storage are what they were
        if func is torch.ops.aten.zeros_like.default and not (kwargs or {}).get("dtype"):
            return layout_of(args[0]).make()
        if func is torch.ops.aten._foreach_sqrt.default:
            return [layout_of(tensor).make() for tensor in args[0]]
        return func(*args, **(kwargs or {}))


def _take_first_step(optimizer: torch.optim.Optimizer, trainable: Sequence[Tensor]) -> None:
    """A step on all parameters at once where the optimizer can, which is faster and keeps the same."""
    unset = [group for group in optimizer.param_groups if group.get("foreach", ...) is None]
    for group in unset:
        group["foreach"] = not group.get("fused")
    for parameter in trainable:
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group in unset:
        group["foreach"] = None


def state_of(optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an optimizer's state, by path of the parameter and name: `conv.weight.exp_avg`."""
    paths = {id(parameter): path for path, parameter in parameters.items()}
    tensors: dict[str, Tensor] = {}
    states: Iterable[tuple[Tensor, dict[str, Any]]] = optimizer.state.items()
    for parameter, state in states:
        for name, value in state.items():
            for place, tensor in enumerate(tensors_within(value)):
                tensors[f"{paths.get(id(parameter), '')}.{name}{place or ''}"] = tensor
    return tensors
