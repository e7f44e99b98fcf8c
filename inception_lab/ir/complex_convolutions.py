"""Convolutions of complex numbers, which PyTorch takes apart into three of real ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

PARTS = "view_as_real"
"""Base name of the operation that gives real and imaginary parts."""

_CONVOLUTIONS = ("convolution", "convolution_backward")


class OpLink(NamedTuple):
    """An operation, and the values through which it is linked to others.

    Attributes:
        base_name: As `Op.base_name`.
        reads: As `Op.reads`.
        writes: As `Op.writes`.
    """

    base_name: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]


class _Factors(NamedTuple):
    """Input and weight of a convolution, or the real or imaginary parts of both."""

    x: int
    weight: int


def of_sums(ops: Iterable[OpLink]) -> Iterator[int]:
    """Places of the convolutions of sums that stand for two products of complex numbers.

    PyTorch (`Convolution.cpp`, `complex_convolution`) computes the product of a + bi and c + di by Gauss's
    trick, as ac, bd and (a + b)(c + d). The last stands for both ad and bc, so that a multiply-accumulate of
    complex numbers is four real ones in a convolution as it is in a matrix product. The backward pass of
    each of the three is one operation, too.

    Example:
        >>> parts = [OpLink("view_as_real", (0,), (2,)), OpLink("view_as_real", (1,), (3,))]
        >>> selected = [OpLink("select", (2 + i // 2,), (4 + i,)) for i in range(4)]  # a, b, c, d
        >>> products = [OpLink("convolution", (4, 6), (8,)), OpLink("convolution", (5, 7), (9,))]
        >>> sums = [OpLink("add", (4, 5), (10,)), OpLink("add", (6, 7), (11,))]
        >>> list(of_sums([*parts, *selected, *products, *sums, OpLink("convolution", (10, 11), (12,))]))
        [10]
    """
    links = _Links()
    for place, op in enumerate(ops):
        if op.base_name in _CONVOLUTIONS:
            # the backward operation has the output's gradient first
            factors = links.factors(op.reads[1:3] if op.base_name == _CONVOLUTIONS[1] else op.reads[:2])
            if links.are_sums(factors):
                yield place
            links.multiplied.add(factors)
        else:
            links.follow(op)


class _Links:
    """Real and imaginary parts, their sums, and the pairs that were multiplied.

    Attributes:
        multiplied: Factors of the convolutions so far.
    """

    def __init__(self) -> None:
        self.multiplied: set[_Factors] = set()
        self._parts: set[int] = set()
        self._sums: dict[int, tuple[int, ...]] = {}
        self._unpadded: dict[int, int] = {}

    def follow(self, op: OpLink) -> None:
        """Note what an operation makes of numbers or of their parts."""
        if op.base_name == PARTS or (op.base_name == "select" and op.reads[0] in self._parts):
            self._parts.update(op.writes)
        elif op.base_name == "add" and self._parts.issuperset(op.reads):
            self._sums[op.writes[0]] = op.reads
        elif op.base_name == "constant_pad_nd":  # padding="same" with more on one side than on the other
            self._unpadded[op.writes[0]] = op.reads[0]

    def factors(self, values: tuple[int, ...]) -> _Factors:
        """The factors of a convolution, apart from padding."""
        x, weight = values
        return _Factors(self._unpadded.get(x, x), weight)

    def are_sums(self, factors: _Factors) -> bool:
        """True where both factors are sums, and their first and second terms were multiplied before."""
        if factors.x not in self._sums or factors.weight not in self._sums:
            return False
        pairs = map(_Factors, self._sums[factors.x], self._sums[factors.weight])
        return all(pair in self.multiplied for pair in pairs)
