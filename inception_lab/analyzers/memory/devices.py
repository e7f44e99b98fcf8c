"""A table of rules by which storages take other sizes on a device than as meta tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from inception_lab.analyzers.memory.cpu_recurrent import kept_workspaces
from inception_lab.analyzers.memory.host import without_host, without_moves_to_host
from inception_lab.errors import InceptionLabError, nearest
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Storage, Trace

Sizes = Iterator[tuple[int, int]]
"""Ids of storages, each with its bytes on the device."""


class Rule(NamedTuple):
    """One way in which a device differs.

    Attributes:
        what: The difference, in words.
        source: Where PyTorch decides it.
        sizes: Finds the storages in a trace that differ.
    """

    what: str
    source: str
    sizes: Callable[[Trace], Sizes]


class Device(NamedTuple):
    """The memory of a device, as far as it is not that of meta tensors.

    Attributes:
        block: Its allocator hands out multiples of so many bytes.
        rules: The ways in which its storages differ.
        placed: The storages of a trace on it; those that the model put on the host are there otherwise.
        optimizer_options: Defaults of optimizers there, which show in the trace: see `optimizer_of`.
        omissions: Differences of a prediction from one for the CPU, and what is not in it.
        context: Bytes of it that a process takes beside what its allocator reserves.
    """

    block: int
    rules: tuple[Rule, ...]
    placed: Callable[[Trace], Sequence[Storage]]
    optimizer_options: Mapping[str, bool] = MappingProxyType({})
    omissions: str = ""
    context: int = 0


def check_device(device: object) -> None:
    """Refuse a device without rules, and any value that is not the name of one.

    Raises:
        InceptionLabError: It is not a key of `DEVICES` (exit code 2).
    """
    if device not in tuple(DEVICES):  # which, unlike a mapping, takes what cannot be hashed
        raise InceptionLabError(f"no memory rules for device {device!r}", hint=nearest(device, DEVICES))


_MOST_ROUNDING = 2**40


@once_per_trace
def on_device(trace: Trace, device: str, rounding: int | None = None) -> Trace:
    """Return the trace with each storage as large as on a device.

    Args:
        trace: Of any mode.
        device: A key of `DEVICES`.
        rounding: Each storage takes a multiple of so many bytes; the device's block by default.

    Raises:
        InceptionLabError: There are no rules for this device, or the rounding is below 1 (exit code 2).

    Example:
        >>> import inception_lab as il
        >>> trace = il.trace(il.create_model("googlenet_bn", device="meta"), (1, 3, 224, 224))
        >>> sum(s.bytes for s in trace.storages) - sum(s.bytes for s in on_device(trace, "cpu").storages)
        58240
    """
    check_device(device)
    block = DEVICES[device].block if rounding is None else rounding
    if not 1 <= block <= _MOST_ROUNDING:
        raise InceptionLabError(f"no multiples of {block} bytes", hint="rounding is 1 or more")
    sizes = {storage: size for rule in DEVICES[device].rules for storage, size in rule.sizes(trace)}
    # most storages are as they were, and shared with the trace
    storages = [
        s if (size := -(-sizes.get(s.id, s.bytes) // block) * block) == s.bytes else s._replace(bytes=size)
        for s in DEVICES[device].placed(trace)
    ]
    # a new trace even where no size changes: a result that is its own trace would never be released
    return replace(trace, storages=tuple(storages))


_NORMS = ("native_batch_norm", "native_layer_norm", "native_group_norm")
_HALF = ("bfloat16", "float16")
_ITEM_BYTES = {"bfloat16": 2, "float16": 2, "float32": 4, "float64": 8}
_DROPOUT = (("empty_like", False), ("bernoulli", True), ("div", True), ("mul", False))
"""Operations that dropout is made of where it is not fused: base names, and if they work in place."""

_SHRUNK_LOSSES = ("mse_loss", "smooth_l1_loss", "soft_margin_loss", "binary_cross_entropy")
"""Losses that resize the storage of their terms to a scalar, which does not give it back."""
_RESIZED = ("im2col", "col2im")
"""Operations whose result starts as a tensor like the input."""
_NO_REDUCTION, _MEAN = 0, 1  # of at::Reduction


def _normalisations(trace: Trace) -> Iterator[tuple[Op, tuple[int, ...]]]:
    """Normalisations, each with the storages of its statistics."""
    for op in trace.ops:
        if op.base_name in _NORMS:
            yield op, tuple(trace.values[value].storage for value in op.writes[1:])


def _no_statistics(trace: Trace) -> Sizes:
    for op, statistics in _normalisations(trace):
        if op.arg("training") is False:
            yield from ((storage, 0) for storage in statistics)


def _statistics_as_weights(trace: Trace) -> Sizes:
    for op, statistics in _normalisations(trace):
        # weights decide, where there are any, and else the input
        dtype = trace.values[op.reads[1] if len(op.reads) > 1 else op.reads[0]].dtype
        if trace.values[op.reads[0]].dtype in _HALF and dtype in _ITEM_BYTES and op.arg("training", True):
            elements = (_elements(trace, value) for value in op.writes[1:])
            yield from zip(statistics, (_ITEM_BYTES[dtype] * count for count in elements), strict=True)


def _boolean_masks(trace: Trace) -> Sizes:
    # CUDA has one fused operation in place of the four that stand in a trace on meta tensors
    names = [(op.base_name, op.in_place) for op in trace.ops]
    for op in trace.ops:
        if tuple(names[op.id : op.id + len(_DROPOUT)]) == _DROPOUT and _by_a_number(trace, op):
            yield trace.values[op.writes[0]].storage, _elements(trace, op.writes[0])


def _by_a_number(trace: Trace, mask: Op) -> bool:
    """True where a mask is drawn and scaled by numbers, as in dropout, and not by tensors."""
    return all(len(op.reads) == 1 for op in trace.ops[mask.id + 1 : mask.id + 3])


def _no_step_counters(trace: Trace) -> Sizes:
    for s in trace.storages:
        if s.kind == "optimizer state" and s.name.endswith(".step"):
            yield s.id, 0


def _terms_behind_scalars(trace: Trace) -> Sizes:
    for op in trace.ops:
        if op.base_name in _SHRUNK_LOSSES and op.arg("reduction", _MEAN) != _NO_REDUCTION:
            source, target, loss = (trace.values[value] for value in (*op.reads[:2], *op.writes))
            terms = prod(np.broadcast_shapes(source.shape, target.shape))
            # of no terms there is still the one scalar
            yield loss.storage, _ITEM_BYTES.get(loss.dtype, 0) * max(terms, 1)


def _columns_within_their_source(trace: Trace) -> Sizes:
    for op in trace.ops:
        if op.base_name in _RESIZED:
            source, result = trace.values[op.reads[0]], trace.values[op.writes[0]]
            elements = max(prod(source.shape), prod(result.shape))
            yield result.storage, _ITEM_BYTES.get(result.dtype, 0) * elements


def _elements(trace: Trace, value: int) -> int:
    return prod(trace.values[value].shape)


LOSS_TERMS = Rule(
    "the scalar of some losses lies in the storage of all their terms",
    "aten/src/ATen/native/Loss.cpp, aten/src/ATen/native/cuda/Loss.cu, binary_cross_entropy_out",
    _terms_behind_scalars,
)
COLUMNS = Rule(
    "columns of windows, and what is made of them, take no less than what they are made of",
    "aten/src/ATen/native/Im2Col.cpp, aten/src/ATen/native/Col2Im.cpp, empty_like and resize_",
    _columns_within_their_source,
)
EVAL_STATISTICS = Rule(
    "batch norm keeps no statistics in eval mode",
    "aten/src/ATen/native/Normalization.cpp, aten/src/ATen/native/cudnn/BatchNorm.cpp",
    _no_statistics,
)
HALF_STATISTICS = Rule(
    "normalisation in half precision keeps statistics in the precision of its weights",
    "aten/src/ATen/native/mixed_data_type.h, param_scalar_type",
    _statistics_as_weights,
)
DROPOUT_MASKS = Rule(
    "dropout keeps a mask of one byte an element",
    "aten/src/ATen/native/Dropout.cpp, is_fused_kernel_acceptable",
    _boolean_masks,
)
STEP_COUNTERS = Rule(
    "Adam counts its steps in the memory of the host",
    "torch/optim/adam.py, _init_group",
    _no_step_counters,
)

RECURRENT_WORKSPACES = Rule(
    "a fused LSTM keeps gates, states and room for their gradients",
    "oneDNN's src/cpu/rnn/rnn_utils.cpp, set_workspace_sizes",
    kept_workspaces,
)

CUDA_BLOCK = 512
"""PyTorch's allocator on CUDA hands out multiples of so many bytes (kMinBlockSize)."""

