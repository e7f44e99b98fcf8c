"""Sides before and after chains of convolutions and pools, against those that torch makes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from inception_lab.models.input_limits import first_side, side_after


@st.composite
def windows(draw):
    kernel, stride = draw(st.integers(1, 7)), draw(st.integers(1, 3))
    padding = draw(st.integers(0, kernel // 2))
    if draw(st.booleans()):
        return nn.Conv2d(1, 1, kernel, stride, padding, device="meta")
    pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
    return pool(kernel, stride, padding, ceil_mode=draw(st.booleans()))


chains = st.lists(windows(), min_size=1, max_size=5)


def made_by_torch(side, chain):
    """The side that torch makes of a side; 0 where it refuses."""
    try:
        return nn.Sequential(*chain)(torch.empty(1, 1, side, side, device="meta")).shape[-1]
    except RuntimeError:
        return 0


@settings(deadline=None)
@given(chains, st.integers(1, 300))
def test_the_side_after_a_chain_is_torch_s(chain, side):
    assert side_after(side, chain) == made_by_torch(side, chain)


@settings(deadline=None)
@given(chains, st.integers(1, 9))
def test_no_smaller_side_makes_as_much(chain, out):
    first = first_side(chain, out)
    assert made_by_torch(first, chain) >= out
    assert first == 1 or made_by_torch(first - 1, chain) < out
