"""Weights of the public ports, carried over by name maps that are checked for completeness."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.models.ports import TIMM, TORCHVISION, Names, Port

Weights = Mapping[str, Tensor] | str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The effects of a load.

    Attributes:
        loaded: Number of tensors that were carried over.
        dropped: Keys of heads that the model was built without.
        changed: Layers without weights that were made as the port has them.
    """

    loaded: int
    dropped: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@checked
def load_torchvision_state_dict(model: nn.Module, weights: Weights) -> LoadResult:
    """Give a model the weights of torchvision's network, so that in eval mode it computes the same.

    torchvision's Inception-v3 averages in the pool of its last module, so a model with a maximum there
    is given an average; the result names it. Its published weights of both networks want images scaled
    to [-1, 1]. Its GoogLeNet's heads average over windows of 4x4 where the paper's are 5x5, so their
    training goes on a little differently.

    Args:
        model: A `googlenet_3x3` or an `inception_v3`, with any number of classes.
        weights: The state dict, or the file that holds it; a file is read with `weights_only=True`.

    Returns:
        The number of tensors that were loaded, and the keys and layers that were dropped or changed.

    Raises:
        InceptionLabError: The model has no counterpart, the file cannot be read, or keys or shapes differ;
            the model is left as it was (exit code 2).

    Example:
        >>> from inception_lab.models.registry import create_model
        >>> load_torchvision_state_dict(create_model("googlenet_3x3", init_weights=False), {})
        Traceback (most recent call last):
        inception_lab.errors.InceptionLabError: torchvision's googlenet_3x3: the weights do not fit: \
287 keys missing (conv1.conv.weight, conv1.bn.weight, conv1.bn.bias, ...)
    """
    return _load(model, weights, "torchvision", TORCHVISION)


@checked
def load_timm_state_dict(model: nn.Module, weights: Weights) -> LoadResult:
    """Give a model the weights of timm's network, so that in eval mode it computes the same.

    timm's Inception-v3 has torchvision's layers, and what `load_torchvision_state_dict` says of them holds.

    Args:
        model: A network of the zoo that `TIMM` has a map for, with any number of classes.
        weights: The state dict, or the file that holds it; a file is read with `weights_only=True`.

    Returns:
        The number of tensors that were loaded, and the keys and layers that were dropped or changed.

    Raises:
        InceptionLabError: The model has no counterpart, the file cannot be read, or keys or shapes differ;
            the model is left as it was (exit code 2).

    Example:
        >>> load_timm_state_dict(nn.Linear(2, 2), {})
        Traceback (most recent call last):
        inception_lab.errors.InceptionLabError: timm: no counterpart of Linear; it has inception_v3, ...
    """
    return _load(model, weights, "timm", TIMM)


# ------------------------------------------------------------------------------------ the loading


def _load(
    model: nn.Module, weights: Weights, project: str, ports: Mapping[type[nn.Module], Port]
) -> LoadResult:
    port = ports.get(type(model))
    if port is None:
        entries = ", ".join(port.entry for port in ports.values())
        what = f"no counterpart of {type(model).__name__}"
        raise InceptionLabError(what, where=project, hint=f"it has {entries}")
    where = f"{project}'s {port.entry}"
    theirs = _state_by_their_names(model, port, where)
    weights_by_key = _read_state_dict(weights)
    absent = tuple(key for key in weights_by_key if _is_of_absent_head(key, port, theirs))
    _check(theirs, {key: value for key, value in weights_by_key.items() if key not in absent}, port, where)
    state = {ours: weights_by_key[key] for key, (ours, _) in theirs.items() if key in weights_by_key}
    # strict by _check, but for the counters of batches, which old files lack
    model.load_state_dict(state, strict=False)
    return LoadResult(len(state), absent, tuple(_make_average_pools(model, port.average)))


