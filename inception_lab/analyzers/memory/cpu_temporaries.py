"""Tensors that operations other than convolutions and LSTMs make and release within themselves on a CPU.

Element by element, operands of another type than the common one are converted first (aten/src/ATen/
TensorIterator.cpp, `compute_types`; on a GPU that goes on within the kernel). Some losses are made of several
operations (aten/src/ATen/native/Loss.cpp). Left out are the few bytes of single numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

import numpy as np

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace, Value

ITEM_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "bool": 1,
        "uint8": 1,
        "int8": 1,
        "int16": 2,
        "int32": 4,
        "int64": 8,
        "float16": 2,
        "bfloat16": 2,
        "float32": 4,
        "float64": 8,
    }
)
"""Bytes of an element, of types in the order in which one is promoted to the next."""
_ORDER = {dtype: place for place, dtype in enumerate(ITEM_BYTES)}

_ARITHMETIC = ("add", "addcdiv", "addcmul", "div", "lerp", "maximum", "minimum", "mul", "pow", "rsub", "sub")
_COMPARISONS = ("eq", "ge", "gt", "le", "lt", "ne")
_NO_REDUCTION, _MEAN = 0, 1  # of at::Reduction


def _operands(trace: Trace, op: Op) -> list[Value]:
    return [trace.values[value] for value in op.reads]


def _converted_bytes(operands: list[Value], dtype: str) -> int:
    """Bytes of the copies of operands that are not of a type; of a single number there is none."""
    return sum(prod(x.shape) * ITEM_BYTES[dtype] for x in operands if x.shape and x.dtype != dtype)


def _arithmetic(trace: Trace, op: Op) -> int:
    return _converted_bytes(_operands(trace, op), trace.values[op.writes[0]].dtype)


def _comparison(trace: Trace, op: Op) -> int:
    operands = _operands(trace, op)
    common = max((x.dtype for x in operands if x.shape), key=_ORDER.__getitem__, default=operands[0].dtype)
    return _converted_bytes(operands, common)


def _choice(trace: Trace, op: Op) -> int:
    """The condition is no operand."""
    return _converted_bytes(_operands(trace, op)[1:], trace.values[op.writes[0]].dtype)


def _total(trace: Trace, op: Op) -> int:
    """A sum of integers and truth values is one of int64, to which they are converted."""
    [source], total = _operands(trace, op), trace.values[op.writes[0]]
    return _converted_bytes([source], "int64") if total.dtype == "int64" else 0


def _terms(trace: Trace, op: Op) -> int:
    """Bytes of what a loss has for each element of source and target."""
    source, target = _operands(trace, op)[:2]
    return prod(np.broadcast_shapes(source.shape, target.shape)) * ITEM_BYTES[source.dtype]


def _reduced_loss(trace: Trace, op: Op) -> int:
    """The terms, of which only the scalar stays."""
    return _terms(trace, op) if op.arg("reduction", _MEAN) != _NO_REDUCTION else 0


def _loss_of_logits(trace: Trace, op: Op) -> int:
    """The logarithm of the sigmoid, the terms unless they stay, and the factors of positives."""
    _, _, *weights = _operands(trace, op)
    # the weight of each element comes first, where there is one
    factors = weights if op.arg("weight", "tensor") is None else weights[1:]
    sizes = [prod(x.shape) * ITEM_BYTES[x.dtype] for x in factors]
    return _terms(trace, op) + _reduced_loss(trace, op) + sum(sizes)


def _rank(trace: Trace, op: Op) -> int:
    """A copy of the source to be put in order, and the place of each element."""
    source = _operands(trace, op)[0]
    return prod(source.shape) * (ITEM_BYTES[source.dtype] + ITEM_BYTES["int64"])


def _exponentials(trace: Trace, op: Op) -> int:
    source = _operands(trace, op)[0]
    return prod(source.shape) * ITEM_BYTES[source.dtype]


def _margins(trace: Trace, op: Op) -> int:
    """The exponentials, and their sums with one."""
    _, source, target = _operands(trace, op)
    return 2 * prod(np.broadcast_shapes(source.shape, target.shape)) * ITEM_BYTES[source.dtype]


_RULES: Mapping[str, Callable[[Trace, Op], int]] = MappingProxyType(
    {
        **dict.fromkeys(_ARITHMETIC, _arithmetic),
        **dict.fromkeys(_COMPARISONS, _comparison),
        **dict.fromkeys(("mse_loss", "smooth_l1_loss", "huber_loss"), _reduced_loss),
        "binary_cross_entropy_with_logits": _loss_of_logits,
        "kthvalue": _rank,
        "logsumexp": _exponentials,
        "soft_margin_loss_backward": _margins,
        "sum": _total,
        "where": _choice,
    }
)
"""Bytes within an operation beyond what is alive after it, by base name."""


@once_per_trace
def temporaries(trace: Trace) -> Mapping[int, int]:
    """Return the bytes that operations hold within themselves beyond what is alive right after them.

    There is no rule for complex numbers, and none for operations without an output of their own.

    Args:
        trace: Of any mode.

    Returns:
        Bytes by the operation's id, without those that hold none.

    Example:
        >>> import inception_lab as il, torch
        >>> class Masked(torch.nn.Module):
        ...     def forward(self, x, mask):
        ...         return x * mask
        >>> trace = il.trace(Masked(), [(2, 8), torch.ones(2, 8, dtype=torch.bool)])
        >>> dict(temporaries(trace)) == {0: 4 * 2 * 8}
        True
    """
    sizes = {
        op.id: _RULES[op.base_name](trace, op)
        for op in trace.ops
        if op.base_name in _RULES and op.reads and op.writes and _has_known_types(trace, op)
    }
    return MappingProxyType({op: size for op, size in sizes.items() if size})


def _has_known_types(trace: Trace, op: Op) -> bool:
    return all(trace.values[value].dtype in ITEM_BYTES for value in (*op.reads, *op.writes))
