"""The channels of each value: of images along their second axis, of tokens along their last."""

from __future__ import annotations

from collections.abc import Sequence

from inception_lab.ir.trace import Op, Trace

_MIXES_AXES = frozenset(
    ("transpose", "permute", "t", "view", "reshape", "_unsafe_view", "flatten", "unflatten", "mm", "addmm",
     "bmm", "baddbmm")
)  # fmt: skip
"""Operations behind which channels may stand elsewhere than before."""


def channel_counts(trace: Trace) -> Sequence[int]:
    """Return the channels of each value of a forward pass, by its id.

    A value of three axes tells by its shape alone neither whether it is a sequence of tokens nor a signal
    with channels: it is a signal where convolutions or batch normalisations read it or made what it comes of.

    Example:
        >>> import inception_lab as il, torch
        >>> trace = il.trace(torch.nn.Conv1d(2, 7, 3), (1, 2, 100))
        >>> [channel_counts(trace)[value] for value in (*trace.calls[0].inputs, *trace.calls[0].outputs)]
        [2, 7]
    """
    signals: set[int] = set()
    for op in trace.ops:
        if op.phase != "forward":
            break
        if _has_channels_first(op):
            signals.update(op.reads[:1], op.writes)
        elif op.base_name not in _MIXES_AXES and not signals.isdisjoint(op.reads):
            signals.update(op.writes)
    return [_channels(value.shape, value.id in signals) for value in trace.values]


def _has_channels_first(op: Op) -> bool:
    return op.base_name == "convolution" or "batch_norm" in op.base_name


def _channels(shape: Sequence[int], is_signal: bool) -> int:
    if not shape:
        return 1
    return shape[1 if len(shape) > 3 or (is_signal and len(shape) == 3) else -1]
