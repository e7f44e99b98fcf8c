"""Quantities as people write and read them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.errors import InceptionLabError
from inception_lab.metrics import METRICS, format_quantity, parse_quantity


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("7 M", "count", 7e6),
        ("1.6G", "count", 1.6e9),
        ("6,998,552", "count", 6_998_552),
        ("6_998_552", "count", 6_998_552),
        ("1e9", "count", 1e9),
        ("2.5e-1", "count", 0.25),
        (" 12 k ", "count", 12_000),
        ("12 K", "count", 12_000),
        ("1.5 P", "count", 1.5e15),
        ("3 B", "count", 3e9),
        ("40 MiB", "bytes", 40 * 2**20),
        ("2 GB", "bytes", 2e9),
        ("3 kB", "bytes", 3000),
        ("2 PB", "bytes", 2e15),
        ("80GiB", "bytes", 80 * 2**30),
        ("512", "bytes", 512),
        ("3 B", "bytes", 3),
        (".5 KiB", "bytes", 512),
        ("12", "milliseconds", 12),
        ("12 ms", "milliseconds", 12),
        ("1.5 s", "milliseconds", 1500),
        ("250us", "milliseconds", 0.25),
    ],
)
def test_quantities(text, unit, number):
    assert parse_quantity(text, unit) == number


@pytest.mark.parametrize(
    ("text", "unit"), [("", "count"), ("M", "count"), ("-7 M", "count"), ("7 MiB", "count"), ("7 m", "count"),
                       ("7 M", "bytes"), ("1.2.3", "count"), ("nan", "count"), ("7 M M", "count")]
)  # fmt: skip
def test_what_is_not_a_quantity_is_named(text, unit):
    with pytest.raises(InceptionLabError, match="write it like"):
        parse_quantity(text, unit)


@given(st.integers(0, 10**18), st.sampled_from(["count", "bytes"]))
def test_formatting_keeps_three_digits(number, unit):
    text = format_quantity(number, unit)
    assert parse_quantity(text, unit) == pytest.approx(number, rel=0.0051, abs=0.5)
    assert len(text) <= 9


@given(st.text(max_size=12), st.sampled_from(["count", "bytes"]))
def test_any_text_is_a_number_or_a_clear_error(text, unit):
    try:
        number = parse_quantity(text, unit)
    except InceptionLabError as error:
        line = str(error)
    else:
        line = f"{number:.0f}"
    assert len(line.splitlines()) == 1


def test_every_metric_says_what_it_is():
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.label
        assert metric.meaning
        assert metric.better in ("lower", "higher", "")


@pytest.mark.parametrize(
    ("number", "unit", "text"),
    [(0, "count", "0"), (999, "count", "999"), (1000, "count", "1.00 k"), (999_499, "count", "999 k"),
     (2e15, "count", "2.00 P"), (2**51, "bytes", "2.00 PiB"), (999_999, "count", "1.00 M"),
     (12_568_061_056, "count", "12.6 G"), (1023, "bytes", "1,023 B"), (1024, "bytes", "1.00 KiB"),
     (70_348_576, "bytes", "67.1 MiB"), (0, "milliseconds", "0"), (12, "milliseconds", "12 ms"),
     (12.345, "milliseconds", "12.3 ms"), (0.0456, "milliseconds", "45.6 us"),
     (0.0001, "milliseconds", "0.10 us"), (1234.5, "milliseconds", "1.23 s"),
     (999.9, "milliseconds", "1.00 s")],
)  # fmt: skip
def test_formatting(number, unit, text):
    assert format_quantity(number, unit) == text
