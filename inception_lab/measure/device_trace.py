"""Traces of passes and steps as a device runs them, which decides what they hold in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import nn

from inception_lab.analyzers.memory.devices import DEVICES, check_device
from inception_lab.analyzers.memory.peak import decomposed_on_meta, takes_fast_path
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode, Trace
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer, optimizer_of
from inception_lab.running.request import Request, request_of
from inception_lab.tracing.tracer import trace_request

Device = Literal["cpu", "cuda"]
"""A device whose memory is predicted: a key of `analyzers.memory.devices.DEVICES`."""

WITHOUT_FAST_PATH = "traced without the fast path that attention takes in inference, as it depends on data"


@checked
def trace_for_device(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: Device = "cpu",
    name: str = "",
    meta_only: bool = False,
) -> Trace:
    """Trace a pass or a training step as a device runs it, which decides what it holds in memory.

    An optimizer by name has the defaults that it has on the device. Operations that are fused there but
    come apart on meta tensors (attention, recurrent layers) are traced as the CPU has them.

    Args:
        model: As for `trace`.
        inputs: As for `trace`, batch included.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: As for `trace`.
        optimizer: As for `trace`; train mode only.
        autocast: As for `trace`.
        device: `cpu` or `cuda`; no such device has to be there.
        name: Name of the model in the result.
        meta_only: Raise an error where the model would have to run for real.

    Returns:
        A trace for `peak_memory(trace, device)` and its like.

    Raises:
        InceptionLabError: There are no memory rules for the device (exit code 2), or as of `trace`.

    Example:
        >>> lstm = nn.LSTM(8, 16)
        >>> fused = trace_for_device(lstm, (5, 1, 8))
        >>> import inception_lab as il
        >>> fused.context.device, il.trace(lstm, (5, 1, 8)).context.device
        ('fake', 'meta')
    """
    check_device(device)
    defaults = DEVICES[device].optimizer_options
    request = request_of(
        model,
        with_arguments(inputs, args, kwargs),
        mode=mode,
        loss=loss,
        optimizer=None if optimizer is None else optimizer_of(optimizer, **defaults),
        autocast=autocast,
        name=name,
        fast_path=True,
    )
    return trace_as_run(request, device, meta_only)


def trace_as_run(request: Request, device: str, meta_only: bool = False) -> Trace:
    """Trace a request as it runs on a device operation by operation; see `trace_for_device`.

    Args:
        request: The pass or step; on the CPU, attention takes the fast path if it allows that.
        device: `cpu` or `cuda`.
        meta_only: Raise an error where the model would have to run for real.

    Raises:
        InceptionLabError: As of `trace`.

    Example:
        >>> trace_as_run(request_of(nn.Linear(10, 20), (4, 10)), "cpu").context.device
        'meta'
    """
    slow = replace(request, execution="eager", fast_path=False)
    step = trace_request(slow, "meta", meta_only)
    # Fake CPU tensors keep fused kernels whole but take several times as long, so meta tensors come first.
    if not decomposed_on_meta(step):
        return step
    if device != "cpu" or not request.fast_path:
        return trace_request(slow, "cpu", meta_only)
    return _trace_fast_path(slow, meta_only)


def _trace_fast_path(slow: Request, meta_only: bool) -> Trace:
    try:
        return trace_request(replace(slow, fast_path=True), "cpu", meta_only=True)
    except InceptionLabError:
        # the fast path of padded sequences makes nested tensors, whose shapes depend on data
        step = trace_request(slow, "cpu", meta_only)
    if not takes_fast_path(step):
        return step
    context = replace(step.context, notes=(*step.context.notes, WITHOUT_FAST_PATH))
    return replace(step, context=context)
