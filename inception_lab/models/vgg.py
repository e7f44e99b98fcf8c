"""VGG-16 and VGG-19 (1409.1556, Table 1, columns D and E)."""

from collections.abc import Iterator

from torch import nn

from inception_lab.models.alexnet import fully_connected
from inception_lab.models.blocks import ConvBlock
from inception_lab.models.networks import Stack

# ----------------------------------------------------------------------------------- the table

WIDTHS = (64, 128, 256, 512, 512)
"""Channels of the five stages, each of 3x3 convolutions and a max pool 2x2/2."""

COLUMN_D = (2, 2, 3, 3, 3)
COLUMN_E = (2, 2, 4, 4, 4)
"""Convolutions of each stage."""

GRID = 7

# --------------------------------------------------------------------------------- the network


class VGG(Stack):
    """Five stages of 3x3 convolutions, then three fully connected layers.

    The first fully connected layer needs a grid of 7x7. An adaptive average pool before it brings any
    grid there, as the widely used ports do, so that any image of at least 32 x 32 is taken; at 224 x 224
    the grid is 7x7 already and the pool copies it.
    """


def _layers(depths: tuple[int, ...], num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    channels = 3
    for stage, (width, depth) in enumerate(zip(WIDTHS, depths, strict=True), 1):
        for number in range(1, depth + 1):
            yield f"conv{stage}_{number}", ConvBlock(channels, width, 3)
            channels = width
        yield f"pool{stage}", nn.MaxPool2d(2, 2)
    yield from fully_connected(channels, GRID, num_classes, dropout)


# --------------------------------------------------------------------------------- the entries


def vgg16(*, num_classes: int = 1000, dropout: float = 0.5, init_weights: bool = True) -> VGG:
    """Column D: 13 convolutions and 3 fully connected layers.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped after each of the first two fully connected layers.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, image = vgg16(num_classes=10).eval(), torch.zeros(1, 3, 224, 224)
        >>> net(image).shape
        torch.Size([1, 10])
    """
    return VGG(_layers(COLUMN_D, num_classes, dropout), init_weights=init_weights)


def vgg19(*, num_classes: int = 1000, dropout: float = 0.5, init_weights: bool = True) -> VGG:
    """Column E: 16 convolutions and 3 fully connected layers.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped after each of the first two fully connected layers.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.
    """
    return VGG(_layers(COLUMN_E, num_classes, dropout), init_weights=init_weights)
