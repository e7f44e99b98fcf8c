"""Alignment of two nets by what their stations do, whatever their modules are called.

Elements of two sequences are aligned in order so that the sum of what differs is least (Needleman and
Wunsch 1970); of two blocks each branch answers to the one that differs least from it, in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import permutations
from typing import Generic, TypeVar

from inception_lab.audits.properties import differences
from inception_lab.audits.stations import AVERAGE_POOL, CONVOLUTION, LINEAR, MAX_POOL, Station
from inception_lab.audits.structure import Block, Elements, stations_in

T = TypeVar("T")

_ALONE = 6
"""Cost of a station that nothing answers to."""
_MOST_FOR_A_PAIR = 11
"""Cost of a pair whatever differs in it: less than that of two stations alone."""
_COSTS = {"operation": 4, "kernel": 3, "stride": 3, "groups": 2, "dilation": 2, "channels": 2}
"""Cost of a difference; of the others 1."""
_MOST_PERMUTED = 6
"""Branches of a block that are tried in every order."""

_KINDS = ({CONVOLUTION, LINEAR}, {MAX_POOL, AVERAGE_POOL})
"""Kinds of stations that may answer to one another."""

Pairs = list[tuple[int | None, int | None]]
"""Places in two sequences, None in that of a missing partner."""


@dataclass(frozen=True, eq=False)
class StationPair:
    """Two stations that answer to each other, or one that nothing answers to.

    Attributes:
        first: Of the net that is audited; None where it is missing.
        second: Of the reference; None where it is added.
    """

    first: Station | None
    second: Station | None


@dataclass(frozen=True, eq=False)
class BlockPair:
    """Two blocks that answer to each other, or one that nothing answers to.

    Attributes:
        first: Of the net that is audited; None where it is missing.
        second: Of the reference; None where it is added.
        branches: The branches of both, with their places in them, aligned.
    """

    first: Block | None
    second: Block | None
    branches: tuple[BranchPair, ...]


@dataclass(frozen=True, eq=False)
class BranchPair:
    """Two branches that answer to each other, or one that nothing answers to.

    Attributes:
        places: From 0, in both blocks; None in place of a missing one.
        pairs: Their elements, aligned.
    """

    places: tuple[int | None, int | None]
    pairs: tuple[StationPair | BlockPair, ...]


class Aligner:
    """Aligns parts of two nets; costs are kept, as each is asked for many times."""

    def __init__(self) -> None:
        self._costs: dict[tuple[int, int], int] = {}

    def align(self, firsts: Elements, seconds: Elements) -> tuple[StationPair | BlockPair, ...]:
        """Align two sequences of elements.

        Args:
            firsts: Of the net that is audited.
            seconds: Of the reference.
        """
        _, pairs = _aligned(firsts, seconds, self._cost, _cost_alone)
        return tuple(
            self._pair(firsts[i] if i is not None else None, seconds[j] if j is not None else None)
            for i, j in pairs
        )

    def _pair(self, first: Station | Block | None, second: Station | Block | None) -> StationPair | BlockPair:
        if isinstance(first, Block) or isinstance(second, Block):
            block = first if isinstance(first, Block) else None
            other = second if isinstance(second, Block) else None
            return BlockPair(block, other, tuple(self._branch_pairs(block, other)))
        return StationPair(first, second)

    def _branch_pairs(self, first: Block | None, second: Block | None) -> list[BranchPair]:
        firsts, seconds = (block.branches if block else () for block in (first, second))
        _, places = self._branches(firsts, seconds)
        return [
            BranchPair(
                (i, j), self.align(firsts[i] if i is not None else (), seconds[j] if j is not None else ())
            )
            for i, j in places
        ]

    def _cost(self, first: Station | Block, second: Station | Block) -> int | None:
        """The cost of a pair, None for two elements that never answer to each other."""
        if isinstance(first, Station) and isinstance(second, Station):
            return _pair_cost(first, second)
        if isinstance(first, Block) and isinstance(second, Block):
            return self._branches(first.branches, second.branches)[0]
        return None

    def _branches(self, firsts: Sequence[Elements], seconds: Sequence[Elements]) -> tuple[int, Pairs]:
        if max(len(firsts), len(seconds)) > _MOST_PERMUTED:
            return _aligned(firsts, seconds, self._sequence_cost, _cost_of_all)
        size = max(len(firsts), len(seconds))
        # of orders that are equally good the first one counts, which is that of the branches themselves
        options = (self._in_order(firsts, seconds, order) for order in permutations(range(size)))
        return min(options, key=lambda option: option[0])

    def _in_order(
        self, firsts: Sequence[Elements], seconds: Sequence[Elements], order: Sequence[int]
    ) -> tuple[int, Pairs]:
        pairs: Pairs = [
            (i if i < len(firsts) else None, j if j < len(seconds) else None) for j, i in enumerate(order)
        ]
        cost = 0
        for i, j in pairs:
            if i is not None and j is not None:
                cost += self._sequence_cost(firsts[i], seconds[j])
            else:
                cost += _cost_of_all(firsts[i] if i is not None else seconds[j or 0])
        return cost, pairs

    def _sequence_cost(self, first: Elements, second: Elements) -> int:
        key = id(first), id(second)
        if key not in self._costs:
            self._costs[key] = _aligned(first, second, self._cost, _cost_alone)[0]
        return self._costs[key]


def _pair_cost(first: Station, second: Station) -> int | None:
    if first.kind != second.kind and not any({first.kind, second.kind} <= kinds for kinds in _KINDS):
        return None
    cost = sum(_COSTS.get(difference.name, 1) for difference in differences(first, second))
    return min(cost, _MOST_FOR_A_PAIR)


def _cost_alone(element: Station | Block) -> int:
    return _ALONE if isinstance(element, Station) else _cost_of_all((element,))


def _cost_of_all(elements: Elements) -> int:
    # a shortcut has a cost, too
    return _ALONE * max(1, sum(1 for _ in stations_in(elements)))


def _aligned(
    firsts: Sequence[T],
    seconds: Sequence[T],
    cost: Callable[[T, T], int | None],
    cost_alone: Callable[[T], int],
) -> tuple[int, Pairs]:
    """The least cost of two sequences, and the places of what answers to what."""
    table = _Table(firsts, seconds, cost, cost_alone)
    return table.least[0][0], table.pairs()


class _Table(Generic[T]):
    """Least costs of what begins at any place of one sequence and at any of the other."""

    def __init__(
        self,
        firsts: Sequence[T],
        seconds: Sequence[T],
        cost: Callable[[T, T], int | None],
        cost_alone: Callable[[T], int],
    ) -> None:
        self.costs = [[cost(first, second) for second in seconds] for first in firsts]
        self.firsts_alone = [cost_alone(first) for first in firsts]
        self.seconds_alone = [cost_alone(second) for second in seconds]

    @cached_property
    def least(self) -> list[list[int]]:
        """By both places, from the end."""
        rows, columns = len(self.firsts_alone), len(self.seconds_alone)
        least = [[0] * (columns + 1) for _ in range(rows + 1)]
        for i in reversed(range(rows + 1)):
            for j in reversed(range(columns + 1)):
                least[i][j] = min((sum_ for sum_, _ in self._steps(least, i, j)), default=0)
        return least

    def _steps(self, least: list[list[int]], i: int, j: int) -> list[tuple[int, tuple[int, int]]]:
        """Sums of costs by the next step, a pair before what is added or missing."""
        steps = []
        has_first, has_second = i < len(self.firsts_alone), j < len(self.seconds_alone)
        if has_first and has_second and (cost := self.costs[i][j]) is not None:
            steps.append((cost + least[i + 1][j + 1], (1, 1)))
        if has_first:
            steps.append((self.firsts_alone[i] + least[i + 1][j], (1, 0)))
        if has_second:
            steps.append((self.seconds_alone[j] + least[i][j + 1], (0, 1)))
        return steps

    def pairs(self) -> Pairs:
        """The places of what answers to what, in order."""
        pairs: Pairs = []
        i = j = 0
        while steps := self._steps(self.least, i, j):
            _, (down, right) = min(steps, key=lambda step: step[0])
            pairs.append((i if down else None, j if right else None))
            i, j = i + down, j + right
        return pairs
