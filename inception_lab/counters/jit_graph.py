"""A model as torch's jit tracer can follow it, wherever its tensors are and whatever it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from inception_lab.ir.structure import ROOT
from inception_lab.running.inputs import Arguments, Inputs, arguments
from inception_lab.running.pytree import tensors_within
from inception_lab.running.substitution import borrowed
from inception_lab.tracing.backends import Ground
from inception_lab.tracing.tracer import floating_dtype, one_at_a_time, operation_by_operation

Sizes = int | list[int] | tuple[int, ...]


@contextmanager
def traceable(
    model: nn.Module, inputs: Inputs, training: bool, ground: Ground
) -> Iterator[tuple[nn.Module, tuple[Tensor, ...]]]:
    """A model that jit's tracer can follow, and the tensors that it takes, for the time of a `with`.

    It stands on stand-ins, takes and returns tensors alone, and every module's operations are in a scope
    of the graph that names the module.

    Args:
        model: Any module, on any device; it is left as it was found.
        inputs: What it is called with.
        training: The mode to put it into.
        ground: Where it runs.
    """
    with (
        one_at_a_time,
        torch.inference_mode(False),
        torch.no_grad(),
        borrowed(model, training, ground.stand_in) as loan,
        operation_by_operation(loan.modules),
        _hooks_put_back(loan.modules.values()),
        _ConvolutionsInSight(),
        _ConvolutionsAnswered(),  # type: ignore[no-untyped-call]
    ):
        torch.manual_seed(0)  # as for our trace, so that both draw the same numbers
        flat = _Flat(model, arguments(inputs, floating_dtype(loan), ground.likeness))
        for path, module in loan.modules.items():
            module.__dict__["forward"] = _scoped(module.forward, f"{_Flat.NAME}.{path}".rstrip("."))
        yield flat, tuple(leaf for leaf in flat.leaves if isinstance(leaf, Tensor))


@contextmanager
def _hooks_put_back(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Take out the hooks that fvcore leaves behind where the model raises."""
    hooks = [hooks for module in modules for hooks in (module._forward_pre_hooks, module._forward_hooks)]
    found = [dict(before) for before in hooks]
    try:
        yield
    finally:
        for after, before in zip(hooks, found, strict=True):
            after.clear()
            after.update(before)


class _Flat(nn.Module):
    """A model that takes a row of tensors and returns one.

    It holds the graph that is traced, and so the nodes in it, for as long as it lives itself.
    """

    NAME = "model"

    def __init__(self, model: nn.Module, called: Arguments) -> None:
        super().__init__()
        self.model = model
        self.leaves, self._tree = tree_flatten((called.args, called.kwargs))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Put the tensors in their places in the arguments, and run the model."""
        given = iter(tensors)
        leaves = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        args, kwargs = tree_unflatten(leaves, self._tree)
        self.graph = torch._C._get_tracing_state().graph
        outputs = self.model(*args, **kwargs)
        return tuple(tensors_within(list(outputs) if isinstance(outputs, Iterator) else outputs))


def _scoped(forward: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The forward in a scope of the graph, also where it is called directly and fvcore's hooks are not."""

    def scoped(*args: Any, **kwargs: Any) -> Any:
        graph = torch._C._get_tracing_state()
        graph.push_scope(name)
        try:
            return forward(*args, **kwargs)
        finally:
            graph.pop_scope()

    return scoped


def layer_of(value: Any) -> str:
    """The layer in whose scope a value of the graph was made."""
    scope: str = value.node().scopeName().rpartition("/")[2]
    return scope.removeprefix(_Flat.NAME).removeprefix(".") or ROOT


class _ConvolutionsInSight(TorchFunctionMode):
    """Calls each convolution by the operator that the tracer writes down.

    The tracer knows `_convolution` alone, which the others become on a device with data; on meta they
    are answered before, and the tracer trips over the sizes in their answer.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function, or what stands for it."""
        del types
        return _INSTEAD.get(func, func)(*args, **kwargs or {})


class _ConvolutionsAnswered(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Answers `_convolution` by `convolution`, below the tracer.

    The two differ in the choice of a kernel alone, but only the second runs on meta in PyTorch 2.11.
    """

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation."""
        if func is torch.ops.aten._convolution.default:
            return torch.ops.aten.convolution.default(*args[:9])
        return func(*args, **kwargs or {})


def _convolved(
    function: Callable[..., Tensor],
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):
        return function(input, weight, bias, stride, padding, dilation, groups)
    return _convolution(input, weight, bias, stride, padding, dilation, False, 0, groups)


def _transposed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    groups: int = 1,
    dilation: Sizes = 1,
) -> Tensor:
    return _convolution(input, weight, bias, stride, padding, dilation, True, output_padding, groups)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sizes,
    padding: Sizes,
    dilation: Sizes,
    transposed: bool,
    output_padding: Sizes,
    groups: int,
) -> Tensor:
    axes = weight.dim() - 2
    stride, padding, dilation, output_padding = (
        _per_axis(sizes, axes) for sizes in (stride, padding, dilation, output_padding)
    )
    alone = x.dim() == axes + 1
    out = torch._convolution(
        x.unsqueeze(0) if alone else x, weight, bias, stride, padding, dilation, transposed,
        output_padding, groups, False, False, True, True,
    )  # fmt: skip
    return out.squeeze(0) if alone else out


def _per_axis(sizes: Sizes, axes: int) -> list[int]:
    several = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    return several * axes if len(several) == 1 else several


_INSTEAD: dict[Any, Callable[..., Any]] = {
    **{f: partial(_convolved, f) for f in (torch.conv1d, torch.conv2d, torch.conv3d)},
    **dict.fromkeys((torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed),
}
