"""Worksheets in a terminal."""

import re
from math import ceil, floor

import pytest
from support.hostile_names import HOSTILE_NAMES, branched_net

import inception_lab as il
from inception_lab.models.cards import CARDS

SHEET = il.design_worksheet("28x28x192", "0,0,0,16,32,0")


def test_every_line_of_a_small_module():
    lines = il.render_worksheet(SHEET).splitlines()
    assert lines[:18] == [
        "0,0,0,16,32,0 on 28 x 28 x 192",
        "==============================",
        "Input 28 x 28 x 192, output 28 x 28 x 224 (channels last).",
        "Naive: without the 1x1 reductions, on the same input.",
        "",
        "5x5: naive",
        "  conv: 5x5 convolution, 28 x 28 x 192 to 28 x 28 x 32",
        "    size        (28 + 2 x 2 - 5) / 1 + 1 = 28",
        "    multiplies  28 x 28 x 32 outputs x 5 x 5 x 192 inputs each = 120,422,400",
        "    weights     5 x 5 x 192 x 32 = 153,600",
        "    parameters  153,600 + 32 biases = 153,632",
        "",
        "5x5: reduced",
        "  reduce: 1x1 convolution, 28 x 28 x 192 to 28 x 28 x 16",
        "    multiplies  28 x 28 x 16 outputs x 1 x 1 x 192 inputs each = 2,408,448",
        "    weights     1 x 1 x 192 x 16 = 3,072",
        "    parameters  3,072 + 16 biases = 3,088",
        "  conv: 5x5 convolution, 28 x 28 x 16 to 28 x 28 x 32",
    ]
    assert lines[-5:] == [
        "Parameters    Naive  Reduced  Ratio",
        "----------  -------  -------  -----",
        "5x5         153,632   15,920   9.65",
        "pool              0        0",
        "sum         153,632   15,920   9.65",
    ]


def value(expression):
    """The value of an expression of a worksheet, its words left out."""
    bare = re.sub(r"[a-wyz]{2,}", "", expression.replace(",", "")).replace(" x ", " * ")
    exact = eval(bare)
    if "rounded" not in expression:
        return exact
    return ceil(exact) if "rounded up" in expression else floor(exact)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3", "inception_resnet_v1", "xception", "alexnet"])
def test_every_equation_is_true_and_fits_into_80_columns(name):
    trace = il.trace(il.create_model(name, device="meta"), (1, *CARDS[name].input_size), name=name)
    text = il.render_worksheet(il.worksheet(trace, "(model)"))
    assert max(map(len, text.splitlines())) <= 80
    equations = re.findall(r"^    \w+ +([^=\n]*(?:\n {16}[^=\n]*)*)=\s+([\d,.]+)", text, re.MULTILINE)
    assert len(equations) > 30
    for expression, result in equations:
        number = float(result.replace(",", ""))
        tolerance = 0.005 if "." in result else 0
        assert value(" ".join(expression.split())) == pytest.approx(number, rel=0, abs=tolerance)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_hostile_names_stay_on_their_line(name):
    sheet = il.worksheet(il.trace(branched_net(name), (1, 8, 6, 6), name=name), "(model)")
    plain = il.worksheet(il.trace(branched_net("branch"), (1, 8, 6, 6), name="net"), "(model)")
    lines, usual = (il.render_worksheet(s).splitlines() for s in (sheet, plain))
    assert len(lines) == len(usual)
    assert all(line.isprintable() for line in lines)
