"""The layers through which a unit sees a whole axis, beside what it sees on local paths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inception_lab.analyzers.receptive_field.elements import Elements
from inception_lab.analyzers.receptive_field.parts import Whole
from inception_lab.ir.structure import layer_name
from inception_lab.ir.trace import Call


def ways_of(units: Elements) -> list[Whole]:
    """The ways in which units see all of an axis along which they have local paths too."""
    axes = range(len(units.parts[0].whole))
    local = [axis for axis in axes if any(part.whole[axis] is None for part in units.parts)]
    ways = {way for part in units.parts for axis in local for way in part.whole[axis] or ()}
    return sorted(ways, key=lambda way: (way.reduced_in, way.spread_in or -1))


def layers_between(calls: Sequence[Call], ways: Iterable[Whole]) -> tuple[str, ...]:
    """The names of the layers, each once, in order of execution.

    Args:
        calls: Of the trace.
        ways: The ways that they make up.
    """
    return tuple(dict.fromkeys([layer_name(_layer(calls, way)) for way in ways]))


def _layer(calls: Sequence[Call], way: Whole) -> Call:
    """The layer that makes up one way.

    That is the module that spreads a statistic over the axis it was taken from, such as a normalisation
    or a gate that multiplies its own input. Where that module holds another one that does more than to
    reduce, such as the gate of a block, it is that one.
    """
    reducing = calls[way.reduced_in]
    if way.spread_in is None:
        return reducing
    spreading = _callers(calls, calls[way.spread_in])
    path = _callers(calls, reducing)
    common = [call for call, other in zip(path, spreading, strict=False) if call is other]
    if len(common) == len(path):
        return reducing
    inner = path[len(common)]
    is_gate = not inner.leaf or not common[-1].path
    return inner if is_gate else common[-1]


def _callers(calls: Sequence[Call], call: Call) -> list[Call]:
    """The calls from the model's own down to one."""
    row = [call]
    while row[-1].parent is not None:
        row.append(calls[row[-1].parent])
    return row[::-1]
