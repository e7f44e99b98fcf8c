"""Refusal of real runs that cannot fit into free memory, by what traces predict of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import torch

from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import memory_timeline
from inception_lab.ir.trace import Trace
from inception_lab.running.free_memory import free_memory, refuse_beyond
from inception_lab.running.inputs import arguments
from inception_lab.running.request import Request
from inception_lab.tracing.tracer import trace_request

WORTH_A_TRACE = 10_000
"""What a run takes is traced where weights and inputs are more than one part of so many of what is free.

No net comes near that factor: an activation of a thousand channels at each pixel of a grey image, ten deep.
"""


def refuse_without_room(request: Request, device: torch.device) -> None:
    """Refuse a real pass or step that cannot fit; one that cannot be traced without data is let through.

    Args:
        request: The pass or step, which will run on copies of the weights.
        device: The device on which it will run.

    Raises:
        InceptionLabError: Its peak is above what is free (exit code 3).
    """

    def peak() -> int:
        return peak_memory(_traced(request), device.type).peak_bytes

    _refuse(request, device, peak)


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

    def peak() -> int:
        try:
            step = _traced(replace(request, mode="train"))
        except Exception:  # some nets do not train on one image: the pass alone is the least that it takes
            step = _traced(request)
        timeline = memory_timeline(step, device.type)
        return scale * int((timeline["live_bytes"] - timeline["gradients"]).max()) + outside

    outside = beside if device.type == "cpu" else 0
    _refuse(request, device, peak, outside)


def _refuse(request: Request, device: torch.device, peak: Callable[[], int], beside: int = 0) -> None:
    """Refuse a request whose peak is above what is free, where that is known and can be predicted."""
    free, size = free_memory(device), 0
    with suppress(Exception):  # a model without a prediction runs, or says itself why it cannot
        if free is not None and WORTH_A_TRACE * (_least_bytes(request) + beside) > free:
            size = peak()
    refuse_beyond(size, device, request.name)


def _least_bytes(request: Request) -> int:
    """Bytes of weights and inputs."""
    inputs = arguments(request.inputs, torch.float32, lambda example: example).tensors
    tensors = [*inputs.values(), *request.model.parameters(), *request.model.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _traced(request: Request) -> Trace:
    return trace_request(replace(request, execution="eager", fast_path=False), "meta", meta_only=True)
