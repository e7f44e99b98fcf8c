"""Memory of an LSTM of float32 on a CPU, which oneDNN runs as one operation for each layer and direction.

In a training step it makes a workspace, a storage that the backward pass reads. While the operation runs,
weights are reordered, and the gates of all steps have a place in a scratchpad. Sizes are those of
`set_workspace_sizes` and `get_good_ld` in oneDNN's src/cpu/rnn/rnn_utils.cpp, the same with AVX2 and AVX-512.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.ir.once import once_per_trace
from inception_lab.ir.strides import row_major
from inception_lab.ir.trace import Op, Trace

_GRADIENT = 10
"""The place of the output's gradient among what the backward pass reads."""

LAYER, LAYER_BACKWARD = "mkldnn_rnn_layer", "mkldnn_rnn_layer_backward"

FLOAT = 4
GATES = 4
PAGE = 4096
"""Bytes; each part of a workspace or a scratchpad begins at a page."""
LINE = 16
"""Floats in a line of the cache, to which rows are rounded."""
ALIASING = 256
"""Floats in a row of which the next one has the same place in the cache, so that a line is added."""
FIXED_SCRATCHPAD = 4664
"""Bytes of a scratchpad beside its pages: one more page, and room for round addresses."""


class Lstm(NamedTuple):
    """The sizes of one layer in one direction: steps in time, samples, and features in and out."""

    steps: int
    batch: int
    inputs: int
    hidden: int


def _row(floats: int) -> int:
    """Floats of a row as oneDNN lays it out."""
    lines = -(-floats // LINE) * LINE
    return lines + LINE if lines % ALIASING == 0 else lines


def _pages(floats: int) -> int:
    """Bytes of whole pages that hold so many floats."""
    return -(-floats * FLOAT // PAGE) * PAGE


def workspace_bytes(lstm: Lstm) -> int:
    """Return the bytes that the forward keeps for the backward pass.

    Example:
        >>> workspace_bytes(Lstm(steps=20, batch=8, inputs=32, hidden=64))
        647168
    """
    steps, batch, inputs, hidden = lstm
    states = _row(max(inputs, hidden))
    parts = (
        steps * _row(GATES * hidden),
        steps * _row(hidden),
        # below and above the layer, before and after each step: states, and gradients of the two kinds
        *[2 * (steps + 1) * states] * 3,
        # cells and their gradients
        *[2 * (steps + 1) * hidden] * 2,
    )
    return sum(_pages(batch * part) for part in parts)


def _scratchpad(lstm: Lstm) -> int:
    gates, states = lstm.steps * _row(GATES * lstm.hidden), _row(lstm.hidden)
    return _pages(lstm.batch * gates) + 2 * _pages(lstm.batch * states) + FIXED_SCRATCHPAD


def _reordered_weights(lstm: Lstm) -> int:
    """Bytes of both weights with their gates in rows; of a single row there is nothing to reorder."""
    rows = [count for count in (lstm.inputs, lstm.hidden) if count > 1]
    return FLOAT * sum(rows) * _row(GATES * lstm.hidden)


def _padded_weights(lstm: Lstm) -> int:
    """Bytes of those weights whose rows are padded, as the backward pass reads them."""
    padded = [_row(count) for count in (lstm.inputs, lstm.hidden) if _row(count) > count]
    return FLOAT * sum(padded) * GATES * lstm.hidden


def _forward_bytes(lstm: Lstm) -> int:
    """Bytes beyond what is alive after the forward; the two biases are added up first."""
    return FLOAT * GATES * lstm.hidden + _reordered_weights(lstm) + _scratchpad(lstm)


def _backward_bytes(lstm: Lstm, undefined_states: int, copies_gradient: bool) -> int:
    """Bytes beyond what is alive after the backward; gradients of states that are undefined are zeros."""
    copy = copies_gradient * lstm.steps
    gradients = FLOAT * (copy + undefined_states) * lstm.batch * lstm.hidden
    # of the two gradients of biases, which are the same numbers, the second is copied at the end
    biases = FLOAT * GATES * lstm.hidden
    return gradients + biases + _padded_weights(lstm) + _reordered_weights(lstm) + _scratchpad(lstm)


def lstm_of(trace: Trace, op: Op) -> Lstm | None:
    """The sizes of an LSTM's operation; None for other types than float32 and for other cells."""
    source, weight, recurrent = (trace.values[value] for value in op.reads[:3])
    if {source.dtype, weight.dtype} != {"float32"} or weight.shape[0] != GATES * recurrent.shape[1]:
        return None
    steps, batch, inputs = source.shape
    return Lstm(steps, batch, inputs, recurrent.shape[1])


def kept_workspaces(trace: Trace) -> Iterator[tuple[int, int]]:
    """Yield the storage of each workspace, with its bytes; without gradients none is made."""
    for op in trace.ops if trace.context.mode == "train" else ():
        if op.base_name == LAYER and (lstm := lstm_of(trace, op)):
            yield trace.values[op.writes[-1]].storage, workspace_bytes(lstm)


@once_per_trace
def recurrent_workspaces(trace: Trace) -> Mapping[int, int]:
    """Return the most bytes that each operation of an LSTM holds beyond what is alive right after it.

    There is no rule for inference, for which oneDNN has another kernel.

    Args:
        trace: Of any mode, in which recurrent layers are fused, as by `trace_for_device`.

    Returns:
        Bytes by the operation's id.

    Example:
        >>> import inception_lab as il
        >>> from torch import nn
        >>> step = il.trace_for_device(nn.LSTM(32, 64), (20, 8, 32), mode="train", loss=lambda y: y[0].sum())
        >>> bias, weights, scratchpad = 4 * 256, 4 * (32 + 64) * 272, 188984
        >>> next(iter(recurrent_workspaces(step).values())) == bias + weights + scratchpad
        True
    """
    sizes: dict[int, int] = {}
    for op in trace.ops if trace.context.mode == "train" else ():
        if op.base_name == LAYER and (lstm := lstm_of(trace, op)):
            sizes[op.id] = _forward_bytes(lstm)
        elif op.base_name == LAYER_BACKWARD and (lstm := lstm_of(trace, op)):
            states = [op.arg(name, "defined") for name in ("grad_hy", "grad_cy")]
            sizes[op.id] = _backward_bytes(lstm, states.count(None), _has_scattered_gradient(trace, op))
    return MappingProxyType(sizes)


def _has_scattered_gradient(trace: Trace, op: Op) -> bool:
    """True where the gradient of the output is not row by row, so that it is copied first."""
    # behind source, weights, states, the cells' input, and the outputs of the forward pass
    value = trace.values[op.reads[_GRADIENT]]
    return op.arg("grad_output", "defined") is not None and value.strides != row_major(value.shape)
