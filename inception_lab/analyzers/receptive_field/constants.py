"""Contents of values that depend neither on the input nor on weights: masks, indices, tables of numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import torch

from inception_lab.analyzers.receptive_field.recorded_ops import overload, written_arguments
from inception_lab.analyzers.receptive_field.replay import Array, Replay
from inception_lab.ir.contents import unpacked
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Trace, Value

MASKING = -1000.0
"""A number from which on down a softmax gives 0 whatever stands beside it, as float64 has no e^-746."""


def constant_of(trace: Trace, value: int, source: int | None = None) -> Array | None:
    """Return the contents of a value, where they are the same for every input and all weights.

    Args:
        trace: Of any mode; contents are told in its forward pass.
        value: Id of the value.
        source: Id of the input from which dependence is followed; masks and indices among the other inputs
            count as they were given then. None where no input counts.

    Returns:
        An array of the value's shape that cannot be written to, or None: it depends on the input, a
        weight or chance, the model has no data (it was built on meta), or it is too large. Numbers of
        bfloat16 come as float32.

    Example:
        >>> import inception_lab as il, torch
        >>> class Causal(torch.nn.Module):
        ...     def forward(self, x):
        ...         return x.masked_fill(torch.ones(2, 2).triu(1) > 0, 0.0)
        >>> trace = il.trace(Causal(), (1, 2, 2))
        >>> constant_of(trace, trace.ops[-1].reads[1]).tolist()
        [[False, True], [False, False]]
    """
    place = None if source is None else trace.values[source].storage
    return None if _is_unknown(trace, value, place) else _constants(trace, place).array(value)


def _is_unknown(trace: Trace, value: int, source: int | None) -> bool:
    """True of a weight and of views of it: nothing was written there, and what it held is not kept.

    That needs no second look at all operations, and most nets ask for no other values.
    """
    if trace.values[value].storage in _contents(trace, source):
        return False
    viewed: int | None = value
    while viewed is not None and trace.values[viewed].op is not None:
        viewed = _viewed(trace, trace.values[viewed])
    return viewed is not None


def _viewed(trace: Trace, value: Value) -> int | None:
    """The value of which one is a view; None where an operation may have written it."""
    op = trace.ops[value.op or 0]
    func = overload(op.name)
    if func is None or written_arguments(func):
        return None
    return next((read for read in op.reads if trace.values[read].storage == value.storage), None)


@once_per_trace
def _contents(trace: Trace, source: int | None) -> Mapping[int, Callable[[int], bytes]]:
    """What the trace keeps beside the input that lies in a storage."""
    return {
        storage: partial(unpacked, data)
        for storage, data in trace.contents
        if trace.storages[storage].kind != "input" or source not in (None, storage)
    }


@once_per_trace
def _constants(trace: Trace, source: int | None) -> Replay:
    """The constants beside the input that lies in a storage."""
    return Replay(trace.ops, trace.values, trace.storages, _contents(trace, source))


def certain_numbers_of(trace: Trace, value: int, source: int | None = None) -> Array | None:
    """Return the zeros and the masking numbers of a value, where they are there for any weights.

    Such as those of a weight times a mask, or of a trained bias under one.

    Args:
        trace: Of any mode.
        value: Id of the value.
        source: As for `constant_of`.

    Returns:
        What `constant_of` returns where it knows the value; else an array of the value's shape that holds
        0 and numbers of -1000 or less where they are certain, and nan everywhere else; None where no
        number is certain.

    Example:
        >>> import inception_lab as il, torch
        >>> class Masked(torch.nn.Linear):
        ...     def forward(self, x):
        ...         return torch.nn.functional.linear(x, self.weight * torch.ones(2, 2).tril())
        >>> trace = il.trace(Masked(2, 2), (1, 2))
        >>> product = next(op for op in trace.ops if op.base_name == "mul")
        >>> certain_numbers_of(trace, product.writes[0]).tolist()
        [[nan, 0.0], [nan, nan]]
    """
    storage = trace.values[value].storage
    place = None if source is None else trace.values[source].storage
    # nothing is certain of a weight itself, nor of what is not made of weights
    if _is_unknown(trace, value, place):
        return None
    constant = _constants(trace, place).array(value)
    if constant is not None or storage not in _weight_users(trace, place):
        return constant
    first, second = (_with_weights(trace, place, seed).array(value) for seed in (0, 1))
    if first is None or second is None or first.dtype.kind != "f":
        return None
    is_certain = (first == second) & ((first == 0) | (first <= MASKING))
    return np.where(is_certain, first, np.nan) if is_certain.any() else None


@once_per_trace
def _with_weights(trace: Trace, source: int | None, seed: int) -> Replay:
    """The constants beside the input that lies in a storage, and what is made of random weights."""
    known = _contents(trace, source)
    weights: dict[int, Callable[[int], bytes]] = {
        value.storage: partial(_random_bytes, value.dtype, (seed, value.storage))
        for value in trace.values
        if value.op is None
        and value.storage not in known
        and trace.storages[value.storage].kind in ("parameter", "buffer")
        and value.dtype in ("float16", "bfloat16", "float32", "float64")
    }
    return Replay(trace.ops, trace.values, trace.storages, {**known, **weights}, weights)


@once_per_trace
def _weight_users(trace: Trace, source: int | None) -> frozenset[int]:
    """The storages that operations write to which read weights."""
    replay = _with_weights(trace, source, 0)
    return frozenset(replay.weights & replay.writes.keys())


def _random_bytes(dtype: str, seed: tuple[int, int], size: int) -> bytes:
    # between a half and one and a half: neither zero nor so large that a function of it is flat
    numbers = np.random.default_rng(seed).random(size // 2) + 0.5
    weights = torch.from_numpy(numbers).to(getattr(torch, dtype))
    return bytes(weights.view(torch.uint8)[:size].numpy().tobytes())
