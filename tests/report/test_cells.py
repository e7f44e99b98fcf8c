"""Texts measured in cells, against the widths that Unicode gives."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_lab.report.cells import cell_width, shorten_end, shorten_middle, wrap

# one or two cells each: letters, digits, signs and Chinese, Japanese, Korean
TEXTS = st.text(st.sampled_from(" .ab_Z9-äé→█特征提取かな한글"), max_size=120)


def width(text):
    """The cells of a text by its characters' property East Asian Width."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


@settings(deadline=None)
@given(TEXTS)
def test_wide_characters_take_two_cells(text):
    assert cell_width(text) == width(text)


@settings(deadline=None)
@given(TEXTS, st.integers(2, 60), st.sampled_from([shorten_middle, shorten_end]))
def test_what_is_shortened_fits_and_keeps_its_beginning(text, room, shorten):
    short = shorten(text, room)
    assert width(short) <= room
    if width(text) <= room:
        assert short == text
    else:
        start, _, end = short.partition("…")
        assert text.startswith(start.rstrip())
        assert text.endswith(end)
        # a wide character may leave one cell on either side, words of a sentence more
        assert shorten is shorten_end or width(short) >= room - 2


@settings(deadline=None)
@given(TEXTS, st.integers(20, 60), st.integers(0, 10))
def test_lines_fit_and_lose_nothing(text, room, below):
    lines = wrap(text, room, below)
    assert all(width(line) <= room for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line.startswith(" " * below) for line in lines[1:])


@pytest.mark.parametrize("text", ["", " ", " " * 200, "x" * 200, " " * 200 + "x"])
def test_odd_texts_end(text):
    assert "".join(wrap(text, 20, 5)).strip().replace(" ", "") == text.strip()


def test_runs_of_spaces_stay_where_no_line_ends():
    lines = wrap("Peak   38,230,112   36.5 MiB in norm2", 30, 4)
    assert lines == ["Peak   38,230,112   36.5 MiB", "    in norm2"]
