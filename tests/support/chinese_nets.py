"""A net with branches and gates whose modules have long Chinese names."""

import torch
from torch import nn


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels):
        super().__init__()
        self.激励 = nn.Conv2d(channels, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.激励(x.mean((2, 3), keepdim=True)))


class Block(nn.Module):
    """Two branches, joined and gated."""

    def __init__(self, channels):
        super().__init__()
        convolutions = [nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)]
        self.名称非常长的第一个分支用来测试终端的宽度 = nn.Sequential(*convolutions)
        self.第二分支 = nn.Conv2d(channels, channels, 5, padding=2)
        self.通道注意力门控模块 = Gate(2 * channels)

    def forward(self, x):
        branches = [self.名称非常长的第一个分支用来测试终端的宽度(x), self.第二分支(x)]
        return self.通道注意力门控模块(torch.cat(branches, 1))


class Net(nn.Module):
    """A stem, two blocks, a classifier, and a layer that never runs."""

    def __init__(self, classes=10):
        super().__init__()
        stem = nn.Conv2d(3, 8, 3, 2)
        self.特征提取主干网络 = nn.Sequential(stem, nn.ReLU(), Block(8), Block(16))
        self.分类器 = nn.Linear(32, classes)
        self.从未使用的备用分类器 = nn.Linear(32, classes)

    def forward(self, x):
        return self.分类器(self.特征提取主干网络(x).mean((2, 3)))
