"""Network in Network (1312.4400), as its authors released it for ImageNet."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from inception_lab.models.blocks import Conv, conv_chain
from inception_lab.models.networks import Stack

# ----------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class MLPConv:
    """One stage: a convolution, and a perceptron of two layers that slides over it as 1x1 convolutions.

    Args:
        channels: Channels of the convolution and of the perceptron.
        kernel: Side of the convolution's kernel.
        stride: Its step.
        padding: Zeros on each side of its input.
    """

    channels: int
    kernel: int
    stride: int = 1
    padding: int = 0


TABLE = (
    MLPConv(96, 11, stride=4),
    MLPConv(256, 5, padding=2),
    MLPConv(384, 3, padding=1),
    MLPConv(1024, 3, padding=1),
)
"""The four stages; the perceptron of the last ends in a channel for each class."""

# --------------------------------------------------------------------------------- the network


class NIN(Stack):
    """Four stages with pools between them, then the mean of each class's channel.

    There is no fully connected layer, so any image of at least 39 x 39 is taken. A ReLU follows the last
    convolution too, so that no logit is negative.
    """


def _layers(num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    channels, last = 3, len(TABLE)
    for number, row in enumerate(TABLE, 1):
        if number == last:
            yield "dropout", nn.Dropout(dropout)
        out_channels = num_classes if number == last else row.channels
        yield (
            f"mlpconv{number}",
            conv_chain(
                channels,
                Conv("conv", row.channels, row.kernel, row.stride, row.padding),
                Conv("mlp1", row.channels),
                Conv("mlp2", out_channels),
            ),
        )
        channels = out_channels
        if number < last:
            yield f"pool{number}", nn.MaxPool2d(3, 2, ceil_mode=True)
    yield "avgpool", nn.AdaptiveAvgPool2d(1)
    yield "flatten", nn.Flatten()


# ----------------------------------------------------------------------------------- the entry


def nin(*, num_classes: int = 1000, dropout: float = 0.5, init_weights: bool = True) -> NIN:
    """The network for ImageNet: 12 convolutions, ReLU after each, no fully connected layer.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the last stage.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> net = nin(num_classes=10).eval()
        >>> net(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
    """
    return NIN(_layers(num_classes, dropout), init_weights=init_weights)
