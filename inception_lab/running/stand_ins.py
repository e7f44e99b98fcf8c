"""Tensors that stand in for others: meta twins, copies, and inputs made from shapes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from weakref import ref

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.formulas.sparse_layouts import is_sparse
from inception_lab.running import torch_internals
from inception_lab.running.distributed import is_shard

NO_META_FORM = "a sparse or nested tensor has as many elements as its data says, and none without data"


class NoMetaForm(InceptionLabError):  # noqa: N818 - it says what a tensor lacks
    """A tensor that nothing without data can stand in for, so that the model has to run for real.

    Attributes:
        reason: In one line.
        blames_meta: True, as of other errors after which a model may run for real.
    """

    blames_meta = True

    def __init__(self, reason: str = NO_META_FORM) -> None:
        self.reason = reason
        super().__init__(reason, hint="build the model on cpu", exit_code=MODEL_FAILED)


def require_meta_form(tensor: Tensor) -> None:
    """Refuse a tensor whose shape and strides do not tell what it holds.

    Raises:
        NoMetaForm: It is sparse or nested.
    """
    if is_sparse(tensor) or tensor.is_nested:
        raise NoMetaForm


StandIn = Callable[[Tensor], Tensor]
"""Makes what stands in for a parameter, a buffer or an example input."""


class _MetaTwin(NamedTuple):
    """A meta tensor, and the tensor that it stands in for."""

    original: ref[Tensor]
    tensor: Tensor


_meta_twins: dict[int, _MetaTwin] = {}


def meta_twin(tensor: Tensor) -> Tensor:
    """A meta tensor like this weight; the same one every time, unless one of the two has changed."""
    entry = _meta_twins.get(id(tensor))
    if entry is not None and entry.original() is tensor and _is_alike(entry.tensor, tensor):
        return entry.tensor
    return _new_meta_twin(tensor)


def strided_like(tensor: Tensor, device: str) -> Tensor:
    """A tensor without data of another one's shape, strides and dtype.

    Raises:
        NoMetaForm: It has no strides.
    """
    require_meta_form(tensor)
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)


def _is_alike(twin: Tensor, tensor: Tensor) -> bool:
    return (
        twin.shape == tensor.shape
        and twin.stride() == tensor.stride()
        and twin.dtype is tensor.dtype
        and twin.requires_grad is tensor.requires_grad
    )


def _new_meta_twin(tensor: Tensor) -> Tensor:
    refuse_lazy(tensor)
    key = id(tensor)
    twin = like_original(strided_like(tensor, "meta"), tensor)
    # The id may be given to another tensor once this one is gone, so that its twin goes with it; the method
    # is bound now, as the dictionary has no name any more when the interpreter ends.
    _meta_twins[key] = _MetaTwin(ref(tensor, partial(_meta_twins.pop, key)), twin)
    return twin


def refuse_lazy(tensor: Tensor) -> None:
    """Refuse a parameter or buffer that has no shape yet.

    Raises:
        InceptionLabError: It has none (exit code 3).
    """
    if is_lazy(tensor):
        raise InceptionLabError(
            "a lazy layer has no shape yet", hint="run the model once on real input", exit_code=MODEL_FAILED
        )


def cpu_copy(tensor: Tensor) -> Tensor:
    """A copy of this weight on the CPU.

    Raises:
        InceptionLabError: The tensor is on meta or of a lazy layer and has no data (exit code 3).
    """
    refuse_lazy(tensor)
    if is_shard(tensor):
        raise InceptionLabError(
            "a model in shards cannot run for real",
            hint="load all of it in one process",
            exit_code=MODEL_FAILED,
        )
    if tensor.is_meta:
        raise InceptionLabError(
            "a model on meta cannot run for real", hint="build it on cpu", exit_code=MODEL_FAILED
        )
    if is_fake(tensor):
        raise InceptionLabError(
            "a model of fake tensors cannot run for real",
            hint="build it outside of the fake mode",
            exit_code=MODEL_FAILED,
        )
    return like_original(tensor.detach().to("cpu", copy=True), tensor)


def like_original(tensor: Tensor, original: Tensor) -> Tensor:
    """The tensor as what it stands in for: a parameter, or one that takes a gradient."""
    if isinstance(original, nn.Parameter):
        tensor = nn.Parameter(tensor, requires_grad=original.requires_grad)
    if not original.is_nested:  # among whose attributes are its own values
        tensor.__dict__.update(original.__dict__)
    return tensor.requires_grad_(original.requires_grad)


def meta_input(example: Tensor) -> Tensor:
    """A meta tensor of the layout of an example input."""
    return strided_like(example, "meta").requires_grad_(example.requires_grad)


def is_fake(tensor: Tensor) -> bool:
    """Tell if a tensor has no data, although it says that it is on a device."""
    return isinstance(tensor, torch_internals.FakeTensor)


def cpu_input(example: Tensor) -> Tensor:
    """A copy of an example input; of one without data, random numbers, or zeros where they are whole."""
    if is_fake(example):
        example = meta_input(example)
    if example.is_meta:
        require_meta_form(example)
    else:
        return example.detach().to("cpu", copy=True).requires_grad_(example.requires_grad)
    # named, as the caller may have set another default device
    numbers = torch.zeros(example.shape, dtype=example.dtype, device="cpu")
    if numbers.is_floating_point() or numbers.is_complex():
        numbers.copy_(torch.rand(example.shape, device="cpu"))
    return torch.empty_like(example, device="cpu").copy_(numbers).requires_grad_(example.requires_grad)
