"""Optimizers by name, brought to the state in which they are from their second step on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError, nearest
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.running import torch_internals
from inception_lab.running.bare_mode import BareMode
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
        function = optimizer.func if isinstance(optimizer, partial) else optimizer
        return NamedOptimizer(getattr(function, "__name__", type(function).__name__), optimizer)
    if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS:
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
        OptimizerError: It cannot be made, or cannot take a step (exit code 3).
    """
    trainable = [parameter for parameter in parameters.values() if parameter.requires_grad]
    if not trainable:
        return None
    try:
        with mode or nullcontext(), _WithoutArithmetic():  # type: ignore[no-untyped-call]
            optimizer = make_optimizer(maker, trainable)
            with stepping(optimizer):
                _take_first_step(optimizer, trainable)
    except InceptionLabError:
        raise
    except Exception as error:
        raise OptimizerError(maker.name, error) from error
    return optimizer


class OptimizerError(InceptionLabError):
    """An optimizer that cannot be made, or cannot take a step.

    Args:
        name: Of the optimizer.
        error: What it raised.

    Attributes:
        reason: What it raised, in one line.
        blames_meta: True where it asked a tensor without data for a number.
    """

    def __init__(self, name: str, error: Exception) -> None:
        line = (str(error).strip().splitlines() or [""])[0]
        self.reason = f"{type(error).__name__} in {name}: {line}"
        self.blames_meta = any(text in str(error) for text in _ASKS_FOR_DATA)
        super().__init__(
            f"cannot take a step: {type(error).__name__}: {line}", where=name, exit_code=MODEL_FAILED
        )


_ASKS_FOR_DATA = ("on meta tensors", "meta tensor", "_local_scalar_dense", "data-dependent")


def make_optimizer(maker: NamedOptimizer, trainable: Sequence[Tensor]) -> torch.optim.Optimizer:
    """Make an optimizer; its kernels are taken to know meta tensors, as they know those of a GPU.

    Raises:
        InceptionLabError: Its steps are not alike, so that none stands for all (exit code 3).
    """
    with _meta_has_all_kernels():
        optimizer = maker.make(trainable)
    if isinstance(optimizer, torch.optim.LBFGS):
        raise InceptionLabError(
            "how often a step runs the model, and what it keeps, depends on the numbers that come out",
            where=maker.name,
            hint="leave the optimizer out: the step then ends with the backward pass",
            exit_code=MODEL_FAILED,
        )
    return optimizer


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """True where a step is given a function that runs the model again.

    Example:
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> needs_closure(torch.optim.SGD([weight])), needs_closure(torch.optim.LBFGS([weight]))
        (False, True)
    """
    closure = signature(optimizer.step).parameters.get("closure")
    return closure is not None and closure.default is Parameter.empty


@contextmanager
def stepping(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """All that an optimizer needs to step without data: kernels on meta tensors, and numbers to scale by."""
    groups = optimizer.param_groups
    parameters = [parameter for group in groups for parameter in group["params"]]
    with ExitStack() as stack:
        if any(group.get("fused") or group.get("capturable") for group in groups):
            stack.enter_context(_meta_has_all_kernels())
        if isinstance(optimizer, _SCALE_BY_DATA) and not any(map(_has_data, parameters)):
            stack.enter_context(_NumbersAreOne())
        yield


_SCALE_BY_DATA = (torch.optim.Adafactor, torch.optim.ASGD)
"""Optimizers that read numbers from tensors and scale by them, but do the same whatever these are.

ASGD asks if its average has begun, which it has not in the first million steps, where the number is 1.
"""


def _has_data(tensor: Tensor) -> bool:
    return not tensor.is_meta and not isinstance(tensor, torch_internals.FakeTensor)


@contextmanager
def _meta_has_all_kernels() -> Iterator[None]:
    """Let optimizers take meta tensors for those of a device with fused kernels and captured graphs."""
    bindings, name = torch_internals.bindings, torch_internals.OPTIMIZER_DEVICE
    ask = getattr(bindings, name)
    setattr(bindings, name, lambda: "meta")
    try:
        yield
    finally:
        setattr(bindings, name, ask)


class _NumbersAreOne(BareMode):
    """Gives 1 for every number that is asked of a tensor without data."""

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, unless it asks for a number that is not there."""
        del types
        if func is torch.ops.aten._local_scalar_dense.default and not _has_data(args[0]):
            return 1.0 if args[0].is_floating_point() else 1
        return func(*args, **(kwargs or {}))


class _WithoutArithmetic(torch_internals.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Leaves out what only changes numbers that meta tensors do not have; its kernels take long."""

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, unless it works element by element on meta tensors."""
        del types
        if not all(tensor.is_meta for tensor in tensors_within(args[:1])):
            return func(*args, **(kwargs or {}))
        many = parse_operation_name(str(func)).base.startswith(("_foreach_", "_fused_"))
        if func._schema.is_mutable and (many or torch.Tag.pointwise in func.tags):
            return args[0] if func._schema.returns else None  # its shape and storage are what they were
        if func is torch.ops.aten.zeros_like.default and not (kwargs or {}).get("dtype"):
            return layout_of(args[0]).make()
        if func is torch.ops.aten._foreach_sqrt.default:
            return [layout_of(tensor).make() for tensor in args[0]]
        return func(*args, **(kwargs or {}))


def _take_first_step(optimizer: torch.optim.Optimizer, trainable: Sequence[Tensor]) -> None:
    """A step on all parameters at once where the optimizer can, which is faster and keeps the same.

    One whose step runs the model again finds the gradients that are there.
    """
    unset = [group for group in optimizer.param_groups if group.get("foreach", ...) is None]
    for group in unset:
        group["foreach"] = not group.get("fused")
    for parameter in trainable:
        parameter.grad = torch.zeros_like(parameter)
    # gradients are there: what a closure would compute is left out
    step: Callable[..., object] = optimizer.step
    step(*([lambda: torch.zeros(())] if needs_closure(optimizer) else []))
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
