"""Pages of headings, paragraphs and tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.report.document import Heading, Table, document

TABLE = Table(("model", ""), [("nin", "1"), ("vgg16", "")])


def test_parts_follow_each_other_with_a_blank_line_between():
    text = document("Nets", ["Two of them.", "", Heading("Sizes"), TABLE, Table(("none",), [])])
    assert text == (
        "# Nets\n\nTwo of them.\n\n## Sizes\n\n"
        "| model |  |\n| --- | --- |\n| nin | 1 |\n| vgg16 |  |\n\n"
        "| none |\n| --- |\n"
    )


def test_a_pipe_is_escaped_once():
    assert Table(("a",), [("x | y \\| z",)]).markdown().endswith("| x \\| y \\| z |")


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="1 cells in a row of 2 columns"):
        Table(("a", "b"), [("x",)])


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_every_row_is_one_line_of_as_many_cells(rows):
    lines = Table(("a", "b"), rows).markdown().split("\n")
    assert len(lines) == len(rows) + 2
    for line in lines:
        assert len(line.splitlines()) == 1
        assert line.replace("\\|", "").count("|") == 3
