"""Run a model once on meta tensors and keep what happened as a Trace."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from operator import index
from threading import RLock
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

from inception_lab import __version__
from inception_lab.answers import SHORTCUTS, forget_when_full
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.freezing import freeze
from inception_lab.ir import Context, Kind, Mode, Trace
from inception_lab.layouts import layout_of
from inception_lab.recorder import Answers, Recorder
from inception_lab.standins import Borrowed, borrowed

Input = Sequence[int] | Tensor
Loss = Callable[[Any], Tensor]
HEAD_WEIGHT = 0.3
"""Weight of an auxiliary head's loss (1409.4842 section 5)."""

_one_at_a_time = RLock()


def trace(
    model: nn.Module,
    inputs: Input | Sequence[Input],
    *,
    mode: Mode = "eval",
    loss: Loss | None = None,
    name: str = "",
) -> Trace:
    """Run a model once on meta tensors: no weights, no arithmetic, no batch-sized memory.

    In eval mode that is one inference pass; in train mode forward, loss and backward. The loss is
    the cross-entropy where the model returns one floating tensor of N x C, the auxiliary heads of a
    named tuple (`logits`, then fields that begin with `aux`) at 0.3 each (1409.4842 section 5); else
    the sum of all floating outputs. The model is left exactly as it was found.

    Args:
        model: Any module, on any device; its weights are neither read nor moved.
        inputs: Shape of the input, batch included, or an example tensor; a sequence of these for a
            model that takes several. Shapes stand for the model's own floating dtype.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        name: Name of the model in the result; its class where none is given.

    Returns:
        The trace: operations, values, storages and module calls.

    Raises:
        InceptionLabError: The model raised on this input; the module in which it did is named.

    Example:
        >>> import torch
        >>> trace(torch.nn.Linear(10, 20), (4, 10)).ops[-1].macs
        800
    """
    return _trace(model, inputs, mode, loss, name or type(model).__name__, SHORTCUTS)


def _trace(
    model: nn.Module,
    inputs: Input | Sequence[Input],
    mode: Mode,
    loss: Loss | None,
    name: str,
    answers: Answers,
) -> Trace:
    if not isinstance(model, nn.Module):
        raise InceptionLabError(f"a {type(model).__name__} is no torch.nn.Module", hint="pass a model")
    if mode not in ("eval", "train"):
        raise InceptionLabError(f"unknown mode {mode!r}", hint="use 'eval' or 'train'")
    with _one_at_a_time, _no_collection(), torch.inference_mode(False):
        if (
            _get_current_dispatch_mode() is not None
        ):  # within another trace, or somebody's mode: none of its business
            with _disable_current_modes():
                return _recorded(model, inputs, mode, loss, name, answers)
        forget_when_full()
        return _recorded(model, inputs, mode, loss, name, answers)


def _recorded(
    model: nn.Module,
    inputs: Input | Sequence[Input],
    mode: Mode,
    loss: Loss | None,
    name: str,
    answers: Answers,
) -> Trace:
    training = mode == "train"
    with borrowed(model, training) as loan:
        tensors = [_meta_input(given, loan) for given in _several(inputs)]
        recorder = Recorder(answers, differentiable=training)
        named = _register(recorder, loan, tensors)
        recorder.watch(loan.modules)
        try:
            with recorder, torch.set_grad_enabled(training):
                outputs = model(*tensors)
                differentiated = _backward(recorder, outputs, loss) if training else None
            context = _context(recorder, name, tensors, mode, differentiated)
            return freeze(recorder, loan, context, named, outputs)
        except InceptionLabError:
            raise
        except Exception as error:
            raise _explained(error, recorder, name, tensors) from error
        finally:
            recorder.release()


@contextmanager
def _no_collection() -> Iterator[None]:
    """No garbage collection, which would release tensors at moments that no program controls."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _several(inputs: Input | Sequence[Input]) -> Sequence[Input]:
    if isinstance(inputs, Tensor):
        return [inputs]
    if not isinstance(inputs, (list, tuple)):
        raise InceptionLabError(f"{inputs!r} is no input", hint="give a shape such as (1, 3, 224, 224)")
    one = all(not isinstance(part, (Sequence, Tensor)) for part in inputs)
    return [cast("Input", inputs)] if one else cast("Sequence[Input]", inputs)


def _meta_input(given: Input, loan: Borrowed) -> Tensor:
    if isinstance(given, Tensor):
        twin = torch.empty_strided(given.shape, given.stride(), dtype=given.dtype, device="meta")
        return twin.requires_grad_(given.requires_grad)
    floating = (t.dtype for t in loan.parameters.values() if t.is_floating_point())
    shape, dtype = _shape(given), next(floating, torch.get_default_dtype())
    try:
        return torch.empty(shape, dtype=dtype, device="meta")
    except (RuntimeError, TypeError) as error:
        raise InceptionLabError(
            f"an input of {len(shape)} axes up to {max(shape):.2e} is too large",
            hint="take a smaller one",
            exit_code=MODEL_FAILED,
        ) from error


def _shape(given: Sequence[int]) -> tuple[int, ...]:
    """The sizes as plain numbers; those of other libraries' integers are taken too."""
    try:
        sizes = tuple(index(size) for size in given)
    except TypeError:
        sizes = ()
    if not sizes or min(sizes) < 1 or any(isinstance(size, bool) for size in given):
        raise InceptionLabError(
            f"input shape {given!r} is no row of sizes of 1 or more", hint="write it like (1, 3, 224, 224)"
        )
    return sizes


