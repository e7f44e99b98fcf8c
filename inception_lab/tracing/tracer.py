"""Run a model once, on meta tensors wherever it can, and keep what happened as a Trace."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from threading import RLock
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode

from inception_lab import __version__
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir.trace import Context, Kind, Mode, Trace
from inception_lab.running.inputs import Arguments, Inputs, arguments
from inception_lab.running.layouts import layout_of
from inception_lab.running.losses import Loss, default_loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer, optimizer_of, state_of, steady
from inception_lab.running.substitution import Borrowed, borrowed
from inception_lab.tracing.backends import FOR_REAL, ON_META, Ground, on_fake_tensors
from inception_lab.tracing.build import freeze
from inception_lab.tracing.dispatch import forget_old_costs, forget_when_full
from inception_lab.tracing.recorder import FAILED_IN, AutocastMet, Recorder

FEW_MACS, FEW_BYTES = 10**10, 2**29
"""What a real run does in about a second."""

one_at_a_time = RLock()


def trace(
    model: nn.Module,
    inputs: Inputs,
    *,
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

    Args:
        model: Any module, on any device; its weights are neither changed nor moved.
        inputs: Shape of the input, batch included, or an example tensor; a list of positional inputs, or
            a dictionary of keyword inputs, each a shape, a tensor, or a list, tuple or dictionary of
            these; `[]` for a model that takes none. Shapes stand for the model's own floating dtype;
            for another one give a tensor, such as `torch.zeros(1, 128, dtype=torch.int64)`.
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
    if not isinstance(model, nn.Module):
        raise InceptionLabError(f"a {type(model).__name__} is no torch.nn.Module", hint="pass a model")
    if mode not in ("eval", "train"):
        raise InceptionLabError(f"unknown mode {mode!r}", hint="use 'eval' or 'train'")
    if autocast not in (None, torch.bfloat16, torch.float16):
        raise InceptionLabError(f"autocast to {autocast}", hint="use torch.bfloat16 or torch.float16")
    if device not in ("meta", "cpu"):
        raise InceptionLabError(f"nothing is traced on device {device!r}", hint="use 'meta' or 'cpu'")
    if optimizer is not None and mode != "train":
        raise InceptionLabError("an optimizer takes no step in eval mode", hint="use mode='train'")
    step = optimizer_of(optimizer) if optimizer is not None else None
    asked = Request(model, inputs, mode, loss, name or type(model).__name__, step, autocast, device)
    try:
        return _without_data(asked)
    except TraceError as failure:
        if meta_only or not failure.blames_meta or not _has_data(model):
            raise
        reason = failure.reason
    return trace_on(FOR_REAL, asked, reason)


class Request(NamedTuple):
    """What is to be traced; see `trace`."""

    model: nn.Module
    inputs: Inputs
    mode: Mode
    loss: Loss | None
    name: str
    optimizer: NamedOptimizer | None = None
    autocast: torch.dtype | None = None
    device: str = "meta"


def _without_data(asked: Request) -> Trace:
    """Trace on meta tensors, or on fake ones where the device or autocast has to have its effect."""
    if asked.autocast is None and asked.device == "meta":
        try:
            return trace_on(ON_META, asked)
        except AutocastMet:
            pass
    return trace_on(on_fake_tensors(), asked)


class TraceError(InceptionLabError):
    """A model that raised while it was traced.

    Args:
        error: What it raised.
        recorder: What saw the run.
        name: Name of the model.
        inputs: What it was called with.

    Attributes:
        reason: What it raised and where, in one line.
        blames_meta: Whether meta tensors may be to blame: the message speaks of them, or a real run
            would tell soon.
    """

    def __init__(self, error: Exception, recorder: Recorder, name: str, inputs: Mapping[str, Tensor]) -> None:
        shapes = ", ".join("x".join(map(str, x.shape)) for x in inputs.values())
        path = error.__dict__.get(FAILED_IN, "")
        place = f" in {path}" if path else ""
        lines = str(error).strip().splitlines()
        self.reason = f"{type(error).__name__}{place}: {lines[0]}" if lines else type(error).__name__
        self.blames_meta = _speaks_of_meta(error) or _soon_reached(recorder)
        super().__init__(
            f"cannot run on an input of {shapes}: {self.reason}", where=name, exit_code=MODEL_FAILED
        )


def _speaks_of_meta(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, NotImplementedError) or "meta" in text or "data pointer" in text


def _soon_reached(recorder: Recorder) -> bool:
    """Whether a real run gets to the same point soon, and tells whether meta tensors were to blame."""
    weights = sum(state.bytes for state in recorder.storages if state.born is None)
    return weights < FEW_BYTES and sum(known.cost.macs for known, *_ in recorder.ops) < FEW_MACS


def _has_data(model: nn.Module) -> bool:
    return not any(t.is_meta for t in (*model.parameters(), *model.buffers()))


def trace_on(ground: Ground, asked: Request, fallback: str = "") -> Trace:
    """Trace a model on one ground; `fallback` says why it is not meta."""
    with one_at_a_time, no_collection(), torch.inference_mode(False), ExitStack() as others:
        forget_old_costs()
        if _get_current_dispatch_mode() is not None:  # another trace, or somebody's mode
            others.enter_context(_disable_current_modes())
        else:
            forget_when_full()
        return _recorded(ground, asked, fallback)


def _recorded(ground: Ground, asked: Request, fallback: str) -> Trace:
    training = asked.mode == "train"
    others = [asked.loss] if isinstance(asked.loss, nn.Module) else []
    with (
        borrowed(asked.model, training, ground.stand_in, others) as loan,
        operation_by_operation(loan.modules),
    ):
        torch.manual_seed(0)  # a net that draws numbers draws the same ones every time
        called = arguments(asked.inputs, floating_dtype(loan), ground.likeness)
        recorder = Recorder(ground.answers, ground.adapt, training, ground.most_macs, ground.heeds_autocast)
        optimizer = steady(asked.optimizer, loan.parameters, ground.mode) if asked.optimizer else None
        named = _register(recorder, loan, called.tensors, optimizer)
        recorder.watch(loan.modules)
        try:
            with ground.mode, recorder, torch.set_grad_enabled(training):
                with autocast_to(asked.autocast, "cpu"):
                    outputs = asked.model(*called.args, **called.kwargs)
                    if isinstance(outputs, Iterator):
                        outputs = list(outputs)
                    differentiated, loss = _loss(recorder, outputs, asked.loss) if training else (None, None)
                if loss is not None:
                    _backward(recorder, loss)
                if optimizer is not None:
                    _forget_unused_state(recorder, loan, named)
                    _step(recorder, optimizer)
            dtype = str(floating_dtype(loan)).removeprefix("torch.")
            facts = {
                "loss": differentiated,
                "autocast": asked.autocast and str(asked.autocast).removeprefix("torch."),
                "optimizer": asked.optimizer and asked.optimizer.name,
                "device": ground.device,
                "fallback": fallback,
                "dtype": dtype,
            }
            return freeze(recorder, loan, _context(recorder, asked, called, **facts), named, outputs)
        except InceptionLabError:
            raise
        except Exception as error:
            raise TraceError(error, recorder, asked.name, called.tensors) from error
        finally:
            recorder.release()


def floating_dtype(loan: Borrowed) -> torch.dtype:
    """The dtype of the first floating or complex parameter."""
    floating = (t.dtype for t in loan.parameters.values() if t.is_floating_point() or t.is_complex())
    return next(floating, torch.get_default_dtype())


@contextmanager
def operation_by_operation(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Switch off what hides operations: the encoder's fused path, compilation, replicas."""
    fused = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        if "torch._dynamo" in sys.modules:  # else nothing is compiled
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        for module in modules.values():
            if isinstance(module, nn.DataParallel):
                module.device_ids = []  # the loan puts it back
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)


