"""Small nets, and what fvcore and FlopCounterMode count in them."""

import logging

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

IMAGE, ROWS = (2, 4, 6, 6), (7, 2, 4)
NORMALISATION, RESAMPLING = "fvcore counts normalisation", "fvcore counts resampling"
POOLING = "fvcore counts adaptive average pooling"
PIXELS = 2 * 4 * 6 * 6
PROJECTIONS = 14 * (3 * 8 * 8 + 8 * 8)
SCORES = 2 * 2 * 7 * 7 * 4


class Net(nn.Module):
    """A function of its parts and its inputs."""

    def __init__(self, function, *parts):
        super().__init__()
        self.function, self.parts = function, nn.ModuleList(parts)

    def forward(self, *inputs):
        return self.function(*self.parts, *inputs)


def of(*shapes):
    return [torch.zeros(shape) for shape in shapes]


def fvcore_total(net, inputs):
    """As anybody runs it: real weights, a real forward."""
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    return FlopCountAnalysis(net, tuple(inputs)).unsupported_ops_warnings(False).total()


def flop_counter_totals(net, inputs, training):
    """Forward and backward MACs as anybody counts them, the outputs' sum being differentiated."""
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(training):
        outputs = [out for out in tree_leaves(net(*inputs)) if isinstance(out, torch.Tensor)]
        forward = counter.get_total_flops() // 2
        if training:
            torch.stack([out.sum() for out in outputs]).sum().backward()
    return forward, counter.get_total_flops() // 2 - forward


class ByVector(nn.Module):
    """A product with a vector, which fvcore's matmul cannot take."""

    def __init__(self):
        super().__init__()
        self.vector = nn.Parameter(torch.zeros(4))

    def forward(self, x):
        return x @ self.vector


class Fourier(nn.Module):
    """A Fourier transform, which nobody counts."""

    def forward(self, x):
        return torch.fft.rfft(x)
