"""Other tensors in place of a model's weights, and the model left exactly as it was found."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from inception_lab.running import torch_internals
from inception_lab.running.distributed import drop_hooks
from inception_lab.running.exclusion import Gates, one_run_at_a_time
from inception_lab.running.outside_state import OutsideState
from inception_lab.running.random_numbers import SeededGenerators
from inception_lab.running.scripted import ScriptedModes, is_scripted, modules_that_own_tensors
from inception_lab.running.settings import Settings
from inception_lab.running.shared_storages import SharedStorages
from inception_lab.running.snapshots import (
    Restorable,
    Snapshot,
    TrainingFlags,
    are_trusted,
    containers_of,
    modules_in_attributes,
)
from inception_lab.running.stand_ins import StandIn


class Substituted(NamedTuple):
    """A model whose tensors others stand in for.

    Attributes:
        modules: Each module once, by path.
        parameters: Each parameter's stand-in once, by path.
        buffers: Each buffer's stand-in once, by path.
        unregistered: The stand-ins of tensors that it holds in plain attributes, and of their modules.
        gates: Keep other threads out of it.
        originals: The tensor behind each stand-in, and behind each copy of a tensor in an attribute, by
            the id of what takes its place.
        generators: The random generators that it draws from.
    """

    modules: dict[str, nn.Module]
    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    unregistered: Sequence[Tensor]
    gates: Gates
    originals: Mapping[int, Tensor]
    generators: SeededGenerators


@contextmanager
def substituted(
    model: nn.Module, training: bool, stand_in: StandIn, others: Sequence[nn.Module] = ()
) -> Iterator[Substituted]:
    """Put stand-ins into a model and set its mode; take all of it back at the end.

    What is restored: parameters, buffers, training flags, hooks, every attribute of every module
    with the contents of its containers, arrays and objects, what hooks and the model's own classes refer to
    beyond them (see `outside_state`), settings of the process, and the random state of torch, numpy and
    Python. Modules that the model keeps unregistered, as in a list, have stand-ins too. What is not: state of
    other libraries, and what is more than a few steps away.

    No other run of this package goes on meanwhile, and no call of the model in another thread.

    Args:
        model: Any module, on any device.
        training: The mode to put it into.
        stand_in: Makes what stands in for a parameter or buffer, see `meta_twin` and `cpu_copy`.
        others: Modules that run with it, such as a loss.

    Raises:
        InceptionLabError: A parameter has no shape yet, or the model runs in another thread for too long
            (exit code 3).
    """
    torch_internals.require_attributes()
    with one_run_at_a_time:
        modules = modules_by_path(model)
        trusted = not others and are_trusted(modules.values())
        unregistered = [] if trusted else _unregistered(modules, others)
        everything = [*modules.values(), *unregistered]
        with _gates_closed(everything) as gates:
            generators = SeededGenerators(torch_alone=trusted)
            snapshots: list[Restorable] = [generators]
            snapshots += [TrainingFlags(everything)] if trusted else map(Snapshot, everything)
            if not trusted:
                outside = OutsideState(everything)
                generators.add(outside.generators)
                snapshots += [ScriptedModes(everything), outside, Settings()]
            substitution = _Substitution(stand_in)
            try:
                substitution.replace_registered(modules, unregistered)
                if not trusted:
                    substitution.replace_in_attributes(everything)
                    drop_hooks(everything)  # a snapshot puts them back
                _set_mode(model, modules.values(), training)
                parameters, buffers = _once(substitution.parameters), _once(substitution.buffers)
                stand_ins, originals = substitution.unregistered, substitution.originals_by_id
                yield Substituted(modules, parameters, buffers, stand_ins, gates, originals, generators)
            finally:
                substitution.undo()
                for snapshot in reversed(snapshots):
                    snapshot.restore()


@contextmanager
def _gates_closed(modules: Sequence[nn.Module]) -> Iterator[Gates]:
    gates = Gates(modules)
    try:
        gates.close()
        yield gates
    finally:
        gates.open()


def modules_by_path(model: nn.Module) -> dict[str, nn.Module]:
    """Each module once, under its first path; `named_modules` at a third of its price."""
    modules: dict[str, nn.Module] = {}
    _collect_modules(model, "", modules, set())
    return modules


def _collect_modules(
    module: nn.Module, path: str, modules: dict[str, nn.Module], visited: set[nn.Module]
) -> None:
    visited.add(module)
    modules[path] = module
    if is_scripted(module):
        return  # no module within it is called from Python
    prefix = path + "." if path else ""
    for name, child in module._modules.items():
        if child is not None and child not in visited:
            _collect_modules(child, prefix + name, modules, visited)


class _Substitution:
    """The stand-in of each tensor, and the places where the originals belong."""

    def __init__(self, stand_in: StandIn) -> None:
        self.stand_in = stand_in
        self.parameters: dict[str, Tensor] = {}
        self.buffers: dict[str, Tensor] = {}
        self.originals: list[tuple[dict[str, Any], str, Tensor]] = []
        self.originals_by_id: dict[int, Tensor] = {}
        self._shared_storages = SharedStorages([])
        self._stand_ins: dict[int, Tensor] = {}

    def replace_registered(self, modules: dict[str, nn.Module], unregistered: Iterable[nn.Module]) -> None:
        """Put stand-ins in the place of the parameters and buffers that modules have registered."""
        owners = [pair for item in modules.items() for pair in modules_that_own_tensors(*item)]
        nameless_owners = [pair for module in unregistered for pair in modules_that_own_tensors("", module)]
        everything = [owner for _, owner in (*owners, *nameless_owners)]
        registries = [r for owner in everything for r in (owner._parameters, owner._buffers) if r]
        self._shared_storages = SharedStorages(t for r in registries for t in r.values() if t is not None)
        for path, owner in owners:
            self._replace_of(path, owner, self.parameters, self.buffers)
        nameless: dict[str, Tensor] = {}
        for path, owner in nameless_owners:
            self._replace_of(path, owner, nameless, nameless)

    def _replace_of(
        self, path: str, owner: nn.Module, parameters: dict[str, Tensor], buffers: dict[str, Tensor]
    ) -> None:
        if owner._parameters:
            self._replace(owner._parameters, path, parameters)
        if owner._buffers:
            self._replace(owner._buffers, path, buffers)

    def _replace(self, tensors: dict[str, Any], path: str, stand_ins: dict[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if tensor is not None:
                self.originals.append((tensors, name, tensor))
                tensors[name] = stand_ins[f"{path}.{name}" if path else name] = self._for(tensor)

    def _for(self, tensor: Tensor) -> Tensor:
        stand_in = self._stand_ins.get(id(tensor))
        if stand_in is None:
            stand_in = self._shared_storages.stand_in(tensor, self.stand_in)
            self._put_in_place(tensor, stand_in)
        return stand_in

    def _put_in_place(self, tensor: Tensor, stand_in: Tensor) -> Tensor:
        if not is_lazy(tensor):  # which cannot be asked for anything
            self.originals_by_id[id(stand_in)] = tensor
        self._stand_ins[id(tensor)] = stand_in
        return stand_in

    def replace_in_attributes(self, modules: Iterable[nn.Module]) -> None:
        """Put tensors in the place of those in plain attributes too; a snapshot takes them out again.

        A parameter in an attribute, as recurrent layers hold theirs, gets the stand-in that it has; any
        other tensor a copy, whose data may be asked for, and which a forward may write to.
        """
        for module in modules:
            registries = module._parameters, module._buffers, module._modules
            for container in (module.__dict__, *containers_of(module)):
                if not any(container is registry for registry in registries):
                    self._replace_in(container)

    def _replace_in(self, container: Any) -> None:
        if isinstance(container, dict):
            container.update({key: self._replacement(value) for key, value in container.items()})
        elif isinstance(container, (list, deque)):
            for place, value in enumerate(container):
                container[place] = self._replacement(value)

    def _replacement(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.requires_grad and id(value) not in self._stand_ins:
                self._put_in_place(value, value.clone())
            return self._for(value)
        return tuple([self._replacement(item) for item in value]) if type(value) is tuple else value

    @property
    def unregistered(self) -> list[Tensor]:
        """The stand-ins that are of no registered parameter or buffer."""
        registered = {
            id(tensor) for tensors in (self.parameters, self.buffers) for tensor in tensors.values()
        }
        return [tensor for tensor in self._stand_ins.values() if id(tensor) not in registered]

    def undo(self) -> None:
        """Put the originals back, and take gradients off the stand-ins: meta twins are used again."""
        for tensors, name, tensor in self.originals:
            tensors[name] = tensor
        for stand_in in self._stand_ins.values():
            stand_in.grad = None


def _set_mode(model: nn.Module, modules: Collection[nn.Module], training: bool) -> None:
    """As `model.train(training)`, which has to be called only where a class overrides it."""
    if any(type(module).train is not nn.Module.train for module in modules):
        model.train(training)
        return
    for module in modules:
        if is_scripted(module):
            module.train(training)
        else:
            module.__dict__["training"] = training


def _unregistered(modules: dict[str, nn.Module], others: Sequence[nn.Module]) -> list[nn.Module]:
    """The modules that are not registered in the model, but that it holds in attributes, and others."""
    visited = set(modules.values())
    unregistered: dict[str, nn.Module] = {}
    waiting = [*others, *modules_in_attributes(_written_in_python(visited))]
    while waiting:
        inner: dict[str, nn.Module] = {}
        if (module := waiting.pop()) not in visited:
            _collect_modules(module, "", inner, visited)
            unregistered |= {f"{len(unregistered)}.{path}": m for path, m in inner.items()}
            waiting += modules_in_attributes(_written_in_python(inner.values()))
    return list(unregistered.values())


def _written_in_python(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The modules that are not scripted; a scripted one has itself in an attribute."""
    return [module for module in modules if not is_scripted(module)]


def _once(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor under the first of its paths: a shared weight is one tensor and counts once."""
    first: dict[int, str] = {}
    for path, tensor in tensors.items():
        first.setdefault(id(tensor), path)
    return {path: tensors[path] for path in first.values()}
