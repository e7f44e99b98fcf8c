"""Worksheets of free numbers, against hand arithmetic and an independent formula."""

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il


def test_the_module_of_cs231n_naive():
    sheet = il.design_worksheet("28x28x256", "128,0,192,0,96,0")
    assert sheet.reduced.macs == 28 * 28 * (128 + 192 * 9 + 96 * 25) * 256 == 854_196_224
    assert sheet.joined_channels == (128, 192, 96, 256)
    assert not sheet.has_reductions


def test_the_module_of_cs231n_reduced():
    """The lecture says 358M, which is this sum with the 3x3 convolution counted twice."""
    sheet = il.design_worksheet("28x28x256", "128,64,192,64,96,64")
    products = [128 * 256, 64 * 256, 192 * 9 * 64, 64 * 256, 96 * 25 * 64, 64 * 256]
    assert sheet.reduced.macs == 28 * 28 * sum(products) == 271_351_808
    assert round((sheet.reduced.macs + 28 * 28 * products[2]) / 1e6) == 358
    assert sheet.naive.macs == 854_196_224
    assert (sheet.joined_channels, sheet.naive_joined_channels) == ((128, 192, 96, 64), (128, 192, 96, 256))


def test_a_row_of_table_1_is_the_module_of_googlenet():
    model = il.create_model("googlenet", device="meta")
    traced = il.worksheet(il.trace(model, (1, 3, 224, 224)), "inception3a")
    for branches in ("64,96,128,16,32,32", (64, 96, 128, 16, 32, 32), " 64, 96,128,16,32,32 "):
        sheet = il.design_worksheet((28, 28, 192), branches)
        assert (sheet.naive, sheet.reduced) == (traced.naive, traced.reduced)
        assert sheet.naive_joined_channels == traced.naive_joined_channels


def expected(size, channels, numbers):
    """Multiplies, weights and biases, naive and reduced, by the formula that is on every slide."""
    one, three_reduce, three, five_reduce, five, proj = numbers

    def side(convolutions):
        weights = sum(kernel * kernel * wide * narrow for kernel, wide, narrow in convolutions if narrow)
        return size[0] * size[1] * weights, weights, sum(narrow for *_, narrow in convolutions)

    naive = [(1, channels, one), (3, channels, three), (5, channels, five)]
    reduced = [
        (1, channels, one),
        (1, channels, three_reduce),
        (3, three_reduce or channels, three),
        (1, channels, five_reduce),
        (5, five_reduce or channels, five),
        (1, channels, proj),
    ]
    return side(naive), side(reduced)


widths = st.integers(0, 40)
pairs = st.tuples(widths, st.integers(1, 40)) | st.just((0, 0))


@given(
    st.tuples(st.integers(1, 30), st.integers(1, 30)),
    st.integers(1, 300),
    st.integers(1, 40),
    pairs,
    pairs,
    widths,
)
@settings(max_examples=60, deadline=None)
def test_totals_by_an_independent_formula(size, channels, one, three, five, proj):
    numbers = (one, *three, *five, proj)
    sheet = il.design_worksheet((*size, channels), numbers)
    naive, reduced = expected(size, channels, numbers)
    assert tuple(sheet.naive)[:3] == naive
    assert tuple(sheet.reduced)[:3] == reduced
    assert sum(sheet.joined_channels) == sum([one, three[1], five[1], proj or channels])


layer = st.tuples(st.sampled_from([1, 3, 5, 7]), st.sampled_from([1, 3, 5, 7]), st.integers(1, 20))


