"""GoogLeNet (1409.4842) and its counterparts, all from the nine rows of its Table 1."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TypedDict, Unpack, cast

from torch import Tensor, nn

from inception_lab.models.blocks import PLAIN, AuxiliaryHead, Branches, ConvBlock, ConvStyle, Outputs
from inception_lab.models.googlenet_modules import (
    ASYMMETRIC,
    SMALL_5X5,
    STACKED,
    STEM_CHANNELS,
    TABLE,
    Filters,
    Row,
    naive_module,
    reduced_module,
)
from inception_lab.models.initialisation import initialise
from inception_lab.models.input_limits import InputLimits, Window, check_input, first_side

# -------------------------------------------------------------------------------- the network


HEAD_AFTER = {"4a": "aux1", "4d": "aux2"}


def grid_pool(kernel: int = 3) -> nn.MaxPool2d:
    """A max pool that halves the grid, rounding up: 112, 56, 28, 14, 7."""
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


@dataclass(frozen=True, slots=True)
class Design:
    """The choices in which the networks of this file differ.

    Args:
        module: Builds a module from its row, its input's channels and the style.
        style: Batch normalisation after each convolution, or bias and LRN.
        pool4_kernel: Side of the last grid pool.
    """

    module: Callable[[Row, int, ConvStyle], Branches] = reduced_module
    style: ConvStyle = PLAIN
    pool4_kernel: int = 3


NORMALISED = ConvStyle(batch_norm=True)
"""Batch normalisation with torch's own eps."""

PUBLISHED = Design()
"""The paper's network."""


class Options(TypedDict, total=False):
    """The keywords that every entry of this file takes; `GoogLeNet` says what they mean."""

    num_classes: int
    aux_logits: bool
    dropout: float
    init_weights: bool


class GoogLeNet(nn.Module):
    """Stem, nine modules with grid pools between them, classifier, and auxiliary heads in training.

    Any image of at least 31 x 31 (15 x 15 with `pool4_kernel` 2) is taken, as the classifier averages
    whatever grid is left. Heads have the paper's linear layer on 4x4, so with them training takes sides
    191 to 238 alone.

    Args:
        design: The modules, the normalisation, the last pool.
        num_classes: Classes to tell apart.
        aux_logits: Add heads after 4a and 4d.
        dropout: Share dropped before the classifier; the heads drop 0.7.
        init_weights: Draw weights as `initialise` does; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> net = GoogLeNet(num_classes=10).eval()
        >>> net(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        design: Design = PUBLISHED,
        *,
        num_classes: int = 1000,
        aux_logits: bool = False,
        dropout: float = 0.4,
        init_weights: bool = True,
    ) -> None:
        super().__init__()
        layers = (*_stem(design.style), *_tower(design, num_classes, aux_logits))
        for name, layer in layers:
            self.add_module(name, layer)
        self._body = tuple(name for name, layer in layers if not isinstance(layer, AuxiliaryHead))
        self._heads = {f"inception{row}": head for row, head in HEAD_AFTER.items() if aux_logits}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        last = [layer for _, layer in layers if isinstance(layer, Branches)][-1]
        self.fc = nn.Linear(last.out_channels, num_classes)
        self.limits = self._limits()
        if init_weights:
            initialise(self)

    def forward(self, images: Tensor) -> Tensor | Outputs:
        """Logits of N x num_classes from images of N x 3 x H x W; `Outputs` where heads train.

        Raises:
            InceptionLabError: The network cannot take images of this shape (exit code 3).
        """
        heads = self._heads if self.training else {}
        check_input(images, self.limits, where=type(self).__name__, heads=bool(heads))
        x, aux = images, []
        for name in self._body:
            x = getattr(self, name)(x)
            if name in heads:
                aux.append(getattr(self, heads[name])(x))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return Outputs(logits, tuple(aux)) if aux else logits

    def _limits(self) -> InputLimits:
        """Modules keep the size, so the first convolution and the pools decide."""
        pools = self._windows("conv1.conv", "pool1", "pool2", "pool3")
        smallest = first_side([*pools, *self._windows("pool4")], 1)
        if not self._heads:
            return InputLimits(3, smallest)
        to_heads = [*pools, *self._windows("aux1.pool")]
        side = AuxiliaryHead.SIDE
        return InputLimits(3, smallest, range(first_side(to_heads, side), first_side(to_heads, side + 1)))

    def _windows(self, *names: str) -> list[Window]:
        return [cast(Window, self.get_submodule(name)) for name in names]


def _stem(style: ConvStyle) -> Iterator[tuple[str, nn.Module]]:
    """Up to the first module; batch normalisation takes the place of LRN."""
    yield "conv1", ConvBlock(3, 64, 7, stride=2, style=style)
    yield "pool1", grid_pool()
    if not style.batch_norm:
        yield "norm1", _response_norm()
    yield "conv2_reduce", ConvBlock(64, 64, 1, style=style)
    yield "conv2", ConvBlock(64, STEM_CHANNELS, 3, style=style)
    if not style.batch_norm:
        yield "norm2", _response_norm()
    yield "pool2", grid_pool()


def _tower(design: Design, num_classes: int, aux_logits: bool) -> Iterator[tuple[str, nn.Module]]:
    """The nine modules, the pools before 4a and 5a, and the heads after 4a and 4d."""
    pools = {"4a": ("pool3", 3), "5a": ("pool4", design.pool4_kernel)}
    channels = STEM_CHANNELS
    for row in TABLE:
        if row.name in pools:
            name, kernel = pools[row.name]
            yield name, grid_pool(kernel)
        module = design.module(row, channels, design.style)
        channels = module.out_channels
        yield f"inception{row.name}", module
        if aux_logits and row.name in HEAD_AFTER:
            yield HEAD_AFTER[row.name], AuxiliaryHead(channels, num_classes, design.style)


def _response_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)


# -------------------------------------------------------------------------------- the entries


def googlenet(**options: Unpack[Options]) -> GoogLeNet:
    """The paper's network (1409.4842, Table 1): 5x5 branches, biases, LRN.

    Args:
        **options: As `GoogLeNet` takes them.

    Example:
        >>> [name for name, _ in googlenet().inception3a.branch3.named_children()]
        ['reduce', 'conv5x5']
    """
    return GoogLeNet(**options)


def googlenet_bn(**options: Unpack[Options]) -> GoogLeNet:
    """The paper's network with batch normalisation (1502.03167) in place of biases and LRN.

    Args:
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(Design(style=NORMALISED), **options)


