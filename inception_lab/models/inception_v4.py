"""Inception-v4 (1602.07261, figures 3 to 9), 1x7 and 7x1 in the order of the released network."""

from collections.abc import Iterator, Sequence
from functools import partial

from torch import nn

from inception_lab.models.blocks import Branches, Conv, ConvBlock, ConvStyle, chain, conv_chain
from inception_lab.models.networks import Classifier

STYLE = ConvStyle(batch_norm=True, eps=1e-3)
"""Batch normalisation and ReLU after each convolution, here and in the residual cousins."""

_conv = partial(ConvBlock, style=STYLE)
_convs = partial(conv_chain, style=STYLE)

TALL, WIDE = (7, 1), (1, 7)
Order = tuple[tuple[int, int], tuple[int, int]]

# ------------------------------------------------------------------------------------ the stem


def stem(order: Order = (WIDE, TALL)) -> Iterator[tuple[str, nn.Module]]:
    """Three convolutions and three splits, from 3 x 299 x 299 to 384 x 35 x 35 (figure 3).

    Args:
        order: Kernels of the two long convolutions of `split2`; figure 3 has the tall one first, the
            released network the wide one.

    Yields:
        The layers by name, in the order in which they run.
    """
    yield "conv1", _conv(3, 32, 3, stride=2, padding=0)
    yield "conv2", _conv(32, 32, 3, padding=0)
    yield "conv3", _conv(32, 64, 3)
    yield "split1", Branches(160, branch1=grid_pool(), branch2=_conv(64, 96, 3, stride=2, padding=0))
    yield "split2", _split2(order)
    yield "split3", Branches(384, branch1=_conv(192, 192, 3, stride=2, padding=0), branch2=grid_pool())


def _split2(order: Order) -> Branches:
    long = [Conv("conv{}x{}".format(*kernel), 64, kernel) for kernel in order]
    last = Conv("conv3x3", 96, 3, padding=0)
    return Branches(
        192,
        branch1=_convs(160, Conv("reduce", 64), last),
        branch2=_convs(160, Conv("reduce", 64), *long, last),
    )


def grid_pool() -> nn.MaxPool2d:
    """The 3x3/2 max pool without padding that stands beside a convolution of stride 2."""
    return nn.MaxPool2d(3, 2)


# --------------------------------------------------------------------------------- the modules


def inception_a() -> Branches:
    """The module of the 35 x 35 grid, 384 channels in and out (figure 4)."""
    return Branches(
        384,
        branch1=_conv(384, 96, 1),
        branch2=_convs(384, Conv("reduce", 64), Conv("conv3x3", 96, 3)),
        branch3=_convs(384, Conv("reduce", 64), Conv("conv3x3_1", 96, 3), Conv("conv3x3_2", 96, 3)),
        branch4=pool_branch(384, 96),
    )


def inception_b() -> Branches:
    """The module of the 17 x 17 grid, 1024 channels in and out (figure 5)."""
    return Branches(
        1024,
        branch1=_conv(1024, 384, 1),
        branch2=_convs(1024, Conv("reduce", 192), Conv("conv1x7", 224, WIDE), Conv("conv7x1", 256, TALL)),
        branch3=_convs(
            1024,
            Conv("reduce", 192),
            Conv("conv7x1_1", 192, TALL),
            Conv("conv1x7_1", 224, WIDE),
            Conv("conv7x1_2", 224, TALL),
            Conv("conv1x7_2", 256, WIDE),
        ),
        branch4=pool_branch(1024, 128),
    )


def inception_c() -> Branches:
    """The module of the 8 x 8 grid, 1536 channels in and out, two branches split in two (figure 6)."""
    return Branches(
        1536,
        branch1=_conv(1536, 256, 1),
        branch2=chain({"reduce": _conv(1536, 384, 1), "split": _cross(384)}),
        branch3=chain(
            {
                "reduce": _conv(1536, 384, 1),
                "conv3x1": _conv(384, 448, (3, 1)),
                "conv1x3": _conv(448, 512, (1, 3)),
                "split": _cross(512),
            }
        ),
        branch4=pool_branch(1536, 256),
    )


def _cross(in_channels: int) -> Branches:
    """A row and a column side by side, 256 channels each."""
    return Branches(512, conv1x3=_conv(in_channels, 256, (1, 3)), conv3x1=_conv(in_channels, 256, (3, 1)))