@given(st.integers(1, 20), st.lists(st.lists(layer, min_size=1, max_size=4), min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_layers_written_out_cost_what_they_say(channels, branches):
    text = " | ".join(" ".join(f"{h}x{w}:{out}" for h, w, out in branch) for branch in branches)
    sheet = il.design_worksheet((9, 8, channels), text)
    weights = 0
    for branch in branches:
        width = channels
        for height, breadth, out in branch:
            weights, width = weights + height * breadth * width * out, out
    assert (sheet.reduced.weights, sheet.reduced.macs) == (weights, 9 * 8 * weights)


def test_strides_paddings_and_pools():
    sheet = il.design_worksheet("35x35x288", "3x3/2p0:384 | 1x1:64 3x3:96 3x3/2p0:96 | max3x3/2p0")
    assert sheet.output_shape == (1, 384 + 96 + 288, 17, 17)
    assert [working.layer for working in sheet.branches[1].workings] == ["1x1:64", "3x3:96", "3x3/2p0:96"]
    assert sheet.branches[2].reduced.macs == 0
    assert il.design_worksheet("9x9x4", "avg3x3 | 3x3:4 3x3:4").branches[1].workings[1].layer == "3x3:4_2"


@pytest.mark.parametrize(
    ("size", "branches", "line"),
    [
        ("28x28", "1,1,1,1,1,1", "'28x28' is not the size of an input"),
        ("28x28x0", "1,1,1,1,1,1", "'28x28x0' is not the size of an input"),
        ("28x28x999999", "1,1,1,1,1,1", "is not the size of an input; write height x width x channels"),
        ("²x2x2", "1,1,1,1,1,1", "is not the size of an input"),
        ((28, 28), "1,1,1,1,1,1", "(28, 28) is not the size of an input"),
        ((28, -28, 3), "1,1,1,1,1,1", "is not the size of an input"),
        ("8x8x8", "1,2,3,4,5", "'1,2,3,4,5' is not six numbers; write six numbers like"),
        ("8x8x8", "", "'' is not six numbers"),
        ("8x8x8", (1, 2), "(1, 2) is not six numbers"),
        ("8x8x8", "1,a,1,1,1,1", "is not six numbers"),
        ("8x8x8", "1,1,1,1,1,-1", "is not six numbers"),
        ("8x8x8", "0,5,0,0,0,0", "3x3 reduce of 5 has no convolution behind it"),
        ("8x8x8", "0,0,0,4,0,0", "5x5 reduce of 4 has no convolution behind it"),
        ("8x8x8", "1x1:3 |", "has a branch without a layer"),
        ("8x8x8", "1x1", "the convolution '1x1' has no channels; write it like 1x1:64"),
        ("8x8x8", "max3x3:4", "the pool 'max3x3:4' has channels"),
        ("8x8x8", "min3x3", "'min3x3' is not a layer"),
        ("8x8x8", "1x1:999999", "'1x1:999999' is not a layer"),
        ("8x8x8", "0x1:3", "'0x1:3' has a number out of range"),
        ("8x8x8", "1x1:0", "'1x1:0' has a number out of range"),
        ("8x8x8", "3x3/0:2", "'3x3/0:2' has a number out of range"),
        ("8x8x8", "100x1:2", "'100x1:2' has a number out of range; kernels have 1 to 99 elements a side"),
        ("8x8x8", "max3x3p2", "the padding of 'max3x3p2' is above half its kernel"),
        ("3x3x8", "1x1:2 | 7x7p0:3", "branch2: 7x7p0:3 does not fit into 3 x 3"),
        ("8x8x8", "1x1:2 | 3x3/2:3", "branches: branch1 ends in 8 x 8 and branch2 in 4 x 4"),
    ],
)
def test_malformed_numbers_are_one_line(size, branches, line):
    with pytest.raises(il.InceptionLabError) as raised:
        il.design_worksheet(size, branches)
    assert line in str(raised.value)
    assert raised.value.exit_code == 2


@given(
    st.text(alphabet="0123456789x:|,/p maxvg²", max_size=24), st.text(alphabet="0123456789x,.-", max_size=9)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused(branches, size):
    for input_size in ("4x4x2", size):
        with suppress(il.InceptionLabError):  # anything else is a fault
            assert il.design_worksheet(input_size, branches).branches


def test_the_largest_numbers_still_multiply():
    sheet = il.design_worksheet((99999, 99999, 99999), (99999,) * 6)
    assert sheet.naive.macs == 99999**4 * (1 + 9 + 25)
