"""The parts that several architectures share: convolutions, parallel branches and auxiliary heads."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from inception_lab.models.input_limits import side_after

Size = int | tuple[int, int]


class Outputs(NamedTuple):
    """The outputs of a network with auxiliary heads in train mode.

    Attributes:
        logits: Of the main classifier, N x classes.
        aux_logits: Of each auxiliary head in network order, N x classes each.
    """

    logits: Tensor
    aux_logits: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class ConvStyle:
    """The layers after each convolution of a network.

    Args:
        batch_norm: Batch normalisation instead of the convolution's bias.
        eps: Added to the variance by the normalisation.
        keep_bias: The convolution has its bias beside the normalisation too.
        relu: A ReLU follows; without it the block is linear.
    """

    batch_norm: bool = False
    eps: float = 1e-5
    keep_bias: bool = False
    relu: bool = True


PLAIN = ConvStyle()
"""A bias, and no normalisation."""


def chain(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """The layers one after another, under their names.

    Example:
        >>> [name for name, _ in chain({"pool": nn.MaxPool2d(2), "relu": nn.ReLU()}).named_children()]
        ['pool', 'relu']
    """
    sequence = nn.Sequential()
    for name, layer in layers.items():
        sequence.add_module(name, layer)
    return sequence


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation where the style has it, and ReLU: `conv`, `bn`, `relu`.

    The ReLU writes a new tensor, so that a hook sees the convolution's output as it was.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel, or its height and width.
        stride: Step of the kernel.
        padding: Zeros on each side; by default half the kernel, which keeps the size at stride 1.
        groups: Parts of the channels that do not see each other.
        style: Bias or batch normalisation.

    Example:
        >>> ConvBlock(3, 8, (1, 5))(torch.zeros(1, 3, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        *,
        stride: Size = 1,
        padding: Size | None = None,
        groups: int = 1,
        style: ConvStyle = PLAIN,
    ) -> None:
        super().__init__()
        padding = _half(kernel) if padding is None else padding
        bias = style.keep_bias or not style.batch_norm
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        if style.batch_norm:
            self.bn = nn.BatchNorm2d(out_channels, eps=style.eps)
        if style.relu:
            self.relu = nn.ReLU()


def _half(kernel: Size) -> Size:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution of a chain, as a row of a table.

    Args:
        name: Its name in the chain.
        out_channels: Channels of its output.
        kernel: Side of the kernel, or its height and width.
        stride: Step of the kernel.
        padding: Zeros on each side; by default half the kernel, which keeps the size at stride 1.
    """

    name: str
    out_channels: int
    kernel: Size = 1
    stride: int = 1
    padding: Size | None = None


def conv_chain(in_channels: int, *rows: Conv, style: ConvStyle = PLAIN) -> nn.Sequential:
    """Convolution blocks one after another, each as wide as its row says.

    Args:
        in_channels: Channels of the input of the first.
        *rows: The convolutions in order.
        style: Bias or batch normalisation after each.

    Example:
        >>> branch = conv_chain(192, Conv("reduce", 16), Conv("conv5x5", 32, 5))
        >>> branch.conv5x5.conv.weight.shape
        torch.Size([32, 16, 5, 5])
    """
    widths = [in_channels, *(row.out_channels for row in rows)]
    return chain(
        {
            row.name: ConvBlock(
                before, row.out_channels, row.kernel, stride=row.stride, padding=row.padding, style=style
            )
            for before, row in zip(widths, rows, strict=False)
        }
    )


class Branches(nn.Module):
    """Branches that see the same input, their outputs side by side along the channels.

    Args:
        out_channels: Channels of all branches together, for whatever comes next.
        **branches: The branches, in the order in which they run and are joined.

    Example:
        >>> split = Branches(5, branch1=nn.Conv2d(3, 2, 1), branch2=nn.MaxPool2d(3, 1, 1))
        >>> split(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([1, 5, 4, 4])
    """

    def __init__(self, out_channels: int, **branches: nn.Module) -> None:
        super().__init__()
        self.out_channels = out_channels
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W to N x out_channels x H' x W', as the branches have it."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


def head_pool() -> nn.AvgPool2d:
    """The average pool at the beginning of an auxiliary head, which rounds up: 14 to 4."""
    return nn.AvgPool2d(5, 3, ceil_mode=True)


class AuxiliaryHead(nn.Module):
    """A classifier on an inner layer (1409.4842, section 5), used in training alone.

    Average pool 5x5/3, in the paper down to 4x4, 1x1 convolution to 128, linear to 1024, dropout 0.7, linear.

    Args:
        in_channels: Channels of the layer it looks at.
        num_classes: Classes to tell apart.
        style: Bias or batch normalisation after its convolution.
        dropout: Share dropped before the last linear layer.
        grid: Side of the layer's output, by which the first linear layer is made.

    Example:
        >>> AuxiliaryHead(512, 10)(torch.zeros(2, 512, 14, 14)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        style: ConvStyle = PLAIN,
        dropout: float = 0.7,
        grid: int = 14,
    ) -> None:
        super().__init__()
        self.pool = head_pool()
        self.conv = ConvBlock(in_channels, 128, 1, style=style)
        self.fc1 = nn.Linear(128 * side_after(grid, [self.pool]) ** 2, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W to logits of N x num_classes; made for a grid of 14, H and W are 12 to 14."""
        x = self.conv(self.pool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return logits
