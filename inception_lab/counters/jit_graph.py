"""A model in a form that torch's jit tracer can follow, on any device and with inputs of any structure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inception_lab.counters.counts import CannotRunError
from inception_lab.ir.structure import ROOT
from inception_lab.running import torch_internals
from inception_lab.running.inputs import Arguments
from inception_lab.running.pytree import tensors_within
from inception_lab.running.request import Request
from inception_lab.running.step import prepared
from inception_lab.running.threads import followed
from inception_lab.tracing.backends import Backend

if TYPE_CHECKING:
    from torch._ops import OpOverload

Sizes = int | list[int] | tuple[int, ...]


@contextmanager
def traceable(request: Request, backend: Backend) -> Iterator[tuple[nn.Module, tuple[Tensor, ...]]]:
    """Have a model that jit's tracer can follow, and the tensors that it takes, within a `with` block.

    Its weights are stand-ins, it takes and returns tensors alone, and every module's operations are in a
    scope of the graph that names the module.

    Args:
        request: The pass whose forward is followed; its model is left as it was found.
        backend: The backend that runs it.

    Raises:
        CannotRunError: Within the block, where the forward has another thread do a part of its work.
    """
    with (
        prepared(request, backend.placement) as step,
        torch.no_grad(),
        _restoring_hooks(step.model.modules.values()),
        _ReplaceConvolutions(),
        _RunConvolutions(),  # type: ignore[no-untyped-call]
        followed(_refuse_thread, step.model.gates.members),
    ):
        flat = _Flat(request.model, step.arguments)
        for path, module in step.model.modules.items():
            # on the instance, from which it goes when the model is put back; the class is the user's
            module.__dict__["forward"] = _in_scope(module.forward, f"{_Flat.NAME}.{path}".rstrip("."))
        yield flat, tuple(leaf for leaf in flat.leaves if isinstance(leaf, Tensor))


def _refuse_thread() -> NoReturn:
    raise CannotRunError("the tracer follows no work in other threads")


@contextmanager
def _restoring_hooks(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Take out the hooks that fvcore leaves behind where the model raises."""
    tables = [table for module in modules for table in (module._forward_pre_hooks, module._forward_hooks)]
    originals = [dict(table) for table in tables]
    try:
        yield
    finally:
        # the tables themselves stay: handles of the user's own hooks refer to them
        for table, original in zip(tables, originals, strict=True):
            table.clear()
            table.update(original)


class _Flat(nn.Module):
    """A model that takes a row of tensors and returns one.

    It holds the graph that is traced, and so the nodes in it, for as long as it lives itself.
    """

    NAME = "model"

    def __init__(self, model: nn.Module, inputs: Arguments) -> None:
        super().__init__()
        self.model = model
        self.leaves, self._tree = torch_internals.tree_flatten((inputs.args, inputs.kwargs))

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Put the tensors in their places in the arguments, and run the model."""
        remaining = iter(tensors)
        leaves = [next(remaining) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        args, kwargs = torch_internals.tree_unflatten(leaves, self._tree)
        # the graph is at hand only while it is traced
        self.graph = torch_internals.jit_tracing_state().graph
        outputs = self.model(*args, **kwargs)
        return tuple(tensors_within(list(outputs) if isinstance(outputs, Iterator) else outputs))


def _in_scope(forward: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The forward within a scope of the graph, which fvcore's hooks miss where it is called directly."""

    def forward_in_scope(*args: Any, **kwargs: Any) -> Any:
        graph = torch_internals.jit_tracing_state()
        if graph is None:  # a call in another thread, which is not traced
            return forward(*args, **kwargs)
        graph.push_scope(name)
        try:
            return forward(*args, **kwargs)
        finally:
            graph.pop_scope()

    return forward_in_scope


def layer_of(value: Any) -> str:
    """Return the layer in whose scope a value of the graph was made."""
    scope: str = value.node().scopeName().rpartition("/")[2]
    return scope.removeprefix(_Flat.NAME).removeprefix(".") or ROOT


class _ReplaceConvolutions(TorchFunctionMode):
    """Calls `_convolution` in the place of each convolution, as the tracer writes it down.

    On a device with data the others become `_convolution` by themselves; on meta a kernel of their own runs
    before that, and the tracer trips over the sizes of its output.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run a function, or its replacement."""
        del types
        return _REPLACEMENTS.get(func, func)(*args, **kwargs or {})


class _RunConvolutions(torch_internals.TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs `convolution` in the place of `_convolution`, below the tracer.

    The two differ in the choice of a kernel alone, but only the second runs on meta in PyTorch 2.11.
    """

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation."""
        if func is torch.ops.aten._convolution.default:
            return torch.ops.aten.convolution.default(*args[:9])
        return func(*args, **kwargs or {})


def _convolve(
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
        if not input.is_complex():  # the tracer writes down `_convolution_mode`, which runs on meta too
            return function(input, weight, bias, stride, padding, dilation, groups)
        # of complex numbers it would write down three of real ones
        input, padding = _padded(input, weight, padding, dilation), 0
    return _convolution(input, weight, bias, stride, padding, dilation, False, 0, groups)


def _padded(input: Tensor, weight: Tensor, padding: str, dilation: Sizes) -> Tensor:
    """The input with the zeros around it that `padding` stands for; the odd one goes behind."""
    if padding != "same":
        return input
    spans = [
        d * (k - 1) for d, k in zip(_per_axis(dilation, weight.dim() - 2), weight.shape[2:], strict=True)
    ]
    sides = [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
    return nn.functional.pad(input, sides)


def _convolve_transposed(
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
    is_single_image = x.dim() == axes + 1
    out: Tensor = torch_internals.convolution(
        x.unsqueeze(0) if is_single_image else x, weight, bias, stride, padding, dilation, transposed,
        output_padding, groups, False, False, True, True,
    )  # fmt: skip
    return out.squeeze(0) if is_single_image else out


def _per_axis(sizes: Sizes, axes: int) -> list[int]:
    size_list = list(sizes) if isinstance(sizes, (list, tuple)) else [sizes]
    return size_list * axes if len(size_list) == 1 else size_list


_REPLACEMENTS: dict[Any, Callable[..., Any]] = {
    **{f: partial(_convolve, f) for f in (torch.conv1d, torch.conv2d, torch.conv3d)},
    **dict.fromkeys(
        (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _convolve_transposed
    ),
}