def googlenet_3x3(**options: Unpack[Options]) -> GoogLeNet:
    """The widely used torchvision port: 3x3 for each 5x5, batch norm of eps 1e-3, last grid pool 2x2.

    Args:
        **options: As `GoogLeNet` takes them.
    """
    style = ConvStyle(batch_norm=True, eps=1e-3)
    return GoogLeNet(Design(partial(reduced_module, filters=SMALL_5X5), style, pool4_kernel=2), **options)


def googlenet_naive(*, batch_norm: bool = False, **options: Unpack[Options]) -> GoogLeNet:
    """Nine modules without reductions (1409.4842, figure 2a), which widen from 192 to 4944 channels.

    Stem, heads and the widths of the 1x1, 3x3 and 5x5 are the paper's, so that nothing but the module
    differs: 97.5 M parameters and 12.6 G MACs in place of 7.0 M and 1.6 G.

    Args:
        batch_norm: Batch normalisation after each convolution, in place of biases and LRN.
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(Design(naive_module, ConvStyle(batch_norm)), **options)


def googlenet_v2(
    *, middle: str = "output", batch_norm: bool = False, **options: Unpack[Options]
) -> GoogLeNet:
    """Each 5x5 as two 3x3 (1512.00567, figure 5), all else as in the paper's network.

    Two 3x3 have 18/25 of the weights of a 5x5, 28 % fewer, where all three are equally wide. In this
    table the 5x5 is two to four times as wide as its reduction, and a second 3x3 at the full width
    costs more than it saves: weights of these layers rise from 595,200 to 880,128, and the network's
    MACs from 1,582,671,872 to 1,639,721,984 (+3.6 %). As wide as the reduction in the middle, the
    pair has 286,848 weights and the network 1,514,971,904 MACs; at the geometric mean, 497,952 and
    1,559,946,848.

    Args:
        middle: Width between the two: `output`, as the second; `input`, as the reduction before them;
            `geometric`, the mean of both, rounded.
        batch_norm: Batch normalisation after each convolution, in place of biases and LRN.
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(_factors_design(STACKED, middle, batch_norm), **options)


def googlenet_v3(
    *, middle: str = "output", batch_norm: bool = False, **options: Unpack[Options]
) -> GoogLeNet:
    """Each 3x3 and 5x5 of a module as 1 x n, then n x 1 (1512.00567, figure 6), all else as in the paper.

    The pair has 2/n of the weights of an n x n, 33 % fewer at 3 and 60 % at 5, where all are equally
    wide. In this table the output is wider than the reduction, and at its width in the middle the
    weights of these layers fall from 3,585,792 to 3,428,096 (4.4 %), the network's MACs from
    1,582,671,872 to 1,509,615,616 (4.6 %). As wide as the reduction in the middle, they are 1,673,856
    and 1,194,949,376; at the geometric mean, 2,383,600 and 1,324,063,200.

    Args:
        middle: Width between the two: `output`, as the second; `input`, as the reduction before them;
            `geometric`, the mean of both, rounded.
        batch_norm: Batch normalisation after each convolution, in place of biases and LRN.
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(_factors_design(ASYMMETRIC, middle, batch_norm), **options)


def _factors_design(filters: Filters, middle: str, batch_norm: bool) -> Design:
    module = partial(reduced_module, filters=replace(filters, middle=middle))
    return Design(module, ConvStyle(batch_norm))
