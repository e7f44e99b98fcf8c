"""The colour of each kind of parallel branch, the same in every plot and on every page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence, Set
from types import MappingProxyType

COLOURS = (
    "#3271c4", "#4bc7fd", "#2e5968", "#dfa28d", "#cc5060", "#e8d65c", "#86ae56",
    "#3c4d30", "#d78212", "#5a2b74", "#cdcae7", "#7f6224", "#0d9d94",
)  # fmt: skip
"""All told apart with any colour vision; neighbours are light and dark in turn, which grey keeps."""
NO_BRANCH, OTHER_BRANCHES = "in no branch", "other branches"
GREYS: Mapping[str, str] = MappingProxyType({OTHER_BRANCHES: "#777777", NO_BRANCH: "#b5b5b5"})
"""The colours of what is not a kind of branch, read-only."""

_POINT, _POOL, _FAR, _HIGH, _WIDE = 0, 5, 8, 9, 10
_BY_WORD = {"depthwise": 11, "matmul": 12, "dilated": _FAR}
_BY_EXTENT = {3: (1, 3), 5: (4, 2), 7: (7, 7), 9: (6, 6)}
"""The places of branches whose kernels together look at up to so many pixels; those of more are `_FAR`.

The first one is that of a single kernel behind a 1x1, the second one that of any others.
"""
_KERNEL = re.compile(r"\d+(x\d+)*", re.ASCII)


def branch_colours(kinds: Sequence[str]) -> Mapping[str, str]:
    """Return a colour for each kind of branch of one net.

    The colour says what a branch holds: 1x1 alone; kernels that together look at up to 3, 5, 7, 9 or more
    pixels, of 3 and 5 one behind a 1x1 or otherwise, such as two 3x3; a strip such as 1x3, or 3x1 behind
    it; a pool; depthwise; a matmul. Where another kind has it, and for a mere name, it is the next free one.

    Args:
        kinds: Kernels along branches as of `branch_kinds`, or names; of those that want the same colour the
            first one has it.

    Returns:
        Colours such as `#3271c4`, of which none occurs twice as long as there are `COLOURS`; `GREYS` for
        what is not a kind.

    Example:
        >>> colours = branch_colours(["1x1", "1x1 → 5x5", "1x1 → 3x3 → 3x3", "in no branch"])
        >>> list(colours.values())
        ['#3271c4', '#cc5060', '#2e5968', '#b5b5b5']
    """
    places = {kind: _place(kind) for kind in kinds if kind not in GREYS}
    owners = {place: kind for kind, place in reversed(places.items()) if place is not None}
    in_use = set(owners)
    colours = {kind: GREYS[kind] for kind in kinds if kind in GREYS}
    for kind, place in places.items():
        if place is None or owners[place] != kind:
            place = _next_free(place or 0, in_use)
            in_use.add(place)
        colours[kind] = COLOURS[place]
    return MappingProxyType({kind: colours[kind] for kind in kinds})


def _next_free(start: int, in_use: Set[int]) -> int:
    """The first free place from a start on, once around; the start itself where none is free."""
    around = [(start + step) % len(COLOURS) for step in range(len(COLOURS))]
    return next((place for place in around if place not in in_use), start)


def _place(kind: str) -> int | None:
    """The place of the colour that a kind prefers; None for a mere name."""
    words = kind.split()
    extents = _extents(words)
    if by_word := [_BY_WORD[word] for word in words if word in _BY_WORD]:
        return by_word[0]
    if max(extents, default=1) > 1:
        return _place_of_kernels(words, extents)
    if "pool" in words:
        return _POOL
    return _POINT if extents or "linear" in words else None


def _extents(words: Sequence[str]) -> list[int]:
    """The pixels along each axis that the kernels of a branch look at together, one after another."""
    return [1 + sum(int(size) - 1 for size in sizes) for sizes in zip(*_kernels(words), strict=False)]


def _kernels(words: Sequence[str]) -> list[list[str]]:
    """The sizes of each kernel."""
    return [word.split("x") for word in words if _KERNEL.fullmatch(word)]


def _place_of_kernels(words: Sequence[str], extents: Sequence[int]) -> int:
    """The place of the colour of a branch with a kernel larger than 1x1."""
    if len(set(extents)) > 1:
        return _HIGH if extents[0] > extents[-1] else _WIDE
    first, *others = _kernels(words)
    if max(extents) <= 3 and any(len(set(sizes)) > 1 for sizes in others):
        return _HIGH
    is_single = set(first) == {"1"} and sum(set(sizes) != {"1"} for sizes in others) == 1
    places = [pair for most, pair in _BY_EXTENT.items() if extents[0] <= most]
    return places[0][not is_single] if places else _FAR
