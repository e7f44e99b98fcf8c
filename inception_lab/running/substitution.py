"""Other tensors in place of a model's weights, and the model left exactly as it was found."""

from __future__ import annotations

import random
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple
from weakref import ref

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from inception_lab.errors import MODEL_FAILED, InceptionLabError

StandIn = Callable[[Tensor], Tensor]

_twins: dict[int, _Twin] = {}
_TRUSTED = ("torch.nn.modules.", "inception_lab.models.")
_trusted: set[type[nn.Module]] = set()
_UPDATED = (dict, set)
_OTHERS_BUSINESS = {*sys.stdlib_module_names, "torch", "numpy"}
_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_CONTAINERS = frozenset({dict, OrderedDict, defaultdict, Counter, list, deque, set})


class Borrowed(NamedTuple):
    """A model that stands on other tensors than its own.

    Attributes:
        modules: Each module once, by path.
        parameters: Each parameter's stand-in once, by path.
        buffers: Each buffer's stand-in once, by path.
    """

    modules: dict[str, nn.Module]
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]


@contextmanager
def borrowed(
    model: nn.Module, training: bool, stand_in: StandIn, others: Sequence[nn.Module] = ()
) -> Iterator[Borrowed]:
    """Put stand-ins into a model and set its mode; take all of it back at the end.

    What is restored: parameters, buffers, training flags, hooks, every attribute of every module
    with the contents of its containers and of the objects in it, and the random state of torch, numpy
    and Python. Modules that the model keeps unregistered, as in a list, are lent with it. What is not:
    arrays and random generators of its own, and whatever only a function or a Python module holds.

    Args:
        model: Any module, on any device.
        training: The mode to put it into.
        stand_in: Makes what stands in for a parameter or buffer, see `twin` and `duplicate`.
        others: Modules that run with it, such as a loss.

    Raises:
        InceptionLabError: A parameter has no shape yet, or the module is scripted (exit code 3).
    """
    modules: dict[str, nn.Module] = {}
    _walk(model, "", modules, set())
    _refuse_scripted(modules)
    trusted = not others and _no_global_hooks() and all(map(_keeps_nothing, modules.values()))
    strangers = [] if trusted else _unregistered(modules.values(), others)
    found = [_Flag(m) if trusted else _Snapshot(m) for m in (*modules.values(), *strangers)]
    random_state = _RandomState(torch_alone=trusted)
    loan = _Loan(stand_in)
    try:
        for path, module in modules.items():
            loan.replace(module._parameters, path, loan.parameters)
            loan.replace(module._buffers, path, loan.buffers)
        for stranger in strangers:
            loan.replace(stranger._parameters, "", loan.others)
            loan.replace(stranger._buffers, "", loan.others)
        if not trusted:
            for module in (*modules.values(), *strangers):
                loan.replace_elsewhere(module)
        _set_mode(model, modules.values(), training)
        yield Borrowed(modules, _once(loan.parameters), _once(loan.buffers))
    finally:
        for tensors, name, tensor in loan.originals:
            tensors[name] = tensor
        for snapshot in found:
            snapshot.restore()
        for made in loan.made():
            made.grad = None
        random_state.restore()


class _Loan:
    """What stands in for which tensor, and where the originals belong."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self.others: dict[str, Tensor] = {}
        self.originals: list[tuple[dict[str, Any], str, Tensor]] = []
        self._known: dict[int, Tensor] = {}

    def replace(self, tensors: dict[str, Any], path: str, made: dict[str, Tensor]) -> None:
        """Put stand-ins in the place of a module's own parameters or buffers."""
        for name, tensor in tensors.items():
            if tensor is not None:
                self.originals.append((tensors, name, tensor))
                tensors[name] = made[f"{path}.{name}" if path else name] = self._for(tensor)

    def made(self) -> Iterable[Tensor]:
        """Everything that stands in for something."""
        return self._known.values()

    def _for(self, tensor: Tensor) -> Tensor:
        known = self._known.get(id(tensor))
        if known is None:
            known = self._known[id(tensor)] = self.stand_in(tensor)
        return known

    def replace_elsewhere(self, module: nn.Module) -> None:
        """Put tensors in the place of those in plain attributes too; a snapshot takes them out again.

        A parameter found there, as recurrent layers hold theirs, gets the stand-in that it has; any
        other tensor a copy, whose data may be asked for, and which a forward may write to.
        """
        registries = module._parameters, module._buffers, module._modules
        for container in (module.__dict__, *_containers(module)):
            if not any(container is registry for registry in registries):
                self._replace_in(container)

    def _replace_in(self, container: Any) -> None:
        if isinstance(container, dict):
            container.update({key: self._replaced(value) for key, value in container.items()})
        elif isinstance(container, (list, deque)):
            for place, value in enumerate(container):
                container[place] = self._replaced(value)

    def _replaced(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.requires_grad:
                self._known.setdefault(id(value), value.clone())
            return self._for(value)
        return tuple([self._replaced(item) for item in value]) if type(value) is tuple else value


def _refuse_scripted(modules: dict[str, nn.Module]) -> None:
    for path, module in modules.items():
        if isinstance(module, torch.jit.ScriptModule):
            raise InceptionLabError(
                "a scripted module hides what it runs",
                where=path or type(module).__name__,
                hint="pass the module that it was scripted from",
                exit_code=MODEL_FAILED,
            )


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
        and not any(map(attributes.get, _HOOKS))
    )


