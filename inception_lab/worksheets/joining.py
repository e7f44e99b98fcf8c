"""The tensors that a module joins along their channels, and the layers that they come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from inception_lab.analyzers.reductions import InputChannels
from inception_lab.ir.trace import Call, Op, Trace

_NONE: Mapping[int, InputChannels] = MappingProxyType({})
_CHANNEL_AXIS = 1


def joined_channels(
    trace: Trace, call: Call | None, channels: Mapping[int, InputChannels] = _NONE
) -> tuple[int, ...]:
    """Return the channels of each tensor that a call joins to its output; empty where it joins none.

    Args:
        trace: That ran it.
        call: Of the module, None for one without a call of its own.
        channels: Of products that differ in the naive counterpart; by default none does.
    """
    joint = source_of(trace, call.outputs[0]) if call and call.outputs else None
    if joint is None or call is None or joint.call != call.id or joint.base_name != "cat":
        return ()
    axes = len(trace.values[joint.writes[0]].shape)
    if axes < 2 or joint.arg("dim", 0) % axes != _CHANNEL_AXIS:
        return ()
    return tuple(_width(trace, value, channels) for value in joint.reads)


def _width(trace: Trace, value: int, channels: Mapping[int, InputChannels]) -> int:
    """Channels of a joined tensor; those before a 1x1 that the naive counterpart does without."""
    source, width = source_of(trace, value), trace.values[value].shape[_CHANNEL_AXIS]
    if source is None or source.id not in channels or channels[source.id].naive:
        return width
    return channels[source.id].reduced


def source_of(trace: Trace, value: int) -> Op | None:
    """Return the product that a value comes from by operations on it alone, or what made it of several.

    Args:
        trace: That holds it.
        value: Its id; activations, normalisation and pools behind the product are passed over.
    """
    while (operation := trace.values[value].op) is not None:
        op = trace.ops[operation]
        activations = [v for v in op.reads if _is_activation(trace, v)]
        if op.macs or len(activations) != 1:
            return op
        value = activations[0]
    return None


def _is_activation(trace: Trace, value: int) -> bool:
    return trace.storages[trace.values[value].storage].kind not in ("parameter", "buffer")
