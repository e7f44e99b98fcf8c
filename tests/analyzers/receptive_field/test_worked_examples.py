"""Small nets whose fields are worked out by hand: statistics, gates, writes, padding, orders of places."""

import pytest
import torch
import torch.nn.functional as F
from support.field_nets import Net, windows
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import field_of
from inception_lab.analyzers.receptive_field.projective import projective_field


def field(function, shape, *parts, layer="(model)"):
    """The field of the output of a function, or of a layer of a module."""
    model = function if isinstance(function, nn.Module) else Net(function, *parts)
    return field_of(il.trace(model, shape), layer)


def spatial(function):
    """The function behind a convolution of one pixel, by which axes are known to be spatial."""
    return lambda x, conv: function(conv(x))


ONE = nn.Conv2d(2, 2, 1)
IMAGE = (1, 2, 8, 8)
ALL = (0, 7)

# ------------------------------------------------------------------------------ statistics and gates

NORMS = {
    "group": nn.GroupNorm(2, 4),
    "instance": nn.InstanceNorm2d(4),
    "layer": nn.LayerNorm((4, 8, 8)),
}


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_a_normalisation_over_space_sees_all_of_it(norm):
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), norm, nn.Conv2d(4, 4, 3, padding=1))
    behind = field(net, IMAGE, layer="1")
    assert (behind.receptive_field, behind.stride, behind.padding) == ((3, 3), (1, 1), (1, 1))
    assert behind.status == "exact"
    assert behind.global_context == ("1",)
    assert behind.extent((4, 0)) == (ALL, ALL)
    assert behind.local_extent((4, 0)) == ((3, 5), (0, 1))
    assert field(net, IMAGE, layer="0").global_context == ()
    last = field(net, IMAGE, layer="2")
    assert (last.receptive_field, last.global_context) == ((5, 5), ("1",))
    assert last.local_extent((4, 0)) == ((2, 6), (0, 2))


def test_a_normalisation_along_one_axis_sees_that_axis():
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.LayerNorm(8))
    behind = field(net, IMAGE, layer="1")
    assert behind.extent((4, 0)) == ((3, 5), ALL)
    assert behind.local_extent((4, 0)) == ((3, 5), (0, 1))


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_couples_samples_and_not_places(training):
    net = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4))
    trace = il.trace(net, (2, *IMAGE[1:]), mode="train" if training else "eval")
    behind = field_of(trace, "1")
    assert behind.extent((4, 0)) == ((3, 5), (0, 1))
    assert behind.global_context == ()


class Gate(nn.Module):
    """Squeeze and excitation (1709.01507)."""

    def __init__(self, channels):
        super().__init__()
        self.fc = nn.Linear(channels, channels)

    def forward(self, x):
        return x * torch.sigmoid(self.fc(x.mean((2, 3))))[..., None, None]


def test_a_gate_stands_beside_the_local_paths():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), Gate(4), nn.Conv2d(4, 4, 3, 2, 1), Gate(4), nn.MaxPool2d(2))
    shape = (1, 3, 64, 64)
    # 3, stride 2; + 2 x 2, stride 4; + 4, stride 8
    last = field(net, shape, layer="4")
    assert (last.receptive_field, last.stride, last.padding) == ((11, 11), (8, 8), (3, 3))
    assert last.global_context == ("1", "3")
    assert last.extent((0, 3)) == ((0, 63), (0, 63))
    assert last.local_extent((0, 3)) == ((0, 7), (21, 31))
    assert field(net, shape, layer="0").global_context == ()


def test_context_that_is_global_along_one_axis_alone():
    def rows(x, conv):
        return x + conv(x).mean(3, keepdim=True)

    along = field(rows, IMAGE, nn.Conv2d(2, 2, 3, padding=1))
    assert along.extent((4, 0)) == ((3, 5), ALL)
    # the mean sees three rows of each column too
    assert along.local_extent((4, 0)) == ((3, 5), (0, 0))


# ------------------------------------------------------------------------------ projective fields


def test_projective_field_of_an_unshuffled_image():
    net = Net(spatial(lambda x: F.pixel_unshuffle(x, 2)), ONE)
    assert projective_field(il.trace(net, IMAGE), (5, 6), "(model)") == ((2, 2), (3, 3))


def test_projective_field_of_repeated_places():
    net = Net(spatial(lambda x: x[..., None].expand(*x.shape, 2).reshape(1, 2, 8, 16)), ONE)
    assert projective_field(il.trace(net, IMAGE), (5, 6), "(model)") == ((5, 5), (12, 13))


def test_projective_field_of_attention_in_windows():
    net = Net(spatial(lambda x: windows(x, 2)), ONE)
    assert projective_field(il.trace(net, IMAGE), (5, 6), "(model)") == ((4, 5), (6, 7))


