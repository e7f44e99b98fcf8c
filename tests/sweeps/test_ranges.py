"""Ranges and distributions, against figures by hand and the definitions of the distributions."""

from collections import Counter
from decimal import Decimal
from itertools import pairwise
from statistics import NormalDist, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.budgets.toml_source import Place
from inception_lab.errors import InceptionLabError
from inception_lab.sweeps.ranges import Distribution, read_range

COUNT = 10_000
QUANTILES = [(number + 0.5) / COUNT for number in range(COUNT)]


def values(**table):
    return read_range(table, Place()).values


def drawn(**table):
    distribution = read_range(table, Place())
    return [distribution.at(quantile) for quantile in QUANTILES]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({"min": 16, "max": 64, "step": 16}, (16, 32, 48, 64)),
        ({"min": 16, "max": 63, "step": 16}, (16, 32, 48)),
        ({"min": 0.1, "max": 0.5, "step": 0.1}, (0.1, 0.2, 0.3, 0.4, 0.5)),
        ({"min": -0.3, "max": 0.3, "step": 0.3}, (-0.3, 0.0, 0.3)),
        ({"min": 0, "max": 1, "step": 0.5}, (0.0, 0.5, 1.0)),
        ({"min": 5, "max": 6, "step": 10}, (5,)),
        ({"min": 1, "max": 1000, "factor": 10}, (1, 10, 100, 1000)),
        ({"min": 1e-3, "max": 1, "factor": 10}, (0.001, 0.01, 0.1, 1.0)),
        ({"min": 16, "max": 40, "factor": 1.5}, (16.0, 24.0, 36.0)),
        ({"min": 0.1, "max": 0.7, "points": 7}, (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)),
        ({"min": 1e-4, "max": 0.1, "points": 4, "log": True}, (1e-4, 1e-3, 1e-2, 1e-1)),
        ({"min": 1, "max": 4, "points": 2}, (1, 4)),
        ({"min": 1, "max": 3, "points": 9}, (1, 2, 3)),
        ({"min": 1, "max": 10_000, "points": 5, "log": True}, (1, 10, 100, 1000, 10_000)),
        ({"min": 0, "max": 10, "points": 3, "log": False}, (0, 5, 10)),
    ],
)
def test_ranges_have_the_points_of_a_pocket_calculator(table, expected):
    points = values(**table)
    assert points == expected
    assert [type(point) for point in points] == [type(point) for point in expected]


whole = st.integers(-1000, 1000)
decimals = st.decimals(-100, 100, places=3).map(float)


@given(whole, st.integers(1, 2000), st.integers(1, 500))
def test_whole_steps_are_those_of_pythons_range(low, span, step):
    assert values(min=low, max=low + span, step=step) == tuple(range(low, low + span + 1, step))


@given(decimals, st.integers(1, 50), st.integers(1, 400))
def test_decimal_steps_are_the_decimals_that_a_user_would_write(low, count, thousandths):
    start, step = Decimal(repr(low)), Decimal(thousandths) / 1000
    expected = tuple(float(start + number * step) for number in range(count + 1))
    assert values(min=low, max=expected[-1], step=float(step)) == expected


@given(decimals, decimals, st.integers(2, 40))
def test_points_are_even_from_the_first_to_the_last(low, other, count):
    low, high = sorted((low, other + 201))
    points = values(min=low, max=high, points=count)
    assert (len(points), points[0], points[-1]) == (count, low, high)
    width = (high - low) / (count - 1)
    assert [b - a for a, b in pairwise(points)] == pytest.approx([width] * (count - 1))


@given(st.integers(1, 100), st.integers(1, 10_000), st.integers(2, 40))
def test_logarithmic_points_are_ordered_whole_numbers_within_bounds(low, span, count):
    points = values(min=low, max=low + span, points=count, log=True)
    assert (points[0], points[-1]) == (low, low + span)
    assert list(points) == sorted(set(points))
    assert {type(point) for point in points} == {int}
    for number, point in enumerate(points) if len(points) == count else ():
        assert point == pytest.approx(low * ((low + span) / low) ** (number / (count - 1)), abs=0.5001)


