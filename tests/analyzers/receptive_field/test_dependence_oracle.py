"""The oracle of dependence itself: what it sees of nets worked out by hand, and beside other derivatives."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.dependence_oracle import NOTHING, dependence, held, projection, spans
from support.drawn_nets.nets import build, draw
from support.field_nets import Net, attention, conv, space_to_depth
from torch import nn


def pixels(function, size, unit, *parts, channels=2):
    """The pixels of one axis that a unit sees."""
    reached = dependence(Net(function, *parts).double(), (1, channels, size))["(model)"][unit]
    return np.flatnonzero(reached).tolist()


@pytest.mark.parametrize(
    ("function", "unit", "expected"),
    [
        (lambda x: F.max_pool1d(x, 3, 2), 1, [2, 3, 4]),
        (lambda x: F.max_pool1d(x, 3, 2, ceil_mode=True), 4, [8, 9]),
        (lambda x: F.max_pool1d(x, 2, 2, dilation=3), 1, [2, 5]),
        (lambda x: F.adaptive_max_pool1d(x, 3), 1, [3, 4, 5, 6]),
        (lambda x: F.relu(-x), 4, [4]),
        (lambda x: x.clamp(5, 6), 4, [4]),
        (lambda x: x.cummax(2)[0], 2, [0, 1, 2]),
        (lambda x: x.amin(2, keepdim=True), 0, [*range(10)]),
        (lambda x: torch.maximum(x, x.flip(2)), 1, [1, 8]),
        (lambda x: x.sort(dim=2)[0], 1, [*range(10)]),
        (lambda x: F.softmax(x, 2), 1, [*range(10)]),
        (lambda x: F.interpolate(x, scale_factor=2, mode="linear"), 5, [2, 3]),
        # 9 places lie on each other's half: taps between two pixels are none at the ends and the middle
        (lambda x: F.interpolate(x, size=19, mode="linear", align_corners=True), 6, [3]),
        (lambda x: F.interpolate(x, scale_factor=1.05, mode="linear"), 4, [4]),
        (lambda x: F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2), 4, [4, 5]),
        (lambda x: F.pad(x, (2, 0)), 1, []),
        (lambda x: F.pad(x, (2, 0), mode="circular"), 1, [9]),
        (lambda x: F.pad(x, (2, 0)) * x.mean(2, keepdim=True), 1, [*range(10)]),
        (lambda x: x.roll(3, 2)[:, :, [5, 1]], 1, [8]),
    ],
)
def test_operations_by_hand(function, unit, expected):
    assert pixels(function, 10, unit) == expected


def test_padding_alone_is_seen_as_nothing():
    reached = dependence(nn.Conv2d(1, 1, 1, padding=1).double(), (1, 1, 3, 3))["(model)"]
    assert spans(reached[0, 2]) == (NOTHING, NOTHING)
    assert spans(reached[1, 3]) == ((0, 0), (2, 2))


def test_convolutions_one_after_another():
    # 3, stride 2; + 2 x 2
    reached = dependence(nn.Sequential(conv(3, stride=2), conv(3)).double(), (1, 2, 15))
    assert spans(reached["1"][2]) == ((4, 10),)
    assert projection(reached["1"], (7,)) == ((1, 3),)
    assert projection(reached["0"], (0,)) == ((0, 0),)


def test_attention_sees_everything_and_causal_attention_what_is_before():
    assert pixels(attention, 5, 1) == [0, 1, 2, 3, 4]

    def causal(x):
        tokens = x.transpose(1, 2)
        return F.scaled_dot_product_attention(tokens, tokens, tokens, is_causal=True).transpose(1, 2)

    assert pixels(causal, 5, 2) == [0, 1, 2]


def test_channels_are_joined():
    reached = dependence(Net(space_to_depth).double(), (1, 1, 6, 6))["(model)"]
    assert spans(reached[1, 2]) == ((2, 3), (4, 5))


def test_a_write_is_seen_by_what_is_read_later_alone():
    def written(x):
        y = x * 1.0
        before = y + 0
        y[:, :, :2] = x.flip(2)[:, :, :2]
        return torch.cat([before, y], 2)

    assert [pixels(written, 6, unit) for unit in (0, 6, 7, 8)] == [[0], [5], [4], [2]]


def test_what_is_held_fixed_along_an_axis():
    def function(x):
        rows = held(x.mean(3, keepdim=True), 1)
        return x + rows

    net = Net(function).double()
    assert spans(dependence(net, (1, 1, 4, 5))["(model)"][1, 2]) == ((1, 1), (0, 4))
    assert spans(dependence(net, (1, 1, 4, 5), held_axis=0)["(model)"][1, 2]) == ((1, 1), (0, 4))
    assert spans(dependence(net, (1, 1, 4, 5), held_axis=1)["(model)"][1, 2]) == ((1, 1), (2, 2))


@pytest.mark.parametrize("seed", range(300, 312))
def test_real_gradients_are_a_part_of_it(seed):
    """By reverse mode and without any replacement: what such a gradient shows, the oracle has too."""
    spec = draw(seed)
    net = build(spec).net.double()
    reached = dependence(net, spec.shape)["(model)"]
    image = torch.rand(spec.shape, dtype=torch.float64) + 0.5
    jacobian = torch.autograd.functional.jacobian(net, image)
    units, pixels = jacobian.ndim // 2, jacobian.ndim // 2
    shown = (jacobian.abs() > 1e-9).any(units + 1).any(units).any(1).any(0)
    assert shown.shape == reached.shape
    assert pixels == units
    assert not (shown.numpy() & ~reached).any()
    assert shown.any() or not reached.any()
