"""Weights in files: the state dict of a checkpoint, loaded without running code, and held against a model."""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from inception_lab.errors import InceptionLabError, first_line, listed
from inception_lab.loading.user_code import user_code

_WRAPPERS = ("module.", "_orig_mod.")
"""Before each name in what DataParallel and torch.compile save."""

_EXTRA_STATE = "_extra_state"
"""The end of the name of an entry that may be anything."""

_HINT = "save it with torch.save(model.state_dict(), FILE)"
_FOREIGN_TYPE = re.compile(r"GLOBAL ([\w.]+) was not")
_MOST_FAULTS = 10

StateDict = dict[str, Tensor]


def read_state_dict(path: Path) -> StateDict:
    """Return the state dict in a file, or the only one within the checkpoint there.

    Args:
        path: As `torch.save` wrote it; nothing but tensors and plain data is unpickled.

    Raises:
        InceptionLabError: There is no such file, or it holds no state dict, or several (exit code 2).
    """
    if not path.exists():
        raise InceptionLabError("no such file", where=str(path), hint="name a file with a state dict")
    if path.is_dir():
        raise InceptionLabError("is a folder", where=str(path), hint="name a file in it")
    content = _content(path)
    if _is_state_dict(content):
        return _unwrapped(content)
    within = {key: value for key, value in _items(content) if _is_state_dict(value) and value}
    if len(within) == 1:
        return _unwrapped(next(iter(within.values())))
    if within:
        what = f"holds several state dicts: {listed(map(str, within))}"
        raise InceptionLabError(what, where=str(path), hint="save one of them to a file of its own")
    raise InceptionLabError(f"holds {_summary(content)}, not a state dict", where=str(path), hint=_HINT)


def _content(path: Path) -> Any:
    if path.suffix == ".safetensors":
        hint = f"{_HINT}, of what safetensors.torch.load_file reads"
        raise InceptionLabError("is of safetensors, not of torch.save", where=str(path), hint=hint)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InceptionLabError(f"cannot be read: {error.strerror or error}", where=str(path)) from error
    except pickle.UnpicklingError as error:
        # torch would advise to unpickle it all the same, which runs whatever code is in it
        if foreign := _FOREIGN_TYPE.search(str(error)):
            what = f"holds objects of {foreign[1]}, which only code in it could make, not a state dict"
            raise InceptionLabError(what, where=str(path), hint=_HINT) from None
        raise InceptionLabError("is not a file of torch.save", where=str(path), hint=_HINT) from None
    except Exception as error:
        # a damaged archive is an error of many types
        what = f"is not a file of torch.save, or a damaged one: {first_line(error)}"
        raise InceptionLabError(what, where=str(path), hint=_HINT) from None


def _items(content: Any) -> list[tuple[Any, Any]]:
    return list(content.items()) if isinstance(content, Mapping) else []


def _is_state_dict(content: Any) -> bool:
    pairs = _items(content)
    return isinstance(content, Mapping) and all(
        isinstance(name, str) and (isinstance(value, Tensor) or name.endswith(_EXTRA_STATE))
        for name, value in pairs
    )


def _summary(content: Any) -> str:
    if isinstance(content, Mapping):
        return f"a dictionary with {listed(map(repr, content))}" if content else "an empty dictionary"
    if isinstance(content, list | tuple):
        return f"a {type(content).__name__} of {len(content):,}"
    return f"a {type(content).__name__}"


def _unwrapped(state: StateDict) -> StateDict:
    """A state dict without what wrappers of a model put before each name."""
    for wrapper in _WRAPPERS:
        if state and all(name.startswith(wrapper) for name in state):
            return _unwrapped({name.removeprefix(wrapper): value for name, value in state.items()})
    return state


def load_state_dict(model: nn.Module, state: StateDict, name: str) -> None:
    """Load a state dict into a model that it fits.

    Args:
        model: It is changed.
        state: As of `read_state_dict`.
        name: Of the model, for errors.

    Raises:
        InceptionLabError: Names or shapes are not those of the model (exit code 2).

    Example:
        >>> load_state_dict(nn.Linear(2, 1), {"weight": torch.ones(1, 2), "bais": torch.ones(1)}, "net")
        Traceback (most recent call last):
        inception_lab.errors.InceptionLabError: net: the weights do not fit: missing bias; unexpected bais;
        name a file of the same model with the same keywords
    """
    shapes = [
        f"{key} is {_shape(state[key])} and not {_shape(value)}"
        for key, value in model.state_dict().items()
        if key in state
        and isinstance(value, Tensor)
        and not is_lazy(value)
        and state[key].shape != value.shape
    ]
    _refuse(name, _fault("of another shape:", shapes))
    with user_code(name, "loading the weights"):
        missing, unexpected = model.load_state_dict(state, strict=False)
    _refuse(name, [*_fault("missing", missing), *_fault("unexpected", unexpected)])


def _refuse(name: str, faults: list[str]) -> None:
    if faults:
        hint = "name a file of the same model with the same keywords"
        raise InceptionLabError(f"the weights do not fit: {'; '.join(faults)}", where=name, hint=hint)


def _fault(kind: str, names: list[str]) -> list[str]:
    return [f"{kind} {listed(names, _MOST_FAULTS)}"] if names else []


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
