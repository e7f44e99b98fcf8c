"""Spread, intervals and parts, each against an oracle of its own."""

from fractions import Fraction
from statistics import NormalDist, median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.measure.timing.statistics import apportion, median_interval, spread_of

VALUES = st.lists(st.integers(0, 10**12), min_size=2, max_size=40)
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=30)


@given(VALUES)
def test_quartiles_are_those_of_numpy(values):
    spread = spread_of(values)
    assert [spread.low, spread.median, spread.high] == pytest.approx(np.quantile(values, [0.25, 0.5, 0.75]))
    assert spread.iqr >= 0


def test_a_spread_without_a_median_is_no_part_of_it():
    assert spread_of([0, 0, 0]).relative == 0
    assert spread_of([1, 2, 3]).relative == 0.5


@given(VALUES)
def test_an_interval_holds_the_median_and_lies_within_the_values(values):
    interval = median_interval(values)
    assert min(values) <= interval.low <= interval.median == median(values) <= interval.high <= max(values)
    assert 0 <= interval.confidence < 1


@pytest.mark.parametrize(
    ("count", "ranks", "confidence"),
    # Conover, Practical Nonparametric Statistics, table of the sign test at 5%: ranks 1, 2, 3, 6
    [
        (6, (1, 6), 0.96875),
        (9, (2, 8), 0.9609375),
        (12, (3, 10), 0.96142578125),
        (20, (6, 15), 0.958610534668),
    ],
)
def test_ranks_of_the_interval(count, ranks, confidence):
    interval = median_interval(list(range(count, 0, -1)))
    assert (interval.low, interval.high) == ranks
    assert interval.confidence == pytest.approx(confidence)


def test_few_values_say_how_little_they_tell():
    assert median_interval([7]) == (7, 7, 7, 0)
    assert median_interval([1, 2, 3]) == (2, 1, 3, 0.75)


def test_the_interval_covers_as_often_as_it_says():
    random = np.random.default_rng(0)
    intervals = [median_interval(random.exponential(size=15)) for _ in range(2000)]
    true = np.log(2)  # of the exponential distribution
    covered = sum(i.low <= true <= i.high for i in intervals)
    claim = intervals[0].confidence
    error = NormalDist().inv_cdf(0.9999) * (claim * (1 - claim) * 2000) ** 0.5
    assert abs(covered - 2000 * claim) < error


@given(st.integers(0, 10**12), WEIGHTS)
def test_parts_add_up_and_are_next_to_their_exact_share(total, weights):
    parts = apportion(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        exact = Fraction(total * weight, whole) if whole else Fraction(total, len(weights))
        assert abs(part - exact) < 1


@given(WEIGHTS)
def test_parts_of_the_whole_are_the_weights(weights):
    assert apportion(sum(weights), weights) == weights
