"""Properties of two stations that answer to each other, and those in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from inception_lab.audits.stations import (
    ACTIVATION,
    AVERAGE_POOL,
    CONVOLUTION,
    DROPOUT,
    LINEAR,
    MAX_POOL,
    NORMALISATION,
    OTHER,
    Station,
    Window,
)

NOTHING = "none"
"""The value of a property that a station lacks."""


class Difference(NamedTuple):
    """A property that is not the same in both nets, as people write its values.

    Attributes:
        name: Such as `kernel`.
        value: Of the net that is audited.
        reference: Of the reference.
    """

    name: str
    value: str
    reference: str


def differences(station: Station, reference: Station) -> Iterator[Difference]:
    """Return what a station does otherwise than the one of the reference that it answers to.

    Only its own doing: not the number of channels that it is given, nor a grid that differs before it.
    Padding that grows with the kernel, so that the middle of the window stays where it was, is no difference
    of its own, and a linear layer is one with a convolution over the whole grid.

    Args:
        station: Of the net that is audited.
        reference: Of the reference.
    """
    yield from _differing("operation", _operation(station), _operation(reference))
    if station.is_weighted and reference.is_weighted:
        yield from _differing("channels", station.channels, reference.channels)
        yield from _differing("bias", _bias(station.has_bias), _bias(reference.has_bias))
    if _has_comparable_windows(station, reference):
        yield from _window_differences(station, reference)
    yield from _unexplained_grid(station, reference)
    for kind in (NORMALISATION, ACTIVATION, DROPOUT, OTHER):
        yield from _differing(kind, _names(station, kind), _names(reference, kind))
    yield from _order(station, reference)
    if _names(station, NORMALISATION) == _names(reference, NORMALISATION):
        yield from _differing("eps of normalisation", _eps(station), _eps(reference))


def consequences(station: Station, reference: Station, *, same_input: bool) -> Iterator[Difference]:
    """Return what differs in the outcome, whatever in either net is the cause.

    Args:
        station: Of the net that is audited.
        reference: Of the reference.
        same_input: False for nets on inputs of other sizes, whose grids and MACs tell nothing.
    """
    if same_input:
        yield from _differing("output grid", station.grid, reference.grid)
    yield from _differing("parameters", station.params, reference.params)
    if same_input:
        yield from _differing("MACs", station.macs, reference.macs)
    if station.receptive_field and reference.receptive_field:
        yield from _differing("receptive field", station.receptive_field, reference.receptive_field)


def _differing(name: str, value: Any, reference: Any) -> Iterator[Difference]:
    if value != reference:
        yield Difference(name, text_of(value), text_of(reference))


def text_of(value: Any) -> str:
    """Return the value of a property as people write it.

    Example:
        >>> [text_of(value) for value in ((3, 3), 1024, "ReLU", ())]
        ['3x3', '1,024', 'ReLU', 'one value']
    """
    if isinstance(value, tuple):
        return "x".join(map(str, value)) or "one value"
    return f"{value:,}" if type(value) is int else str(value)


def _operation(station: Station) -> str:
    if _is_dense(station):
        return LINEAR
    return f"global {station.kind}" if station.is_global else station.kind


def _is_dense(station: Station) -> bool:
    """True for a convolution whose one window is the whole grid, when it is more than one value."""
    window = station.window
    is_whole = window.kernel == station.input_grid and max(window.kernel, default=1) > 1
    return station.kind == CONVOLUTION and is_whole and {*station.grid} == {1} and station.groups == 1


def _bias(flag: bool) -> str:
    return "a bias" if flag else NOTHING


def _has_comparable_windows(station: Station, reference: Station) -> bool:
    if _operation(station) != _operation(reference) and {station.kind, reference.kind} != {
        MAX_POOL,
        AVERAGE_POOL,
    }:
        return False
    has_windows = len(station.window.kernel) == len(reference.window.kernel) > 0
    return has_windows and not (station.is_global or reference.is_global) and not _is_dense(station)


def _window_differences(station: Station, reference: Station) -> Iterator[Difference]:
    window, other = station.window, reference.window
    yield from _differing("kernel", window.kernel, other.kernel)
    yield from _differing("stride", window.stride, other.stride)
    yield from _differing("dilation", window.dilation, other.dilation)
    if not _cover_alike(station, reference):
        yield from _placement(station, reference)
    yield from _differing("groups", _groups(station, reference), _groups(reference, station))


def _placement(station: Station, reference: Station) -> Iterator[Difference]:
    """The padding, or rounding where it makes a difference."""
    window, other = station.window, reference.window
    if _centres(window) != _centres(other) and window.padding != other.padding:
        yield Difference("padding", _padding_text(window), _padding_text(other))
    elif window.rounds_up != other.rounds_up and (_has_remainder(station) or _has_remainder(reference)):
        yield Difference("rounding", _rounding(window), _rounding(other))


def _groups(station: Station, other: Station) -> str:
    """The number of groups; that of a depthwise convolution follows the channels."""
    if station.groups == station.channels > 1 and other.groups == other.channels > 1:
        return "one for each channel"
    return str(station.groups)


def _centres(window: Window) -> list[tuple[int, int]]:
    """Twice the padding on each side less the reach of the window: equal where its middle is the same."""
    reaches = [d * (k - 1) for k, d in zip(window.kernel, window.dilation, strict=True)]
    return [(2 * a - r, 2 * b - r) for (a, b), r in zip(window.padding, reaches, strict=True)]


def _cover_alike(station: Station, reference: Station) -> bool:
    """True where both windows stand on the same values, whichever way that was asked for."""
    window = replace(station.window, padding=reference.window.padding, rounds_up=reference.window.rounds_up)
    same_grids = (station.input_grid, station.grid) == (reference.input_grid, reference.grid)
    before = [a for a, _ in station.window.padding] == [a for a, _ in reference.window.padding]
    return window == reference.window and same_grids and before


def _has_remainder(station: Station) -> bool:
    window = station.window
    reaches = [d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilation, strict=True)]
    sizes = [n + a + b for n, (a, b) in zip(station.input_grid, window.padding, strict=True)]
    return any((n - r) % s for n, r, s in zip(sizes, reaches, window.stride, strict=True))


def _rounding(window: Window) -> str:
    return "up" if window.rounds_up else "down"


def _padding_text(window: Window) -> str:
    texts = [str(a) if a == b else f"{a}+{b}" for a, b in window.padding]
    return texts[0] if len({*texts}) == 1 else "x".join(texts)


def _unexplained_grid(station: Station, reference: Station) -> Iterator[Difference]:
    """A grid that differs for no other reason that is told, as of pools to a fixed grid."""
    are_pools = {station.kind, reference.kind} <= {MAX_POOL, AVERAGE_POOL}
    has_window = station.window.kernel or reference.window.kernel
    if are_pools and not (has_window or station.is_global or reference.is_global):
        yield from _differing("output grid", station.grid, reference.grid)


def _names(station: Station, kind: str) -> str:
    names = [follower.name for follower in station.followers if follower.kind == kind]
    return ", ".join(names) or NOTHING


def _eps(station: Station) -> str:
    return ", ".join(f"{f.eps:g}" for f in station.followers if f.eps is not None) or NOTHING


def _order(station: Station, reference: Station) -> Iterator[Difference]:
    """The order of the same followers."""
    names, others = _followers(station), _followers(reference)
    if names != others and sorted(names) == sorted(others):
        yield Difference("order", ", then ".join(names), ", then ".join(others))


def _followers(station: Station) -> Sequence[str]:
    return [follower.name for follower in station.followers]
