"""Nets that need the data itself, which a meta tensor does not have, and two that mix devices."""

import torch
from torch import Tensor, nn

from support.hostile import sequences


class Branching(nn.Module):
    """One layer or another, by the sum of the input."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(8, 4), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.large(x) if x.square().sum().item() < 0 else self.small(x)


class ForReal(nn.Module):
    """A net that looks at its input first, so that all of it runs on the CPU."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x * (1 if x.square().sum().item() >= 0 else 2))


def lstm_for_real() -> nn.Module:
    """Recurrent layers run as one fused operation on the CPU, other than on meta."""
    return ForReal(sequences.lstm())


def attention_for_real() -> nn.Module:
    """The CPU's attention is fused too."""
    return ForReal(sequences.SelfAttention())


def encoder_for_real() -> nn.Module:
    """And so is the encoder layer in eval mode."""
    return ForReal(sequences.encoder())


class Masked(nn.Module):
    """Only the samples that a boolean mask lets through."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x[x.square().sum(1) >= 0])


@torch.library.custom_op("hostile::doubled", mutates_args=(), device_types="cpu")
def doubled(x: Tensor) -> Tensor:
    """An operation with a kernel for the CPU and none for meta."""
    return x + x


doubled.register_autograd(lambda _, grad: grad + grad)


class OwnKernel(nn.Module):
    """An operation of its own that no meta tensor can pass."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return doubled(self.linear(x))


class Numpy(nn.Module):
    """A step in numpy between two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.from_numpy(self.first(x).detach().numpy() ** 2))


class PlainTensor(nn.Module):
    """A tensor in an attribute that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.mean, self.linear = torch.full((8,), 0.5), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x - self.mean)


class CpuOnly(nn.Module):
    """A tensor that its forward makes on the CPU by name."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x * torch.arange(8.0, device="cpu"))