def test_projective_field_of_an_image_upside_down_and_shifted():
    trace = il.trace(Net(spatial(lambda x: x.flip(2).roll(3, 3)), ONE), IMAGE)
    assert projective_field(trace, (5, 6), "(model)") == ((2, 2), (1, 1))


# ------------------------------------------------------------------------------ certain and uncertain parts


def prefix_and_mean(x):
    return x.cumsum(3) + x.mean((2, 3), keepdim=True)


def test_a_mean_beside_a_prefix_and_a_pool():
    pooled = field(lambda x, conv: F.max_pool2d(prefix_and_mean(conv(x)), (2, 1)), IMAGE, ONE)
    assert [pooled.extent((unit, 3)) for unit in range(4)] == [(ALL, ALL)] * 4
    # rows in pairs, and the columns up to the unit's own
    assert [pooled.local_extent((unit, 3)) for unit in (0, 3)] == [((0, 1), (0, 3)), ((6, 7), (0, 3))]


def test_a_slice_of_a_mean_beside_a_prefix():
    part = field(lambda x, conv: prefix_and_mean(conv(x))[:, :, 4:], IMAGE, ONE)
    assert part.extent((1, 2)) == (ALL, ALL)
    assert part.local_extent((1, 2)) == ((5, 5), (0, 2))


# ------------------------------------------------------------------------------ writes


def half_written(x):
    y = x * 1.0
    y[:, :, :4] = 0
    return y


def mean_written(x):
    y = x * 1.0
    y[:, :, :4] = x.mean((2, 3), keepdim=True)
    return y


def test_a_written_slice_keeps_its_axis():
    whole = field(lambda x, conv: half_written(conv(x)), IMAGE, ONE)
    assert whole.grid == (8, 8)
    assert [whole.extent((row, 5)) for row in (3, 4)] == [((0, -1), (0, -1)), ((4, 4), (5, 5))]


def test_a_mean_behind_a_written_slice():
    def function(x, conv):
        y = half_written(conv(x))
        return y + y.mean((2, 3), keepdim=True)

    behind = field(function, IMAGE, ONE)
    assert behind.extent((6, 0))[1] == ALL
    # the mean sees the rows that were not written over
    assert behind.extent((6, 0))[0] == (4, 7)
    assert behind.local_extent((6, 0)) == ((6, 6), (0, 0))


def test_a_mean_of_what_was_before_the_write():
    def function(x, conv):
        x = conv(x)
        return half_written(x) + x.mean((2, 3), keepdim=True)

    behind = field(function, IMAGE, ONE)
    assert behind.extent((6, 0)) == (ALL, ALL)
    assert behind.local_extent((6, 0)) == ((6, 6), (0, 0))


def test_a_mean_that_is_written():
    behind = field(lambda x, conv: mean_written(conv(x)), IMAGE, ONE)
    assert behind.extent((4, 3)) == ((4, 4), (3, 3))
    assert behind.extent((3, 3)) == (ALL, ALL)


def test_a_pool_behind_a_write():
    behind = field(lambda x, conv: F.avg_pool2d(half_written(conv(x)), 2), IMAGE, ONE)
    assert behind.grid == (4, 4)
    assert behind.extent((3, 1)) == ((6, 7), (2, 3))
    assert behind.extent((0, 1)) == ((0, -1), (0, -1))


# ------------------------------------------------------------------------------ empty units


def test_a_branch_that_sees_nothing_widens_nothing():
    def function(x, conv):
        return x + F.pad(conv(x), (0, 0, 1, 0))[:, :, :-1]

    branch = field(function, IMAGE, nn.Conv2d(2, 2, (1, 3), padding=(0, 1)))
    assert branch.extent((0, 3)) == ((0, 0), (3, 3))
    assert branch.extent((1, 3)) == ((0, 1), (2, 4))


def test_padding_larger_than_the_kernel_sees_nothing():
    behind = field(nn.Conv2d(2, 2, 3, padding=4), IMAGE)
    assert behind.extent((0, 8)) == ((0, -1), (0, -1))
    assert behind.extent((2, 8)) == ((0, 0), (4, 6))


# ------------------------------------------------------------------------------ empty axes and odd scales


@pytest.mark.parametrize("pads", [(-2, -2, 0, 0), (0, 0, -2, -2)])
def test_an_empty_axis_is_no_error(pads):
    net = Net(lambda x, conv: F.pad(conv(x), pads, mode="circular"), nn.Conv2d(1, 1, 1))
    table = il.receptive_field(il.trace(net, (1, 1, 4, 4)))
    assert len(table) >= 1


def test_an_interpolation_that_keeps_the_size_copies():
    same = field(lambda x, conv: F.interpolate(conv(x), scale_factor=1.05, mode="bilinear"), IMAGE, ONE)
    assert same.extent((3, 4)) == ((3, 3), (4, 4))
    assert same.receptive_field == (1, 1)


