"""Nets whose units see a window and, through a gate or a normalisation, everything."""

import torch
from torch import nn


class Gate(nn.Module):
    """Squeeze and excitation: channels scaled by what the whole image says."""

    def __init__(self, channels):
        super().__init__()
        self.excite = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.excite(x.mean((2, 3), keepdim=True)))


class Stages(nn.Module):
    """A 7x7 at stride 2, then stages of two 3x3, the second at stride 2; behind each a gate, or nothing."""

    def __init__(self, stages=2, gated=True):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 7, 2, 3)
        self.stages = nn.ModuleList([self.stage(gated) for _ in range(stages)])

    @staticmethod
    def stage(gated):
        gate = Gate(4) if gated else nn.Identity()
        return nn.Sequential(nn.Conv2d(4, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 2, 1), gate)

    def forward(self, x):
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


def normalised():
    """A 3x3, a group norm, a 3x3 at stride 2."""
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 4, 3, 2, 1))
