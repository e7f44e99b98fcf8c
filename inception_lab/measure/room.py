"""Refusal of real runs that cannot fit into free memory, by what traces predict of them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import torch

from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import memory_timeline
from inception_lab.ir.trace import Trace
from inception_lab.running.free_memory import free_memory, refuse_beyond
from inception_lab.running.request import Request
from inception_lab.tracing.tracer import trace_request


def refuse_without_room(request: Request, device: torch.device) -> None:
    """Refuse a real pass or step that cannot fit; one that cannot be traced without data is let through.

    Args:
        request: The pass or step, which will run on copies of the weights.
        device: The device on which it will run.

    Raises:
        InceptionLabError: Its peak is above what is free (exit code 3).
    """
    if (step := _traced(request)) is not None and free_memory(device) is not None:
        refuse_beyond(peak_memory(step, device.type).peak_bytes, device, request.name)


def refuse_gradients_without_room(
    request: Request, device: torch.device, scale: int = 1, beside: int = 0
) -> None:
    """Refuse a pass with the gradient by its input that cannot fit.

    It holds what a training step holds, but for the gradients of the weights.

    Args:
        request: The pass, in eval mode.
        device: The device on which it will run.
        scale: Bytes of its numbers by those of the model's own.
        beside: Bytes on the CPU that are held at the same time.

    Raises:
        InceptionLabError: Its peak is above what is free (exit code 3).
    """
    # some nets do not train on one image: the pass alone is then the least that it takes
    step = _traced(replace(request, mode="train")) or _traced(request)
    if step is not None and free_memory(device) is not None:
        timeline = memory_timeline(step, device.type)
        size = int((timeline["live_bytes"] - timeline["gradients"]).max()) if len(timeline) else 0
        refuse_beyond(scale * size + (beside if device.type == "cpu" else 0), device, request.name)


def _traced(request: Request) -> Trace | None:
    """The trace of a request on meta tensors, None where there is none."""
    with suppress(Exception):
        return trace_request(replace(request, execution="eager", fast_path=False), "meta", meta_only=True)
    return None
