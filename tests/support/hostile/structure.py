"""Nets whose modules are shared, reused, absent, unregistered or very many."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FunctionalOnly(nn.Module):
    """Convolution and linear layer as functions of parameters that the net itself owns."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel, self.matrix = nn.Parameter(torch.randn(4, 3, 3, 3)), nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(F.relu(F.conv2d(x, self.kernel, padding=1)).mean((2, 3)), self.matrix)


def shared_module() -> nn.Module:
    """One convolution under two paths, run twice."""
    conv = nn.Conv2d(3, 3, 3, padding=1)
    return nn.Sequential(conv, nn.ReLU(), conv)


class ReusedAtSeveralSizes(nn.Module):
    """One head over three levels of a pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.head(level) for level in (x, F.max_pool2d(x, 2), F.max_pool2d(x, 4))]


def empty() -> nn.Module:
    """A model without modules that hands its input on."""
    return nn.Sequential()


def no_parameters() -> nn.Module:
    """Activation and pooling alone."""
    return nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))


class NeverCalled(nn.Module):
    """A layer that its forward leaves out."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.idle = nn.Linear(8, 4), nn.Linear(8, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.used(x)


class Gaps(nn.Module):
    """A list with None among its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 4)])
        self.layers.register_module("1", None)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x if layer is None else layer(x)
        return x


class CallsItself(nn.Module):
    """A module that calls itself twice."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x: Tensor, depth: int = 2) -> Tensor:
        x = self.linear(x)
        return self(x, depth - 1) if depth else x


def very_deep() -> nn.Module:
    """1,200 layers in a row."""
    return nn.Sequential(*(nn.Linear(2, 2, bias=False) for _ in range(1200)))


def nested() -> nn.Module:
    """A layer at the bottom of 150 modules, one within the other."""
    model: nn.Module = nn.Linear(2, 2)
    for _ in range(150):
        model = nn.Sequential(model)
    return model


class Yielded(nn.Module):
    """Modules that a generator hands out."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def stages(self) -> Iterator[nn.Module]:
        yield self.first
        yield self.second

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages():
            x = stage(x)
        return x


class Unregistered(nn.Module):
    """A layer in a plain list, of which PyTorch knows nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(8, 4)]

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[0](x)
