"""Modules that nobody calls, but whose parameters are used: `F.linear(x, self.head.weight)`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from torch import nn

from inception_lab.tracing.recorder import Recorder


def used_by_others(
    recorder: Recorder, never_called: Mapping[str, nn.Module], modules: Iterable[nn.Module]
) -> frozenset[str]:
    """Paths of modules whose own parameters an operation of a module without these has read.

    An operation of another owner tells nothing: where an embedding shares its weight with a head, the
    embedding reads it for itself.

    Args:
        recorder: Has recorded the run; the model's stand-ins are still alive.
        never_called: The modules in question, by path.
        modules: All of the model's.
    """
    stored = {path: _storages_of(recorder, module) for path, module in never_called.items()}
    wanted = frozenset().union(*stored.values())
    if not wanted:
        return frozenset()
    owners: dict[int, set[nn.Module]] = defaultdict(set)
    for module in modules:
        for storage in _storages_of(recorder, module) & wanted:
            owners[storage].add(module)
    read = _read_by_others(recorder, owners)
    return frozenset(path for path, storages in stored.items() if storages & read)


def _storages_of(recorder: Recorder, module: nn.Module) -> frozenset[int]:
    own = (parameter for parameter in module._parameters.values() if parameter is not None)
    return frozenset(recorder.storages.storage_of(parameter).id for parameter in own)


def _read_by_others(recorder: Recorder, owners: Mapping[int, set[nn.Module]]) -> frozenset[int]:
    """The storages that an operation of the forward reads within the call of a module without them."""
    values, calls = recorder.storages.values, recorder.calls.states
    reads = (
        (values[value].storage, calls[call].module)
        for _, phase, call, reads, _ in recorder.ops
        if phase in ("forward", "loss") and call >= 0
        for value in reads
    )
    return frozenset(
        storage for storage, module in reads if storage in owners and module not in owners[storage]
    )
