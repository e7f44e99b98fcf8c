"""Worksheets as Markdown."""

import re

import pytest
from support.hostile_names import HOSTILE_NAMES, branched_net

import inception_lab as il


def test_the_famous_line_and_the_totals():
    lines = il.render_worksheet(
        il.design_worksheet("28x28x192", "64,96,128,16,32,32"), "markdown"
    ).splitlines()
    assert lines[0] == "# 64,96,128,16,32,32 on 28 x 28 x 192"
    assert "- multiplies: 28 x 28 x 32 outputs x 5 x 5 x 192 inputs each = 120,422,400" in lines
    start = lines.index("| Multiplies | Naive | Reduced | Ratio |")
    assert lines[start + 1] == "| :--- | ---: | ---: | ---: |"
    assert lines[start + 4] == "| 5x5 | 120,422,400 | 12,443,648 | 9.68 |"
    assert lines[start + 6] == "| sum | 303,464,448 | 128,049,152 | 2.37 |"


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_hostile_names_are_shown_as_they_are(name):
    sheet = il.worksheet(il.trace(branched_net(name), (1, 8, 6, 6), name=name), "(model)")
    plain = il.worksheet(il.trace(branched_net("branch"), (1, 8, 6, 6), name="net"), "(model)")
    page, usual = (il.render_worksheet(s, "markdown") for s in (sheet, plain))
    assert len(page.splitlines()) == len(usual.splitlines())
    for line in page.splitlines():
        if line.startswith("|"):  # each row keeps its four cells
            assert len(re.findall(r"(?<!\\)\|", line)) == 5
    assert re.search(r"(?<!\\)[<`]", page) is None
