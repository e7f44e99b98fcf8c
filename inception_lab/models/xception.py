"""Xception (1610.02357, figure 5): depthwise separable convolutions with residual connections."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from inception_lab.models.blocks import ConvBlock, ConvStyle, chain
from inception_lab.models.networks import Classifier

STYLE = ConvStyle(batch_norm=True)
"""Batch normalisation with torch's own eps of 1e-5, as the PyTorch port has it."""

# ----------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Row:
    """One residual block of figure 5: its name, the widths of its separable convolutions, its stride.

    A block of stride 2 ends with a max pool and has a 1x1 of stride 2 on its shortcut.
    """

    name: str
    widths: tuple[int, ...]
    stride: int


TABLE = (
    # entry flow
    Row("block1", (128, 128), 2),
    Row("block2", (256, 256), 2),
    Row("block3", (728, 728), 2),
    # middle flow
    *(Row(f"block{number}", (728, 728, 728), 1) for number in range(4, 12)),
    # exit flow
    Row("block12", (728, 1024), 2),
)
"""The twelve blocks in network order."""

# ---------------------------------------------------------------------------------- the blocks


def separable_conv(in_channels: int, out_channels: int) -> dict[str, nn.Module]:
    """A 3x3 on each channel by itself, a 1x1 across them, no activation between, then the norm.

    Args:
        in_channels: Channels of the input, each with a kernel of its own.
        out_channels: Channels of the 1x1.

    Returns:
        The layers by name, in the order in which they run.

    Example:
        >>> sum(p.numel() for p in separable_conv(64, 128)["depthwise"].parameters())
        576
    """
    return {
        "depthwise": nn.Conv2d(in_channels, in_channels, 3, padding=1, groups=in_channels, bias=False),
        "pointwise": nn.Conv2d(in_channels, out_channels, 1, bias=False),
        "bn": nn.BatchNorm2d(out_channels, eps=STYLE.eps),
    }


class ResidualBlock(nn.Module):
    """Separable convolutions with a ReLU before each, plus a shortcut.

    Args:
        row: Widths and stride.
        in_channels: Channels of the input.
        relu_first: Put a ReLU before the first convolution, too.

    Example:
        >>> import torch
        >>> ResidualBlock(Row("block1", (4, 8), 2), 4)(torch.zeros(1, 4, 9, 9)).shape
        torch.Size([1, 8, 5, 5])
    """

    def __init__(self, row: Row, in_channels: int, *, relu_first: bool = True) -> None:
        super().__init__()
        self.body = chain(dict(_body(row, in_channels, relu_first)))
        self.shortcut = _shortcut(in_channels, row.widths[-1], row.stride)

    def forward(self, x: Tensor) -> Tensor:
        """From N x in_channels x H x W to the last width, H and W halved (rounding up) at stride 2."""
        total: Tensor = self.body(x) + self.shortcut(x)
        return total


def _body(row: Row, in_channels: int, relu_first: bool) -> Iterator[tuple[str, nn.Module]]:
    for number, widths in enumerate(pairwise((in_channels, *row.widths)), 1):
        relu = {"relu": nn.ReLU()} if number > 1 or relu_first else {}
        yield f"conv{number}", chain({**relu, **separable_conv(*widths)})
    if row.stride > 1:
        yield "pool", nn.MaxPool2d(3, row.stride, 1)


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1:
        return nn.Identity()
    conv = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
    return chain({"conv": conv, "bn": nn.BatchNorm2d(out_channels, eps=STYLE.eps)})


# --------------------------------------------------------------------------------- the network


class Xception(Classifier):
    """Two convolutions, twelve residual blocks, two separable convolutions, classifier.

    Any image of at least 7 x 7 is taken: two convolutions have no padding, and all that follows does.
    """


NARROWING = ("conv1.conv", "conv2.conv", "block1.body.pool", "block2.body.pool", "block3.body.pool")
"""All that makes the grid smaller up to the middle flow; the padded pools refuse no size."""


def _layers() -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", ConvBlock(3, 32, 3, stride=2, padding=0, style=STYLE)
    yield "conv2", ConvBlock(32, 64, 3, padding=0, style=STYLE)
    channels = 64
    for row in TABLE:
        # conv2 has its ReLU already
        yield row.name, ResidualBlock(row, channels, relu_first=row is not TABLE[0])
        channels = row.widths[-1]
    yield "conv3", chain({**separable_conv(1024, 1536), "relu": nn.ReLU()})
    yield "conv4", chain({**separable_conv(1536, 2048), "relu": nn.ReLU()})


# ----------------------------------------------------------------------------------- the entry


def xception(*, num_classes: int = 1000, dropout: float = 0.5, init_weights: bool = True) -> Xception:
    """The network of figure 5, without the optional layers before the classifier.

    Strided max pools pad one cell on each side, as the PyTorch port does; the Keras release pads an even
    grid at its end alone and normalises with an eps of 1e-3.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier; the paper's ImageNet runs have 0.5.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, image = xception(num_classes=10).eval(), torch.zeros(1, 3, 299, 299)
        >>> net(image).shape
        torch.Size([1, 10])
    """
    return Xception(
        _layers(), 2048, NARROWING, num_classes=num_classes, dropout=dropout, init_weights=init_weights
    )
