"""From what a recorder has written down to a Trace, which holds no tensor and never changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from inception_lab import __version__
from inception_lab.formulas.sparse_layouts import is_sparse, shape_of, stored_elements
from inception_lab.ir import complex_convolutions
from inception_lab.ir.complex_convolutions import OpLink
from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.ir.trace import Call, Context, Kind, Op, Storage, Trace
from inception_lab.running.layouts import layout_of
from inception_lab.running.scripted import is_scripted
from inception_lab.running.shared_storages import is_part_of_any, storage_identity
from inception_lab.running.step import Step, StepResult
from inception_lab.tracing.calls import class_name
from inception_lab.tracing.contents import contents_of
from inception_lab.tracing.functional_use import used_by_others
from inception_lab.tracing.packed_weights import (
    PackedWeight,
    elements_by_layer,
    layer_of,
    packed_notes,
    packed_weights,
    storages_of,
    values_of,
)
from inception_lab.tracing.recorder import Recorder
from inception_lab.tracing.storages import Owners

_new: Any = tuple.__new__  # a named tuple at half the price: its own constructor is Python code


def build_trace(
    recorder: Recorder, step: Step, existing: Owners, result: StepResult, *, device: str, fallback: str
) -> Trace:
    """Build the Trace of a run, while everything that outlives it is still alive.

    Args:
        recorder: Has recorded it.
        step: The step that ran.
        existing: Kind and name of the storages that existed before the first operation.
        result: What is left of the run.
        device: Kind of its tensors.
        fallback: The reason for other tensors than meta ones; empty on meta.
    """
    packed = tuple(packed_weights(step.model.modules))
    recorder.notes |= dict.fromkeys(packed_notes(packed))
    values, states = recorder.storages.values, recorder.storages.states
    owners = _owners(recorder, step, existing, result.outputs)
    return Trace(
        _context(recorder, step, result, device, fallback),
        ops=tuple(_ops(recorder)),
        values=(*values, *values_of(packed, len(values), len(states))),
        storages=(*_storages(recorder, owners), *storages_of(packed, len(states))),
        calls=tuple(_calls(recorder, step, packed)),
        contents=tuple(contents_of(recorder, step, existing)),
    )


def _context(recorder: Recorder, step: Step, result: StepResult, device: str, fallback: str) -> Context:
    request = step.request
    tensors = list(step.arguments.tensors.values())
    first = next((t for t in tensors if t.is_floating_point() or t.is_complex()), None)
    uncounted = Counter(operation.name for operation, *_ in recorder.ops if not operation.cost.counted)
    uncounted += recorder.elsewhere  # which leaves out what is not above 0
    return Context(
        model=request.name,
        input_shapes=tuple(map(shape_of, tensors)),
        mode=request.mode,
        loss=result.loss_name,
        optimizer=request.optimizer and request.optimizer.name,
        autocast=_dtype_name(request.autocast) if request.autocast else None,
        dtype=_dtype_name(step.dtype) if first is None else layout_of(first).dtype_name,
        memory_format=_memory_format(first),
        device=device,
        fallback=fallback,
        torch=torch.__version__.partition("+")[0],
        tool=f"inception_lab {__version__}",
        uncounted_ops=dict(uncounted),
        notes=tuple(recorder.notes),
        arguments=step.arguments.plain,
    )


def _dtype_name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _memory_format(tensor: Tensor | None) -> str:
    if tensor is None or is_sparse(tensor) or tensor.is_nested or tensor.is_contiguous():
        return "contiguous"
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(tensor.dim())
    last = channels_last is not None and tensor.is_contiguous(memory_format=channels_last)
    return "channels_last" if last else "strided"


def _ops(recorder: Recorder) -> Iterator[Op]:
    doubled = _double_products(recorder)
    for index, (operation, phase, call, reads, writes) in enumerate(recorder.ops):
        macs, other_flops, counted = operation.cost
        if phase == "backward":
            other_flops = 0  # only products count there
        if index in doubled:
            macs *= 2
        fields = (
            index,
            operation.name,
            phase,
            call,
            reads,
            writes,
            operation.args,
            macs,
            other_flops,
            counted,
        )
        yield _new(Op, fields)


def _double_products(recorder: Recorder) -> frozenset[int]:
    """Convolutions that stand for two products of complex numbers."""
    names = [parse_operation_name(operation.name).base for operation, *_ in recorder.ops]
    if complex_convolutions.PARTS not in names:
        return frozenset()
    links = zip(names, recorder.ops, strict=True)
    return frozenset(
        complex_convolutions.of_sums(OpLink(name, reads, writes) for name, (*_, reads, writes) in links)
    )


def _owners(recorder: Recorder, step: Step, existing: Owners, outputs: Any) -> Owners:
    """Kind and name of the storages that have an owner: the model, its gradients, its caller."""
    storages = recorder.storages
    gradients: Owners = {
        storages.storage_of(parameter.grad).id: ("gradient", path)
        for path, parameter in step.model.parameters.items()
        if parameter.grad is not None
    }
    read_backward = {
        storages.values[value].storage
        for _, phase, _, reads, _ in recorder.ops
        if phase == "backward"
        for value in reads
    }
    returned = {storages.values[value].storage for value in storages.values_in((outputs,))}
    # What is returned outlives the step: its lifetime does not tell if it was saved for the backward pass.
    results: Owners = {s: ("saved" if s in read_backward else "activation", "") for s in returned}
    # the last wins: what a model returns, or a gradient, may lie in a storage that was there before
    return gradients | results | existing


def _storages(recorder: Recorder, owners: Owners) -> Iterator[Storage]:
    phases = [phase for _, phase, *_ in recorder.ops]
    first_backward = phases.index("backward") if "backward" in phases else len(phases)
    for state in recorder.storages.states:
        born, dies = state.born, state.dies
        # indices belong to whoever has the values
        owner = owners.get(state.id) or (state.values and owners.get(state.values.id))
        kind, name = owner or (_kind_by_life(born, dies, first_backward), "")
        yield _new(Storage, (state.id, state.bytes, kind, name, born, dies, state.device))


def _kind_by_life(born: int | None, dies: int | None, first_backward: int) -> Kind:
    """The kind of a storage without an owner: what only the backward pass released was saved for it."""
    if born is None:
        return "buffer"
    if born >= first_backward:
        return "temporary"
    return "activation" if dies is None or dies < first_backward else "saved"


def _calls(recorder: Recorder, step: Step, packed: Sequence[PackedWeight]) -> Iterator[Call]:
    """Module calls in order of execution, then the modules that were never called."""
    modules = step.model.modules
    own_params, trainable_params = _own_params(step.model.parameters, modules)
    called = {call.path: call.id for call in recorder.calls.states} if packed else {}
    for layer, elements in elements_by_layer(packed, called).items():
        own_params[layer] = own_params.get(layer, 0) + elements
    numbers: dict[str, int] = {}
    for call in recorder.calls.states:
        path = call.path
        number = numbers[path] = numbers.get(path, -1) + 1
        params = 0 if number else own_params.get(path, 0)
        trainable = 0 if number else trainable_params.get(path, 0)
        leaf = call.module is None or _is_leaf(call.module)
        fields = (
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
            trainable,
        )
        yield _new(Call, fields)
    never_called = {path: module for path, module in modules.items() if path not in numbers}
    used = used_by_others(recorder, never_called, modules.values())
    used |= {weight.holder for weight in packed if layer_of(weight.holder, called)}
    for index, (path, module) in enumerate(never_called.items(), start=len(recorder.calls.states)):
        params, trainable = own_params.get(path, 0), trainable_params.get(path, 0)
        kind, leaf = class_name(module), _is_leaf(module)
        yield Call(index, path, kind, 0, None, params, leaf, path in used, (), (), trainable)


def _is_leaf(module: nn.Module) -> bool:
    return is_scripted(module) or not module._modules


def _owner(path: str, modules: Mapping[str, nn.Module]) -> str:
    """The module that has a parameter; the whole of a scripted one has those of the modules within it."""
    owner = path.rpartition(".")[0]
    while owner not in modules:
        owner = owner.rpartition(".")[0]
    return owner


def _own_params(
    parameters: Mapping[str, Tensor], modules: Mapping[str, nn.Module]
) -> tuple[dict[str, int], dict[str, int]]:
    """Elements of each module's own parameters, and of those that require a gradient.

    A shared tensor or storage counts at its first owner.
    """
    own: dict[str, int] = {}
    trainable: dict[str, int] = {}
    by_storage: dict[int, list[Tensor]] = {}
    for path, parameter in parameters.items():
        storage = storage_identity(parameter)
        if storage is not None:
            others = by_storage.setdefault(storage, [])
            if others and is_part_of_any(parameter, others):
                continue
            others.append(parameter)
        owner = _owner(path, modules)
        elements = stored_elements(parameter)
        own[owner] = own.get(owner, 0) + elements
        trainable[owner] = trainable.get(owner, 0) + elements * parameter.requires_grad
    return own, trainable
