"""The outcome for one net: its trace, and its count by PyTorch's own counter beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from support.hostile.case import call, products_visible, real
from torch import nn
from torch.utils.flop_counter import FlopCounterMode, flop_registry

import inception_lab as il
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.running import torch_internals
from shared import time_run

EQUAL, EXPLAINED, UNEXPLAINED = "equal", "explained", "unexplained"
META, FOR_REAL, REFUSED, FAILED = "meta", "cpu", "refused", "failed"
REGISTERED_NAMES = frozenset(parse_operation_name(str(packet)).base for packet in flop_registry)
"""The operations that FlopCounterMode has a formula for."""


@dataclass(frozen=True)
class Row:
    """The outcome for one net; empty where it was not measured.

    Args:
        package: Where the net comes from.
        name: Its name there.
        input: Shapes of its inputs.
        params: Elements of its parameters.
        traced: `meta`, `cpu` for a real run, `refused` where that is right, else `failed`.
        macs: Of one forward, by this project.
        torch_macs: By FlopCounterMode.
        counts: `equal`, `explained` or `unexplained`.
        uncounted_ops: Operations without a formula, with how often they ran.
        trace_s: CPU seconds of the trace.
        torch_s: CPU seconds of the forward under FlopCounterMode.
        reason: Why there was no trace on meta, or why the counts differ.
    """

    package: str
    name: str
    input: str = ""
    params: str = ""
    traced: str = FAILED
    macs: str = ""
    torch_macs: str = ""
    counts: str = ""
    uncounted_ops: str = ""
    trace_s: str = ""
    torch_s: str = ""
    reason: str = ""


def trace_row(package: str, name: str, model: nn.Module, inputs: Any) -> Row:
    """Trace a net, and count it once more by FlopCounterMode."""
    seconds, trace = time_run(lambda: il.trace(model, inputs))
    context = trace.context
    row = Row(
        package,
        name,
        input="; ".join("x".join(map(str, shape)) for shape in context.input_shapes),
        params=str(sum(call.params for call in trace.calls)),
        traced=context.device,
        macs=str(sum(op.macs for op in trace.ops)),
        uncounted_ops="; ".join(f"{name} {times}" for name, times in context.uncounted_ops.items()),
        trace_s=f"{seconds:.3f}",
        reason=context.fallback,
    )
    return replace(row, **_counter_columns(trace, model, inputs))


def _counter_columns(trace: il.Trace, model: nn.Module, inputs: Any) -> dict[str, str]:
    """The columns that FlopCounterMode fills; it runs on the device that the trace ran on."""
    device = "cpu" if trace.context.device == "cpu" else "meta"
    try:
        seconds, flops = time_run(lambda: flops_by_torch(model, inputs, device))
    except Exception as error:  # the peer's failure, not ours
        return {"reason": f"FlopCounterMode: {one_line(error)}"}
    counts, explanation = compare(trace, flops // 2)
    reason = "; ".join(filter(None, (trace.context.fallback, explanation)))
    return {"torch_macs": str(flops // 2), "torch_s": f"{seconds:.3f}", "counts": counts, "reason": reason}


def compare(trace: il.Trace, torch_macs: int) -> tuple[str, str]:
    """Tell if the MACs are equal, and where they are not, if products without a formula explain it."""
    surplus = sum(op.macs for op in trace.ops) - torch_macs
    unregistered_ops = [op for op in trace.ops if op.macs and op.base_name not in REGISTERED_NAMES]
    if not surplus:
        return EQUAL, ""
    if surplus == sum(op.macs for op in unregistered_ops):
        names = ", ".join(sorted({op.name for op in unregistered_ops}))
        return EXPLAINED, f"FlopCounterMode has no formula for {names}"
    return UNEXPLAINED, f"differs by {surplus:+,}"


def flops_by_torch(model: nn.Module, inputs: Any, device: str) -> int:
    """FLOPs of one forward by PyTorch's own counter."""
    # a frozen model: the counter stumbles over parameters that are passed to modules and need a gradient
    model.to(device).requires_grad_(False)
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    arguments = torch_internals.tree_map(
        lambda item: item.to(device) if isinstance(item, torch.Tensor) else item, real(inputs, dtype)
    )
    counter = FlopCounterMode(display=False)
    with products_visible(), counter, torch.no_grad():
        call(model, arguments)
    return int(counter.get_total_flops())


def one_line(error: BaseException) -> str:
    """The kind of an error and the first line of its message."""
    text = next(iter(str(error).splitlines()), "")[:300]
    return text if isinstance(error, il.InceptionLabError) else f"{type(error).__name__}: {text}"
