"""Kernels and weights under masks of known content: what is seen, by hand and by gradients."""

import math

import numpy as np
import pytest
import torch
from support.dependence_oracle import dependence, extents
from support.masked_tokens import (
    EVERYTHING,
    TOKENS,
    WIDTH,
    attend,
    band,
    causal,
    check,
    everything,
    lower,
    minus_infinity,
    near,
    told_extents,
)
from torch import nn

import inception_lab as il
from inception_lab.analyzers.receptive_field.field import field_of


class MaskedConv(nn.Conv2d):
    """A kernel of which some taps are zero whatever its weights are, as in PixelCNN (1601.06759)."""

    def __init__(self, taps, **options):
        super().__init__(2, 2, taps.shape, **options)
        self.register_buffer("taps", taps.float())

    def forward(self, x):
        return self._conv_forward(x, self.weight * self.taps, self.bias)


class MaskedInPlace(MaskedConv):
    """The same by a write through a view of the weight, which is then read through another one."""

    def forward(self, x):
        self.weight.detach().view(-1, *self.taps.shape).mul_(self.taps)
        return self._conv_forward(x, self.weight.view(self.weight.shape), self.bias)


def taps(*rows):
    return torch.tensor([[int(tap) for tap in row] for row in rows])


KERNELS = {
    "all before and itself": (taps("11111", "11111", "11100", "00000", "00000"), {"padding": 2}),
    "all before": (taps("111", "100", "000"), {"padding": 1}),
    "a row": (taps("000", "111", "000"), {"padding": 1}),
    "a cross": (taps("010", "111", "010"), {"padding": 1}),
    "corners": (taps("101", "000", "101"), {"padding": 1}),
    "one tap beside": (taps("001"), {"padding": (0, 1)}),
    "strided, dilated": (taps("110", "100", "000"), {"padding": 2, "stride": 2, "dilation": 2}),
    "all": (taps("111", "111"), {"padding": 1}),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_under_a_mask(name, device):
    mask, options = KERNELS[name]
    net = nn.Sequential(nn.Conv2d(2, 2, (1, 3), padding=(0, 1)), MaskedConv(mask, **options))
    field = field_of(il.trace(net, (1, 2, 7, 8), device=device), "1")
    reached = dependence(net.double(), (1, 2, 7, 8))["1"]
    assert field.grid == reached.shape[:2]
    assert {unit: field.extent(unit) for unit in np.ndindex(field.grid)} == dict(extents(reached, 2))


def test_a_kernel_that_is_masked_in_place():
    """That is an operation which wrote the weight, though it is read through a view."""
    mask, options = KERNELS["all before"]
    nets = [kind(mask, **options) for kind in (MaskedConv, MaskedInPlace)]
    plain, in_place = (field_of(il.trace(net, (1, 2, 7, 8)), "(model)") for net in nets)
    units = list(np.ndindex(plain.grid))
    assert [in_place.extent(unit) for unit in units] == [plain.extent(unit) for unit in units]
    assert in_place.extent((6, 7)) == ((5, 6), (6, 7))


def test_the_numbers_of_a_kernel_under_a_mask():
    """Those of one window around all taps."""
    net = MaskedConv(taps("11111", "11100", "00000"), padding=(1, 2))
    field = field_of(il.trace(net, (1, 2, 9, 9)), "(model)")
    assert (field.receptive_field, field.stride, field.padding) == ((2, 5), (1, 1), (1, 2))


class Weighted(nn.Module):
    """Mixes tokens by a weight, and by a function of it."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.rand(TOKENS, TOKENS) - 0.5)
        self.into = nn.Conv1d(WIDTH, WIDTH, 1)

    def forward(self, x):
        return self.function(self.weight, self.into(x.transpose(1, 2)).transpose(1, 2))


WEIGHTS = {
    "product with a mask": (lambda w, x: (w * lower().to(w.dtype)) @ x, causal),
    "triangle": (lambda w, x: w.tril() @ x, causal),
    "masked_fill": (lambda w, x: w.masked_fill(~lower().bool(), 0) @ x, causal),
    "softmax under a mask": (
        lambda w, x: w.masked_fill(~lower().bool(), -math.inf).softmax(-1) @ x,
        causal,
    ),
    "bias under a mask": (lambda w, x: attend(x, w.masked_fill(~near(1), -math.inf)), band(1)),
    "bias": (lambda w, x: attend(x, w), everything),
    "bias by hand": (
        lambda w, x: (x @ x.mT + w + minus_infinity(lower()).to(w.dtype)).softmax(-1) @ x,
        causal,
    ),
    "written": (
        lambda w, x: torch.zeros_like(w).index_copy(1, torch.arange(3), w[:, :3]) @ x,
        lambda _: (0, 2),
    ),
}


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_under_a_mask(name, device):
    function, expected = WEIGHTS[name]
    check(Weighted(function), expected, device)


def test_zeros_that_depend_on_the_weights_are_not_certain():
    for function in (
        lambda w: w.relu(),
        lambda w: (w > 0) * w,
        lambda w: w.clamp(max=0),
        lambda w: w.round(),
    ):
        net = Weighted(lambda w, x, function=function: function(w) @ x)
        assert set(told_extents(net, (1, TOKENS, WIDTH), "meta")) == {EVERYTHING}


def test_pooling_to_one_place_behind_windows():
    """Of a tensor whose channels come last the mean is given other strides."""
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.AdaptiveAvgPool2d(1)).to(memory_format=torch.channels_last)
    x = torch.zeros(1, 2, 6, 6).to(memory_format=torch.channels_last)
    trace = il.trace(net, x)
    assert "as_strided" in {op.base_name for op in trace.ops}
    assert field_of(trace, "1").extent((0,) * len(field_of(trace, "1").grid)) == ((0, 5), (0, 5))
