"""Every kind of operation along an axis against autograd: the extent of each unit, and the three numbers."""

import tracemalloc
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.agreement import differences, output_field, verdict
from support.field_nets import (
    Net,
    added_in_place,
    attention,
    channel_shuffle,
    conv,
    fork_before_in_place,
    in_place_after_fork,
    patches,
    preallocated,
    preallocated_like,
    shifted_windows,
    space_to_depth,
    windows,
)
from torch import nn

from inception_lab.analyzers.receptive_field import axis_ops
from inception_lab.errors import InceptionLabError

few = settings(max_examples=25, derandomize=True, deadline=None)


def expect(status, net, shape):
    assert verdict(net, shape) == (status, {}, [])


def small(least, most):
    return st.integers(least, most)


@few
@given(small(6, 14), small(1, 4), small(1, 3), small(0, 4), small(1, 3), st.sampled_from([1, 2]))
def test_convolution(size, kernel, stride, padding, dilation, groups):
    assume(size + 2 * padding > dilation * (kernel - 1))
    net = nn.Conv1d(4, 2, kernel, stride, padding, dilation, groups)
    expect("exact", net, (1, 4, size))


@few
@given(small(4, 8), small(1, 5), small(1, 3), small(0, 2), small(0, 2), small(1, 2))
def test_transposed_convolution(size, kernel, stride, padding, more, dilation):
    assume(more < max(stride, dilation))
    expect("exact", nn.ConvTranspose1d(2, 2, kernel, stride, padding, more, dilation=dilation), (1, 2, size))


