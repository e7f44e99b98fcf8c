"""From what the recorder saw to a Trace, which holds no tensor and never changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inception_lab.ir.trace import Call, Context, Kind, Op, Storage, Trace
from inception_lab.running.substitution import Borrowed
from inception_lab.tracing.recorder import Recorder

Named = dict[int, tuple[Kind, str]]

_new: Any = tuple.__new__  # a named tuple at half the price: its own constructor is Python code


def freeze(recorder: Recorder, loan: Borrowed, context: Context, named: Named, outputs: Any) -> Trace:
    """Write down a run, while everything that outlives it is still alive.

    Args:
        recorder: What saw it.
        loan: The model that ran.
        context: What was run and how.
        named: Kind and name of the storages that existed before the first operation.
        outputs: What the model returned.
    """
    return Trace(
        context,
        ops=tuple(_ops(recorder)),
        values=tuple(recorder.values),
        storages=tuple(_storages(recorder, _known_kinds(recorder, loan, named, outputs))),
        calls=tuple(_calls(recorder, loan)),
    )


def _ops(recorder: Recorder) -> Iterator[Op]:
    for index, (known, phase, call, reads, writes) in enumerate(recorder.ops):
        macs, other, counted = known.cost
        if phase == "backward":
            other = 0
        yield _new(Op, (index, known.name, phase, call, reads, writes, known.args, macs, other, counted))


def _known_kinds(recorder: Recorder, loan: Borrowed, named: Named, outputs: Any) -> Named:
    """Kind and name of the storages that have an owner: the model, its gradients, its caller."""
    gradients: dict[int, tuple[Kind, str]] = {
        recorder.storage_of(parameter.grad).id: ("gradient", path)
        for path, parameter in loan.parameters.items()
        if parameter.grad is not None
    }
    read_backward = {
        recorder.values[value].storage
        for _, phase, _, reads, _ in recorder.ops
        if phase == "backward"
        for value in reads
    }
    kept = {recorder.values[value].storage for value in recorder.values_in((outputs,))}
    returned: dict[int, tuple[Kind, str]] = {
        storage: ("saved" if storage in read_backward else "activation", "") for storage in kept
    }
    return gradients | returned | named


def _storages(recorder: Recorder, known: Named) -> Iterator[Storage]:
    phases = [phase for _, phase, *_ in recorder.ops]
    first_backward = phases.index("backward") if "backward" in phases else len(phases)
    for s in recorder.storages:
        kind, name = known.get(s.id) or (_kind_by_life(s.born, s.dies, first_backward), "")
        yield _new(Storage, (s.id, s.bytes, kind, name, s.born, s.dies))


def _kind_by_life(born: int | None, dies: int | None, first_backward: int) -> Kind:
    """What a storage without an owner is for: what only the backward pass released was saved for it."""
    if born is None:
        return "buffer"
    if born >= first_backward:
        return "temporary"
    return "activation" if dies is None or dies < first_backward else "saved"


def _calls(recorder: Recorder, loan: Borrowed) -> Iterator[Call]:
    """Module calls in order of execution, then the modules that were never called."""
    own = _own_params(loan)
    numbers: dict[str, int] = {}
    for call in recorder.calls:
        path, module = call.path, call.module
        number = numbers[path] = numbers.get(path, -1) + 1
        params = 0 if number else own.get(path, 0)
        leaf = module is None or not module._modules
        call_is = (
            call.id,
            path,
            call.kind,
            number,
            call.parent,
            params,
            leaf,
            True,
            call.inputs,
            call.outputs,
        )
        yield _new(Call, call_is)
    missing = [(path, module) for path, module in loan.modules.items() if path not in numbers]
    for index, (path, module) in enumerate(missing, start=len(recorder.calls)):
        leaf = not module._modules
        yield Call(index, path, type(module).__name__, 0, None, own.get(path, 0), leaf, False, (), ())


def _own_params(loan: Borrowed) -> dict[str, int]:
    """Elements of each module's own parameters, a shared tensor at its first owner."""
    own: dict[str, int] = {}
    for path, parameter in loan.parameters.items():
        owner = path.rpartition(".")[0]
        own[owner] = own.get(owner, 0) + parameter.numel()
    return own
