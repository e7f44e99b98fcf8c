"""Nets of a few operations for the tests of fields."""

import torch
import torch.nn.functional as F
from torch import nn


class Net(nn.Module):
    """A function of the input and of some modules, as a model."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, x):
        return self.function(x, *self.parts)


def conv(kernel, channels=2, **options):
    """A convolution over one axis that keeps the number of channels."""
    return nn.Conv1d(channels, channels, kernel, **options)


def windows(x, side=4):
    """Attention within windows of side x side pixels, as in 2103.14030, figure 2."""
    n, c, h, w = x.shape
    tokens = x.view(n, c, h // side, side, w // side, side).permute(0, 2, 4, 3, 5, 1).reshape(-1, side**2, c)
    out = torch.softmax(tokens @ tokens.transpose(1, 2), -1) @ tokens
    return out.view(n, h // side, w // side, side, side, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, h, w)


def shifted_windows(x):
    """The same on windows that are shifted by half of their side."""
    return windows(x.roll((-2, -2), (2, 3))).roll((2, 2), (2, 3))


def attention(x):
    """Attention of all positions to all."""
    tokens = x.transpose(1, 2)
    return F.scaled_dot_product_attention(tokens, tokens, tokens).transpose(1, 2)


def in_place_after_fork(x, narrow, wide):
    """The wide convolution reads the output of narrow before that is written over."""
    stem = narrow(x)
    branch = wide(stem)
    stem.relu_()
    return stem + branch


def fork_before_in_place(x, narrow, wide):
    """The input of narrow is written over afterwards; narrow does not see what is added."""
    copy = x.clone()
    branch = narrow(copy)
    copy += wide(copy)
    return branch


def added_in_place(x, narrow, wide):
    """The copy is what wide added to it."""
    copy = x.clone()
    narrow(copy)
    copy += wide(copy)
    return copy


def preallocated(x, narrow, wide):
    """A concatenation through writes to slices."""
    out = torch.zeros(x.shape[0], 2 * x.shape[1], *x.shape[2:])
    out[:, : x.shape[1]] = narrow(x)
    out[:, x.shape[1] :] = wide(x)
    return out


def preallocated_like(x, narrow, wide):
    """The same, of the input's kind."""
    out = x.new_empty(x.shape[0], 2 * x.shape[1], *x.shape[2:])
    out[:, : x.shape[1]] = narrow(x)
    out[:, x.shape[1] :] = wide(x)
    return out


def space_to_depth(x):
    """Four phases of an image as channels, as YOLOv5's focus layer has them."""
    return torch.cat([x[..., a::2, b::2] for a in (0, 1) for b in (0, 1)], 1)


def channel_shuffle(x):
    """Channels of two groups interleaved (1707.01083)."""
    n, c, length = x.shape
    return x.view(n, 2, c // 2, length).transpose(1, 2).reshape(n, c, length)


def patches(x, side=2):
    """An image of patches, whose pixels are channels."""
    n, c, h, w = x.shape
    tiles = x.view(n, c, h // side, side, w // side, side).permute(0, 1, 3, 5, 2, 4)
    return tiles.reshape(n, c * side**2, h // side, w // side)
