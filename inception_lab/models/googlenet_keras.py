"""GoogLeNet as a book chapter builds it in Keras: nine modules of four equally wide branches."""

from collections.abc import Iterator
from dataclasses import replace

from torch import Tensor, nn

from inception_lab.models.blocks import Branches, chain
from inception_lab.models.networks import Stack

# ----------------------------------------------------------------------------------- the table

WIDTHS = {"3a": 64, "3b": 120, "4a": 128, "4b": 128, "4c": 128, "4d": 132, "4e": 208, "5a": 208, "5b": 256}
"""Channels of every convolution of a module; it gives four times as many."""

HIDDEN = 1000

# ---------------------------------------------------------------------------------- the layers


class SamePad(nn.Module):
    """Keras's padding "same": as much as a step of 2 needs to make half the grid, rounded up.

    Half of it stands before and half after; the odd one stands after, so that a 3x3 on an even grid is
    padded on the right and at the bottom alone.

    Args:
        kernel: Side of the window that follows.
        stride: Its step.
        value: Of the padding.

    Example:
        >>> import torch
        >>> SamePad(3, 2)(torch.ones(1, 1, 2, 2))[0, 0].tolist()
        [[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(self, kernel: int, stride: int, value: float = 0.0) -> None:
        super().__init__()
        self.kernel, self.stride, self.value = kernel, stride, value

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W to N x C x H' x W', on which the window makes ceil(H / stride) rows."""
        height, width = map(self._missing, x.shape[2:])
        sides = (width // 2, width - width // 2, height // 2, height - height // 2)
        return nn.functional.pad(x, sides, value=self.value)

    def _missing(self, side: int) -> int:
        steps = -(-side // self.stride) - 1
        return max(steps * self.stride + self.kernel - side, 0)


def conv(in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution with bias, ReLU, then batch normalisation; the size falls by the stride alone."""
    padding = 0 if stride > 1 else kernel // 2
    layers = {
        "conv": nn.Conv2d(in_channels, out_channels, kernel, stride, padding),
        "relu": nn.ReLU(),
        "bn": nn.BatchNorm2d(out_channels, eps=1e-3),
    }
    return chain({"pad": SamePad(kernel, stride), **layers} if stride > 1 else layers)


def pool() -> nn.Sequential:
    """A max pool 3x3/2; what follows batch normalisation may be negative, so padding is -infinity."""
    return chain({"pad": SamePad(3, 2, float("-inf")), "max": nn.MaxPool2d(3, 2)})


def module(in_channels: int, width: int) -> Branches:
    """Four branches of `width` channels; where the paper has a 5x5 there is a second 1x1."""
    return Branches(
        4 * width,
        branch1=conv(in_channels, width, 1),
        branch2=chain({"reduce": conv(in_channels, width, 1), "conv3x3": conv(width, width, 3)}),
        branch3=chain({"reduce": conv(in_channels, width, 1), "conv1x1": conv(width, width, 1)}),
        branch4=chain({"pool": nn.MaxPool2d(3, 1, 1), "proj": conv(in_channels, width, 1)}),
    )


# --------------------------------------------------------------------------------- the network


class GoogLeNetKeras(Stack):
    """Stem, nine modules, and a classifier of two linear layers that ends in probabilities.

    Padding "same" lets no grid vanish, so that any image is taken. The average is global.
    """

    def __init__(self, *, num_classes: int, dropout: float, init_weights: bool) -> None:
        super().__init__(_layers(num_classes, dropout), init_weights=init_weights)
        self.limits = replace(self.limits, smallest=1)


def _layers(num_classes: int, dropout: float) -> Iterator[tuple[str, nn.Module]]:
    yield "conv1", conv(3, 64, 7, stride=2)
    yield "pool1", pool()
    yield "conv2", conv(64, 192, 3)
    yield "pool2", pool()
    channels = 192
    for name, width in WIDTHS.items():
        if name in ("4a", "5a"):
            yield {"4a": "pool3", "5a": "pool4"}[name], pool()
        yield f"inception{name}", module(channels, width)
        channels = 4 * width
    yield "avgpool", nn.AdaptiveAvgPool2d(1)
    yield "flatten", nn.Flatten()
    yield "dropout", nn.Dropout(dropout)
    yield "fc1", nn.Linear(channels, HIDDEN)
    yield "relu", nn.ReLU()
    yield "fc2", nn.Linear(HIDDEN, num_classes)
    yield "softmax", nn.Softmax(dim=1)


# ----------------------------------------------------------------------------------- the entry


def googlenet_keras(
    *, num_classes: int = 1000, dropout: float = 0.4, init_weights: bool = True
) -> GoogLeNetKeras:
    """GoogLeNet as the chapter builds it, which leaves 1409.4842 in these points.

    * The four branches of a module are equally wide, reductions included: 64, 120, 128, 128, 128, 132,
      208, 208 and 256 channels each. Modules give as many as the paper's.
    * The branch of the 5x5 is two 1x1, and sees no more than a 1x1 does.
    * Each convolution has a bias, then ReLU, then batch normalisation (eps 1e-3); there is no LRN.
    * The stem has no 1x1 before its 3x3.
    * Padding is "same" everywhere, which at stride 2 pads the right and the bottom more than the left
      and the top.
    * Two linear layers end it, of 1000 with ReLU and of the classes with softmax: it gives
      probabilities. There are no auxiliary heads.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the first linear layer.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> net = googlenet_keras(num_classes=10).eval()
        >>> net(torch.zeros(2, 3, 32, 32)).sum(dim=1).allclose(torch.ones(2))
        True
    """
    return GoogLeNetKeras(num_classes=num_classes, dropout=dropout, init_weights=init_weights)
