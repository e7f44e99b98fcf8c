"""Inception-v2 (1512.00567), a reconstruction: the paper prints the sizes, not the widths in the modules."""

from collections.abc import Iterator
from functools import partial

from torch import nn

from inception_lab.models.blocks import PLAIN, Branches, ConvBlock
from inception_lab.models.inception_v3 import (
    STYLE,
    SideHead,
    SideHeadClassifier,
    grid_pool,
    inception_8,
    inception_17,
    inception_35,
    reduction_17,
    reduction_35,
)

_conv = partial(ConvBlock, style=STYLE)


class InceptionV2(SideHeadClassifier):
    """Stem, then three modules at 35 x 35, five at 17 x 17 and two at 8 x 8, and the classifier.

    The last module of the first two groups halves the grid. Any image of at least 75 x 75 is taken, as
    the classifier averages whatever grid is left; with the auxiliary head, training takes 299 x 299 and
    more.
    """


def inception_figure5() -> Branches:
    """A module of the 35 x 35 grid in which two 3x3 stand for the 5x5, 288 channels in and out.

    Example:
        >>> [name for name, _ in inception_figure5().branch2.named_children()]
        ['reduce', 'conv3x3']
    """
    return inception_35(288, pool_proj=64, second=("conv3x3", 3))


def _layers(num_classes: int, aux_logits: bool) -> Iterator[tuple[str, nn.Module]]:
    # Table 1, with the size of each input
    yield "conv1", _conv(3, 32, 3, stride=2, padding=0)  # 299 x 299 x 3
    yield "conv2", _conv(32, 32, 3, padding=0)  # 149 x 149 x 32
    yield "conv3", _conv(32, 64, 3)  # 147 x 147 x 32, padded
    yield "pool1", grid_pool()  # 147 x 147 x 64
    yield "conv4", _conv(64, 80, 3, padding=0)  # 73 x 73 x 64
    yield "conv5", _conv(80, 192, 3, stride=2, padding=0)  # 71 x 71 x 80
    yield "conv6", _conv(192, 288, 3)  # 35 x 35 x 192, padded for the next size to hold
    yield "inception3a", inception_figure5()  # 35 x 35 x 288
    yield "inception3b", inception_figure5()
    yield "inception3c", reduction_35()
    for name, width in zip("abcd", (128, 160, 160, 192), strict=True):
        yield f"inception4{name}", inception_17(width)  # 17 x 17 x 768
    if aux_logits:
        yield "aux", SideHead(num_classes, PLAIN)
    yield "inception4e", reduction_17()
    yield "inception5a", inception_8(1280)  # 8 x 8 x 1280
    yield "inception5b", inception_8(2048)  # to 8 x 8 x 2048


TO_HEAD = ("conv1.conv", "conv2.conv", "pool1", "conv4.conv", "conv5.conv", "inception3c.branch3")
TO_END = ("inception4e.branch3",)

# ---------------------------------------------------------------------------------- the entry


def inception_v2(
    *,
    num_classes: int = 1000,
    aux_logits: bool = False,
    dropout: float = 0.2,
    init_weights: bool = True,
) -> InceptionV2:
    """A reconstruction from Table 1 and figures 5 to 7, at 299 x 299; its numbers are not published ones.

    The paper leaves the widths inside its modules to a file that is not public. Three choices make every
    size of Table 1 hold:

    - The table's groups of 3, 5 and 2 modules are those of BN-Inception, 3a to 3c, 4a to 4e, 5a and 5b:
      the last of the first two halves the grid, in the manner of figure 10.
    - Each module has the widths that the released Inception-v3 has on the same grid, a 3x3 of 64 standing
      for its 5x5, and 288 channels entering every module at 35 x 35.
    - The last convolution of the stem is padded, which the table does not say but its sizes ask for.

    It has 24,027,240 parameters (27,353,040 with the head) and 5,576,975,456 multiply-accumulates, where
    Table 3 gives 4.8 billion operations for the network with this stem.

    Args:
        num_classes: Classes to tell apart.
        aux_logits: Add the auxiliary head after the last module that stays at 17 x 17. It is the
            released Inception-v3's without batch normalisation, which the paper counts as a change of its
            own.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net, images = inception_v2(num_classes=10).eval(), torch.zeros(2, 3, 224, 224)
        >>> net(images).shape
        torch.Size([2, 10])
    """
    return InceptionV2(
        _layers(num_classes, aux_logits),
        TO_HEAD,
        TO_END,
        num_classes=num_classes,
        dropout=dropout,
        init_weights=init_weights,
    )
