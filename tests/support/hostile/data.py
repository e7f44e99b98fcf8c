"""Nets with odd inputs and outputs, views, and operations in place."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


class InPlaceChain(nn.Module):
    """Every step overwrites the tensor of the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).mul_(2).add_(1).clamp_(0, 6).relu_()


class WritesToItsInput(nn.Module):
    """The input itself is overwritten before it is used."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mul_(2))


class ChannelShuffle(nn.Module):
    """A ShuffleNet unit: a half of the channels convolved, then all interleaved by views."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=1, groups=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        x = torch.cat((first, self.conv(second)), 1)
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class Views(nn.Module):
    """Views of every kind before a product."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1).flatten(1, 2)[:, ::2].narrow(1, 0, 2).unsqueeze(1).squeeze(1)
        return self.linear(x.expand(x.shape).reshape(x.shape[0], -1).view(-1, 6))


class SeveralInputs(nn.Module):
    """Two positional inputs, and one that may be left out."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(8, 4), nn.Linear(6, 4)

    def forward(self, x: Tensor, y: Tensor, z: Tensor | None = None) -> Tensor:
        return self.left(x) + self.right(y) + (0 if z is None else z)


class NestedInputs(nn.Module):
    """Inputs in a list within a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, batch: dict[str, Any]) -> Tensor:
        return self.linear(batch["levels"][0]) + self.linear(batch["levels"][1])


class KeywordOnly(nn.Module):
    """Inputs that can be given by name alone."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, *, image: Tensor, scale: Tensor) -> Tensor:
        return self.linear(image) * scale


class NoInput(nn.Module):
    """A generator of samples that takes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.seed, self.linear = nn.Parameter(torch.randn(2, 8)), nn.Linear(8, 4)

    def forward(self) -> Tensor:
        return self.linear(self.seed)


def integers() -> nn.Module:
    """Token numbers into an embedding and a linear layer."""
    return nn.Sequential(nn.Embedding(10, 8), nn.Flatten(), nn.Linear(40, 4))


class Sparse(nn.Module):
    """A sparse adjacency, made of its places and weights, in front of a layer, as in a graph net."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)
        self.register_buffer("places", torch.tensor([[0, 1], [1, 0]]))
        self.register_buffer("weights", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.sparse.mm(torch.sparse_coo_tensor(self.places, self.weights, (2, 2)), x))


def sparse_gradient() -> nn.Module:
    """An embedding whose gradient is a sparse tensor."""
    return nn.Sequential(nn.Embedding(10, 8, sparse=True), nn.Flatten(), nn.Linear(40, 4))


@dataclass
class Detection:
    """Output of a detector."""

    boxes: Tensor
    scores: Tensor


class Returning(nn.Module):
    """A linear layer whose output is put into some structure."""

    def __init__(self, structure: Any) -> None:
        super().__init__()
        self.linear, self.structure = nn.Linear(8, 4), structure

    def forward(self, x: Tensor) -> Any:
        return self.structure(self.linear(x), x)


def several_outputs() -> nn.Module:
    """A tuple of a tensor and a list."""
    return Returning(lambda y, x: (y, [x, None]))


def dict_output() -> nn.Module:
    """A dictionary of tensors and text."""
    return Returning(lambda y, x: {"logits": y, "features": x, "note": "text"})


def dataclass_output() -> nn.Module:
    """A dataclass of two tensors."""
    return Returning(Detection)


def nothing() -> nn.Module:
    """None."""
    return Returning(lambda *_: None)


def text() -> nn.Module:
    """A string."""
    return Returning(lambda *_: "a cat")


def number() -> nn.Module:
    """A Python number that does not come from a tensor."""
    return Returning(lambda *_: 1.5)


def its_input() -> nn.Module:
    """The input itself."""
    return Returning(lambda _, x: x)