@contextmanager
def no_collection() -> Iterator[None]:
    """No garbage collection, which would release tensors at moments that no program controls."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _register(
    recorder: Recorder,
    loan: Borrowed,
    tensors: Mapping[str, Tensor],
    optimizer: torch.optim.Optimizer | None,
) -> dict[int, tuple[Kind, str]]:
    """Kind and name of the storages that exist before the first operation."""
    groups: tuple[tuple[Kind, Mapping[str, Tensor]], ...] = (
        ("parameter", loan.parameters),
        ("buffer", loan.buffers),
        ("input", tensors),
        ("optimizer state", state_of(optimizer, loan.parameters) if optimizer else {}),
    )
    named: dict[int, tuple[Kind, str]] = {}
    for kind, group in groups:
        for path, tensor in group.items():
            named.setdefault(recorder.adopt(tensor), (kind, path))
    return named


def autocast_to(dtype: torch.dtype | None, device: str) -> AbstractContextManager[object]:
    """Autocast on a kind of device, or nothing without a dtype."""
    return nullcontext() if dtype is None else torch.autocast(device, dtype)


def _loss(recorder: Recorder, outputs: Any, loss: Loss | None) -> tuple[str, Tensor]:
    """Name and value of what is differentiated."""
    recorder.phase = "loss"
    name, function = (getattr(loss, "__name__", type(loss).__name__), loss) if loss else default_loss(outputs)
    value = recorder.reporting(function, "(loss)", name)(outputs)
    if not isinstance(value, Tensor) or value.dim():
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InceptionLabError(f"the loss {name} gave {what}", hint="return a scalar tensor")
    return name, value


def _backward(recorder: Recorder, loss: Tensor) -> None:
    recorder.begin_backward()
    if loss.requires_grad:
        loss.backward()  # type: ignore[no-untyped-call]


def _step(recorder: Recorder, optimizer: torch.optim.Optimizer) -> None:
    """The optimizer's step."""
    recorder.phase = "optimizer"
    kind = type(optimizer).__name__
    recorder.reporting(optimizer.step, "(optimizer)", kind)()


def _forget_unused_state(recorder: Recorder, loan: Borrowed, named: Mapping[int, tuple[Kind, str]]) -> None:
    """An optimizer keeps nothing for a parameter that no gradient reaches."""
    idle = {path for path, parameter in loan.parameters.items() if parameter.grad is None}
    for storage, (kind, name) in named.items():
        if kind == "optimizer state" and name.rpartition(".")[0] in idle:
            recorder.storages[storage].bytes = 0


def _context(recorder: Recorder, asked: Request, called: Arguments, **facts: Any) -> Context:
    tensors = list(called.tensors.values())
    first = next((t for t in tensors if t.is_floating_point() or t.is_complex()), None)
    if first is not None:
        facts["dtype"] = layout_of(first).dtype_name
    uncounted = Counter(known.name for known, *_ in recorder.ops if not known.cost.counted)
    return Context(
        model=asked.name,
        input_shapes=tuple(tuple(t.shape) for t in tensors),
        mode=asked.mode,
        memory_format=_memory_format(first),
        torch=torch.__version__.partition("+")[0],
        tool=f"inception_lab {__version__}",
        uncounted_ops=dict(uncounted),
        **facts,
    )


def _memory_format(tensor: Tensor | None) -> str:
    if tensor is None or tensor.is_contiguous():
        return "contiguous"
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    last = channels_last is not None and tensor.is_contiguous(memory_format=channels_last)
    return "channels_last" if last else "strided"
