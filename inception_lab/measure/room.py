"""Refusal of real runs that cannot fit into free memory, by what traces predict of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import torch

from inception_lab.analyzers.memory.devices import on_device
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import memory_timeline
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace
from inception_lab.measure.device_trace import trace_as_run
from inception_lab.running.free_memory import free_memory, refuse_beyond
from inception_lab.running.request import Request


def refuse_without_room(requests: Sequence[Request], device: torch.device) -> None:
    """Refuse passes or steps that cannot fit, each with the weights and inputs of all others beside it.

    One that cannot be traced without data counts for nothing, as does one that is compiled, which may hold
    less than its operations do one by one.

    Args:
        requests: The passes or steps, which will run on copies of the weights.
        device: The device on which they will run.

    Raises:
        InceptionLabError: A peak is above what is free (exit code 3).
    """
    if free_memory(device) is None:
        return
    eager = [request for request in requests if request.execution == "eager"]
    steps = [step for request in eager if (step := _predicted(request, device))]
    held = [_held_bytes(step, device) for step in steps]
    for step, own in zip(steps, held, strict=True):
        peak = peak_memory(step, device.type).peak_bytes
        refuse_beyond(peak + sum(held) - own, device, step.context.model)


def refuse_gradients_without_room(
    request: Request, device: torch.device, dtype: torch.dtype | None = None, beside: int = 0
) -> None:
    """Refuse a pass with the gradient by its input that cannot fit.

    It holds what a training step holds, but for the gradients of the weights.

    Args:
        request: The pass, in eval mode.
        device: The device on which it will run.
        dtype: Of its numbers; that of the model's own if None.
        beside: Bytes on the CPU that are held at the same time.

    Raises:
        InceptionLabError: Its peak is above what is free (exit code 3).
    """
    if free_memory(device) is None:
        return
    # some nets do not train on one image: the pass alone is the least that it takes
    step = _predicted(replace(request, mode="train"), device) or _predicted(request, device)
    if step is None:
        return
    own: torch.dtype = getattr(torch, step.context.dtype)
    timeline = memory_timeline(step, device.type)
    peak = int((timeline["live_bytes"] - timeline["gradients"]).max()) if len(timeline) else 0
    outside = beside if device.type == "cpu" else 0
    refuse_beyond(peak * (dtype or own).itemsize // own.itemsize + outside, device, request.name)


def _predicted(request: Request, device: torch.device) -> Trace | None:
    with suppress(InceptionLabError):  # such a model runs, or says itself why it cannot
        return trace_as_run(request, device.type, meta_only=True)
    return None


def _held_bytes(step: Trace, device: torch.device) -> int:
    """Bytes that are there before the first operation."""
    return sum(s.bytes for s in on_device(step, device.type).storages if s.born is None)