def _register(recorder: Recorder, loan: Borrowed, tensors: Sequence[Tensor]) -> dict[int, tuple[Kind, str]]:
    """Kind and name of the storages that exist before the first operation."""
    groups: tuple[tuple[Kind, dict[str, Tensor]], ...] = (
        ("parameter", loan.parameters),
        ("buffer", loan.buffers),
        ("input", {str(place): tensor for place, tensor in enumerate(tensors)}),
    )
    named: dict[int, tuple[Kind, str]] = {}
    for kind, group in groups:
        for path, tensor in group.items():
            named.setdefault(recorder.adopt(tensor), (kind, path))
    return named


def _backward(recorder: Recorder, outputs: Any, loss: Loss | None) -> str:
    """Compute the loss and run the backward pass; returns what was differentiated."""
    recorder.phase = "loss"
    name, function = (
        (getattr(loss, "__name__", type(loss).__name__), loss) if loss else _default_loss(outputs)
    )
    value = recorder.reporting(function, "(loss)", name)(outputs)
    if not isinstance(value, Tensor) or value.dim():
        what = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise InceptionLabError(f"the loss {name} gave {what}", hint="return a scalar tensor")
    recorder.begin_backward()
    if value.requires_grad:
        value.backward()  # type: ignore[no-untyped-call]
    return name


def _default_loss(outputs: Any) -> tuple[str, Loss]:
    heads = _heads(outputs)
    if all(isinstance(x, Tensor) and x.dim() == 2 and x.is_floating_point() for x in heads):
        return "cross_entropy", lambda outputs: _cross_entropy(_heads(outputs))
    return "sum", _sum_of_floating


def _heads(outputs: Any) -> list[Any]:
    """The logits, then those of the auxiliary heads where a named tuple has some."""
    if not hasattr(outputs, "_fields") or "logits" not in outputs._fields:
        return [outputs]
    heads = [getattr(outputs, field) for field in outputs._fields if field.startswith("aux")]
    flat = [x for head in heads for x in (head if isinstance(head, (list, tuple)) else [head])]
    return [outputs.logits, *(x for x in flat if x is not None)]


def _cross_entropy(heads: Sequence[Tensor]) -> Tensor:
    target = torch.empty(heads[0].shape[0], dtype=torch.int64, device=heads[0].device)
    main, *auxiliary = [F.cross_entropy(logits, target) for logits in heads]
    for value in auxiliary:
        main = main + HEAD_WEIGHT * value
    return main


def _sum_of_floating(outputs: Any) -> Tensor:
    floating = [x for x in tree_leaves(outputs) if isinstance(x, Tensor) and x.is_floating_point()]
    if not floating:
        raise InceptionLabError("the model returned no floating tensor", hint="pass loss=")
    return torch.stack([x.sum() for x in floating]).sum() if len(floating) > 1 else floating[0].sum()


def _explained(
    error: Exception, recorder: Recorder, name: str, inputs: Sequence[Tensor]
) -> InceptionLabError:
    shapes = ", ".join("x".join(map(str, x.shape)) for x in inputs)
    failed = recorder.failed_in
    place = f" in {failed[1]}" if failed and failed[0] is error and failed[1] else ""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return InceptionLabError(
        f"cannot run on an input of {shapes}: {type(error).__name__}{place}: {reason}",
        where=name,
        exit_code=MODEL_FAILED,
    )


def _context(
    recorder: Recorder, name: str, tensors: Sequence[Tensor], mode: Mode, loss: str | None
) -> Context:
    first = next((t for t in tensors if t.is_floating_point()), tensors[0] if tensors else None)
    uncounted = Counter(known.name for known, *_ in recorder.ops if not known.cost.counted)
    return Context(
        model=name,
        input_shapes=tuple(tuple(t.shape) for t in tensors),
        mode=mode,
        loss=loss,
        dtype=layout_of(first).dtype_name if first is not None else "none",
        memory_format=_memory_format(first),
        device="meta",
        torch=torch.__version__.partition("+")[0],
        tool=f"inception_lab {__version__}",
        uncounted_ops=dict(uncounted),
    )


def _memory_format(tensor: Tensor | None) -> str:
    if tensor is None or tensor.is_contiguous():
        return "contiguous"
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    last = channels_last is not None and tensor.is_contiguous(memory_format=channels_last)
    return "channels_last" if last else "strided"
