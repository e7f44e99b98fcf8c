"""Inception nets in one and in three dimensions, small."""

import torch
from torch import Tensor, nn


class InceptionTimeModule(nn.Module):
    """A 1x1 bottleneck, three long convolutions over it, and a pooled branch (1909.04939, figure 2).

    Args:
        channels: That come in.
        width: Of the bottleneck and of each of the four branches.
        kernels: Of the three convolutions, odd.
    """

    def __init__(self, channels: int, width: int = 4, kernels: tuple[int, ...] = (9, 19, 39)) -> None:
        super().__init__()
        self.bottleneck = nn.Conv1d(channels, width, 1, bias=False)
        self.branches = nn.ModuleList(nn.Conv1d(width, width, k, padding=k // 2, bias=False) for k in kernels)
        self.pooled = nn.Sequential(nn.MaxPool1d(3, 1, 1), nn.Conv1d(channels, width, 1, bias=False))
        self.norm = nn.BatchNorm1d(4 * width)

    def forward(self, x: Tensor) -> Tensor:
        narrow = self.bottleneck(x)
        found = [branch(narrow) for branch in self.branches]
        return self.norm(torch.cat([*found, self.pooled(x)], 1)).relu()


class InceptionTime(nn.Module):
    """Three modules with a shortcut around them, the mean over time, and a classifier."""

    def __init__(self, channels: int = 2, width: int = 4, classes: int = 3) -> None:
        super().__init__()
        widths = [channels, 4 * width, 4 * width]
        self.blocks = nn.Sequential(*(InceptionTimeModule(w, width) for w in widths))
        self.shortcut = nn.Sequential(
            nn.Conv1d(channels, 4 * width, 1, bias=False), nn.BatchNorm1d(4 * width)
        )
        self.head = nn.Linear(4 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.blocks(x) + self.shortcut(x)).relu().mean(2))


def unit(channels: int, width: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation and ReLU over time, height and width."""
    conv = nn.Conv3d(channels, width, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm3d(width), nn.ReLU(inplace=True))


class I3DModule(nn.Module):
    """GoogLeNet's module with all kernels inflated; both factors are 3x3x3 (1705.07750, figure 3)."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        one, three_in, three, five_in, five, pool = widths
        self.branch1 = unit(channels, one, 1)
        self.branch2 = nn.Sequential(unit(channels, three_in, 1), unit(three_in, three, 3))
        self.branch3 = nn.Sequential(unit(channels, five_in, 1), unit(five_in, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool3d(3, 1, 1), unit(channels, pool, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class I3D(nn.Module):
    """A strided stem, a pooling over space alone, one module, and a classifier on the mean of the clip."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.stem = unit(3, 4, 7, stride=2)
        self.pool = nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))
        self.mixed = I3DModule(4, (4, 3, 6, 2, 4, 2))
        self.mean = nn.AdaptiveAvgPool3d(1)
        self.head = nn.Conv3d(16, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.mean(self.mixed(self.pool(self.stem(x))))).flatten(1)
