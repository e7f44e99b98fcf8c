"""AlexNet (Krizhevsky, Sutskever & Hinton, NIPS 2012), in one column and as the grouped Caffe net."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from inception_lab.models.blocks import ConvBlock
from inception_lab.models.networks import Stack

# ---------------------------------------------------------------------------------- the tables


@dataclass(frozen=True, slots=True)
class Layer:
    """One convolution with its ReLU.

    Args:
        name: As Caffe names it.
        out_channels: Channels of its output.
        kernel: Side of the kernel.
        stride: Step of the kernel.
        padding: Zeros on each side.
        groups: Columns that do not see each other.
        pool: True where a max pool 3x3/2 follows.
    """

    name: str
    out_channels: int
    kernel: int
    stride: int = 1
    padding: int = 1
    groups: int = 1
    pool: bool = False


ONE_COLUMN = (
    Layer("conv1", 64, 11, stride=4, padding=2, pool=True),
    Layer("conv2", 192, 5, padding=2, pool=True),
    Layer("conv3", 384, 3),
    Layer("conv4", 256, 3),
    Layer("conv5", 256, 3, pool=True),
)
"""The five convolutions for one GPU (1404.5997), in the widths of the widely used ports."""

TWO_COLUMNS = (
    Layer("conv1", 96, 11, stride=4, padding=0, pool=True),
    Layer("conv2", 256, 5, padding=2, groups=2, pool=True),
    Layer("conv3", 384, 3),
    Layer("conv4", 384, 3, groups=2),
    Layer("conv5", 256, 3, groups=2, pool=True),
)
"""The five convolutions of the 2012 paper for two GPUs, as groups."""

WITH_LRN = ("conv1", "conv2")
"""Layers after which the grouped net has LRN, before the pool."""

GRID, HIDDEN = 6, 4096

# --------------------------------------------------------------------------------- the network


class AlexNet(Stack):
    """Five convolutions, three pools, three fully connected layers.

    The first fully connected layer needs a grid of 6x6. An adaptive average pool before it brings any
    grid there, as the widely used ports do, so that any image of at least 63 x 63 (67 x 67 with two
    columns) is taken; at the network's own size, 224 in one column and 227 in two, the grid is 6x6
    already and the pool copies it.
    """


def _layers(table: tuple[Layer, ...], num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    has_lrn, channels = table is TWO_COLUMNS, 3
    for row in table:
        yield (
            row.name,
            ConvBlock(
                channels,
                row.out_channels,
                row.kernel,
                stride=row.stride,
                padding=row.padding,
                groups=row.groups,
            ),
        )
        channels, number = row.out_channels, row.name[-1]
        if has_lrn and row.name in WITH_LRN:
            yield f"norm{number}", nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        if row.pool:
            yield f"pool{number}", nn.MaxPool2d(3, 2)
    yield from fully_connected(channels, GRID, num_classes, dropout)


def fully_connected(
    channels: int, grid: int, num_classes: int, dropout: float
) -> Iterator[tuple[str, nn.Module]]:
    """Three linear layers on a fixed grid; VGG has them too.

    Args:
        channels: Channels of the last convolution.
        grid: Side of the grid that the first of them needs, and to which its input is averaged.
        num_classes: Classes to tell apart.
        dropout: Share dropped after each of the first two.
    """
    yield "avgpool", nn.AdaptiveAvgPool2d(grid)
    yield "flatten", nn.Flatten()
    for number, width in ((6, channels * grid**2), (7, HIDDEN)):
        yield f"fc{number}", nn.Linear(width, HIDDEN)
        yield f"relu{number}", nn.ReLU()
        yield f"dropout{number}", nn.Dropout(dropout)
    yield "fc8", nn.Linear(HIDDEN, num_classes)


# ----------------------------------------------------------------------------------- the entry


def alexnet(
    *, grouped: bool = False, num_classes: int = 1000, dropout: float = 0.5, init_weights: bool = True
) -> AlexNet:
    """AlexNet in one column, without LRN, as the ports that are measured today.

    Args:
        grouped: The two columns of the 2012 paper instead, as Caffe builds them: groups of 2 in three
            convolutions, LRN after two, no padding in the first, made for images of 227 x 227.
        num_classes: Classes to tell apart.
        dropout: Share dropped after each of the first two fully connected layers.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, image = alexnet(num_classes=10).eval(), torch.zeros(1, 3, 224, 224)
        >>> net(image).shape
        torch.Size([1, 10])
    """
    table = TWO_COLUMNS if grouped else ONE_COLUMN
    return AlexNet(_layers(table, num_classes, dropout), init_weights=init_weights)