def pool_branch(in_channels: int, proj: int) -> nn.Sequential:
    """An average over 3x3 that leaves the padding out of the mean, then a 1x1.

    Args:
        in_channels: Channels of the module's input.
        proj: Channels of the 1x1.

    Example:
        >>> import torch
        >>> pool_branch(1, 1).pool(torch.ones(1, 1, 2, 2)).unique()
        tensor([1.])
    """
    pool = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    return chain({"pool": pool, "proj": _conv(in_channels, proj, 1)})


# ------------------------------------------------------------------------------ the reductions


def reduction_a(in_channels: int, klmn: tuple[int, int, int, int], *, pool_first: bool = False) -> Branches:
    """From the 35 x 35 to the 17 x 17 grid (figure 7).

    Args:
        in_channels: Channels of the input.
        klmn: The widths under the letters of Table 1: of the 1x1, the 3x3 and the 3x3/2 of the long
            branch, then of the 3x3/2 on the input.
        pool_first: Put the pool first among the branches, as drawn, not last, as released.

    Example:
        >>> reduction_a(384, (192, 224, 256, 384)).out_channels
        1024
    """
    reduce, middle, last, single = klmn
    rows = Conv("reduce", reduce), Conv("conv3x3_1", middle, 3), Conv("conv3x3_2", last, 3, 2, padding=0)
    convs = [_conv(in_channels, single, 3, stride=2, padding=0), _convs(in_channels, *rows)]
    return beside_pool(last + single + in_channels, convs, pool_first=pool_first)


def beside_pool(out_channels: int, convs: Sequence[nn.Module], *, pool_first: bool) -> Branches:
    """Branches of convolutions that halve the grid, numbered from 1, and the pool before or after them.

    Args:
        out_channels: Channels of all of them together.
        convs: The branches of convolutions.
        pool_first: Put the pool first among the branches, not last.
    """
    branches = [grid_pool(), *convs] if pool_first else [*convs, grid_pool()]
    return Branches(out_channels, **{f"branch{n}": branch for n, branch in enumerate(branches, 1)})


def reduction_b() -> Branches:
    """From the 17 x 17 grid of 1024 channels to the 8 x 8 grid of 1536 (figure 8)."""
    long = Conv("conv1x7", 256, WIDE), Conv("conv7x1", 320, TALL)
    return Branches(
        1536,
        branch1=_convs(1024, Conv("reduce", 192), Conv("conv3x3", 192, 3, 2, padding=0)),
        branch2=_convs(1024, Conv("reduce", 256), *long, Conv("conv3x3", 320, 3, 2, padding=0)),
        branch3=grid_pool(),
    )


# --------------------------------------------------------------------------------- the network


class InceptionV4(Classifier):
    """Stem, 4 modules A, 7 modules B, 3 modules C with a reduction between them, classifier.

    Any image of at least 75 x 75 is taken, as the classifier averages whatever grid is left.
    """


NARROWING = (
    "conv1.conv",
    "conv2.conv",
    "split1.branch1",
    "split2.branch1.conv3x3.conv",
    "split3.branch2",
    "reduction_a.branch3",
    "reduction_b.branch3",
)
"""One path through all that makes the grid smaller."""


def _layers() -> Iterator[tuple[str, nn.Module]]:
    yield from stem()
    for number in range(1, 5):
        yield f"inception_a{number}", inception_a()
    yield "reduction_a", reduction_a(384, (192, 224, 256, 384))
    for number in range(1, 8):
        yield f"inception_b{number}", inception_b()
    yield "reduction_b", reduction_b()
    for number in range(1, 4):
        yield f"inception_c{number}", inception_c()


# ----------------------------------------------------------------------------------- the entry


def inception_v4(*, num_classes: int = 1000, dropout: float = 0.2, init_weights: bool = True) -> InceptionV4:
    """The network of figure 9, with batch normalisation of eps 1e-3 as released.

    Args:
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, image = inception_v4(num_classes=10).eval(), torch.zeros(1, 3, 299, 299)
        >>> net(image).shape
        torch.Size([1, 10])
    """
    return InceptionV4(
        _layers(), 1536, NARROWING, num_classes=num_classes, dropout=dropout, init_weights=init_weights
    )
