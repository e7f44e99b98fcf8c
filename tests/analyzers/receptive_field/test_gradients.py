"""Computed fields of whole nets beside gradients; scripts/check_fields.py does it for the whole zoo."""

import pytest
from support.branched import I3D, InceptionTime
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.resolution import smallest_by_geometry
from inception_lab.measure.field_gradients import check_fields
from inception_lab.models.cards import CARDS


def widest(rows):
    """The most pixels that a unit sees by gradient without seeing an edge, by layer and axis."""
    inner = rows[(rows.gradient_first > 0) & (rows.gradient_last < rows.length - 1)]
    pixels = inner.gradient_last - inner.gradient_first + 1
    return pixels.groupby([inner.layer, inner.axis]).max().to_dict()


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        # 7, stride 2; + 2 x 2, 4; + 2 x 4; + 2 x 4, 8 gives 27; a module's 5x5 adds 4 x 8
        ("googlenet", {"inception5b": 715, "inception3a": 59, "pool2": 27}),
        ("googlenet_3x3", {"inception5b": 379}),
        ("alexnet", {"pool5": 195}),
        # 31 at stride 8 after the stem, + 3 x 4 x 8, + 4 x 8 to stride 16, + 2 x 6 x 16 by two kernels of 7
        ("inception_v3", {"mixed_6b": 351}),
    ],
)
def test_a_sample_of_the_zoo(name, sizes):
    rows = check_fields(il.create_model(name), (1, *CARDS[name].input_size), list(sizes))
    assert rows.agree.all()
    assert set(rows.status) == {"exact"}
    assert widest(rows) == {(layer, axis): size for layer, size in sizes.items() for axis in (0, 1)}


def test_branches_that_are_misaligned_have_exact_extents():
    rows = check_fields(il.create_model("bn_inception"), (1, *CARDS["bn_inception"].input_size))
    assert rows.agree.all()
    assert set(rows.status) == {"misaligned"}
    assert widest(rows) == {("inception5b", 0): 699, ("inception5b", 1): 699}


@pytest.mark.parametrize(
    "activation",
    [
        nn.ReLU6(inplace=True), nn.LeakyReLU(), nn.LeakyReLU(inplace=True), nn.ELU(inplace=True), nn.PReLU(2),
        nn.Hardswish(), nn.Hardswish(inplace=True), nn.Mish(inplace=True), nn.Threshold(0.1, 0, inplace=True),
        nn.RReLU(), nn.LogSigmoid(), nn.Hardsigmoid(inplace=True), nn.CELU(inplace=True),
    ],
    ids=str,
)  # fmt: skip
def test_activations_see_what_is_before_them(activation):
    """3 pixels, and 2 more by the second convolution; as many are the least that the net takes."""
    net = nn.Sequential(nn.Conv1d(2, 2, 3), activation, nn.Conv1d(2, 2, 3))
    rows = check_fields(net, (1, 2, 30))
    assert rows.agree.all()
    assert set(rows.status) == {"exact"}
    assert widest(rows) == {("(model)", 0): 5}
    assert smallest_by_geometry(il.trace(net, (1, 2, 30))) == (5,)


def test_one_axis():
    # three modules of kernels up to 39: 1 + 3 x 38
    rows = check_fields(InceptionTime(), (1, 2, 64), ["blocks"])
    assert rows.agree.all()
    assert widest(rows) == {("blocks", 0): 115}


def test_three_axes():
    # time: 7, stride 2, + 2 x 2; space: 7, + 2 x 2, stride 4, + 2 x 4
    rows = check_fields(I3D(), (1, 3, 16, 32, 32), ["mixed"])
    assert rows.agree.all()
    assert widest(rows) == {("mixed", 0): 11, ("mixed", 1): 19, ("mixed", 2): 19}
