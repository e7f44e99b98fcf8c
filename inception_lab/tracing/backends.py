"""Where a model runs while it is traced: on meta tensors, or for real on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._ops import OpOverload

from inception_lab.running import inputs, substitution
from inception_lab.tracing.dispatch import SHORTCUTS, Kernels, tensors_in
from inception_lab.tracing.recorder import Adapt, Adapted, Answers

META = torch.device("meta")
LONGEST_RUN = 10**12
"""MACs of a real run of a minute or two."""


class Ground(NamedTuple):
    """Where a model runs.

    Attributes:
        device: Kind of device, `meta` or `cpu`.
        stand_in: Makes what stands in for a parameter or buffer.
        likeness: Makes what stands in for an example input.
        answers: Runs an operation.
        adapt: Changes the arguments of operations that make or meet a tensor of another device.
        most_macs: After how many multiply-accumulates to give up.
        mode: What runs below the recorder.
        heeds_autocast: Whether autocast has its effect there.
    """

    device: str
    stand_in: substitution.StandIn
    likeness: inputs.Likeness
    answers: Answers
    adapt: Adapt
    most_macs: float
    mode: AbstractContextManager[object] = nullcontext()
    heeds_autocast: bool = True


def _unchanged(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Adapted:
    del func
    return Adapted(args, kwargs, {})


def _onto_meta(func: OpOverload, args: Sequence[Any], kwargs: dict[str, Any]) -> Adapted:
    """Make on meta what is made on a device of its own choice, and have data meet no meta tensor."""
    tensors = tensors_in((*args, *kwargs.values()))
    if "device" in kwargs or (not tensors and _takes_device(func)):
        kwargs = kwargs | {"device": META}
    on_meta = [tensor.is_meta for tensor in tensors]
    if all(on_meta) or not any(on_meta):
        return Adapted(args, kwargs, {})
    originals: dict[int, Tensor] = {}
    args = _with_twins(args, originals)
    kwargs = dict(zip(kwargs, _with_twins(list(kwargs.values()), originals), strict=True))
    return Adapted(args, kwargs, originals)


def _with_twins(items: Sequence[Any], originals: dict[int, Tensor]) -> list[Any]:
    """The items with a twin for each tensor that holds data."""
    return [
        _twin(item, originals)
        if isinstance(item, Tensor)
        else _with_twins(item, originals)
        if isinstance(item, (list, tuple))
        else item
        for item in items
    ]


def _twin(tensor: Tensor, originals: dict[int, Tensor]) -> Tensor:
    if tensor.is_meta:
        return tensor
    twin = substitution.twin(tensor)
    originals[id(twin)] = tensor
    return twin


def _takes_device(func: OpOverload) -> bool:
    return any(argument.name == "device" for argument in func._schema.arguments)


ON_META = Ground("meta", substitution.twin, inputs.on_meta, SHORTCUTS, _onto_meta, inf, heeds_autocast=False)
FOR_REAL = Ground("cpu", substitution.duplicate, inputs.on_cpu, Kernels(), _unchanged, LONGEST_RUN)


def on_fake_tensors(device: str = "cpu") -> Ground:
    """Tensors without data that say they are on a device, as which operations and autocast take them.

    They take several times as long as meta tensors. CUDA needs a PyTorch that was built with it, and the
    backward pass a GPU.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def like(tensor: Tensor) -> Tensor:
        with mode:
            fake = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
            return substitution.as_what_it_is(fake, tensor)

    return Ground("fake", like, like, Kernels(), _unchanged, inf, mode)