@few
@given(small(6, 12), small(1, 4), small(1, 4), small(0, 2), small(1, 2), st.booleans())
def test_maximum_pooling(size, kernel, stride, padding, dilation, rounding_up):
    assume(padding <= kernel // 2 and size + 2 * padding > dilation * (kernel - 1))
    expect("exact", nn.MaxPool1d(kernel, stride, padding, dilation, ceil_mode=rounding_up), (1, 2, size))


@few
@given(small(6, 12), small(1, 4), small(1, 4), small(0, 2), st.booleans(), st.booleans())
def test_average_pooling(size, kernel, stride, padding, rounding_up, padding_counts):
    assume(padding <= kernel // 2)
    expect("exact", nn.AvgPool1d(kernel, stride, padding, rounding_up, padding_counts), (1, 2, size))


@few
@given(small(3, 9), small(2, 9), st.sampled_from([nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d]))
def test_adaptive_pooling(size, out, pool):
    assert not differences(pool(out), (1, 2, size))


@few
@given(small(3, 9), small(1, 20), st.sampled_from(["nearest", "nearest-exact", "area"]))
def test_interpolation_to_a_size(size, out, mode):
    assert not differences(Net(lambda x: F.interpolate(x, size=out, mode=mode)), (1, 2, size))


@few
@given(small(5, 9), st.sampled_from([0.5, 1.3, 1.5, 2.0, 2.6]), st.sampled_from(["nearest", "nearest-exact"]))
def test_interpolation_by_a_scale(size, scale, mode):
    assert not differences(Net(lambda x: F.interpolate(x, scale_factor=scale, mode=mode)), (1, 2, size))


@pytest.mark.parametrize(
    ("out", "corners"),
    [
        *[(out, False) for out in (1, 2, 3, 4, 5, 7, 8, 10, 13, 14)],
        *[(out, True) for out in (2, 3, 7, 10, 14)],
    ],
)
def test_linear_interpolation(out, corners):
    net = Net(lambda x: F.interpolate(x, size=out, mode="linear", align_corners=corners))
    assert not differences(net, (1, 2, 7))


@pytest.mark.parametrize(
    ("scale", "corners"),
    [(0.5, False), (1.5, False), (2, False), (2, True)],
)
def test_cubic_interpolation(scale, corners):
    net = Net(lambda x: F.interpolate(x, scale_factor=scale, mode="bicubic", align_corners=corners))
    assert not differences(net, (1, 1, 7, 6))


@few
@given(st.slices(11))
def test_slices(part):
    assume(part.step is None or part.step > 0)
    assume(len(range(11)[part]) > 1)
    expect("exact", Net(lambda x: x[:, :, part]), (1, 2, 11))


@few
@given(
    small(5, 9),
    st.tuples(small(0, 3), small(0, 3)),
    st.sampled_from(["constant", "reflect", "replicate"]),
    small(1, 3),
)
def test_padding(size, sides, mode, kernel):
    net = Net(lambda x, after: after(F.pad(x, sides, mode=mode)), conv(kernel))
    status, wrong, _ = verdict(net, (1, 2, size))
    assert (status, wrong) == ("exact", {})


@few
@given(
    st.lists(
        st.tuples(st.sampled_from(["conv", "pool", "slice"]), small(1, 4), small(1, 2), small(0, 2)),
        min_size=2,
        max_size=4,
    )
)
def test_chains(steps):
    layers = {
        "conv": lambda k, s, p: conv(k, stride=s, padding=p),
        "pool": lambda k, s, p: nn.MaxPool1d(k, s, min(p, k // 2), ceil_mode=True),
        "slice": lambda _, s, __: Net(lambda x: x[..., ::s]),
    }
    net = nn.Sequential(*(layers[kind](*numbers) for kind, *numbers in steps))
    try:
        field = output_field(net, (1, 2, 24))
    except InceptionLabError:
        assume(False)
    assume(field.grid[0] > 1 if field.grid else False)
    expect("exact", net, (1, 2, 24))


@few
@given(small(1, 4), small(1, 4), small(1, 2), st.booleans())
def test_branches_that_merge(one, other, stride, concatenated):
    a, b = conv(2 * one - 1, stride=stride, padding=one - 1), conv(other, stride=stride, padding=other - 1)
    merge = (lambda x, a, b: torch.cat([a(x), b(x)[..., : a(x).shape[-1]]], 1)) if concatenated else None
    net = Net(merge or (lambda x, a, b: a(x) + b(x)[..., : a(x).shape[-1]]), a, b)
    expect("exact" if other == 1 else "misaligned", net, (1, 2, 13))


SAME = {"padding": "same"}
NARROW, WIDE = conv(3, padding=1), conv(5, padding=2)

CASES = [
    ("even same", "exact", conv(4, **SAME), (9,)),
    ("dilated same", "exact", conv(4, dilation=3, **SAME), (19,)),
    ("reflected", "exact", conv(4, padding=2, padding_mode="reflect"), (9,)),
    ("2-d asymmetric", "exact", nn.Conv2d(2, 2, (1, 7), padding=(0, 3)), (4, 9)),
    ("3-d", "exact", nn.Conv3d(2, 2, (1, 2, 3), (1, 2, 1), (0, 1, 1)), (4, 5, 6)),
    ("3-d pool", "exact", nn.MaxPool3d((2, 1, 3), 2, ceil_mode=True), (4, 5, 6)),
    ("dilated 2-d pool", "exact", nn.MaxPool2d((3, 2), 2, dilation=(2, 1), ceil_mode=True), (8, 7)),
    ("depthwise", "exact", conv(3, groups=2, padding=1), (7,)),
    ("cropped", "exact", nn.Sequential(conv(3), nn.ConstantPad1d((-1, -2), 0.0)), (11,)),
    ("flipped there and back", "exact", Net(lambda x, a: a(x.flip(2)).flip(2), conv(4)), (9,)),
    ("rolled", "misaligned", Net(lambda x: x.roll(2, 2)), (6,)),
    ("channel shuffle", "exact", Net(channel_shuffle), (6,)),
    ("space to depth", "misaligned", Net(space_to_depth), (6, 8)),
    ("stacked", "exact", Net(lambda x, a: torch.stack([a(x), x], 1).flatten(1, 2), NARROW), (8,)),
    ("split", "exact", Net(lambda x: x.split([2, 4], 2)[1]), (6,)),
    (
        "strided and back",
        "exact",
        Net(lambda x, a, b: a(x) + F.interpolate(b(x), scale_factor=2), NARROW, conv(2, stride=2)),
        (12,),
    ),
    ("in place after a fork", "exact", Net(in_place_after_fork, NARROW, WIDE), (12,)),
    ("fork before in place", "exact", Net(fork_before_in_place, NARROW, WIDE), (12,)),
    ("added in place", "exact", Net(added_in_place, NARROW, WIDE), (12,)),
    ("filled with a mean", "exact", Net(lambda x: x.clone().fill_(x.mean())), (6,)),
    ("filled with a number", "exact", Net(lambda x: x + x.clone().fill_(2.0)), (6,)),
    ("adaptive", "exact", nn.AdaptiveAvgPool1d(3), (6,)),
    ("adaptive, uneven", "misaligned", nn.AdaptiveMaxPool1d(3), (8,)),
    ("adaptive, more", "misaligned", nn.AdaptiveAvgPool1d(4), (3,)),
    ("squeeze and excite", "exact", Net(lambda x: x * x.mean(2, keepdim=True).sigmoid()), (6,)),
    ("rows and columns", "exact", Net(lambda x: x * x.mean(2, keepdim=True)), (5, 6)),
    ("preallocated", "exact", Net(preallocated, NARROW, WIDE), (12,)),
    ("preallocated like", "exact", Net(preallocated_like, NARROW, WIDE), (12,)),
    ("pixel shuffle", "exact", nn.PixelShuffle(2), (3, 4)),
    ("pixel unshuffle", "exact", nn.PixelUnshuffle(2), (6, 8)),
    ("patches", "exact", Net(patches), (6, 8)),
    ("repeated", "exact", Net(lambda x: x.repeat_interleave(2, 2)), (5,)),
    (
        "up and down",
        "exact",
        Net(lambda x, a: a(F.interpolate(x, scale_factor=2)), conv(3, stride=2, padding=1)),
        (9,),
    ),
    (
        "transposed and down",
        "exact",
        nn.Sequential(nn.ConvTranspose1d(2, 2, 2, 2), conv(3, stride=2, padding=1)),
        (9,),
    ),
    ("windows", "misaligned", Net(windows), (8, 8)),
    ("shifted windows", "misaligned", Net(shifted_windows), (8, 8)),
    ("attention", "exact", Net(attention), (6,)),
]


@pytest.mark.parametrize(("name", "status", "net", "axes"), CASES)
def test_nets_of_a_few_operations(name, status, net, axes):
    channels = 4 if "shuffle" in name else 2
    expect(status, net, (1, channels, *axes))


RECURRENT = nn.GRU(2, 2, batch_first=True)


@pytest.mark.parametrize(
    ("net", "length"),
    [
        pytest.param(Net(lambda x: x.cumsum(2)), 5, id="running sum"),
        pytest.param(Net(lambda x, a: torch.cat([a(x), x], 2), NARROW), 8, id="joined"),
        pytest.param(Net(lambda x: torch.cat([x[..., 1:], x[..., :1]], 2)), 8, id="rolled by hand"),
        pytest.param(conv(3, padding=2, padding_mode="circular"), 9, id="circular"),
        pytest.param(Net(lambda x, a: torch.cat([a(x), x], 1)[:, 2:], NARROW), 8, id="channels parted"),
        pytest.param(
            Net(lambda x: torch.stack([x[..., i] for i in range(4)], 2)),
            4,
            id="positions stacked",
        ),
        pytest.param(
            Net(lambda x, a: a(x.transpose(1, 2))[0].transpose(1, 2), RECURRENT),
            5,
            id="recurrent",
        ),
    ],
)
def test_what_is_no_more_than_a_bound_is_called_one(net, length):
    field, wrong = output_field(net, (1, 2, length)), differences(net, (1, 2, length))
    assert field.status == "bound" or not wrong
    for extent, gradient_span in wrong.values():
        assert extent[0][0] <= gradient_span[0][0]
        assert extent[0][1] >= gradient_span[0][1]


def test_a_unit_that_sees_nothing_but_padding():
    net = Net(lambda x: F.pad(x, (2, 0)))
    first, last = output_field(net, (1, 2, 4)).extent((0,))[0]
    assert first > last
    assert not differences(net, (1, 2, 4))


@pytest.mark.parametrize(
    ("mode", "axes"),
    [("nearest", 2), ("linear", 1), ("bilinear", 2), ("trilinear", 3)],
)
def test_an_axis_that_keeps_its_size_is_copied_whatever_the_scale(mode, axes):
    """6 x 1.05 is 6 again, and the CPU then copies; the other axis grows from 6 to 9."""
    scale = (*[1.5] * (axes - 1), 1.05)
    net = Net(lambda x: F.interpolate(x, scale_factor=scale, mode=mode))
    field, shape = output_field(net, (1, 1, *[6] * axes)), (1, 1, *[6] * axes)
    assert [field.extent((*[0] * (axes - 1), i))[-1] for i in range(6)] == [(i, i) for i in range(6)]
    assert not differences(net, shape)


@pytest.mark.parametrize(
    ("mode", "axes"), [("nearest", 1), ("nearest", 3), *(("nearest-exact", axes) for axes in (1, 2, 3))]
)
def test_other_nearest_interpolations_go_by_the_scale_all_the_same(mode, axes):
    """3 x 1.3 is 3 again: (i + 0.5) / 1.3 is 0.4, 1.2, 1.9; a backward pass of some copies even so."""
    x = torch.arange(3.0).expand(1, 1, *[3] * axes)
    places = F.interpolate(x, scale_factor=[1.3] * axes, mode=mode).flatten()[:3].int().tolist()
    assert places == ([0, 1, 1] if mode == "nearest-exact" else [0, 0, 1])
    net = Net(lambda x: F.interpolate(x, scale_factor=[1.3] * axes, mode=mode))
    field = output_field(net, (1, 1, *[3] * axes))
    assert [field.extent((*[0] * (axes - 1), i))[-1] for i in range(3)] == [(n, n) for n in places]


@pytest.mark.parametrize(("scale", "last"), [((1.05, 1.05), (0, 0)), ((1.5, 1.05), (0, 1))])
def test_a_cubic_interpolation_copies_where_all_axes_keep_their_size(scale, last):
    net = Net(lambda x: F.interpolate(x, scale_factor=scale, mode="bicubic"))
    assert output_field(net, (1, 1, 6, 6)).extent((0, 0))[1] == last
    assert not differences(net, (1, 1, 6, 6))


def test_tables_of_taps_are_not_kept():
    """160,000 samples under a kernel of 80 are 102 MB of taps; what stays is a few numbers."""
    tracemalloc.start()
    try:
        op = axis_ops.window(160_000, 160_000, 80, 1, 40, 1, False)
        assert op.taps.nbytes == 160_000 * 80 * 8
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("op", "spans"),
    [
        (axis_ops.window(9, 5, 3, 2, 1, 1, False), ((-1, 1),)),
        (axis_ops.window(9, 3, 3, 1, 0, 3, False), ((0, 6),)),
        (axis_ops.transposed_window(4, 8, 2, 2, 0, 1), ((0, 0), (0, 0))),
        (axis_ops.transposed_window(4, 7, 3, 2, 1, 1), ((0, 0), (0, 1))),
        (axis_ops.transposed_window(4, 7, 1, 2, 0, 1), ((0, 0), (1, 0))),
        (axis_ops.interpolation(4, 8, Fraction(1, 2), 2, False, True), ((-1, 0), (0, 1))),
        (axis_ops.repetition(4, 3, 1), ((0, 0),) * 3),
        (axis_ops.repetition(4, 3, 2), None),
        (axis_ops.axis_slice(9, 2, 9, 3), ((2, 2),)),
        (axis_ops.adaptive_window(9, 3), ((0, 2),)),
        (axis_ops.adaptive_window(9, 4), None),
        (axis_ops.reduction(9), None),
    ],
)
def test_spans_are_the_taps_of_inner_rows(op, spans):
    assert op.spans == spans
    if spans is None:
        return
    period, taps = len(spans), op.taps
    for row in range(op.length):
        first, last = [int(end + row // period * period * op.stride) for end in spans[row % period]]
        inner = taps[row][taps[row] >= 0]
        if first <= last and first >= 0 and len(inner) and last <= taps.max():
            assert (inner.min(), inner.max()) == (first, last)


@pytest.mark.parametrize("axis_op", [axis_ops.reduction, axis_ops.identity, axis_ops.contraction])
def test_an_empty_axis_is_read_by_nobody(axis_op):
    assert (axis_op(0).taps == axis_ops.OUTSIDE).all()


def resized_conv(scale, mode, *kernels):
    """A resize, and convolutions behind it."""
    convolutions = [conv(kernel, padding=kernel // 2) for kernel in kernels]
    return nn.Sequential(Net(lambda x: F.interpolate(x, scale_factor=scale, mode=mode)), *convolutions)


PHASES = {
    "nearest by 4": resized_conv(4, "nearest", 3),
    "nearest by 3": resized_conv(3, "nearest", 5, 2),
    "linear by 4": resized_conv(4, "linear", 3, 3),
    "linear by 8": resized_conv(8, "linear", 7),
    "linear by 3/2": resized_conv(1.5, "linear", 3),
    "nearest-exact by 3/4": resized_conv(0.75, "nearest-exact", 3),
    "transposed": nn.Sequential(nn.ConvTranspose1d(2, 2, 5, 3, 1), conv(3, padding=1)),
    "transposed, every second": nn.Sequential(nn.ConvTranspose1d(2, 2, 4, 4), conv(3, stride=2, padding=1)),
    "branches of one centre": Net(
        lambda x, a, b, u: a(u(x)) + b(u(x)), NARROW, WIDE, nn.Upsample(scale_factor=4)
    ),
}


@pytest.mark.parametrize("name", PHASES)
def test_padding_and_field_over_phases_are_those_of_the_extents(name):
    """The field is the widest of any inner unit; the centres of all phases are right in the mean."""
    field = output_field(PHASES[name], (1, 2, 48))
    assert field.status == "exact"
    assert not differences(PHASES[name], (1, 2, 48))
    (stride,), (padding,), (width,) = field.stride, field.padding, field.receptive_field
    extents = [(i, *field.extent((i,))[0]) for i in range(field.grid[0])]
    inner = [(i, first, last) for i, first, last in extents if first > 0 and last < 47]
    period = Fraction(stride).limit_denominator(64).denominator
    inner = inner[: len(inner) // period * period]
    assert max(last - first + 1 for _, first, last in inner) == width
    centre = sum((first + last) / 2 - i * stride for i, first, last in inner) / len(inner)
    assert padding == pytest.approx((width - 1) / 2 - centre)
