"""Settings of the process that a forward may change, and that are put back after a run."""

from __future__ import annotations

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch

from inception_lab.running import torch_internals

Setting = tuple[Callable[[], Any], Callable[[Any], Any]]


def _flag(place: Any, name: str) -> Setting:
    return (lambda: getattr(place, name)), (lambda value: setattr(place, name, value))


def _set_environment(variables: dict[str, str]) -> None:
    for name in set(os.environ) - set(variables):
        if not name.startswith(_OF_COMPILER):
            del os.environ[name]
    os.environ.update(variables)


_OF_COMPILER = ("TORCHINDUCTOR_", "TRITON_")
"""Variables that PyTorch's compiler sets for itself when it is first used."""


def _set_default_device(device: torch.device) -> None:
    torch.set_default_device(None if device.type == "cpu" else device)


def _keeps_device_out_of_effect() -> bool:
    """True where a default was set within `with torch.device(...)`, whose end took it out of effect."""
    context = getattr(torch_internals.default_device_of_thread, "device_context", None)
    return context is not None and context not in torch_internals.function_mode_stack()


def _drop_device(is_kept: bool) -> None:
    # to be ended as others are, it would bring back the device around it
    if not is_kept:
        torch_internals.default_device_of_thread.device_context = None


def _deterministic() -> tuple[bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )


def _current_folder() -> str:
    try:
        return os.getcwd()  # noqa: PTH109 - a path would have to be compared as text
    except OSError:  # it is gone
        return ""


def _set_folder(folder: str) -> None:
    with suppress(OSError):
        os.chdir(folder)


def _set_filters(filters: list[Any]) -> None:
    # within this, the cache of warnings that were shown is told of the change too
    warnings.resetwarnings()
    warnings.filters[:] = filters  # type: ignore[index]


_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _signal_handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _set_signal_handlers(handlers: list[Any]) -> None:
    if threading.current_thread() is threading.main_thread():
        for number, handler in zip(_SIGNALS, handlers, strict=True):
            if handler is not None:  # one that was not set from Python
                signal.signal(number, handler)


def _autocast(device: str) -> dict[str, Setting]:
    return {
        f"autocast on {device}": (
            lambda: torch.is_autocast_enabled(device),
            lambda on: torch.set_autocast_enabled(device, on),
        ),
        f"dtype of autocast on {device}": (
            lambda: torch.get_autocast_dtype(device),
            lambda dtype: torch.set_autocast_dtype(device, dtype),
        ),
    }


_OF_TORCH: dict[str, Setting] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _set_default_device),
    "gradients enabled": (torch.is_grad_enabled, torch.set_grad_enabled),
    "matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "autocast cache": (torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled),
    **_autocast("cpu"),
    **_autocast("cuda"),
    "deterministic algorithms": (
        _deterministic,
        lambda flags: torch.use_deterministic_algorithms(flags[0], warn_only=flags[1]),
    ),
    "anomaly detection": (torch.is_anomaly_enabled, torch.set_anomaly_enabled),
    "threads": (torch.get_num_threads, torch.set_num_threads),
    **{
        f"cudnn.{name}": _flag(torch.backends.cudnn, name)
        for name in ("benchmark", "deterministic", "allow_tf32", "enabled")
    },
}
"""Reads and writes each setting of PyTorch."""

_SETTINGS: Mapping[str, Setting] = {
    # before the default device itself
    "device out of effect": (_keeps_device_out_of_effect, _drop_device),
    **_OF_TORCH,
    "numpy's errors": (np.geterr, lambda state: np.seterr(**state)),
    "environment": (os.environ.copy, _set_environment),
    "folder": (_current_folder, _set_folder),
    # the list that is there now: code may put another one in its place
    "sys.path": (lambda: sys.path.copy(), lambda places: sys.path.__setitem__(slice(None), places)),
    "recursion limit": (sys.getrecursionlimit, sys.setrecursionlimit),
    "warnings": (lambda: list(warnings.filters), _set_filters),
    "signals": (_signal_handlers, _set_signal_handlers),
}
"""Reads and writes each."""


class Settings:
    """The settings as they were before a run."""

    def __init__(self) -> None:
        self._values = {name: read() for name, (read, _) in _SETTINGS.items()}

    def restore(self) -> None:
        """Put back those that have changed."""
        for name, (read, write) in _SETTINGS.items():
            if read() != self._values[name]:
                write(self._values[name])

    def of_torch(self) -> dict[str, Any]:
        """Return those of PyTorch, by name."""
        return {name: self._values[name] for name in _OF_TORCH}

    def changes(self) -> list[tuple[Callable[[Any], Any], Any]]:
        """Return those that have changed, each as what writes it and its value of now."""
        settings = _SETTINGS.items()
        return [(write, now) for name, (read, write) in settings if (now := read()) != self._values[name]]
