"""The fields that a value's channels carry, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.field import fields
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace


class Segment(NamedTuple):
    """Neighbouring channels of one field.

    Attributes:
        channels: Their number.
        field: Source pixels along each axis, from the first to the last that an inner unit sees.
    """

    channels: int
    field: tuple[int, ...]


Segments = tuple[Segment, ...]
Keep = Callable[[Trace, Op, Sequence[Segments]], Segments | None]
"""Gives the channels of an operation's output by those of its inputs; None where it mixes them all."""


@once_per_trace
def channel_fields(trace: Trace) -> Mapping[int, Segments]:
    """The fields of each value's channels, along its second dimension.

    A convolution mixes all channels of a group, so that each of its outputs has the widest field among
    them; concatenation, element-wise work, pooling and slices keep the channels apart.

    Args:
        trace: Of any mode.

    Returns:
        By value id; empty where channels cannot be told apart.

    Raises:
        InceptionLabError: The input has no spatial axes.
    """
    widest = {value: field.widest for value, field in fields(trace).items() if field.widest}
    by_value: dict[int, Segments] = {}
    for op in trace.ops:
        if op.phase != "forward":
            break
        inputs = [_segments_of(trace, value, widest, by_value) for value in op.reads if value in widest]
        for value in op.writes:
            if value in widest:
                by_value[value] = _output_segments(trace, op, inputs, _channels(trace, value), widest[value])
    for call in trace.calls:
        for value in call.outputs:
            # a view that no operation wrote: its channels lie where others were written
            if value in widest:
                by_value.setdefault(value, ())
    return MappingProxyType(by_value)


def _output_segments(
    trace: Trace, op: Op, inputs: Sequence[Segments], channels: int, widest: tuple[int, ...]
) -> Segments:
    """The channels of an operation's output, by those of its inputs that have a field."""
    name = op.base_name
    if name in _SHUFFLING or (not all(inputs) and not _mixes_all(op)):
        return ()
    keep = _KEEPING.get(name, _channel_by_channel)
    segments = keep(trace, op, inputs) if inputs and all(inputs) else None
    if segments is None or sum(s.channels for s in segments) != channels:
        return (Segment(channels, widest),)
    # the operation widens every channel by as much as it widens the widest
    growth = _difference(widest, _maximum([s.field for s in segments]))
    return tuple([Segment(s.channels, _sum(s.field, growth)) for s in segments])


def _segments_of(
    trace: Trace, value: int, widest: Mapping[int, tuple[int, ...]], by_value: Mapping[int, Segments]
) -> Segments:
    """The channels of a value read; of one that no operation wrote, such as the input, all alike."""
    return by_value.get(value, (Segment(_channels(trace, value), widest[value]),))


def _channels(trace: Trace, value: int) -> int:
    shape = trace.values[value].shape
    return shape[1] if len(shape) > 1 else 1


# ------------------------------------------------------------------------------ kinds of operations


def _channel_by_channel(trace: Trace, op: Op, inputs: Sequence[Segments]) -> Segments | None:
    """Each output channel depends on the same channel of every input."""
    del trace, op
    widths = {sum(s.channels for s in segments) for segments in inputs}
    if len(widths) > 1:
        return None
    # cut all inputs wherever one of them changes its field
    ends = sorted({end for segments in inputs for end in accumulate(s.channels for s in segments)})
    starts = [0, *ends[:-1]]
    return tuple(
        [
            Segment(end - start, _maximum([_at(segments, start).field for segments in inputs]))
            for start, end in zip(starts, ends, strict=True)
        ]
    )


def _at(segments: Segments, channel: int) -> Segment:
    ends = accumulate(s.channels for s in segments)
    return next(s for s, end in zip(segments, ends, strict=True) if channel < end)


def _one_after_another(trace: Trace, op: Op, inputs: Sequence[Segments]) -> Segments | None:
    """Channels put together, where it is they that are put together."""
    if op.arg("dim", 0) % len(trace.values[op.writes[0]].shape) != 1:
        return _channel_by_channel(trace, op, inputs)
    return tuple([segment for segments in inputs for segment in segments])


def _group_by_group(trace: Trace, op: Op, inputs: Sequence[Segments]) -> Segments | None:
    """Each group of output channels depends on all channels of a group of inputs."""
    groups, out = op.arg("groups", 1), _channels(trace, op.writes[0])
    singles = _singles(inputs[0])
    width = len(singles) // groups
    if groups == 1:
        return (Segment(out, _maximum(singles)),)
    return _join_neighbours(
        [Segment(out // groups, _maximum(singles[g * width : (g + 1) * width])) for g in range(groups)]
    )


def _slice_of(trace: Trace, op: Op, inputs: Sequence[Segments]) -> Segments | None:
    """Some of the channels, where it is they that are cut."""
    shape = trace.values[op.reads[0]].shape
    if op.arg("dim", 0) % len(shape) != 1:
        return _channel_by_channel(trace, op, inputs)
    positions = slice(op.arg("start"), op.arg("end"), op.arg("step", 1)).indices(shape[1])
    singles = _singles(inputs[0])
    return _join_neighbours([Segment(1, singles[c]) for c in range(*positions)])


def _all_mixed(trace: Trace, op: Op, inputs: Sequence[Segments]) -> Segments | None:
    """Every channel depends on every other."""
    del trace, op, inputs
    return None


def _mixes_all(op: Op) -> bool:
    """True where every output channel depends on all input channels."""
    name = op.base_name
    return name in ("mm", "addmm") or (name == "convolution" and op.arg("groups", 1) == 1)


_SHUFFLING = (
    "view", "_unsafe_view", "permute", "transpose", "bmm", "split", "split_with_sizes", "unbind", "select",
    "stack", "channel_shuffle", "native_channel_shuffle", "flip", "pixel_shuffle", "pixel_unshuffle",
)  # fmt: skip
"""Operations that move channels, or whose output is not a tensor of N x C x axes any more."""

_KEEPING: Mapping[str, Keep] = {
    "convolution": _group_by_group,
    "cat": _one_after_another,
    "slice": _slice_of,
    **dict.fromkeys(("mm", "addmm"), _all_mixed),
}
"""Operations that keep channels apart in a way of their own; all others do so channel by channel."""


# ------------------------------------------------------------------------------ segments


def _singles(segments: Segments) -> list[tuple[int, ...]]:
    """The field of each channel."""
    return [s.field for s in segments for _ in range(s.channels)]


def _join_neighbours(segments: Sequence[Segment]) -> Segments:
    """Neighbours of one field as one segment."""
    row: list[Segment] = []
    for channels, field in segments:
        if row and row[-1].field == field:
            row[-1] = Segment(row[-1].channels + channels, field)
        else:
            row.append(Segment(channels, field))
    return tuple(row)


def _maximum(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple([max(along) for along in zip(*rows, strict=True)])


def _difference(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple([a - b for a, b in zip(one, other, strict=True)])


def _sum(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple([a + b for a, b in zip(one, other, strict=True)])
