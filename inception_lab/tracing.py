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
from torch.utils._pytree import tree_leaves

from inception_lab import __version__
from inception_lab.answers import SHORTCUTS, forget_the_oldest
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.ir import Call, Context, Kind, Mode, Op, Storage, Trace, Value
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
    forget_the_oldest()
    training = mode == "train"
    inference_off = torch.inference_mode(False)
    with _one_at_a_time, _no_collection(), inference_off, borrowed(model, training) as loan:
        tensors = [_meta_input(given, loan) for given in _several(inputs)]
        recorder = Recorder(answers, differentiable=training)
        named = _register(recorder, loan, tensors)
        recorder.watch(loan.modules)
        try:
            with recorder, torch.set_grad_enabled(training):
                outputs = model(*tensors)
                differentiated = _backward(recorder, outputs, loss) if training else None
            context = _context(recorder, name, tensors, mode, differentiated)
            return _freeze(recorder, loan, context, _kinds(recorder, loan, named, outputs))
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
        return torch.empty_strided(given.shape, given.stride(), dtype=given.dtype, device="meta")
    floating = (t.dtype for t in loan.parameters.values() if t.is_floating_point())
    return torch.empty(_shape(given), dtype=next(floating, torch.get_default_dtype()), device="meta")


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
            named.setdefault(recorder.storage_of(tensor).id, (kind, path))
    return named


def _backward(recorder: Recorder, outputs: Any, loss: Loss | None) -> str:
    """Compute the loss and run the backward pass; returns what was differentiated."""
    recorder.phase = "loss"
    name, function = (
        (getattr(loss, "__name__", type(loss).__name__), loss) if loss else _default_loss(outputs)
    )
    value = recorder.reporting(function, "(loss)", name)(outputs)
    recorder.phase = "backward"
    if value.requires_grad:
        value.backward()
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


def _freeze(recorder: Recorder, loan: Borrowed, context: Context, kinds: Sequence[tuple[Kind, str]]) -> Trace:
    """Write down what the recorder saw, while everything that outlives the step is still alive."""
    ops = [
        Op(
            index, known.name, phase, call, reads, writes, known.args, known.cost.macs,
            known.cost.other_flops if phase in ("forward", "loss") else 0, known.cost.counted,
        )
        for index, (known, phase, call, reads, writes) in enumerate(recorder.ops)
    ]  # fmt: skip
    values = [
        Value(v.id, v.storage.id, v.op, v.layout.shape, v.layout.strides, v.offset, v.layout.dtype_name)
        for v in recorder.values
    ]
    storages = [
        Storage(s.id, s.bytes, kind, name, s.born, s.dies)
        for s, (kind, name) in zip(recorder.storages, kinds, strict=True)
    ]
    return Trace(context, tuple(ops), tuple(values), tuple(storages), _calls(recorder, loan))


def _kinds(
    recorder: Recorder, loan: Borrowed, named: dict[int, tuple[Kind, str]], outputs: Any
) -> list[tuple[Kind, str]]:
    """What each storage holds, told by who owns it, where it was born and when it died.

    What the forward pass made and the backward pass released was saved for it.
    """
    phases = [phase for _, phase, *_ in recorder.ops]
    first_backward = phases.index("backward") if "backward" in phases else len(phases)
    known: dict[int, tuple[Kind, str]] = {
        recorder.storage_of(parameter.grad).id: ("gradient", path)
        for path, parameter in loan.parameters.items()
        if parameter.grad is not None
    }
    known |= {
        recorder.values[value].storage.id: ("activation", "") for value in recorder.values_in((outputs,))
    }
    known |= named
    return [known.get(s.id) or (_kind_by_life(s.born, s.dies, first_backward), "") for s in recorder.storages]


def _kind_by_life(born: int | None, dies: int | None, first_backward: int) -> Kind:
    if born is None:
        return "buffer"
    if born >= first_backward:
        return "temporary"
    return "activation" if dies is None or dies < first_backward else "saved"


def _calls(recorder: Recorder, loan: Borrowed) -> tuple[Call, ...]:
    """Module calls in order of execution, then the modules that were never called."""
    own = _own_params(loan)
    numbers: Counter[str] = Counter()
    called = []
    for state in recorder.calls:
        number = numbers[state.path]
        numbers[state.path] += 1
        params = own.get(state.path, 0) if number == 0 else 0
        leaf = state.module is None or not state.module._modules
        called.append(
            Call(
                state.id, state.path, state.kind, number, state.parent, params, leaf, True,
                state.inputs, state.outputs,
            )
        )  # fmt: skip
    missing = [(path, module) for path, module in loan.modules.items() if path not in numbers]
    return (
        *called,
        *(
            Call(index, path, type(m).__name__, 0, None, own.get(path, 0), not m._modules, False, (), ())
            for index, (path, m) in enumerate(missing, start=len(called))
        ),
    )


def _own_params(loan: Borrowed) -> dict[str, int]:
    """Elements of each module's own parameters, a shared tensor at its first owner."""
    own: Counter[str] = Counter()
    for path, parameter in loan.parameters.items():
        own[path.rpartition(".")[0]] += parameter.numel()
    return own