def _no_global_hooks() -> bool:
    return not any(vars(nn.modules.module).get(f"_global{name}") for name in _HOOKS)


def _is_trusted(kind: type[nn.Module]) -> bool:
    """Whether a class is from there, with its forward and its `train`; such a class is remembered.

    Recurrent layers are not: they hold their parameters in a list too.
    """
    homes = kind.__module__, kind.forward.__module__
    own = all(home.startswith(_TRUSTED) for home in homes) and kind.train is nn.Module.train
    trusted = own and not issubclass(kind, nn.RNNBase)
    if trusted:
        _trusted.add(kind)
    return trusted


def _containers(module: nn.Module) -> Iterable[Any]:
    """The containers in a module's attributes, and the attributes of the objects there."""
    found: dict[int, Any] = {}
    _find_containers(module.__dict__.values(), found)
    return found.values()


def _find_containers(values: Iterable[Any], found: dict[int, Any]) -> None:
    for value in values:
        kind: type = value.__class__
        container = value if kind in _CONTAINERS else _attributes(value)
        if container is not None and id(container) not in found:
            found[id(container)] = container
            if container:
                _find_containers(container.values() if isinstance(container, dict) else container, found)
        elif kind is tuple:
            _find_containers(value, found)


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes of an object such as a cache, which a forward may write to."""
    if isinstance(value, (nn.Module, Tensor, type)) or callable(value):
        return None
    home = str(value.__class__.__module__).partition(".")[0]
    if home in _OTHERS_BUSINESS and not isinstance(value, SimpleNamespace):
        return None
    attributes: dict[str, Any] | None = getattr(value, "__dict__", None)
    return attributes


def _unregistered(modules: Iterable[nn.Module], others: Sequence[nn.Module]) -> list[nn.Module]:
    """The modules that are no part of the model, but that it holds in attributes, and others."""
    seen = set(modules)
    found: dict[str, nn.Module] = {}
    waiting = [*others, *_held(seen)]
    while waiting:
        inner: dict[str, nn.Module] = {}
        if (module := waiting.pop()) not in seen:
            _walk(module, "", inner, seen)
            found |= {f"{len(found)}.{path}": m for path, m in inner.items()}
            waiting += _held(inner.values())
    _refuse_scripted(found)
    return list(found.values())


def _held(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules in the plain attributes of modules and in the containers there."""
    found: list[nn.Module] = []
    for module in modules:
        for container in (module.__dict__, *_containers(module)):
            held = container.values() if isinstance(container, dict) else container
            if container is not module._modules:
                found += [value for value in held if isinstance(value, nn.Module)]
    return found


class _Twin(NamedTuple):
    """A meta tensor, and the tensor that it stands in for."""

    original: ref[Tensor]
    tensor: Tensor


def twin(tensor: Tensor) -> Tensor:
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


def duplicate(tensor: Tensor) -> Tensor:
    """A copy of this tensor on the CPU.

    Raises:
        InceptionLabError: The tensor is on meta and has no data (exit code 3).
    """
    if tensor.is_meta:
        raise InceptionLabError(
            "a model on meta cannot run for real", hint="build it on cpu", exit_code=MODEL_FAILED
        )
    return as_what_it_is(tensor.detach().to("cpu", copy=True), tensor)


def _new_twin(tensor: Tensor) -> Tensor:
    if is_lazy(tensor):
        raise InceptionLabError(
            "a lazy layer has no shape yet", hint="run the model once on real input", exit_code=MODEL_FAILED
        )
    key = id(tensor)
    empty = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
    made = as_what_it_is(empty, tensor)
    _twins[key] = _Twin(ref(tensor, lambda _: _twins.pop(key, None)), made)
    return made


def as_what_it_is(made: Tensor, original: Tensor) -> Tensor:
    """The tensor as what it stands in for: a parameter, or one that takes a gradient."""
    if isinstance(original, nn.Parameter):
        made = nn.Parameter(made, requires_grad=original.requires_grad)
    made.__dict__.update(original.__dict__)
    return made.requires_grad_(original.requires_grad)


def _once(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its paths."""
    seen: set[int] = set()
    return {p: t for p, t in tensors.items() if not (id(t) in seen or seen.add(id(t)))}  # type: ignore[func-returns-value]