def test_a_list_is_taken_as_it_is():
    mixed = read_range([1, 1.0, True, "1", [1], {"a": 1}], Place()).values
    assert list(map(repr, mixed)) == ["1", "1.0", "True", "'1'", "[1]", "{'a': 1}"]


def test_whole_numbers_of_a_uniform_distribution_are_equally_likely():
    counts = Counter(drawn(distribution="uniform", min=3, max=7))
    assert counts == dict.fromkeys(range(3, 8), COUNT // 5)


def test_a_uniform_distribution_is_even():
    numbers = drawn(distribution="uniform", min=-1.0, max=3)
    assert numbers == pytest.approx([-1 + 4 * quantile for quantile in QUANTILES])


def test_half_of_a_loguniform_distribution_is_below_the_geometric_mean():
    numbers = drawn(distribution="loguniform", min=1e-4, max=1.0)
    for below, part in ((1e-3, 0.25), (1e-2, 0.5), (1e-1, 0.75)):
        assert sum(number < below for number in numbers) / COUNT == pytest.approx(part, abs=1e-3)


def test_each_octave_of_a_loguniform_distribution_has_as_many_whole_numbers():
    counts = Counter(drawn(distribution="loguniform", min=1, max=15))
    octaves = [sum(counts[number] for number in range(2**k, 2 ** (k + 1))) for k in range(4)]
    assert octaves == pytest.approx([COUNT / 4] * 4, abs=2)


def test_a_normal_distribution_has_its_mean_and_deviation():
    numbers = drawn(distribution="normal", mean=5.0, deviation=2)
    normal = NormalDist(5, 2)
    assert numbers == pytest.approx([normal.inv_cdf(quantile) for quantile in QUANTILES])


def test_a_normal_distribution_within_bounds_keeps_its_shape():
    numbers = drawn(distribution="normal", mean=0, deviation=1.0, min=0, max=2)
    normal = NormalDist()
    for below in (0.25, 1.0, 1.75):
        part = (normal.cdf(below) - 0.5) / (normal.cdf(2) - 0.5)
        assert sum(number < below for number in numbers) / COUNT == pytest.approx(part, abs=1e-3)


def test_whole_normal_numbers_are_the_nearest_ones():
    counts = Counter(drawn(distribution="normal", mean=0, deviation=2))
    normal = NormalDist(0, 2)
    for number in range(-4, 5):
        part = normal.cdf(number + 0.5) - normal.cdf(number - 0.5)
        assert counts[number] / COUNT == pytest.approx(part, abs=2e-4)


def test_the_ends_of_a_flat_whole_normal_distribution_are_as_likely_as_its_middle():
    counts = Counter(drawn(distribution="normal", mean=2, deviation=1000, min=1, max=3))
    assert [counts[number] for number in (1, 2, 3)] == pytest.approx([COUNT / 3] * 3, abs=2)


ends = st.one_of(whole, st.floats(-1e6, 1e6))


@given(st.sampled_from(["uniform", "loguniform", "normal"]), ends, ends, st.floats(0, 1, exclude_max=True))
def test_every_number_is_within_the_bounds_and_of_their_kind(kind, low, high, quantile):
    low, high = sorted((low, high))
    if low == high or (kind == "loguniform" and low <= 0):
        return
    is_whole = isinstance(low, int) and isinstance(high, int)
    deviation = {"deviation": high - low} if kind == "normal" else {}
    number = Distribution(kind, low, high, mean=low, is_whole=is_whole, **deviation).at(quantile)
    assert low <= number <= high
    assert type(number) is (int if is_whole else float)


@given(st.sampled_from(["uniform", "loguniform", "normal"]), st.booleans(), st.data())
def test_a_larger_quantile_gives_no_smaller_number(kind, is_whole, data):
    distribution = Distribution(kind, 1, 50, mean=20, deviation=10, is_whole=is_whole)
    low, high = sorted(data.draw(st.tuples(*[st.floats(0, 1, exclude_max=True)] * 2)))
    assert distribution.at(low) <= distribution.at(high)


def test_the_mean_of_whole_numbers_is_in_the_middle():
    assert fmean(drawn(distribution="uniform", min=1, max=6)) == pytest.approx(3.5, abs=1e-3)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "5 is not a row of values; write a list"),
        ("16", "'16' is not a row of values"),
        ([], "has no values"),
        ([1, 2, 1], "has 1 twice"),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], "has {'b': 2, 'a': 1} twice"),
        ([float("nan")], "nan is not finite"),
        ([[1, float("inf")]], "[1, inf] is not finite"),
        ([None], "None is not a value for a model"),
        ([10**400], "is not a value for a model"),
        ({}, "has no min"),
        ({"min": 1}, "has no max"),
        ({"min": 1, "max": 4}, "has no step; give one of step, factor and points"),
        ({"min": 1, "max": 4, "step": 1, "points": 2}, "has step, points"),
        ({"min": 4, "max": 1, "step": 1}, "min 4 is not below max 1; exchange them"),
        ({"min": 1, "max": 1, "step": 1}, "min 1 is not below max 1"),
        ({"min": 1, "max": 4, "step": 0}, "step: 0 is not above 0"),
        ({"min": 1, "max": 4, "step": -1}, "step: -1 is not above 0"),
        ({"min": True, "max": 4, "step": 1}, "min: True is not a number"),
        ({"min": "1", "max": 4, "step": 1}, "min: '1' is not a number"),
        ({"min": 1, "max": float("nan"), "step": 1}, "max: nan is not a number up to"),
        ({"min": 1, "max": float("inf"), "step": 1}, "max: inf is not a number up to"),
        ({"min": 1, "max": 10**400, "step": 1}, "is not a number up to"),
        ({"min": 1, "max": 1_000_000, "step": 1}, "has more than 100,000 points"),
        ({"min": 1, "max": 2, "factor": 1.000001}, "has more than 100,000 points"),
        ({"min": 1, "max": 4, "factor": 1}, "does not grow by its factor"),
        ({"min": 0, "max": 4, "factor": 2}, "does not grow by its factor"),
        ({"min": 1, "max": 4, "points": 1}, "points: 1 is not a number of points"),
        ({"min": 1, "max": 4, "points": 2.0}, "points: 2.0 is not a number of points"),
        ({"min": 1, "max": 4, "points": True}, "points: True is not a number of points"),
        ({"min": 0, "max": 4, "points": 3, "log": True}, "min: 0 has no logarithm"),
        ({"min": 1, "max": 4, "points": 3, "log": 1}, "log: is true or false beside points alone"),
        ({"min": 1, "max": 4, "step": 1, "log": True}, "log: is true or false beside points alone"),
        ({"min": 1, "max": 4, "stp": 1}, "stp: is not a key of a range; did you mean step"),
        ({"distribution": "unifrom", "min": 1, "max": 2}, "did you mean uniform"),
        ({"distribution": ["uniform"], "min": 1, "max": 2}, "is not a distribution"),
        ({"distribution": "uniform", "max": 2}, "has no min"),
        ({"distribution": "uniform", "min": 2, "max": 1}, "min 2 is not below max 1"),
        ({"distribution": "uniform", "min": 1, "max": 2, "step": 1}, "step: is not a key of a range"),
        ({"distribution": "uniform", "min": 1, "max": 2, "mean": 1}, "mean: is not a key of a range"),
        ({"distribution": "loguniform", "min": 0, "max": 2}, "min: 0 has no logarithm"),
        ({"distribution": "normal", "mean": 1}, "has no deviation"),
        ({"distribution": "normal", "mean": 1, "deviation": 0}, "deviation: 0 is no spread"),
        ({"distribution": "normal", "mean": 0, "deviation": 1, "min": 9}, "has next to nothing between"),
    ],
)
def test_what_is_not_a_range_is_one_line_that_says_why(value, message):
    with pytest.raises(InceptionLabError) as error:
        read_range(value, Place("space.toml").at("parameters", "width"))
    line = str(error.value)
    assert message in line
    assert line.startswith("space.toml: parameters.width")
    assert "\n" not in line
    assert error.value.exit_code == 2
