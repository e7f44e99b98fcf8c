"""Real runs of a step: on copies on a device, calls reported, failures in one line, the profiler quiet."""

from __future__ import annotations

import gc
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial, wraps
from typing import Any

import torch
from torch import Tensor

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Phase
from inception_lab.running.request import Request
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Function, Observer, Placement, Step, prepared, settled_by_running
from inception_lab.tracing.calls import FAILED_IN

LOG_LEVEL, SILENT = "KINETO_LOG_LEVEL", "99"
"""Above the levels of the profiler's own log on standard error. One line of it has no level: that of a first
profile in another thread than the one that imported torch."""

MOST_THREADS = 1024
"""Within an operation; where a system gives no more of them, the process is ended by its OpenMP library."""

_ABSENT = object()


def device_of(name: str, kinds: Collection[str], refusal: str) -> torch.device:
    """The device of a real run, which is there.

    Args:
        name: As torch names devices.
        kinds: Those on which such runs can be made.
        refusal: Says of others what is not done on them.

    Raises:
        InceptionLabError: It is of another kind, or not there (exit code 2).
    """
    try:
        device = torch.device(name)
    except (RuntimeError, TypeError, ValueError):  # no such name; not a name; too large a number
        device = torch.device("meta")
    if device.type not in kinds:
        hint = " or ".join(f"device={kind!r}" for kind in kinds)
        raise InceptionLabError(f"{refusal} on {name!r}", hint=f"use {hint}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise InceptionLabError("this machine has no CUDA device", hint="use device='cpu'")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise InceptionLabError(f"this machine has no CUDA device {device.index}", hint="use device='cuda'")
    return device


@contextmanager
def prepared_on(request: Request, device: torch.device) -> Iterator[Step]:
    """A step on copies of weights and inputs on a device, ready to be measured."""
    devices = [device] if device.type == "cuda" else []
    current = torch.cuda.device(device) if devices else nullcontext()
    placement = Placement(device.type, partial(_weight, device), partial(_example, device))
    with current, torch.random.fork_rng(devices), prepared(request, placement, _settled) as step:
        gc.collect()
        yield step


def _settled(step: Step) -> Step:
    """Settle by a first step, whose failure names the layer as that of any other step does."""
    with calls_reported(step, CalledModules()):
        return settled_by_running(step)


class CalledModules:
    """An observer that notes which modules are called, and in what is raised the one that raised it.

    Attributes:
        paths: Of the modules, in the order of their first calls.
    """

    def __init__(self) -> None:
        self.paths: dict[str, None] = {}

    def begin(self, phase: Phase) -> None:
        """Take no notice."""

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The forward of a module, its first call noted, and its path in what it raises."""
        del kind

        @wraps(function)
        def noted(*args: Any, **kwargs: Any) -> Any:
            self.paths.setdefault(path)
            with failure_in(path):
                return function(*args, **kwargs)

        return noted  # type: ignore[return-value]


@contextmanager
def failure_in(path: str) -> Iterator[None]:
    """Note in what is raised the path of the module that raised it, unless one within it is noted."""
    try:
        yield
    except Exception as error:
        error.__dict__.setdefault(FAILED_IN, path)
        raise


def _weight(device: torch.device, tensor: Tensor) -> Tensor:
    copy = cpu_copy(tensor)
    copy.data = copy.data.to(device)
    return copy


def _example(device: torch.device, example: Tensor) -> Tensor:
    return cpu_input(example).detach().to(device).requires_grad_(example.requires_grad)


@contextmanager
def calls_reported(step: Step, observer: Observer) -> Iterator[None]:
    """Have every layer of a step report its calls; each has its own `forward` back afterwards.

    As in a trace, the reporting function shadows `forward` in the module's own attributes, so that no
    class and no other model is touched.
    """
    modules = step.layers
    before = [(module.__dict__, module.__dict__.get("forward", _ABSENT)) for module in modules.values()]
    try:
        for path, module in modules.items():
            forward, kind = module.forward, type(module).__name__
            module.__dict__["forward"] = observer.reporting(forward, path, kind)
        yield
    finally:
        for attributes, forward in before:
            if forward is _ABSENT:
                attributes.pop("forward", None)
            else:
                attributes["forward"] = forward


@contextmanager
def failure_named(name: str) -> Iterator[None]:
    """Turn what a model raises into one line that names the model and the layer.

    Raises:
        InceptionLabError: The model raised (exit code 3).
    """
    try:
        yield
    except InceptionLabError:
        raise
    except Exception as error:
        path = error.__dict__.get(FAILED_IN, "")
        lines = str(error).strip().splitlines()
        reason = f"{type(error).__name__}{f' in {path}' if path else ''}" + (f": {lines[0]}" if lines else "")
        raise InceptionLabError(f"cannot run: {reason}", where=name, exit_code=MODEL_FAILED) from error


@contextmanager
def quiet_profiler() -> Iterator[None]:
    """The profiler without its log, unless the user has chosen a level."""
    level = os.environ.get(LOG_LEVEL)
    os.environ.setdefault(LOG_LEVEL, SILENT)
    try:
        yield
    finally:
        if level is None:
            del os.environ[LOG_LEVEL]


@contextmanager
def operation_threads(count: int | None) -> Iterator[None]:
    """Run operations on so many of PyTorch's threads, and put the number back; as they are for None.

    Raises:
        InceptionLabError: It is not a number of threads (exit code 2).
    """
    if count is not None and (type(count) is not int or count < 1):
        raise InceptionLabError(f"{count!r} threads", hint="use threads=1 or more")
    if count is not None and count > MOST_THREADS:
        raise InceptionLabError(f"{count} threads", hint=f"use threads={MOST_THREADS} or fewer")
    before = torch.get_num_threads()
    if count is None or count == before:
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
