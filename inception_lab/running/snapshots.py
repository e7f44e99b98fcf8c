"""The attributes of modules before a run, and all that is needed to put them back after it."""

from __future__ import annotations

import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any, Protocol

from torch import Tensor, nn

from inception_lab.running import torch_internals

_UPDATED = (dict, set)
_OTHERS_BUSINESS = {*sys.stdlib_module_names, "torch", "numpy"}
_CONTAINERS = frozenset({dict, OrderedDict, defaultdict, Counter, list, deque, set})
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_TRUSTED_HOMES = ("torch.nn.modules.", "inception_lab.models.")
_trusted_classes: set[type[nn.Module]] = set()


class Restorable(Protocol):
    """Something of a module or of the process as it was before a run."""

    def restore(self) -> None:
        """Put it back."""


class TrainingFlags:
    """The modes of modules whose forward keeps nothing; a forward put before their own goes with them."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self.flags = [(module.__dict__, module.training) for module in modules]

    def restore(self) -> None:
        """Put the modules back into their modes, with the forwards of their classes."""
        for attributes, training in self.flags:
            attributes["training"] = training
            attributes.pop("forward", None)


class Snapshot:
    """The attributes of one module, and what their containers hold."""

    def __init__(self, module: nn.Module) -> None:
        self.module, self.kind = module, type(module)
        self.attributes = module.__dict__.copy()
        self.contents = [(x, x.copy() if x else None) for x in containers_of(module)]

    def restore(self) -> None:
        """Put every attribute back, and the contents of every container."""
        if type(self.module) is not self.kind:  # a lazy layer that has become what it stands for
            self.module.__class__ = self.kind
        attributes = self.module.__dict__
        if list(attributes) != list(self.attributes):
            attributes.clear()  # else another thread may read what is not there for a moment
        attributes.update(self.attributes)
        for container, content in self.contents:
            if container:
                container.clear()
            if content is not None:
                (container.update if isinstance(container, _UPDATED) else container.extend)(content)


def are_trusted(modules: Iterable[nn.Module]) -> bool:
    """Tell if nothing but modes can change: no hooks, and code of PyTorch's or of the zoo alone."""
    return _no_global_hooks() and all(map(_keeps_nothing, modules))


def _keeps_nothing(module: nn.Module) -> bool:
    """Tell if a module runs code alone that sets no attribute in a forward."""
    attributes = module.__dict__
    return (
        (type(module) in _trusted_classes or _is_trusted(type(module)))
        and "forward" not in attributes
        and not any(map(attributes.get, _HOOKS))
    )


def _no_global_hooks() -> bool:
    return not (
        torch_internals.global_forward_hooks
        or torch_internals.global_forward_pre_hooks
        or torch_internals.global_backward_hooks
        or torch_internals.global_backward_pre_hooks
    )


def _is_trusted(kind: type[nn.Module]) -> bool:
    """Tell if a class is PyTorch's or the zoo's, with its forward and its `train`; remember such a class.

    Recurrent layers are not trusted: they hold their parameters in a list too.
    """
    trusted = (
        kind.__module__.startswith(_TRUSTED_HOMES)
        and kind.forward.__module__.startswith(_TRUSTED_HOMES)
        and kind.train is nn.Module.train
        and not issubclass(kind, nn.RNNBase)
    )
    if trusted:
        _trusted_classes.add(kind)
    return trusted


def containers_of(module: nn.Module) -> Iterable[Any]:
    """The containers in a module's attributes, and the attributes of the objects there."""
    containers: dict[int, Any] = {}
    _collect_containers(module.__dict__.values(), containers)
    return containers.values()


def _collect_containers(values: Iterable[Any], containers: dict[int, Any]) -> None:
    for value in values:
        kind: type = value.__class__
        container = value if kind in _CONTAINERS else _attributes_of(value)
        if container is not None and id(container) not in containers:
            containers[id(container)] = container
            if container:
                items = container.values() if isinstance(container, dict) else container
                _collect_containers(items, containers)
        elif kind is tuple:
            _collect_containers(value, containers)


def _attributes_of(value: Any) -> dict[str, Any] | None:
    """The attributes of an object such as a cache, which a forward may write to."""
    if isinstance(value, (nn.Module, Tensor, type)) or callable(value):
        return None
    home = str(value.__class__.__module__).partition(".")[0]
    if home in _OTHERS_BUSINESS and not isinstance(value, SimpleNamespace):
        return None
    attributes: dict[str, Any] | None = getattr(value, "__dict__", None)
    return attributes


def modules_in_attributes(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules in the plain attributes of modules and in the containers there."""
    unregistered: list[nn.Module] = []
    for module in modules:
        for container in (module.__dict__, *containers_of(module)):
            items: Sequence[Any] = [*(container.values() if isinstance(container, dict) else container)]
            if container is not module._modules:
                unregistered += [item for item in items if isinstance(item, nn.Module)]
    return unregistered
