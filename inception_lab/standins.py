"""Meta tensors in place of a model's weights, and the model left exactly as it was found."""

from __future__ import annotations

import random
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from inception_lab.errors import MODEL_FAILED, InceptionLabError

_twins: dict[int, _Twin] = {}
_TRUSTED = ("torch.nn.modules.", "inception_lab.models.")
_trusted: set[type[nn.Module]] = set()
_UPDATED = (dict, set)
_CONTAINERS = frozenset({dict, OrderedDict, defaultdict, Counter, list, deque, set})


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
    trusted = all(map(_keeps_nothing, modules.values()))
    found = [_Flag(m) if trusted else _Snapshot(m) for m in modules.values()]
    random_state = _RandomState(torch_alone=trusted)
    parameters: dict[str, Tensor] = {}
    buffers: dict[str, Tensor] = {}
    originals: list[tuple[dict[str, Any], str, Tensor]] = []
    try:
        for path, module in modules.items():
            _stand_in(module._parameters, path, parameters, originals)
            _stand_in(module._buffers, path, buffers, originals)
        _set_mode(model, modules.values(), training)
        yield Borrowed(modules, _once(parameters), _once(buffers))
    finally:
        for tensors, name, tensor in originals:
            tensors[name] = tensor
        for snapshot in found:
            snapshot.restore()
        for parameter in parameters.values():
            parameter.grad = None
        random_state.restore()


def _set_mode(model: nn.Module, modules: Collection[nn.Module], training: bool) -> None:
    """As `model.train(training)`, which has to be called only where a class overrides it."""
    if any(type(module).train is not nn.Module.train for module in modules):
        model.train(training)
    else:
        for module in modules:
            module.__dict__["training"] = training


def _walk(module: nn.Module, path: str, found: dict[str, nn.Module], seen: set[nn.Module]) -> None:
    """Each module once, under its first path; `named_modules` at a third of its price."""
    seen.add(module)
    found[path] = module
    prefix = path + "." if path else ""
    for name, child in module._modules.items():
        if child is not None and child not in seen:
            _walk(child, prefix + name, found, seen)


class _RandomState:
    """The state of the random generators that a forward may draw from."""

    def __init__(self, torch_alone: bool) -> None:
        self.torch = torch.get_rng_state()
        self.others = None if torch_alone else (random.getstate(), np.random.get_state())

    def restore(self) -> None:
        torch.set_rng_state(self.torch)
        if self.others is not None:
            random.setstate(self.others[0])
            np.random.set_state(self.others[1])


class _Flag:
    """What can change on a module whose forward keeps nothing: its mode, and the forward put before it."""

    __slots__ = ("attributes", "training")

    def __init__(self, module: nn.Module) -> None:
        self.attributes = module.__dict__
        self.training = module.training

    def restore(self) -> None:
        self.attributes["training"] = self.training
        self.attributes.pop("forward", None)


class _Snapshot:
    """The attributes of one module, and what their containers hold."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.attributes = module.__dict__.copy()
        self.contents = [(x, x.copy() if x else None) for x in _containers(module)]

    def restore(self) -> None:
        attributes = self.module.__dict__
        attributes.clear()
        attributes.update(self.attributes)
        for container, content in self.contents:
            if container:
                container.clear()
            if content is not None:
                (container.update if isinstance(container, _UPDATED) else container.extend)(content)


def _keeps_nothing(module: nn.Module) -> bool:
    """Whether a module runs PyTorch's code or this zoo's alone, which sets no attribute in a forward."""
    attributes = module.__dict__
    return (
        (type(module) in _trusted or _is_trusted(type(module)))
        and "forward" not in attributes
        and not (attributes["_forward_hooks"] or attributes["_forward_pre_hooks"])
    )


def _is_trusted(kind: type[nn.Module]) -> bool:
    """Whether a class is from there, with its forward and its `train`; such a class is remembered."""
    homes = kind.__module__, kind.forward.__module__
    trusted = all(home.startswith(_TRUSTED) for home in homes) and kind.train is nn.Module.train
    if trusted:
        _trusted.add(kind)
    return trusted


def _containers(module: nn.Module) -> Iterable[Any]:
    found: dict[int, Any] = {}
    _find_containers(module.__dict__.values(), found)
    return found.values()


def _find_containers(values: Iterable[Any], found: dict[int, Any]) -> None:
    for value in values:
        kind: type = value.__class__
        if kind in _CONTAINERS and id(value) not in found:
            found[id(value)] = value
            if value:
                _find_containers(value.values() if isinstance(value, dict) else value, found)


def _stand_in(
    tensors: dict[str, Any],
    path: str,
    made: dict[str, Tensor],
    originals: list[tuple[dict[str, Any], str, Tensor]],
) -> None:
    for name, tensor in tensors.items():
        if tensor is not None:
            originals.append((tensors, name, tensor))
            tensors[name] = made[f"{path}.{name}" if path else name] = _twin(tensor)


class _Twin(NamedTuple):
    """A meta tensor, and the tensor that it stands in for."""

    original: ref[Tensor]
    tensor: Tensor


def _twin(tensor: Tensor) -> Tensor:
    """A meta tensor like this one; the same one every time, unless one of the two has changed."""
    known = _twins.get(id(tensor))
    if known is not None and known.original() is tensor and _alike(known.tensor, tensor):
        return known.tensor
    return _new_twin(tensor)


def _alike(twin: Tensor, tensor: Tensor) -> bool:
    return (
        twin.shape == tensor.shape
        and twin.stride() == tensor.stride()
        and twin.dtype is tensor.dtype
        and twin.requires_grad is tensor.requires_grad
    )


def _new_twin(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        raise InceptionLabError(
            "a lazy layer has no shape yet", hint="run the model once on real input", exit_code=MODEL_FAILED
        )
    key = id(tensor)
    twin = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    if isinstance(tensor, nn.Parameter):
        twin = nn.Parameter(twin, requires_grad=tensor.requires_grad)
    _twins[key] = _Twin(ref(tensor, lambda _: _twins.pop(key, None)), twin)
    return twin


def _once(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its paths."""
    seen: set[int] = set()
    return {p: t for p, t in tensors.items() if not (id(t) in seen or seen.add(id(t)))}  # type: ignore[func-returns-value]
