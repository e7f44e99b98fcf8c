"""Backends of a trace: meta tensors, fake tensors, or real ones on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from inception_lab.running import stand_ins, torch_internals
from inception_lab.running.step import Placement, Step
from inception_lab.tracing.calls import CudaMet
from inception_lab.tracing.dispatch import CACHING_EXECUTOR, FakeExecutor, KernelExecutor, tensors_in
from inception_lab.tracing.external_contents import ExternalContents
from inception_lab.tracing.recorder import Adapt, Adapted, Executor, Recorder

if TYPE_CHECKING:
    from torch._ops import OpOverload

_COPY = torch.ops.aten._to_copy.default
META_DEVICE = torch.device("meta")
FEW_MACS, FEW_BYTES = 10**10, 2**29
"""The work and the weights of a real run of about a second."""
LONGEST_RUN = 10**12
"""MACs of a real run of a minute or two."""


class Backend(NamedTuple):
    """Tensors on which a model is traced, and what runs its operations.

    Attributes:
        name: Of the tensors, as in the context of a trace: `meta`, `fake` or `cpu`.
        placement: Makes the tensors.
        executor: Runs an operation.
        adapt: Changes the arguments of operations that make or meet a tensor of another device.
        most_macs: After how many multiply-accumulates to give up.
        heeds_autocast: True where autocast has its effect there.
        notes: What a reader of the figures has to know of it.
    """

    name: str
    placement: Placement
    executor: Executor
    adapt: Adapt
    most_macs: float = inf
    heeds_autocast: bool = True
    notes: tuple[str, ...] = ()


def recorder_of(backend: Backend, step: Step, fallback: str) -> Recorder:
    """A recorder for a step on a backend; `fallback` says why it is not meta."""
    return Recorder(
        backend.executor,
        backend.adapt,
        step.request.training,
        backend.most_macs,
        backend.heeds_autocast,
        # a model that runs for real may make tensors of what it has read in its input
        ExternalContents(step.model.originals, trusts_python=not fallback),
    )


def is_soon_run(state_bytes: int, macs: int) -> bool:
    """Tell if a real run takes about a second at most.

    Args:
        state_bytes: Of parameters, buffers and inputs.
        macs: Multiply-accumulates of the run.
    """
    return state_bytes < FEW_BYTES and macs < FEW_MACS


def _unchanged(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Adapted:
    del func
    return Adapted(args, kwargs, {})


def _without_sparse(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Adapted:
    """Refuse a sparse tensor of the model's own, which fake tensors would take for a dense one."""
    for tensor in tensors_in((*args, *kwargs.values())):
        stand_ins.require_meta_form(tensor)
    return _unchanged(func, args, kwargs)


def _onto_meta(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Adapted:
    """Make on meta what is made on a device of its own choice, and have data meet no meta tensor."""
    tensors = tensors_in((*args, *kwargs.values()))
    # on a machine with a GPU, a move to it is dispatched like any copy
    if func is _COPY and kwargs.get("device", META_DEVICE).type == "cuda":
        raise CudaMet
    if "device" in kwargs or (not tensors and _takes_device(func)):
        kwargs = kwargs | {"device": META_DEVICE}
    on_meta = [tensor.is_meta for tensor in tensors]
    # PyTorch refuses to mix the two, unless one of them is a single number
    if all(on_meta) or not any(on_meta):
        return Adapted(args, kwargs, {})
    originals: dict[int, Tensor] = {}
    args = _with_meta_twins(args, originals)
    kwargs = dict(zip(kwargs, _with_meta_twins(list(kwargs.values()), originals), strict=True))
    return Adapted(args, kwargs, originals)


def _with_meta_twins(items: Sequence[Any], originals: dict[int, Tensor]) -> list[Any]:
    """The items with a meta twin for each tensor that has data."""
    return [
        _meta_twin(item, originals)
        if isinstance(item, Tensor)
        else _with_meta_twins(item, originals)
        if isinstance(item, (list, tuple))
        else item
        for item in items
    ]


def _meta_twin(tensor: Tensor, originals: dict[int, Tensor]) -> Tensor:
    if tensor.is_meta:
        return tensor
    twin = stand_ins.meta_twin(tensor)
    originals[id(twin)] = tensor
    return twin


def _takes_device(func: OpOverload) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


META = Backend(
    "meta",
    Placement("cpu", stand_ins.meta_twin, stand_ins.meta_input),
    CACHING_EXECUTOR,
    _onto_meta,
    heeds_autocast=False,
)
"""No data: every operation is told by the shapes of its arguments."""

CPU = Backend(
    "cpu",
    Placement("cpu", stand_ins.cpu_copy, stand_ins.cpu_input),
    KernelExecutor(),
    _unchanged,
    LONGEST_RUN,
)
"""A real run on copies."""


def fake_backend(device: str = "cpu") -> Backend:
    """Tensors without data that say they are on a device, as which operations and autocast take them.

    They take several times as long as meta tensors. CUDA needs a PyTorch that was built with it, and the
    backward pass a GPU.
    """
    # tensors that a model holds outside of its parameters and buffers still have data
    mode = torch_internals.FakeTensorMode(allow_non_fake_inputs=True)

    def fake_like(tensor: Tensor) -> Tensor:
        with mode:
            return stand_ins.like_original(stand_ins.strided_like(tensor, device), tensor)

    return Backend("fake", Placement("cpu", fake_like, fake_like, mode), FakeExecutor(), _without_sparse)
