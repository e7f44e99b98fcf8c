"""A small net of parallel branches, of which everything can vary: a factory for own_net.toml."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Mixed(nn.Module):
    """Depthwise convolutions of several kernels side by side, mixed by a 1x1, beside a shortcut.

    Args:
        channels: Of the input and the output.
        kernels: Sides of the kernels, one for each branch.
        dilation: Of all of them.
    """

    def __init__(self, channels: int, kernels: Sequence[int], dilation: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, channels, k, padding=dilation * (k // 2), dilation=dilation, groups=channels)
            for k in kernels
        )
        self.mix = nn.Sequential(nn.BatchNorm2d(len(kernels) * channels), nn.ReLU())
        self.project = nn.Conv2d(len(kernels) * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """From N x channels x H x W to the same."""
        joined = torch.cat([branch(x) for branch in self.branches], 1)
        projected: Tensor = self.project(self.mix(joined))
        return x + projected


def build(
    width: int = 32, depth: int = 4, kernels: Sequence[int] = (3, 5), dilation: int = 1, num_classes: int = 10
) -> nn.Sequential:
    """The net: a stem, blocks, and a classifier on their mean.

    Args:
        width: Channels throughout.
        depth: Number of blocks.
        kernels: Of the branches of each.
        dilation: Of every second block.
        num_classes: Classes to tell apart.
    """
    blocks = [Mixed(width, kernels, dilation if number % 2 else 1) for number in range(depth)]
    stem = nn.Conv2d(3, width, 3, stride=2, padding=1)
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, num_classes))
