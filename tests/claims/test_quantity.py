"""Published figures as intervals: their tolerance, and how far a value is from them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.claims.quantity import (
    Quantity,
    about,
    at_most,
    between,
    exactly,
    parse_printed,
    printed,
    true,
)

VALUES = st.floats(0.001, 1e12)


@pytest.mark.parametrize(
    ("text", "value", "last_digit"),
    [("12", 12, 1), ("2.7K", 2700, 100), ("112K", 112e3, 1e3), ("1.5 B", 1.5e9, 1e8), ("6.67", 6.67, 0.01),
     ("1000K", 1e6, 1e3), ("13.6M", 13.6e6, 1e5)],
)  # fmt: skip
def test_printed_figures(text, value, last_digit):
    assert parse_printed(text) == pytest.approx((value, last_digit))


@pytest.mark.parametrize("text", ["", "about 10", "10x", "-3", "1e9", "2.7k", "1,000", "1.K"])
def test_what_is_not_a_figure_is_refused(text):
    with pytest.raises(ValueError, match="not a printed figure"):
        printed(text)


@given(st.integers(1, 10**6), st.integers(0, 4), st.sampled_from(["", "K", "M", "B"]))
def test_a_printed_figure_is_true_to_its_last_digit_or_to_five_percent(digits, decimals, prefix):
    text = f"{digits / 10**decimals:.{decimals}f}{prefix}"
    figure = printed(text)
    value, last_digit = parse_printed(text)
    assert figure.low == figure.high == value
    assert figure.tolerance == min(last_digit, 0.05 * value)


@given(VALUES, st.floats(0, 0.5))
def test_the_boundaries_of_a_tolerance_are_inside(value, within):
    figure = about(value, within=within)
    assert figure.accepts(value)
    assert figure.accepts(value + figure.tolerance)
    assert figure.accepts(value - figure.tolerance)
    assert not figure.accepts((value + figure.tolerance) * 1.0001)
    assert not figure.accepts((value - figure.tolerance) * 0.9999)


@given(VALUES, st.floats(1, 1e3), st.floats(1, 1e3))
def test_deviation_grows_with_the_distance_on_either_side(value, near, far):
    near, far = sorted((near, far))
    figure = exactly(value)
    assert figure.deviation(value) == 0
    assert figure.deviation(value * near) <= figure.deviation(value * far)
    assert figure.deviation(value / near) <= figure.deviation(value / far)


@given(st.floats(1, 1e9), st.floats(1, 10), st.floats(1, 10))
def test_a_range_deviates_from_its_nearer_end(low, width, factor):
    figure = between(low, low * width)
    assert figure.deviation(low * width * factor) == pytest.approx(factor - 1, abs=1e-9)
    assert figure.deviation(low / factor) == pytest.approx(1 - 1 / factor, abs=1e-9)


def test_nothing_is_too_little_for_an_upper_limit():
    assert at_most("25 M").accepts(0)
    assert at_most("25 M").accepts(25.5e6)
    assert at_most("25 M").deviation(30e6) == pytest.approx(0.2)
    assert not at_most("25 M").accepts(25.6e6)


def test_any_amount_is_infinitely_far_from_none():
    assert exactly(0).deviation(1) == math.inf


def test_a_statement_has_two_values():
    assert true().accepts(True)
    assert true().deviation(False) == 1


@pytest.mark.parametrize(("low", "high", "tolerance"), [(2, 1, 0), (1, 1, -1), (math.nan, 1, 0)])
def test_a_quantity_that_no_value_fits_is_refused(low, high, tolerance):
    with pytest.raises(ValueError, match="no value"):
        Quantity(low, high, tolerance, "count", "")
