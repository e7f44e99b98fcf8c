"""Peak memory as a trace predicts it for a device, beside what a run there measures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from inception_lab.analyzers.memory.cpu_recurrent import LAYER
from inception_lab.analyzers.memory.cuda_allocator import reserved_memory
from inception_lab.analyzers.memory.peak import (
    allocator_peak,
    peak_memory,
)
from inception_lab.arguments import checked
from inception_lab.ir.trace import Mode, Trace
from inception_lab.measure.device_trace import WITHOUT_FAST_PATH, Device, trace_for_device
from inception_lab.measure.hardware import this_processor
from inception_lab.measure.memory import MeasuredMemory, Progress, measure_memory
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer

SPARSE_WORKSPACE = "what a product of a sparse matrix holds within itself has no rule"
UNKNOWN_PROCESSOR = "what a convolution holds within itself has no rule for this processor"
_PRODUCTS = frozenset({"convolution", "convolution_backward", "mm", "addmm", "bmm", "baddbmm"})
_HALF = ("bfloat16", "float16")
HALF_PRECISION = (
    "what products of half precision hold within themselves has no rule: allocator_bytes is a lower bound"
)
RECURRENT_INFERENCE = (
    "what a fused LSTM holds within itself in inference has no rule: allocator_bytes is a lower bound"
)


@dataclass(frozen=True)
class PredictedMemory:
    """The figures of `MeasuredMemory` as predicted.

    Attributes:
        tracked_bytes: Of the storages alive right after any operation.
        allocator_bytes: Of the allocator's blocks at any moment; on the CPU with the workspaces of
            convolutions by rule, on CUDA with the measured one of cuBLAS.
        reserved_bytes: That CUDA's allocator reserves, with the same workspace; None on the CPU.
    """

    tracked_bytes: int
    allocator_bytes: int
    reserved_bytes: int | None = None


@dataclass(frozen=True)
class MemoryComparison:
    """Peak memory predicted and measured, figure by figure.

    Attributes:
        prediction: From the trace alone, but for the workspace of cuBLAS.
        measurement: Of the same step, run for real.
        notes: Omissions of the prediction on this machine.

    Example:
        >>> comparison = compare_memory(nn.Linear(10, 20), (4, 10))
        >>> row = comparison.to_dict()
        >>> row["predicted_bytes"], row["tracked_bytes"], row["tracked_error_bytes"]
        (1360, 1360, 0)
    """

    prediction: PredictedMemory
    measurement: MeasuredMemory
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> Mapping[str, int]:
        """Predicted less measured bytes of every figure that was measured, by its name."""
        figures = {name: getattr(self.measurement, name) for name in vars(self.prediction)}
        return {
            name: prediction - figures[name]
            for name, prediction in vars(self.prediction).items()
            if figures[name] is not None
        }

    def to_dict(self) -> dict[str, Any]:
        """The comparison as plain data.

        Each figure stands under its own name as measured, under `predicted_*` as predicted (of the tracked
        storages `predicted_bytes`), and with `_error_bytes` at its end as the difference.
        """
        errors, workspaces = self.errors, self.measurement.workspaces
        row: dict[str, Any] = {"device": self.measurement.device}
        for name in errors:
            row[f"predicted_{name.removeprefix('tracked_')}"] = getattr(self.prediction, name)
        row |= {name: getattr(self.measurement, name) for name in errors}
        row |= {name.replace("_bytes", "_error_bytes"): error for name, error in errors.items()}
        return row | ({"workspaces": dict(workspaces)} if workspaces else {})


@checked
def compare_memory(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: Device = "cpu",
    progress: Progress | None = None,
) -> MemoryComparison:
    """Predict the peak memory of a pass or a training step, run it for real, and set both side by side.

    Args:
        model: Any module that has data.
        inputs: As for `trace`, batch included.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: As for `trace`.
        optimizer: As for `trace`; train mode only.
        autocast: As for `trace`.
        device: `cpu` or `cuda`, which has to be there.
        progress: As for `measure_memory`.

    Raises:
        InceptionLabError: As of `trace` and `measure_memory`.

    Example:
        >>> comparison = compare_memory(nn.Linear(10, 20), (4, 10))
        >>> comparison.prediction.tracked_bytes, comparison.errors["tracked_bytes"]
        (1360, 0)
    """
    inputs = with_arguments(inputs, args, kwargs)
    step = trace_for_device(
        model, inputs, mode=mode, loss=loss, optimizer=optimizer, autocast=autocast, device=device
    )
    measurement = measure_memory(
        model,
        inputs,
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        device=device,
        progress=progress,
    )
    if device == "cuda":
        return MemoryComparison(_predicted_on_cuda(step, measurement), measurement)
    return MemoryComparison(predicted_on_cpu(step), measurement, tuple(_notes_on_cpu(step)))


def _notes_on_cpu(step: Trace) -> Iterator[str]:
    if not this_processor():
        yield UNKNOWN_PROCESSOR
    products = [op for op in step.ops if op.base_name in _PRODUCTS]
    if any(step.values[value].dtype in _HALF for op in products for value in op.reads):
        yield HALF_PRECISION
    if WITHOUT_FAST_PATH in step.context.notes:
        yield WITHOUT_FAST_PATH
    if step.context.mode == "eval" and any(op.base_name == LAYER for op in step.ops):
        yield RECURRENT_INFERENCE
    if any(value.is_sparse for value in step.values):
        yield SPARSE_WORKSPACE


def predicted_on_cpu(step: Trace) -> PredictedMemory:
    """Return the peaks of a pass or a training step on this machine's CPU, from its trace alone.

    Args:
        step: As of `trace_for_device`.

    Example:
        >>> step = trace_for_device(torch.nn.Linear(10, 20), (4, 10))
        >>> predicted_on_cpu(step).tracked_bytes
        1360
    """
    peak_bytes, processor = peak_memory(step, "cpu").peak_bytes, this_processor()
    # for another processor the storages alone are the least that its allocator holds
    return PredictedMemory(peak_bytes, allocator_peak(step, processor) if processor else peak_bytes)


def _predicted_on_cuda(step: Trace, measurement: MeasuredMemory) -> PredictedMemory:
    # What cuBLAS keeps depends on its version and the GPU: no rule tells it, only the run does.
    peak, workspace = peak_memory(step, "cuda").peak_bytes, measurement.workspaces["cublas"]
    return PredictedMemory(peak, peak + workspace, reserved_memory(step) + workspace)
