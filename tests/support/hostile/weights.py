"""Nets whose parameters are frozen, tied, of another type, or made anew in every forward."""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


def plain(dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """A convolution, a normalisation and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(256, 5)
    ).to(dtype)


def frozen() -> nn.Module:
    """All but the last layer frozen."""
    model = plain()
    model[:3].requires_grad_(False)
    return model


def all_frozen() -> nn.Module:
    """Nothing to train."""
    return plain().requires_grad_(False)


class Tied(nn.Module):
    """The embedding's matrix is the classifier's too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(10, 8), nn.Linear(8, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embedding(tokens))


def half() -> nn.Module:
    """Weights in half precision."""
    return plain(torch.float16)


def bfloat16() -> nn.Module:
    """Weights in bfloat16."""
    return plain(torch.bfloat16)


def float64() -> nn.Module:
    """Weights in double precision."""
    return plain(torch.float64)


class Complex(nn.Module):
    """A complex matrix, and the magnitude of what it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(8, 4, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.matrix).abs()


class Fourier(nn.Module):
    """A filter in the frequency domain, as GFNet's."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(3, 8, 5, 2))

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(x) * torch.view_as_complex(self.filter)
        return torch.fft.irfft2(spectrum, s=x.shape[-2:])


def weight_normalised() -> nn.Module:
    """A weight that is made of a direction and a length."""
    return weight_norm(nn.Linear(8, 4))


def weight_normalised_by_hook() -> nn.Module:
    """The same in its older form, a plain attribute that a hook sets before each forward."""
    return torch.nn.utils.weight_norm(nn.Linear(8, 4))


def spectrally_normalised() -> nn.Module:
    """A weight divided by its largest singular value, which train mode keeps refining in buffers."""
    return spectral_norm(nn.Linear(8, 4))


class FreezesItself(nn.Module):
    """A forward that changes which of its parameters are trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.first.requires_grad_(False)
        return self.second(self.first(x))


class Marked(nn.Module):
    """A weight that carries an attribute of its own, which the forward reads."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)
        self.linear.weight.scale = 2.0

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.linear.weight.scale


class Replacing(nn.Module):
    """A forward that puts a new parameter in the place of the old one."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.linear.weight = nn.Parameter(self.linear.weight * 2)
        return self.linear(x)


def lazy() -> nn.Module:
    """A layer that does not know its own size yet."""
    return nn.Sequential(nn.LazyLinear(4))
