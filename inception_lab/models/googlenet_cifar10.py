"""GoogLeNet as a blog builds it for the 32 x 32 images of CIFAR-10."""

from collections.abc import Iterator
from dataclasses import replace

from torch import nn

from inception_lab.models.blocks import ConvBlock, ConvStyle
from inception_lab.models.googlenet_modules import (
    STACKED,
    STEM_CHANNELS,
    TABLE,
    input_channels,
    reduced_module,
)
from inception_lab.models.networks import Stack

STYLE = ConvStyle(batch_norm=True, keep_bias=True)
"""Of every convolution: a bias, batch normalisation, ReLU."""

POOL_BEFORE = {"4a": "pool3", "5a": "pool4"}

# --------------------------------------------------------------------------------- the network


class GoogLeNetCifar10(Stack):
    """One convolution, nine modules, classifier.

    The average is a fixed 8x8, which must leave one cell: images have sides of 29 to 32.
    """

    def __init__(self, *, num_classes: int, dropout: float, init_weights: bool) -> None:
        super().__init__(_layers(num_classes, dropout), init_weights=init_weights)
        self.limits = replace(self.limits, largest=32)


def _layers(num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", ConvBlock(3, STEM_CHANNELS, 3, style=STYLE)
    for row in TABLE:
        if row.name in POOL_BEFORE:
            yield POOL_BEFORE[row.name], nn.MaxPool2d(3, 2, padding=1)
        yield f"inception{row.name}", reduced_module(row, input_channels(row.name), STYLE, STACKED)
    yield "avgpool", nn.AvgPool2d(8, 1)
    yield "flatten", nn.Flatten()
    yield "dropout", nn.Dropout(dropout)
    yield "fc", nn.Linear(TABLE[-1].out_channels, num_classes)


# ----------------------------------------------------------------------------------- the entry


def googlenet_cifar10(
    *, num_classes: int = 10, dropout: float = 0.4, init_weights: bool = True
) -> GoogLeNetCifar10:
    """GoogLeNet as the blog builds it for CIFAR-10, which leaves 1409.4842 in these points.

    * The stem is one 3x3 to 192 channels at full size, with neither pools nor LRN.
    * Each 5x5 is two 3x3, both as wide as the 5x5 was.
    * Batch normalisation stands between each convolution, which keeps its bias, and its ReLU.
    * Max pools 3x3/2 have padding 1 and round down: grids of 32, 16 and 8.
    * The average is 8x8, and there are no auxiliary heads.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier; the paper's.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, images = googlenet_cifar10().eval(), torch.zeros(2, 3, 32, 32)
        >>> net(images).shape
        torch.Size([2, 10])
    """
    return GoogLeNetCifar10(num_classes=num_classes, dropout=dropout, init_weights=init_weights)
