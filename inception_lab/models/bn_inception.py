"""BN-Inception (1502.03167, figure 5), read so that the modules of the 14 x 14 grid give 576 channels."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch.nn.functional as F
from torch import Tensor, nn

from inception_lab.models.blocks import Branches, Conv, ConvBlock, ConvStyle, chain, conv_chain
from inception_lab.models.networks import Classifier

STYLE = ConvStyle(batch_norm=True)
"""Batch normalisation and ReLU after each convolution, none of which has a bias."""

_conv = partial(ConvBlock, style=STYLE)
_convs = partial(conv_chain, style=STYLE)

# ---------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Row:
    """One module of figure 5: its name and, under the paper's columns, the filters of each layer.

    A module without a 1x1 halves the grid, and its pool passes the input through.
    """

    name: str
    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    double3x3_reduce: int
    double3x3: int
    pool: str
    pool_proj: int

    @property
    def halves(self) -> bool:
        """True where the module halves the grid."""
        return not self.conv1x1

    def out_channels(self, in_channels: int) -> int:
        """Channels that the module gives on an input of `in_channels`.

        Example:
            >>> TABLE[0].out_channels(192), TABLE[2].out_channels(320)
            (256, 576)
        """
        return self.conv1x1 + self.conv3x3 + self.double3x3 + (self.pool_proj or in_channels)


TABLE = (
    #   name   1x1  3x3 reduce  3x3  double reduce  double 3x3  pool   proj
    Row("3a",   64,         64,  64,            64,         96, "avg",  32),
    Row("3b",   64,         64,  96,            64,         96, "avg",  64),
    Row("3c",    0,        128, 160,            64,         96, "max",   0),
    Row("4a",  224,         64,  96,            96,        128, "avg", 128),
    Row("4b",  192,         96, 128,            96,        128, "avg", 128),
    Row("4c",  160,        128, 160,           128,        160, "avg",  96),
    Row("4d",   96,        128, 192,           160,        192, "avg",  96),
    Row("4e",    0,        128, 192,           192,        256, "max",   0),
    Row("5a",  352,        192, 320,           160,        224, "avg", 128),
    Row("5b",  352,        192, 320,           192,        224, "max", 128),
)  # fmt: skip
"""The ten modules in network order; the figure prints 128 under proj for 4c and 4d."""

STEM_CHANNELS = 192

# -------------------------------------------------------------------------------- the modules


class EvenSides(nn.Module):
    """A row or column of zeros after an odd side, so that a pool that rounds up meets padded convolutions.

    Behind a ReLU a zero never is the maximum that a value would not have been. Even sides, such as all
    at the published 224 x 224, pass untouched.

    Example:
        >>> import torch
        >>> EvenSides()(torch.ones(1, 1, 7, 4)).shape
        torch.Size([1, 1, 8, 4])
    """

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W to the even sizes at or above H and W."""
        height, width = x.shape[2] % 2, x.shape[3] % 2
        return F.pad(x, (0, width, 0, height)) if height or width else x


def inception(row: Row, in_channels: int) -> Branches:
    """A module that keeps the grid.

    Args:
        row: Its filters.
        in_channels: Channels of its input.

    Returns:
        Branches `branch1` (1x1), `branch2` (reduce, 3x3), `branch3` (reduce, two 3x3) and `branch4`
        (pool, proj).

    Example:
        >>> inception(TABLE[0], 192).out_channels
        256
    """
    pool = {"avg": nn.AvgPool2d(3, 1, 1), "max": nn.MaxPool2d(3, 1, 1)}[row.pool]
    return Branches(
        row.out_channels(in_channels),
        branch1=_conv(in_channels, row.conv1x1, 1),
        branch2=_single3x3(row, in_channels),
        branch3=_double3x3(row, in_channels),
        branch4=chain({"pool": pool, "proj": _conv(in_channels, row.pool_proj, 1)}),
    )


def reduction(row: Row, in_channels: int) -> Branches:
    """A module that halves the grid, rounding up.

    Args:
        row: Its filters.
        in_channels: Channels of its input, which its pool passes through.

    Returns:
        Branches under the names that they have in `inception`: `branch2` (reduce, 3x3/2), `branch3`
        (reduce, 3x3, 3x3/2) and `branch4` (even, pool).

    Example:
        >>> reduction(TABLE[2], 320).out_channels
        576
    """
    return Branches(
        row.out_channels(in_channels),
        branch2=_single3x3(row, in_channels),
        branch3=_double3x3(row, in_channels),
        branch4=chain({"even": EvenSides(), "pool": grid_pool()}),
    )


def _single3x3(row: Row, in_channels: int) -> nn.Sequential:
    last = Conv("conv3x3", row.conv3x3, 3, stride=1 + row.halves)
    return _convs(in_channels, Conv("reduce", row.conv3x3_reduce), last)


def _double3x3(row: Row, in_channels: int) -> nn.Sequential:
    return _convs(
        in_channels,
        Conv("reduce", row.double3x3_reduce),
        Conv("conv3x3_1", row.double3x3, 3),
        Conv("conv3x3_2", row.double3x3, 3, stride=1 + row.halves),
    )


def grid_pool() -> nn.MaxPool2d:
    """A 3x3 max pool that halves the grid, rounding up: 112, 56, 28, 14, 7."""
    return nn.MaxPool2d(3, 2, ceil_mode=True)


# -------------------------------------------------------------------------------- the network


class BNInception(Classifier):
    """Stem, ten modules of which 3c and 4e halve the grid, classifier.

    Any image of at least 7 x 7 is taken, as the classifier averages whatever grid is left.
    """


def _layers() -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", _conv(3, 64, 7, stride=2)
    yield "pool1", grid_pool()
    yield "conv2_reduce", _conv(64, 64, 1)
    yield "conv2", _conv(64, STEM_CHANNELS, 3)
    yield "pool2", grid_pool()
    channels = STEM_CHANNELS
    for row in TABLE:
        module = (reduction if row.halves else inception)(row, channels)
        channels = module.out_channels
        yield f"inception{row.name}", module


NARROWING = ("conv1.conv", "pool1", "pool2")
"""All that a small image may not survive; both modules that halve the grid leave at least 1 x 1."""

# ---------------------------------------------------------------------------------- the entry


def bn_inception(*, num_classes: int = 1000, dropout: float = 0.0, init_weights: bool = True) -> BNInception:
    """GoogLeNet normalised, with two 3x3 for each 5x5 (1502.03167, figure 5).

    Figure 5 prints a pool projection of 128 for 4c and 4d, which makes 608 channels where it also prints
    576; 96 makes 576, and released networks have it. The paper's first layer is a separable 7x7 of depth
    multiplier 8; here, as in released networks, it is dense. The released network takes only images
    that are even on entering 3c and 4e; `EvenSides` lets it take any other, and changes nothing there.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier; the paper found none to be best.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, images = bn_inception(num_classes=10).eval(), torch.zeros(2, 3, 299, 299)
        >>> net(images).shape
        torch.Size([2, 10])
    """
    return BNInception(
        _layers(), 1024, NARROWING, num_classes=num_classes, dropout=dropout, init_weights=init_weights
    )
