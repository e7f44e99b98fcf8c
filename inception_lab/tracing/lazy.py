"""Lazy layers: a pass ahead of the trace tells the shapes of what stands in for their parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.parameter import is_lazy

from inception_lab.errors import MODEL_FAILED, InputRefused
from inception_lab.running.bare_mode import BareMode
from inception_lab.running.request import Request
from inception_lab.running.stand_ins import StandIn, like_original
from inception_lab.running.step import prepared
from inception_lab.running.substitution import modules_by_path
from inception_lab.tracing.backends import CPU, META, Backend
from inception_lab.tracing.recorder import Adapt

if TYPE_CHECKING:
    from torch._ops import OpOverload


class LazyLayers(NamedTuple):
    """What a forward makes of lazy layers.

    Attributes:
        shapes: Of their parameters and buffers, by the identity of these.
        attributes: What each module then knows of its size, such as `num_features`, by path.
    """

    shapes: Mapping[int, torch.Size]
    attributes: Mapping[str, Mapping[str, int]]

    def on(self, backend: Backend) -> Backend:
        """The backend with stand-ins of these shapes."""
        placement = backend.placement

        def weight(tensor: Tensor) -> Tensor:
            shape = self.shapes.get(id(tensor))
            if shape is None:
                return placement.weight(tensor)
            example = torch.empty(shape, dtype=tensor.dtype, device="meta")
            return like_original(placement.example(example), tensor)

        return backend._replace(placement=placement._replace(weight=weight)) if self.shapes else backend

    def tell(self, modules: Mapping[str, nn.Module]) -> None:
        """Tell the modules of a model their sizes; a snapshot takes them out again."""
        for path, attributes in self.attributes.items():
            modules[path].__dict__.update(attributes)


_NONE = LazyLayers({}, {})


def lazy_layers(request: Request) -> LazyLayers:
    """The lazy layers of a model, after a pass over the request's input.

    Raises:
        InputRefused: The model raised in that pass (exit code 3).
    """
    modules = modules_by_path(request.model).values()
    if not any(isinstance(module, LazyModuleMixin) for module in modules):
        return _NONE
    try:
        return _after_a_pass(META, request)
    except Exception:  # what the pass does may depend on data
        try:
            return _after_a_pass(CPU, request)
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise InputRefused(
                f"cannot give lazy layers their shapes: {type(error).__name__}: {line}",
                where=request.name,
                exit_code=MODEL_FAILED,
            ) from error


def _after_a_pass(backend: Backend, request: Request) -> LazyLayers:
    placement, pairs = backend.placement, _Pairs(backend.placement.weight)
    with (
        prepared(replace(request, optimizer=None), placement._replace(weight=pairs.stand_in)) as step,
        placement.mode,
        torch.no_grad(),
        _Adapting(backend.adapt),
    ):
        modules = step.model.modules
        lazy = {path: module for path, module in modules.items() if isinstance(module, LazyModuleMixin)}
        before = {path: _sizes(module) for path, module in lazy.items()}
        step.request.model(*step.arguments.args, **step.arguments.kwargs)
        changes = {path: dict(_sizes(lazy[path]).items() - sizes.items()) for path, sizes in before.items()}
        return LazyLayers(pairs.shapes(), changes)


def _sizes(module: nn.Module) -> dict[str, int]:
    return {name: value for name, value in module.__dict__.items() if type(value) is int}


class _Pairs:
    """Lazy tensors, and those that stand in for them until the pass gives them a shape.

    Args:
        weight: Makes what stands in for any other tensor.
    """

    def __init__(self, weight: StandIn) -> None:
        self._weight, self._device = weight, weight(torch.empty(0)).device
        self._pairs: list[tuple[Tensor, Tensor]] = []

    def stand_in(self, tensor: Tensor) -> Tensor:
        """Make what stands in for a tensor; a lazy one for a lazy one."""
        if not is_lazy(tensor):
            return self._weight(tensor)
        kind: Any = type(tensor)
        twin: Tensor = kind(tensor.requires_grad, device=self._device, dtype=tensor.dtype)
        self._pairs.append((tensor, twin))
        return twin

    def shapes(self) -> dict[int, torch.Size]:
        """The shapes of those that have one, by the identity of what they stand in for."""
        return {id(tensor): twin.shape for tensor, twin in self._pairs if not is_lazy(twin)}


class _Adapting(BareMode):
    """Changes the arguments of operations as a backend needs it."""

    def __init__(self, adapt: Adapt) -> None:
        super().__init__()
        self._adapt = adapt

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation."""
        del types
        if func.namespace == "prim":
            return func(*args, **(kwargs or {}))
        adapted = self._adapt(func, args, kwargs or {})
        out = func(*adapted.args, **adapted.kwargs)
        return adapted.originals.get(id(out), out)
