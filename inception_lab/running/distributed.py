"""Models spread over several processes: counted as the whole model on one device."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from torch import Tensor, nn

_HOME = "torch.distributed"
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def is_shard(tensor: Tensor) -> bool:
    """True for a part of a tensor, of which other processes have the rest."""
    return type(tensor).__module__.startswith(f"{_HOME}.tensor")


def is_data_parallel(module: nn.Module) -> bool:
    """True for a module whose gradients are averaged over processes, in buckets beside them."""
    kind = type(module)
    return kind.__name__ == "DistributedDataParallel" and kind.__module__.startswith("torch.nn.parallel")


def drop_hooks(modules: Iterable[nn.Module]) -> None:
    """Take the hooks of torch.distributed out of modules, which gather shards that stand-ins have not."""
    for module in modules:
        for name in _HOOKS:
            registry = module.__dict__.get(name) or {}
            for key in [key for key, hook in registry.items() if _is_of_distributed(hook)]:
                del registry[key]


def _is_of_distributed(hook: Any) -> bool:
    if isinstance(hook, partial):
        hook = hook.func
    owner = getattr(hook, "__self__", None)
    homes = [getattr(hook, "__module__", None), type(owner).__module__ if owner is not None else None]
    return any(str(home).startswith(_HOME) for home in homes)
