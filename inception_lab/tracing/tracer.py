"""Run a model once, on meta tensors wherever it can, and keep what happened as a Trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import torch
from torch import nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError, InputRefused
from inception_lab.ir.trace import Mode, Phase, Trace
from inception_lab.running import torch_internals
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.fast_attention import fast_path_for_fake_tensors
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer, OptimizerError
from inception_lab.running.request import Request, request_of
from inception_lab.running.stand_ins import NoMetaForm, is_fake
from inception_lab.running.step import Step, StepResult, prepared
from inception_lab.running.threads import followed
from inception_lab.tracing.assumed_cuda import (
    assuming_cuda,
    autocast_of_cuda,
    refused,
    stopping_at_cuda,
)
from inception_lab.tracing.backends import CPU, META, Backend, fake_backend, recorder_of
from inception_lab.tracing.build import build_trace
from inception_lab.tracing.calls import AutocastMet, CudaMet
from inception_lab.tracing.dispatch import forget_old_costs, forget_when_full
from inception_lab.tracing.lazy import lazy_layers
from inception_lab.tracing.notes import training_notes, weight_notes
from inception_lab.tracing.recorder import Recorder
from inception_lab.tracing.rows_of_integers import refuse_reading, secondary_shapes
from inception_lab.tracing.second_runs import ELSEWHERE, choices, with_python_data_again
from inception_lab.tracing.settling import settle_of
from inception_lab.tracing.storages import Owners
from inception_lab.tracing.trace_error import TraceError

Function = TypeVar("Function", bound=Callable[..., Any])


@checked
def trace(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: str = "meta",
    name: str = "",
    meta_only: bool = False,
) -> Trace:
    """Run a model once on meta tensors: no weights, no arithmetic, no batch-sized memory.

    In eval mode that is one inference pass; in train mode forward, loss and backward, and with an optimizer
    its step, in steady state: what it keeps from step to step is there from the beginning, and the
    gradients of the step before are gone. The loss is
    the cross-entropy where the model returns one floating tensor of N x C, the auxiliary heads of a
    named tuple (`logits`, then fields that begin with `aux`) at 0.3 each (1409.4842 section 5); else
    the sum of all floating outputs. The model is left exactly as it was found. Hooks on its parameters do not
    run, as they may write to the parameters themselves.

    A model that cannot run on meta tensors, because what it does depends on data or because a kernel of
    its own knows no meta tensor, runs for real: on the CPU, on copies of its weights and inputs (random
    numbers where a shape is given, zeros for whole ones). The context then says `cpu` and why.

    Traces of several threads take turns. A call of the model in another thread waits until its trace is over.

    Args:
        model: Any module, on any device; its weights are neither changed nor moved.
        inputs: Shape of the input, batch included, or an example tensor; a list of positional inputs, or
            a dictionary of keyword inputs, each a shape, a tensor, or a list, tuple or dictionary of
            these; `[]` for a model that takes none. Shapes stand for the model's own floating dtype, that
            of its first parameter, or where that is complex and the model takes real numbers alone, as a
            Fourier operator does, the real one of its precision. For another dtype give a tensor, such as
            `torch.zeros(1, 128, dtype=torch.int64)`.
        args: Positional arguments behind the inputs, which reach the model as they are: integers, text, None,
            lists of these; tensors as examples.
        kwargs: Keyword arguments, as they are: `kwargs={"out_indices": (1, 3)}`. Among the inputs a row of
            integers is a shape.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        optimizer: `sgd`, `momentum`, `adam`, `adamw`, or a function that takes the parameters and makes an
            optimizer; without one the step ends with the backward pass. Train mode only.
        autocast: Run forward and loss under `torch.autocast` to this dtype. As meta tensors know nothing of
            it, the model runs on fake CPU tensors then, which takes longer; so does one whose forward
            calls a layer under autocast by itself, and any model within one.
        device: Whose operations run: those of `meta` tensors, on which attention and recurrent layers come
            apart, or those of the `cpu`, fused ones too, on fake tensors, which takes several times as long.
        name: Name of the model in the result; its class where none is given.
        meta_only: Raise an error where the model would have to run for real.

    Returns:
        The trace: operations, values, storages and module calls.

    Raises:
        InceptionLabError: The model raised on this input; the module in which it did is named.

    Example:
        >>> import torch
        >>> trace(torch.nn.Linear(10, 20), (4, 10)).ops[-1].macs
        800
    """
    if device not in ("meta", "cpu"):
        raise InceptionLabError(f"nothing is traced on device {device!r}", hint="use 'meta' or 'cpu'")
    request = request_of(
        model,
        with_arguments(inputs, args, kwargs),
        mode=mode,
        loss=loss,
        optimizer=optimizer,
        autocast=autocast,
        name=name,
    )
    return trace_request(request, device, meta_only)


def trace_request(request: Request, device: str, meta_only: bool = False) -> Trace:
    """Trace a pass or a step as `trace` does.

    Args:
        request: The pass or step.
        device: As for `trace`.
        meta_only: As for `trace`.

    Raises:
        InceptionLabError: As of `trace`.
    """
    run = partial(_trace_request, request, device, meta_only)
    try:
        with autocast_of_cuda(refused):
            return run(_as_it_is)
    except CudaMet:
        pass
    except TraceError as failure:
        if not failure.lacks_cuda:
            raise
    return run(assuming_cuda)


Prepare = Callable[[Backend], Backend]
"""Makes the backend of a run from one of the usual ones."""


def _as_it_is(backend: Backend) -> Backend:
    return backend


def _trace_request(request: Request, device: str, meta_only: bool, prepare: Prepare) -> Trace:
    """Trace without data, or for real where that fails and a real run may not."""
    try:
        return _trace_without_data(request, device, prepare)
    except (TraceError, OptimizerError, NoMetaForm) as failure:
        # a model that is itself on meta has no weights to run with
        if meta_only or not failure.blames_meta or not _has_data(request.model):
            raise
        reason = failure.reason
    return trace_on(prepare(CPU), request, reason)


def _trace_without_data(request: Request, device: str, prepare: Prepare) -> Trace:
    """Trace on meta tensors, or on fake ones where the device or autocast has to have its effect."""
    if request.autocast is None and device == "meta":
        try:
            return trace_on(prepare(META), request)
        # meta tensors do not heed autocast, fake ones do
        except AutocastMet:
            pass
    with fast_path_for_fake_tensors() if request.fast_path else nullcontext():
        return trace_on(prepare(stopping_at_cuda(fake_backend())), request)


def takes(model: nn.Module, inputs: Inputs, mode: Mode = "eval") -> bool:
    """Tell if a model runs on inputs: False where it raises on them or refuses them, on meta tensors.

    Args:
        model: Any module that runs on meta tensors.
        inputs: As of `trace`, such as a shape with the batch.
        mode: `eval` or `train`.

    Raises:
        InceptionLabError: Any other fault, which says nothing about the inputs.

    Example:
        >>> takes(nn.Conv2d(3, 8, 5), (1, 3, 5, 5)), takes(nn.Conv2d(3, 8, 5), (1, 3, 5, 4))
        (True, False)
    """
    try:
        trace(model, inputs, mode=mode, meta_only=True)
    except (TraceError, InputRefused):
        return False
    return True


def _has_data(model: nn.Module) -> bool:
    return not any(t.is_meta or is_fake(t) for t in (*model.parameters(), *model.buffers()))


def trace_on(backend: Backend, request: Request, fallback: str = "") -> Trace:
    """Trace a model on one backend; `fallback` says why it is not meta."""
    with one_run_at_a_time:
        forget_old_costs()
        if torch_internals.current_dispatch_mode() is None:  # else another trace may be using the cache
            forget_when_full()
        layers = lazy_layers(request)
        backend = layers.on(backend)
        settle = settle_of(backend, request)
        with prepared(request, backend.placement, settle) as step:
            layers.tell(step.model.modules)
            recorder = recorder_of(backend, step, fallback)
            trace = _record(backend, step, recorder, fallback)
        if not recorder.unseen and not _reads_any(trace, recorder.storages.contents.lost):
            return trace
        # prepared anew, as the model may have kept what it made in the first run
        with prepared(request, backend.placement, settle) as step:
            layers.tell(step.model.modules)
            return with_python_data_again(backend, step, trace, recorder.unseen)


def _reads_any(trace: Trace, storages: Set[int]) -> bool:
    """True where an operation of the forward pass reads one of the storages."""
    return bool(storages) and any(
        trace.values[value].storage in storages
        for op in trace.ops
        if op.phase == "forward"
        for value in op.reads
    )


def _record(backend: Backend, step: Step, recorder: Recorder, fallback: str) -> Trace:
    recorder.notes |= dict.fromkeys((*backend.notes, *weight_notes(step.model)))
    if step.request.training:
        recorder.notes |= dict.fromkeys(training_notes(step.model))
    existing = recorder.storages.adopt_all(step.tensors)
    recorder.storages.expect(step.model.unregistered)
    recorder.calls.watch(step.model.modules, step.model.gates)
    try:
        result = _run(backend, step, recorder, existing)
        trace = build_trace(recorder, step, existing, result, device=backend.name, fallback=fallback)
        # once it is built, as the forward may have to run again
        trace = _with_notes(trace, choices(backend, step, recorder, existing))
        refuse_reading(trace, secondary_shapes(step.arguments))
        return trace
    except InceptionLabError:
        raise
    except Exception as error:
        raise TraceError(error, recorder, step.request.name, step.arguments) from error
    finally:
        recorder.release()


def _with_notes(trace: Trace, notes: Iterable[str]) -> Trace:
    """The trace with more notes."""
    context, more = trace.context, tuple(notes)
    return replace(trace, context=replace(context, notes=(*context.notes, *more))) if more else trace


def _run(backend: Backend, step: Step, recorder: Recorder, existing: Owners) -> StepResult:
    below, members = backend.placement.mode, step.model.gates.members
    # optimised, TorchScript runs other operations from the second time on
    with (
        below,
        torch_internals.optimized_execution(False),
        recorder,
        followed(partial(recorder.in_threads, below), members) as run,
    ):
        result = step.run(_Observer(recorder, step, existing))
    recorder.calls.check_threads()
    recorder.elsewhere["work in another process"] = run.processes
    # as they are now: forwards that run a second time are reported here too
    recorder.unseen = frozenset(recorder.storages.of_others)
    recorder.elsewhere[ELSEWHERE] = len(recorder.unseen)
    return result


class _Observer:
    """Tells the recorder of the phases of a step and of the functions that are not modules."""

    def __init__(self, recorder: Recorder, step: Step, existing: Owners) -> None:
        self._recorder, self._step, self._existing = recorder, step, existing

    def begin(self, phase: Phase) -> None:
        """Note the phase before its first operation."""
        self._recorder.begin(phase)
        if phase == "optimizer":
            self._forget_unused_state()

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function, its calls noted as those of a module."""
        return self._recorder.calls.reporting(function, path, kind)  # type: ignore[return-value]

    def _forget_unused_state(self) -> None:
        """An optimizer keeps nothing for a parameter that no gradient reaches."""
        idle = {path for path, parameter in self._step.model.parameters.items() if parameter.grad is None}
        for storage, (kind, name) in self._existing.items():
            if kind == "optimizer state" and name.rpartition(".")[0] in idle:
                self._recorder.storages.states[storage].bytes = 0
