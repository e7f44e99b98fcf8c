"""Inception v1 as a blog builds it, to tell two classes of skin images apart."""

from collections.abc import Iterator

from torch import nn

from inception_lab.models.blocks import ConvBlock, ConvStyle
from inception_lab.models.googlenet_modules import (
    SMALL_5X5,
    STEM_CHANNELS,
    TABLE,
    input_channels,
    reduced_module,
)
from inception_lab.models.networks import Stack

INSIDE = ConvStyle(batch_norm=True, keep_bias=True)
"""Of the modules; the stem has biases and ReLU alone."""

POOL_BEFORE = {"4a": "pool3", "5a": "pool4"}

# --------------------------------------------------------------------------------- the network


class InceptionV1TwoClass(Stack):
    """Stem, nine modules, and a classifier of two linear layers that ends in probabilities.

    Any image of at least 23 x 23 is taken, as the average is global.
    """


def _layers(num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", ConvBlock(3, 64, 7, stride=2)
    yield "pool1", nn.MaxPool2d(2, 2)
    yield "conv2_reduce", ConvBlock(64, 64, 1, padding=1)
    yield "conv2", ConvBlock(64, STEM_CHANNELS, 3)
    yield "pool2", nn.MaxPool2d(2, 2)
    for row in TABLE:
        if row.name in POOL_BEFORE:
            yield POOL_BEFORE[row.name], nn.MaxPool2d(2, 2)
        yield f"inception{row.name}", reduced_module(row, input_channels(row.name), INSIDE, SMALL_5X5)
    channels = TABLE[-1].out_channels
    yield "avgpool", nn.AdaptiveAvgPool2d(1)
    yield "flatten", nn.Flatten()
    yield "dropout", nn.Dropout(dropout)
    yield "fc1", nn.Linear(channels, channels)
    yield "relu", nn.ReLU()
    yield "fc2", nn.Linear(channels, num_classes)
    yield "softmax", nn.Softmax(dim=1)


# ----------------------------------------------------------------------------------- the entry


def inception_v1_two_class(
    *, num_classes: int = 2, dropout: float = 0.4, init_weights: bool = True
) -> InceptionV1TwoClass:
    """Inception v1 as the blog builds it, which leaves 1409.4842 in these points.

    * The branch of the 5x5 has a 3x3.
    * Inside modules batch normalisation stands between each convolution, which keeps its bias, and its
      ReLU; the stem has no normalisation, LRN included.
    * The stem's 1x1 is padded by 1, which grows its grid from 56 to 58.
    * Max pools are 2x2/2 and round down: grids of 56, 29, 14 and 7.
    * Two linear layers end it, of 1024 with ReLU and of the classes with softmax: it gives
      probabilities. There are no auxiliary heads.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the first linear layer.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> net = inception_v1_two_class().eval()
        >>> net(torch.zeros(3, 3, 64, 64)).sum(dim=1).allclose(torch.ones(3))
        True
    """
    return InceptionV1TwoClass(_layers(num_classes, dropout), init_weights=init_weights)
