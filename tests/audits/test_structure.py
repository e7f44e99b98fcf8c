"""Audits of nets whose branches share stations or are shortcuts: one kernel that differs is found there."""

import pytest
import torch
from torch import nn

import inception_lab as il


def conv(channels, width, kernel):
    return nn.Conv2d(channels, width, kernel, padding=kernel // 2)


class Dense(nn.Module):
    """Each layer reads the outputs of all layers before it."""

    def __init__(self, kernels):
        super().__init__()
        self.layers = nn.ModuleList(conv(8 + 4 * n, 4, kernel) for n, kernel in enumerate(kernels))

    def forward(self, x):
        outputs = [x]
        for layer in self.layers:
            outputs.append(torch.relu(layer(torch.cat(outputs, 1))))
        return torch.cat(outputs, 1)


class Residual(nn.Module):
    """Two convolutions a block, with a shortcut around them."""

    def __init__(self, kernels):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(conv(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), conv(8, 8, kernel))
            for kernel in kernels
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x) + x)
        return x


@pytest.mark.parametrize(("net", "last"), [(Dense, ""), (Residual, ".3")])
@pytest.mark.parametrize("place", [0, 4, 9])
def test_one_kernel_of_ten(net, last, place):
    kernels = [3] * 10
    reference = il.trace(net(kernels), (1, 8, 12, 12))
    kernels[place] = 5
    (row,) = il.audit(il.trace(net(kernels), (1, 8, 12, 12)), reference).departures
    assert row[2:5] == ("kernel", "5x5", "3x3")
    assert row.layer == f"layers.{place}{last}"
    assert il.audit(reference, reference).rows == ()