def _state_by_their_names(model: nn.Module, port: Port, where: str) -> dict[str, tuple[str, Tensor]]:
    """The model's keys and tensors by the port's keys."""
    state: dict[str, Tensor] = model.state_dict()
    unknown = [key for key in state if _their_name(key, port.names) is None]
    if unknown:
        what = f"no counterpart of {_first_few(unknown)} in {type(model).__name__}"
        raise InceptionLabError(what, where=where, hint=f"build the model as {port.entry}")
    if any(tensor.is_meta for tensor in state.values()):
        what = "a model on the meta device has no memory for weights"
        raise InceptionLabError(what, where=where, hint='build it with device="cpu"')
    return {_their_name(key, port.names) or "": (key, tensor) for key, tensor in state.items()}


def _their_name(key: str, names: Names) -> str | None:
    """The port's name of a key: that of the longest path of the map that the key begins with."""
    path = key
    while path and path not in names:
        path = path.rpartition(".")[0]
    return names[path] + key[len(path) :] if path else None


def _is_of_absent_head(key: str, port: Port, theirs: Iterable[str]) -> bool:
    head = next((f"{head}." for head in port.heads if key.startswith(f"{head}.")), None)
    return head is not None and not any(name.startswith(head) for name in theirs)


def _check(
    theirs: Mapping[str, tuple[str, Tensor]], weights: Mapping[str, Any], port: Port, where: str
) -> None:
    """Refuse weights unless all keys and shapes agree; files of old versions may lack counters."""
    missing = [key for key in theirs if key not in weights and not key.endswith(".num_batches_tracked")]
    unknown = [key for key in weights if key not in theirs]
    shapes = [
        f"{key} {_shape(weights[key])} in place of {_shape(tensor)}"
        for key, (_, tensor) in theirs.items()
        if key in weights and _shape(weights[key]) != _shape(tensor)
    ]
    kinds = {"missing": missing, "unknown": unknown, "of another shape": shapes}
    faults = [f"{_count(keys)} {kind} ({_first_few(keys)})" for kind, keys in kinds.items() if keys]
    if not faults:
        return
    no_heads = bool(missing) and all(key.startswith(port.heads) for key in missing) and bool(port.heads)
    hint = "build the model with aux_logits=False" if no_heads else ""
    raise InceptionLabError(f"the weights do not fit: {', '.join(faults)}", where=where, hint=hint)


def _count(keys: list[str]) -> str:
    return f"{len(keys)} key{'s' if len(keys) > 1 else ''}"


def _first_few(keys: Iterable[str], few: int = 3) -> str:
    head = list(islice(keys, few + 1))
    return ", ".join([*head[:few], "..."] if len(head) > few else head)


def _shape(value: Any) -> str:
    if not isinstance(value, Tensor):
        return f"({type(value).__name__})"
    return " x ".join(map(str, value.shape)) or "scalar"


def _read_state_dict(weights: Weights) -> Mapping[str, Any]:
    """The state dict itself, or that of a file; nothing but tensors is ever unpickled."""
    state: Any = weights if isinstance(weights, Mapping) else _read_file(Path(weights))
    if not isinstance(state, Mapping) or not all(isinstance(key, str) for key in state):
        raise InceptionLabError(f"the weights are a {type(state).__name__}", hint="pass model.state_dict()")
    return state


def _read_file(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InceptionLabError(f"cannot read {path}", hint=error.strerror or "") from error
    except Exception as error:  # a damaged file breaks unpickling in ways that have no common type
        hint = "save a state dict with torch.save"
        raise InceptionLabError(f"{path} is not a file of tensors alone", hint=hint) from error


def _make_average_pools(model: nn.Module, paths: Iterable[str]) -> Iterator[str]:
    """Make average pools of those that are not, and name them."""
    for path in paths:
        parent, _, name = path.rpartition(".")
        if not isinstance(model.get_submodule(path), nn.AvgPool2d):
            setattr(model.get_submodule(parent), name, nn.AvgPool2d(3, 1, 1))
            yield path
