"""Which channels of a value carry which field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from types import MappingProxyType
from typing import NamedTuple

from inception_lab.analyzers.receptive_field.field import Field, fields
from inception_lab.ir.once import once_per_trace
from inception_lab.ir.trace import Op, Trace


class Segment(NamedTuple):
    """Neighbouring channels of one field.

    Attributes:
        channels: How many.
        field: Source pixels along each axis, from the first to the last that an inner unit sees.
    """

    channels: int
    field: tuple[int, ...]


Segments = tuple[Segment, ...]


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
    known = fields(trace)
    found: dict[int, Segments] = {}
    for op in trace.ops:
        if op.phase != "forward":
            break
        for value in op.writes:
            if value in known and known[value].widest:
                found[value] = _made(trace, op, value, known, found)
    for call in trace.calls:
        for value in call.outputs:
            if value not in found and value in known and known[value].widest:
                found[value] = ()
    return MappingProxyType(found)


def _made(
    trace: Trace, op: Op, value: int, known: Mapping[int, Field], found: Mapping[int, Segments]
) -> Segments:
    name = op.base_name
    keep = _KEEPING.get(name, _channel_by_channel)
    given = [_given(trace, v, known, found) for v in op.reads if v in known and known[v].widest]
    if name in _SHUFFLING or (not all(given) and not _mixes_all(op)):
        return ()
    kept = keep(trace, op, given) if given and all(given) else None
    width = _channels(trace, value)
    whole = known[value].widest or ()
    if kept is None or sum(s.channels for s in kept) != width:
        return (Segment(width, whole),)
    grown = _difference(whole, _widest(kept))
    return tuple([Segment(s.channels, _sum(s.field, grown)) for s in kept])


def _given(trace: Trace, value: int, known: Mapping[int, Field], found: Mapping[int, Segments]) -> Segments:
    return found.get(value, (Segment(_channels(trace, value), known[value].widest or ()),))


def _channels(trace: Trace, value: int) -> int:
    shape = trace.values[value].shape
    return shape[1] if len(shape) > 1 else 1


def _channel_by_channel(trace: Trace, op: Op, given: Sequence[Segments]) -> Segments | None:
    """Each output channel depends on the same channel of every input."""
    del trace, op
    widths = {sum(s.channels for s in segments) for segments in given}
    if len(widths) > 1:
        return None
    cuts = sorted({end for segments in given for end in accumulate(s.channels for s in segments)})
    starts = [0, *cuts[:-1]]
    return tuple(
        [
            Segment(end - start, _most([_at(segments, start).field for segments in given]))
            for start, end in zip(starts, cuts, strict=True)
        ]
    )


def _at(segments: Segments, channel: int) -> Segment:
    ends = accumulate(s.channels for s in segments)
    return next(s for s, end in zip(segments, ends, strict=True) if channel < end)


def _one_after_another(trace: Trace, op: Op, given: Sequence[Segments]) -> Segments | None:
    """Channels put together, where it is they that are put together."""
    if op.arg("dim", 0) % len(trace.values[op.writes[0]].shape) != 1:
        return _channel_by_channel(trace, op, given)
    return tuple([segment for segments in given for segment in segments])


def _group_by_group(trace: Trace, op: Op, given: Sequence[Segments]) -> Segments | None:
    """Each group of output channels depends on all channels of a group of inputs."""
    groups, out = op.arg("groups", 1), _channels(trace, op.writes[0])
    width = sum(s.channels for s in given[0]) // groups
    if groups == 1:
        return (Segment(out, _widest(given[0])),)
    singles = [s.field for s in given[0] for _ in range(s.channels)]
    return _joined(
        [Segment(out // groups, _most(singles[g * width : (g + 1) * width])) for g in range(groups)]
    )


def _sliced(trace: Trace, op: Op, given: Sequence[Segments]) -> Segments | None:
    """Some of the channels, where it is they that are cut."""
    shape = trace.values[op.reads[0]].shape
    if op.arg("dim", 0) % len(shape) != 1:
        return _channel_by_channel(trace, op, given)
    chosen = slice(op.arg("start"), op.arg("end"), op.arg("step", 1)).indices(shape[1])
    singles = [s.field for s in given[0] for _ in range(s.channels)]
    return _joined([Segment(1, singles[c]) for c in range(*chosen)])


def _mixed(trace: Trace, op: Op, given: Sequence[Segments]) -> Segments | None:
    """Every channel depends on every other."""
    del trace, op, given
    return None


def _mixes_all(op: Op) -> bool:
    """Whether every output channel depends on all input channels."""
    name = op.base_name
    return name in ("mm", "addmm") or (name == "convolution" and op.arg("groups", 1) == 1)


_SHUFFLING = (
    "view", "_unsafe_view", "permute", "transpose", "bmm", "split", "split_with_sizes", "unbind", "select",
    "stack", "channel_shuffle", "native_channel_shuffle", "flip", "pixel_shuffle", "pixel_unshuffle",
)  # fmt: skip
"""What moves channels, or is no tensor of N x C x axes any more."""

_KEEPING = {
    "convolution": _group_by_group,
    "cat": _one_after_another,
    "slice": _sliced,
    **dict.fromkeys(("mm", "addmm"), _mixed),
}
"""How operations keep channels apart, those that do so channel by channel aside."""


def _joined(segments: Sequence[Segment]) -> Segments:
    """Neighbours of one field as one segment."""
    joined: list[Segment] = []
    for channels, field in segments:
        if joined and joined[-1].field == field:
            joined[-1] = Segment(joined[-1].channels + channels, field)
        else:
            joined.append(Segment(channels, field))
    return tuple(joined)


def _widest(segments: Segments) -> tuple[int, ...]:
    return _most([s.field for s in segments])


def _most(fields: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple([max(along) for along in zip(*fields, strict=True)])


def _difference(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple([a - b for a, b in zip(one, other, strict=True)])


def _sum(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    return tuple([a + b for a, b in zip(one, other, strict=True)])
