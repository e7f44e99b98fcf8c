"""State that modules keep from one forward to the next, put back between rounds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import nn

from inception_lab.running.snapshots import are_trusted, containers_of


class ModuleState:
    """The attributes of modules and the contents of their containers, as a round begins.

    A counter, a list or a cache that a forward leaves behind would make each round another one than the last.
    What is written into a tensor stays, as it does from step to step in training.

    Args:
        modules: Of a model that is prepared.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        modules = list(modules)
        stateful = [] if are_trusted(modules) else modules
        self._attributes = [(module.__dict__, module.__dict__.copy()) for module in stateful]
        self._contents = [(x, x.copy()) for module in stateful for x in containers_of(module)]

    def restore(self) -> None:
        """Put back what has changed, and touch nothing else: another thread may stand before the model."""
        for attributes, before in self._attributes:
            for name in attributes.keys() - before.keys():
                del attributes[name]
            attributes.update({k: v for k, v in before.items() if attributes.get(k, self) is not v})
        for container, content in self._contents:
            if _differs(container, content):
                container.clear()
                (container.update if isinstance(container, (dict, set)) else container.extend)(content)


def _differs(container: Any, content: Any) -> bool:
    """Tell if a container holds other objects, or the same ones in another order."""
    return bool(_identities(container) != _identities(content))


def _identities(container: Any) -> Any:
    if isinstance(container, Mapping):
        return [(key, id(value)) for key, value in container.items()]
    return set(map(id, container)) if isinstance(container, set) else list(map(id, container))
