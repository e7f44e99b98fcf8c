"""Inception-v3 (1512.00567) as released, and the parts that Inception-v2 is rebuilt from."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from inception_lab.models.blocks import Branches, Conv, ConvBlock, ConvStyle, Size, chain, conv_chain
from inception_lab.models.input_limits import UNBOUNDED, Window, first_side
from inception_lab.models.networks import Classifier

STYLE = ConvStyle(batch_norm=True, eps=1e-3)
"""Batch normalisation and ReLU after each convolution, none of which has a bias."""

_conv = partial(ConvBlock, style=STYLE)
_convs = partial(conv_chain, style=STYLE)

TALL, WIDE = (7, 1), (1, 7)

# ------------------------------------------------------------------------- the 35 x 35 modules


def inception_35(in_channels: int, pool_proj: int, second: tuple[str, Size] = ("conv5x5", 5)) -> Branches:
    """A module of the 35 x 35 grid, which still has a 5x5 beside its double 3x3.

    Args:
        in_channels: Channels of its input.
        pool_proj: Channels of the 1x1 behind its pool.
        second: Name and kernel of the large convolution of the second branch.

    Returns:
        Branches `branch1` (1x1), `branch2` (reduce, 5x5), `branch3` (reduce, two 3x3) and `branch4`
        (pool, proj), to 224 + pool_proj channels.

    Example:
        >>> inception_35(192, 32).out_channels
        256
    """
    name, kernel = second
    return Branches(
        224 + pool_proj,
        branch1=_conv(in_channels, 64, 1),
        branch2=_convs(in_channels, Conv("reduce", 48), Conv(name, 64, kernel)),
        branch3=_convs(in_channels, Conv("reduce", 64), Conv("conv3x3_1", 96, 3), Conv("conv3x3_2", 96, 3)),
        branch4=_pool_branch(in_channels, pool_proj),
    )


def reduction_35() -> Branches:
    """From 288 channels at 35 x 35 to 768 at 17 x 17.

    Returns:
        Branches `branch1` (3x3/2), `branch2` (reduce, 3x3, 3x3/2) and `branch3` (pool).

    Example:
        >>> reduction_35().out_channels
        768
    """
    last = Conv("conv3x3_2", 96, 3, stride=2, padding=0)
    return Branches(
        768,
        branch1=_conv(288, 384, 3, stride=2, padding=0),
        branch2=_convs(288, Conv("reduce", 64), Conv("conv3x3_1", 96, 3), last),
        branch3=grid_pool(),
    )


# ------------------------------------------------------------------------- the 17 x 17 modules


def inception_17(width: int) -> Branches:
    """A module of the 17 x 17 grid with 1x7 and 7x1 (figure 6), 768 channels in and out.

    Args:
        width: Channels between the factors.

    Returns:
        Branches `branch1` (1x1), `branch2` (reduce, one pair), `branch3` (reduce, two pairs) and
        `branch4` (pool, proj).

    Example:
        >>> inception_17(128).branch3.conv1x7_2.conv.weight.shape
        torch.Size([192, 128, 1, 7])
    """
    return Branches(
        768,
        branch1=_conv(768, 192, 1),
        branch2=_convs(768, Conv("reduce", width), Conv("conv1x7", width, WIDE), Conv("conv7x1", 192, TALL)),
        branch3=_convs(
            768,
            Conv("reduce", width),
            Conv("conv7x1_1", width, TALL),
            Conv("conv1x7_1", width, WIDE),
            Conv("conv7x1_2", width, TALL),
            Conv("conv1x7_2", 192, WIDE),
        ),
        branch4=_pool_branch(768, 192),
    )


def reduction_17() -> Branches:
    """From 768 channels at 17 x 17 to 1280 at 8 x 8.

    Returns:
        Branches `branch1` (reduce, 3x3/2), `branch2` (reduce, 1x7, 7x1, 3x3/2) and `branch3` (pool).

    Example:
        >>> reduction_17().out_channels
        1280
    """
    pair = Conv("conv1x7", 192, WIDE), Conv("conv7x1", 192, TALL)
    return Branches(
        1280,
        branch1=_convs(768, Conv("reduce", 192), Conv("conv3x3", 320, 3, stride=2, padding=0)),
        branch2=_convs(768, Conv("reduce", 192), *pair, Conv("conv3x3", 192, 3, stride=2, padding=0)),
        branch3=grid_pool(),
    )


# --------------------------------------------------------------------------- the 8 x 8 modules


def inception_8(in_channels: int, pool: str = "average") -> Branches:
    """A module of the 8 x 8 grid, two of its branches split at their end (figure 7), to 2048 channels.

    Args:
        in_channels: Channels of its input.
        pool: `average` or `max`.

    Returns:
        Branches `branch1` (1x1), `branch2` (reduce, split), `branch3` (reduce, 3x3, split) and `branch4`
        (pool, proj); a split is Branches `conv1x3` and `conv3x1`.

    Example:
        >>> inception_8(1280).branch2.split.out_channels
        768
    """
    return Branches(
        2048,
        branch1=_conv(in_channels, 320, 1),
        branch2=chain({"reduce": _conv(in_channels, 384, 1), "split": _split()}),
        branch3=chain(
            {"reduce": _conv(in_channels, 448, 1), "conv3x3": _conv(448, 384, 3), "split": _split()}
        ),
        branch4=_pool_branch(in_channels, 192, pool),
    )


def _split() -> Branches:
    """A row and a column side by side, 384 channels each."""
    return Branches(768, conv1x3=_conv(384, 384, (1, 3)), conv3x1=_conv(384, 384, (3, 1)))


def _pool_branch(in_channels: int, proj: int, pool: str = "average") -> nn.Sequential:
    """A 3x3 pool that keeps the size, the zeros around the input part of its mean, then a 1x1."""
    layer = {"average": nn.AvgPool2d, "max": nn.MaxPool2d}[pool](3, 1, 1)
    return chain({"pool": layer, "proj": _conv(in_channels, proj, 1)})


def grid_pool() -> nn.MaxPool2d:
    """A 3x3 max pool without padding that halves the grid."""
    return nn.MaxPool2d(3, 2)


# -------------------------------------------------------------------------------- the network


class SideHead(nn.Module):
    """The auxiliary head on the last 17 x 17 grid, used in training alone.

    Average pool 5x5/3, 1x1 convolution to 128, 5x5 convolution to 768, average, linear.

    Args:
        num_classes: Classes to tell apart.
        style: Bias or batch normalisation after its convolutions.

    Example:
        >>> import torch
        >>> SideHead(10).eval()(torch.zeros(2, 768, 17, 17)).shape
        torch.Size([2, 10])
    """

    SIDE = 17

    def __init__(self, num_classes: int, style: ConvStyle = STYLE) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3)
        self.reduce = ConvBlock(768, 128, 1, style=style)
        self.conv5x5 = ConvBlock(128, 768, 5, padding=0, style=style)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """From N x 768 x H x W, H and W at least 17, to logits of N x num_classes."""
        x = self.avgpool(self.conv5x5(self.reduce(self.pool(x))))
        logits: Tensor = self.fc(x.flatten(1))
        return logits


class SideHeadClassifier(Classifier):
    """A classifier of 2048 channels whose one auxiliary head, if it has any, is a `SideHead` named `aux`.

    Args:
        layers: The layers by name, in the order in which they run.
        to_head: Paths of the convolutions and pools that narrow the grid, in order, up to the head.
        to_end: Paths of those after it.
        **options: As `Classifier` takes them.
    """

    def __init__(
        self,
        layers: Iterator[tuple[str, nn.Module]],
        to_head: tuple[str, ...],
        to_end: tuple[str, ...],
        **options: Any,
    ) -> None:
        by_name = dict(layers)
        heads = tuple(name for name, layer in by_name.items() if isinstance(layer, SideHead))
        super().__init__(by_name.items(), 2048, (*to_head, *to_end), heads=heads, **options)
        if heads:
            windows = [cast(Window, self.get_submodule(name)) for name in to_head]
            sides = range(first_side(windows, SideHead.SIDE), UNBOUNDED)
            self.limits = replace(self.limits, with_heads=sides)


class InceptionV3(SideHeadClassifier):
    """Stem, three modules at 35 x 35, four at 17 x 17, two at 8 x 8, reductions between, classifier.

    Any image of at least 75 x 75 is taken, as the classifier averages whatever grid is left; with the
    auxiliary head, training takes 299 x 299 and more.
    """


def _layers(num_classes: int, aux_logits: bool, last_pool: str) -> Iterator[tuple[str, nn.Module]]:
    yield "conv_1a", _conv(3, 32, 3, stride=2, padding=0)
    yield "conv_2a", _conv(32, 32, 3, padding=0)
    yield "conv_2b", _conv(32, 64, 3)
    yield "pool_3a", grid_pool()
    yield "conv_3b", _conv(64, 80, 1)
    yield "conv_4a", _conv(80, 192, 3, padding=0)
    yield "pool_5a", grid_pool()
    yield "mixed_5b", inception_35(192, pool_proj=32)
    yield "mixed_5c", inception_35(256, pool_proj=64)
    yield "mixed_5d", inception_35(288, pool_proj=64)
    yield "mixed_6a", reduction_35()
    yield "mixed_6b", inception_17(128)
    yield "mixed_6c", inception_17(160)
    yield "mixed_6d", inception_17(160)
    yield "mixed_6e", inception_17(192)
    if aux_logits:
        yield "aux", SideHead(num_classes)
    yield "mixed_7a", reduction_17()
    yield "mixed_7b", inception_8(1280)
    yield "mixed_7c", inception_8(2048, last_pool)


TO_HEAD = ("conv_1a.conv", "conv_2a.conv", "pool_3a", "conv_4a.conv", "pool_5a", "mixed_6a.branch3")
TO_END = ("mixed_7a.branch3",)

# ---------------------------------------------------------------------------------- the entry


def inception_v3(
    *,
    num_classes: int = 1000,
    aux_logits: bool = False,
    dropout: float = 0.2,
    init_weights: bool = True,
    last_pool: str = "max",
) -> InceptionV3:
    """The network that the authors released, at 299 x 299.

    It has a module more than Table 1 of the paper: three at 35 x 35, fed 192, 256 and 288 channels, keep
    that grid, and keep a 5x5; the stem ends in a pool. Releases differ in one layer without weights, the
    pool of the last module: the first has a maximum there, and so have the ports made from it; TF-Slim,
    torchvision and timm have an average.

    Args:
        num_classes: Classes to tell apart.
        aux_logits: Add the auxiliary head after the last 17 x 17 module.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.
        last_pool: The pool of the last module, `max` or `average`.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, images = inception_v3(num_classes=10).eval(), torch.zeros(2, 3, 224, 224)
        >>> net(images).shape
        torch.Size([2, 10])
    """
    return InceptionV3(
        _layers(num_classes, aux_logits, last_pool),
        TO_HEAD,
        TO_END,
        num_classes=num_classes,
        dropout=dropout,
        init_weights=init_weights,
    )
