"""Statistics of repeated measurements: spread, intervals without a distribution, parts that add up."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb
from statistics import median, quantiles
from typing import NamedTuple

CONFIDENCE = 0.95
"""Least coverage of an interval, where there are enough values for it."""


class Spread(NamedTuple):
    """Median and quartiles of repeated measurements.

    Attributes:
        median: The value in the middle.
        low: The first quartile.
        high: The third quartile.
    """

    median: float
    low: float
    high: float

    @property
    def iqr(self) -> float:
        """The interquartile range."""
        return self.high - self.low

    @property
    def relative(self) -> float:
        """The interquartile range as a part of the median; 0 where the median is 0."""
        return self.iqr / self.median if self.median else 0.0


def spread_of(values: Sequence[float]) -> Spread:
    """Return median and quartiles, interpolated between the values themselves.

    Args:
        values: Two or more.

    Example:
        >>> spread_of([4, 1, 2, 3, 100])
        Spread(median=3.0, low=2.0, high=4.0)
    """
    low, middle, high = quantiles(values, n=4, method="inclusive")
    return Spread(middle, low, high)


class Interval(NamedTuple):
    """A median with an interval for that of the population.

    Attributes:
        median: Of the values.
        low: Lower end.
        high: Upper end.
        confidence: Probability with which such an interval holds the population's median.
    """

    median: float
    low: float
    high: float
    confidence: float


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Return the median with a distribution-free interval between two order statistics.

    For n independent values of any continuous distribution, the k-th smallest and the k-th largest hold the
    median between them unless fewer than k values lie on one side of it: with probability
    1 - 2 * sum over i < k of C(n, i) / 2^n (David & Nagaraja, Order Statistics, 2003, section 7.1).
    The narrowest such interval of at least this confidence is taken, of few values the whole range.

    Args:
        values: One or more.
        confidence: The least.

    Example:
        >>> median_interval([3, 1, 2, 5, 4, 6])
        Interval(median=3.5, low=1, high=6, confidence=0.96875)
    """
    ordered, count = sorted(values), len(values)
    place, coverage = 0, 1 - 2 / 2**count
    while place + 1 < (count + 1) // 2 and _coverage(count, place + 2) >= confidence:
        place += 1
        coverage = _coverage(count, place + 1)
    return Interval(median(ordered), ordered[place], ordered[-1 - place], max(0.0, coverage))


def median_ratio(values: Sequence[float], others: Sequence[float]) -> Interval:
    """Return the median ratio of values to those beside them, with its interval; to 1 where one is 0."""
    return median_interval([one / (other or 1) for one, other in zip(values, others, strict=True)])


def _coverage(count: int, rank: int) -> float:
    """Probability that the values of this rank from both ends hold the median between them."""
    outside: float = 2 * sum(comb(count, i) for i in range(rank)) / 2**count
    return 1 - outside


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Split a whole number in proportion to weights, into whole numbers that add up to it.

    By the method of largest remainders, in exact arithmetic; a part is less than 1 from its exact share.

    Args:
        total: The number to split, 0 or more.
        weights: One or more, each 0 or more; if all are 0, the parts are as equal as can be.

    Example:
        >>> apportion(10, [1, 1, 1]), apportion(7, [3, 0, 4]), apportion(0, [5])
        ([4, 3, 3], [3, 0, 4], [0])
    """
    whole = sum(weights)
    if not whole:
        weights, whole = [1] * len(weights), len(weights)
    parts = [total * weight // whole for weight in weights]
    largest_first = sorted(range(len(weights)), key=lambda i: -(total * weights[i] % whole))
    for place in largest_first[: total - sum(parts)]:
        parts[place] += 1
    return parts
