"""Shorter plots draw what longer ones do."""

import re

from hypothesis import given
from hypothesis import strategies as st

from inception_lab.report.html.inline_svg import short_path

POINTS = st.tuples(st.integers(-3, 3), st.integers(-3, 3))
COUNTS = {"M": 1, "L": 1, "Q": 2, "C": 3, "z": 0}
STEP = st.sampled_from(sorted(COUNTS)).flatmap(
    lambda letter: st.tuples(st.just(letter), st.tuples(*COUNTS[letter] * [POINTS]))
)


def segments(path):
    """The points of each step of a path, as the specification of SVG reads them."""
    x = y = start = None
    read = []
    for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", path):
        values = [int(number) for number in numbers.split()]
        if letter in "zZ":
            read.append(("close", start))
            x, y = start
            continue
        values = {"H": [*values, y], "V": [x, *values]}.get(letter, values)
        points = tuple(zip(values[::2], values[1::2], strict=True))
        read.append(({"H": "L", "V": "L"}.get(letter, letter), points))
        x, y = points[-1]
        start = points[-1] if letter == "M" else start
    return read


@given(POINTS, st.lists(STEP, max_size=12))
def test_a_short_path_has_the_same_points(first, steps):
    written = [("M", (first,)), *steps]
    path = " \n".join(f"{letter} " + " ".join(f"{x} {y}" for x, y in points) for letter, points in written)
    short = short_path(path)
    assert segments(short) == segments(path)
    assert len(short) <= len(path)
