"""Meta tensors in place of a model's weights, and the model left exactly as it was found."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn

_memo: dict[int, tuple[ref[Tensor], Tensor]] = {}
_CONTAINERS = frozenset({dict, OrderedDict, list, set})


class Borrowed(NamedTuple):
    """A model that stands on meta tensors.

    Attributes:
        modules: Each module once, by path.
        parameters: Each parameter's stand-in once, by path.
        buffers: Each buffer's stand-in once, by path.
    """

    modules: dict[str, nn.Module]
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]


@contextmanager
def borrowed(model: nn.Module, training: bool) -> Iterator[Borrowed]:
    """Put meta tensors into a model and set its mode; take all of it back at the end.

    What is restored: parameters, buffers, training flags, hooks, every attribute of every module
    with the contents of its dictionaries, lists and sets, and the random state of torch, numpy and
    Python. Weights are neither copied nor moved.

    Args:
        model: Any module, on any device.
        training: The mode to put it into.
    """
    modules: dict[str, nn.Module] = {}
    _walk(model, "", modules, set())
    found = [_Snapshot(module) for module in modules.values()]
    random_state = random.getstate(), np.random.get_state(), torch.get_rng_state()
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}
    try:
        if any(module.training is not training for module in modules.values()):
            model.train(training)
        for path, module in modules.items():
            _stand_in(module._parameters, path, parameters)
            _stand_in(module._buffers, path, buffers)
        yield Borrowed(modules, _once(parameters), _once(buffers))
    finally:
        for snapshot in found:
            snapshot.restore()
        for parameter in parameters.values():
            parameter.grad = None
        random.setstate(random_state[0])
        np.random.set_state(random_state[1])
        torch.set_rng_state(random_state[2])


def _walk(module: nn.Module, path: str, found: dict[str, nn.Module], seen: set[nn.Module]) -> None:
    """Each module once, under its first path; `named_modules` at a third of its price."""
    seen.add(module)
    found[path] = module
    prefix = path + "." if path else ""
    for name, child in module._modules.items():
        if child is not None and child not in seen:
            _walk(child, prefix + name, found, seen)


class _Snapshot:
    """The attributes of one module, and what their containers hold."""

    __slots__ = ("attributes", "filled", "module")

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.attributes = module.__dict__.copy()
        self.filled = {id(x): x.copy() for x in self.attributes.values() if x.__class__ in _CONTAINERS and x}

    def restore(self) -> None:
        attributes = self.module.__dict__
        if attributes.keys() != self.attributes.keys():
            attributes.clear()
        attributes.update(self.attributes)
        for container in [x for x in attributes.values() if x.__class__ in _CONTAINERS and x]:
            container.clear()
            if id(container) in self.filled:
                _refill(container, self.filled.pop(id(container)))


def _refill(container: Any, content: Any) -> None:
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


def _stand_in(tensors: dict[str, Tensor | None], path: str, made: dict[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor is not None:
            tensors[name] = made[f"{path}.{name}" if path else name] = _twin(tensor)


def _twin(tensor: Tensor) -> Tensor:
    """A meta tensor like this one; the same one every time."""
    key = id(tensor)
    known = _memo.get(key)
    if known is not None and known[0]() is tensor and _alike(known[1], tensor):
        return known[1]
    twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if isinstance(tensor, nn.Parameter):
        twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
    _memo[key] = ref(tensor, lambda _: _memo.pop(key, None)), twin
    return twin


def _alike(twin: Tensor, tensor: Tensor) -> bool:
    return (
        twin.shape == tensor.shape
        and twin.dtype is tensor.dtype
        and twin.requires_grad is tensor.requires_grad
        and twin.stride() == tensor.stride()
    )


def _once(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its paths."""
    seen: set[int] = set()
    return {p: t for p, t in tensors.items() if not (id(t) in seen or seen.add(id(t)))}  # type: ignore[func-returns-value]
