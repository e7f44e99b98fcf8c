"""Tables fitted into a terminal: any rows, any width."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inception_lab.report.cells import cell_width
from inception_lab.report.terminal import (
    LONG,
    UNWRAPPED,
    Column,
    Screen,
    bar_text,
    facts_text,
    fitted_table,
    fitted_text,
    page,
)

WORDS = st.text(st.sampled_from("ab_.9 -特征网络"), max_size=60)
ESCAPE = re.compile(r"\x1b\[\d+m")


@st.composite
def tables(draw):
    """Columns of texts and numbers, each row with its number in front, and an order of importance."""
    rows = draw(st.integers(0, 6))
    columns = [Column("row", "Row", [f"<{n}>" for n in range(rows)])]
    for number in range(draw(st.integers(0, 6))):
        is_number = draw(st.booleans())
        cells = st.integers(0, 10**9).map(str) if is_number else WORDS
        texts = draw(st.lists(cells, min_size=rows, max_size=rows))
        heading = draw(
            st.lists(st.sampled_from(["Share", "of", "MACs", "Interquartile", "(ms)"]), min_size=1)
        )
        columns.append(Column(f"c{number}", " ".join(heading), texts, is_number, not is_number))
    others = draw(st.permutations([column.name for column in columns[1:]]))
    return columns, [columns[0].name, *others]


@settings(deadline=None)
@given(tables(), st.integers(20, 130))
def test_every_row_is_there_in_order_and_no_line_is_too_wide(table, width):
    columns, importance = table
    text = fitted_table(columns, importance, Screen(width), rest="and 7 more with 12.3 % of MACs")
    lines = text.splitlines()
    assert all(cell_width(line) <= width for line in lines)
    assert re.findall(r"^<\d+>", text, re.MULTILINE) == list(columns[0].texts)
    assert "and 7 more" in text
    rule = next(place for place, line in enumerate(lines) if set(line) <= {"-", " "} and "-" in line)
    shown = len(lines[rule].split())
    named = re.search(r"left out at \d+ columns: (.*); --wide", " ".join(text.split()))
    assert shown + (len(named[1].split(", ")) if named else 0) == len(columns)


@settings(deadline=None)
@given(tables())
def test_numbers_are_never_shortened(table):
    columns, importance = table
    text = fitted_table(columns, importance, Screen(80))
    for column in columns:
        if column.is_number and f"{column.name}" not in text.partition("left out")[2]:
            assert all(re.search(rf"(^|\s){number}(\s|$)", text, re.MULTILINE) for number in column.texts)


LAYERS = Column("layer", "Layer", ["stem.conv", "inception3a.branch3.conv5x5.conv"], part=0.4)
SHAPES = Column("shape", "Output shape", ["1x64x112x112", "1x32x28x28"])
MACS = Column("macs", "MACs", ["118 M", "10.0 M"], is_number=True, shrinks=False)


def test_headings_break_before_any_text_is_shortened():
    text = fitted_table([LAYERS, MACS, SHAPES], ["layer"], Screen(54))
    assert text.splitlines() == [
        "Layer                               MACs  Output shape",
        "--------------------------------  ------  ------------",
        "stem.conv                          118 M  1x64x112x112",
        "inception3a.branch3.conv5x5.conv  10.0 M  1x32x28x28",
    ]
    wide_heading = Column("saved", "Kept for backward", ["1 B", "2 B"], is_number=True, shrinks=False)
    assert fitted_table([LAYERS, MACS, wide_heading], [], Screen(54)).splitlines()[:2] == [
        "                                          Kept for",
        "Layer                               MACs  backward",
    ]


def test_texts_are_shortened_before_a_column_is_left_out():
    text = fitted_table([LAYERS, MACS, SHAPES], ["layer"], Screen(44))
    assert "incepti…3.conv5x5.conv" in text
    assert "left out" not in text


def test_the_column_that_matters_least_is_left_out_and_named():
    text = fitted_table([LAYERS, SHAPES, MACS], ["layer", "macs"], Screen(35))
    assert "MACs" in text
    assert text.endswith("left out at 35 columns: shape;\n--wide shows everything\n")


def test_a_column_counts_where_it_is_named_first():
    text = fitted_table([LAYERS, SHAPES, MACS], ["layer", "macs", "shape", "macs"], Screen(35))
    assert "left out at 35 columns: shape;" in text


def test_paper_is_as_wide_as_it_has_to_be():
    assert "…" not in fitted_table([LAYERS, MACS, SHAPES], [], UNWRAPPED)
    assert facts_text([("Note", "word " * 99)], 10, UNWRAPPED).count("\n") == 1


@pytest.mark.parametrize("name", ["\x1b[31mred", "a\nb", "\x9b2J", "a\rb", "tab\there"])
def test_names_cannot_command_a_terminal(name):
    screen = Screen(40, colour=True)
    texts = [
        facts_text([("Not executed", name)], 16, screen),
        fitted_text(f"failed  {name.splitlines()[0]}\n", screen),
        page(name, "table\n", "answer\n", screen),
    ]
    for text in texts:
        assert all(line.isprintable() for line in ESCAPE.sub("", text).splitlines())
        assert set(ESCAPE.findall(text)) <= {"\x1b[0m", "\x1b[1m", "\x1b[31m"}


def test_colour_says_nothing_that_the_text_does_not():
    bar = Column("share", "Share", ["66.7 % █████", "33.3 % ██▌"], shrinks=False)
    verdict = Column("verdict", "Verdict", ["agree", "unexplained"])
    columns = [LAYERS, bar, verdict]
    plain = fitted_table(columns, [], Screen(80))
    colourful = fitted_table(columns, [], Screen(80, colour=True))
    assert ESCAPE.search(plain) is None
    assert ESCAPE.sub("", colourful) == plain
    for coloured in ("\x1b[36m█████\x1b[0m", "\x1b[32magree\x1b[0m", "\x1b[31munexplained\x1b[0m"):
        assert coloured in colourful
    assert "\x1b[33mNOT COUNTED\x1b[0m" in facts_text([("NOT COUNTED", "x")], 16, Screen(80, True))


@settings(deadline=None)
@given(st.floats(0, 100), st.floats(0.1, 100))
def test_shares_take_the_same_cells(part, largest):
    text = bar_text(min(part, largest), largest)
    assert len(text) <= 12
    assert (text == "") == (part == 0)


def test_a_long_table_has_its_answer_first_and_last():
    short, long = (page("net", "row\n" * n, "Peak  36.5 MiB\n", Screen()) for n in (LONG, LONG + 1))
    assert (short.count("Peak"), long.count("Peak")) == (1, 2)
    assert short.startswith("net\n\nrow\n")
    assert long.startswith("net\n\nPeak  36.5 MiB\n\nrow\n")
    assert long.endswith("row\n\nPeak  36.5 MiB\n")