def test_a_resize_to_nothing_is_no_smallest_input():
    net = Net(lambda x, conv: F.interpolate(conv(x), scale_factor=0.5), nn.Conv2d(2, 2, 3, padding=1))
    assert il.smallest_input(net, IMAGE) == (2, 2)


def test_padding_of_a_fractional_stride():
    """A unit of an image of twice the size: its first taps are the pixels -1 and 0, half a pixel apart."""
    double = field(lambda x, conv: F.interpolate(conv(x), scale_factor=2, mode="bilinear"), IMAGE, ONE)
    assert double.stride == (0.5, 0.5)
    assert double.receptive_field == (2, 2)
    # the field of unit i is centred at (i + 0.5) / 2 - 0.5 = i / 2 - 0.25
    assert [double.padding[axis] for axis in (0, 1)] == [0.75, 0.75]


def test_a_mean_of_rows_of_which_some_are_hidden_is_local():
    """Rows 3 to 7 are zeroed; a block of four rows has its mean added, and the rows that see anything."""

    def function(x):
        rows = x.masked_fill(torch.arange(8)[:, None] > 2, 0).unflatten(2, (2, 4))
        return (rows + rows.mean(3, keepdim=True)).flatten(2, 3)

    behind = field(spatial(function), IMAGE, ONE)
    assert behind.extent((0, 5)) == behind.local_extent((0, 5)) == ((0, 2), (5, 5))
    assert behind.global_context == ()


def test_a_statistic_that_misses_a_row_is_global_beside_another_image():
    """Rows 1 to 7 of one image are normalised; put under all rows of another they have not seen row 0."""
    norm = nn.InstanceNorm2d(2)
    under = spatial(lambda x: torch.cat([x, norm(x[:, :, 1:])], 2))
    assert field(under, IMAGE, ONE).extent((9, 4)) == ((1, 7), ALL)
    assert field(under, IMAGE, ONE).local_extent((9, 4)) == ((2, 2), (4, 4))


def test_a_mean_of_a_slice_is_local_in_the_axis():
    """Rows 0 to 3 all become their mean, above the others: of the whole axis that is a part."""
    above = spatial(
        lambda x: torch.cat([x[:, :, :4].mean(2, keepdim=True).expand(-1, -1, 4, -1), x[:, :, 4:]], 2)
    )
    assert field(above, IMAGE, ONE).local_extent((1, 4)) == ((0, 3), (4, 4))
    assert field(above, IMAGE, ONE).local_extent((5, 4)) == ((5, 5), (4, 4))


# ------------------------------------------------------------------------------ places among the channels


def test_the_last_window_over_patches_written_as_channels():
    """Patches of 2 x 2, then the largest of three neighbours: rows 2 i and 2 i + 1, six columns."""
    behind = field(
        spatial(lambda x: F.pixel_unshuffle(x, 2).unfold(3, 3, 3).amax(-1)), (1, 2, 8, 8), nn.Conv2d(2, 2, 1)
    )
    assert behind.grid == (4, 1)
    assert [behind.extent((i, 0)) for i in range(4)] == [((2 * i, 2 * i + 1), (0, 5)) for i in range(4)]


def test_a_product_over_windows_written_as_channels():
    """Columns 0 to 7, 1 to 8 and 2 to 9 are channels; each place of the product sees those of all."""

    def product(x, conv, linear):
        return linear(conv(x).unfold(3, 3, 1).permute(0, 1, 4, 2, 3).flatten(1, 2))

    behind = field(product, (1, 2, 5, 10), nn.Conv2d(2, 2, (3, 1), padding=(1, 0)), nn.Linear(8, 9))
    assert behind.grid == (5, 9)
    assert {behind.extent((2, k)) for k in range(9)} == {((1, 3), (0, 9))}


def test_copies_beside_patches_written_as_channels():
    behind = field(
        spatial(lambda x: F.pixel_unshuffle(x, 2).repeat_interleave(3, 3)), (1, 2, 4, 8), nn.Conv2d(2, 2, 1)
    )
    assert behind.grid == (2, 12)
    assert [behind.extent((0, k))[1] for k in (0, 2, 3, 11)] == [(0, 1), (0, 1), (2, 3), (6, 7)]


@pytest.mark.parametrize("function", [F.softmax, F.log_softmax])
def test_a_softmax_over_one_position_is_a_constant(function):
    gated = spatial(lambda x: x * function(x.mean((1, 2, 3), keepdim=True), dim=1))
    assert field(gated, (1, 2, 8, 8), nn.Conv2d(2, 2, 1)).extent((3, 4)) == ((3, 3), (4, 4))