CUDA_CONTEXT = 512 << 20
"""The driver's context and the kernels that are loaded into it, which are no part of any tensor.

Since CUDA 11.7 kernels are loaded when they are first used. Measured were 287 MB after one tensor (PyTorch's
pull request 86509, of 2022) and 426 MiB on an RTX 6000 Ada (PyTorch 2.10, CUDA 13); the kernels of a net
and of cuDNN come on top. `nvidia-smi` less `torch.cuda.memory_reserved()` tells it for a net and a GPU.
"""

ON_CUDA = (
    "as on CUDA: blocks of 512 bytes, foreach optimizers, dropout masks of a byte an element; "
    "fused operations as on the CPU; workspaces of its libraries are not in it"
)

DEVICES: Mapping[str, Device] = {
    "cpu": Device(
        1,
        (LOSS_TERMS, COLUMNS, EVAL_STATISTICS, HALF_STATISTICS, RECURRENT_WORKSPACES),
        without_moves_to_host,
    ),
    "cuda": Device(
        CUDA_BLOCK,
        (LOSS_TERMS, COLUMNS, EVAL_STATISTICS, DROPOUT_MASKS, STEP_COUNTERS),
        without_host,
        {"foreach": True},
        ON_CUDA,
        CUDA_CONTEXT,
    ),
}
"""The devices whose memory can be predicted."""
