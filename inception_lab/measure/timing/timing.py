"""Time of a real pass or training step, layer by layer, and of several models side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from math import inf
from statistics import median
from typing import Any

import torch
from torch import nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Mode
from inception_lab.measure.real_runs import device_of, failure_named, operation_threads, prepared_on
from inception_lab.measure.room import refuse_without_room
from inception_lab.measure.timing.context import run_context
from inception_lab.measure.timing.cuda import measure_on_cuda
from inception_lab.measure.timing.results import (
    CpuTimes,
    LayerTimes,
    Measurement,
    TimeRatio,
    TimesComparison,
    milliseconds_of,
)
from inception_lab.measure.timing.rounds import Progress, Samples, measure_rounds
from inception_lab.measure.timing.statistics import median_ratio
from inception_lab.measure.timing.table import layer_table, medians_part
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer
from inception_lab.running.request import Execution, Request, request_of
from inception_lab.running.step import Step

SECONDS = 5.0
"""Default time budget for a model."""


@checked
def layer_times(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    execution: Execution = "eager",
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = SECONDS,
    name: str = "",
    progress: Progress | None = None,
) -> LayerTimes:
    """Run what `trace` would trace for real, on copies, and time every layer so that they add up to the step.

    On the CPU a clock is read whenever a call of a module begins or ends. Rounds with and without these
    readings alternate, from the same random numbers, without gradients, and with the attributes that modules
    had; they differ by the cost of measuring. On CUDA events time the step, each round from an idle GPU with
    a cold cache; torch.profiler then tells in steps of its own which kernels each call launched, see
    `CudaTimes`; and where the step can be captured, it is replayed from a CUDA graph. As in training, what is
    written into (copied) weights and buffers stays from round to round. A layer's backward pass is its own.
    Operations run one by one as in a trace, without PyTorch's compiler, unless asked for, and the fused fast
    path of its encoder layers. Garbage collection is off, and the model is left as it was found.

    Args:
        model: Any module that has data.
        inputs: As for `trace`.
        args: As for `trace`.
        kwargs: As for `trace`.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        optimizer: As for `trace`; train mode only.
        autocast: The dtype in which autocast runs the model, none by default.
        execution: `eager`, or `compiled` for what torch.compile makes of the model, whose layers then have
            no times of their own.
        device: `cpu` or `cuda`, with its number where it is not the current one.
        threads: PyTorch's threads within an operation; as they are by default, and restored.
        seconds: Time budget for warm-up and rounds; six rounds are made however long they take.
        name: Name of the model in the result; its class by default.
        progress: Told after each round the part of the work that is done, from 0 to 1.

    Raises:
        InceptionLabError: An option is not known or the device not there (exit code 2), or the model raised
            or has no data (3).

    Example:
        >>> times = layer_times(nn.Sequential(nn.Linear(8, 8), nn.ReLU()), (4, 8), seconds=0)
        >>> list(times.layers["layer"]), round(sum(times.layers["self_ms"]), 6) == times.step_ms
        (['(model)', '0', '1', '(outside)'], True)
    """
    request = request_of(
        model,
        with_arguments(inputs, args, kwargs),
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        name=name,
        execution=execution,
    )
    (measurement,) = measure_requests([request], device, threads, seconds, progress)
    return measurement.times


@checked
def compare_times(
    models: Sequence[nn.Module],
    inputs: Sequence[Inputs],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    execution: Execution = "eager",
    device: str = "cpu",
    threads: int | None = None,
    seconds: float = SECONDS,
    names: Sequence[str] = (),
    progress: Progress | None = None,
) -> TimesComparison:
    """Time several models whose rounds take turns in one process, and their ratios to the first one.

    Every round of a model has one of each other model beside it, on a machine in the same state. The ratio is
    the median of the rounds' ratios; its interval is distribution-free, see `statistics.median_interval`.

    Args:
        models: Two or more, which share no modules.
        inputs: One for each model, each as for `trace`.
        args: As for `trace`, for all models.
        kwargs: As for `trace`, for all models.
        mode: As for `layer_times`, like all others that it has too.
        loss: For all models.
        optimizer: For all models.
        autocast: For all models.
        execution: For all models.
        device: As for `layer_times`.
        threads: PyTorch's threads within an operation.
        seconds: Time budget for each model.
        names: Of the models, if given of all; their classes by default.
        progress: Told the part of the work that is done.

    Raises:
        InceptionLabError: As of `layer_times`; or there are not two models or more, with one input and one
            name each; or they share a module (exit code 2).

    Example:
        >>> comparison = compare_times([nn.Linear(4, 4), nn.Linear(8, 8)], [(1, 4), (1, 8)], seconds=0)
        >>> comparison.ratios[0].ratio.low > 0
        True
    """
    names = names or [type(model).__name__ for model in models]
    _check_models(models, inputs, names)
    requests = [
        request_of(
            model,
            with_arguments(one, args, kwargs),
            mode=mode,
            loss=loss,
            optimizer=optimizer,
            autocast=autocast,
            name=name,
            execution=execution,
        )
        for model, one, name in zip(models, inputs, names, strict=True)
    ]
    measurements = measure_requests(requests, device, threads, seconds, progress)
    first, *others = (measurement.plain for measurement in measurements)
    ratios = [
        TimeRatio(name, names[0], median_ratio(other, first))
        for name, other in zip(names[1:], others, strict=True)
    ]
    return TimesComparison(tuple(measurement.times for measurement in measurements), tuple(ratios))


def _check_models(models: Sequence[nn.Module], inputs: Sequence[Inputs], names: Sequence[str]) -> None:
    if len(models) < 2:
        raise InceptionLabError(f"{len(models)} models have no ratio", hint="pass two or more")
    if not len(models) == len(inputs) == len(names):
        raise InceptionLabError(
            f"{len(models)} models, {len(inputs)} inputs and {len(names)} names",
            hint="pass one for each model",
        )
    modules = [module for model in models if isinstance(model, nn.Module) for module in model.modules()]
    if len(set(modules)) < len(modules):
        # what stands in for a module's tensors can stand in for one model at a time
        raise InceptionLabError("two of the models share a module", hint="pass a copy.deepcopy of one")


def measure_requests(
    requests: Sequence[Request], device: str, threads: int | None, seconds: float, progress: Progress | None
) -> Sequence[Measurement]:
    """Measure passes or steps whose rounds take turns, each within `seconds`; see `layer_times`."""
    place = timed_device(device)
    _check_seconds(seconds)
    refuse_without_room(requests, place)
    with one_run_at_a_time, operation_threads(threads), ExitStack() as stack:
        steps = [_enter(stack, request, place) for request in requests]
        return _MEASURES[place.type](steps, seconds * len(steps), progress)


def timed_device(name: str) -> torch.device:
    """The device on which layers are timed.

    Raises:
        InceptionLabError: They are not timed on such a device, or it is not there (exit code 2).
    """
    return device_of(name, _MEASURES, "layers are not timed")


def _check_seconds(seconds: float) -> None:
    if not isinstance(seconds, (int, float)) or not 0 <= seconds < inf:
        raise InceptionLabError(f"a time budget of {seconds!r} seconds", hint="use seconds=5")


def _enter(stack: ExitStack, request: Request, device: torch.device) -> Step:
    with failure_named(request.name):
        return stack.enter_context(prepared_on(request, device))


def _on_cpu(steps: Sequence[Step], seconds: float, progress: Progress | None) -> Sequence[Measurement]:
    rounds = measure_rounds(steps, seconds, progress)
    return [
        Measurement(_cpu_times(step, samples, rounds.warm_up), [elapsed.wall for elapsed in samples.plain])
        for step, samples in zip(steps, rounds.samples, strict=True)
    ]


def _cpu_times(step: Step, samples: Samples, warm_up: int) -> CpuTimes:
    clocked, clocked_cpu = zip(*(times.total for times in samples.clocked), strict=True)
    plain, plain_cpu = zip(*samples.plain, strict=True)
    layers = layer_table(samples.clocked, step.layers, step.request.training)
    # The rows add up to this median in whole nanoseconds, so that it is the sum of theirs.
    total = round(sum(layers["self_ms"]), 6)
    return CpuTimes(
        context=run_context(step, len(clocked), warm_up),
        layers=layers,
        step=milliseconds_of(clocked)._replace(median=total),
        plain=milliseconds_of(plain),
        cpu_ms=round(sum(layers["self_cpu_ms"]), 6),
        overhead=median_ratio(clocked, plain),
        cpu_overhead=median_ratio(clocked_cpu, plain_cpu),
        medians_part=medians_part(samples.clocked),
        page_faults=median(samples.page_faults),
    )


_MEASURES: Mapping[str, Callable[[Sequence[Step], float, Progress | None], Sequence[Measurement]]] = {
    "cpu": _on_cpu,
    "cuda": measure_on_cuda,
}
"""The functions that measure prepared steps in turns, by kind of device."""
