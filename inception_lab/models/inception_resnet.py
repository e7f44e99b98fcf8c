"""Inception-ResNet-v1 and -v2 (1602.07261, figures 10 to 20): as drawn, and v2 as released."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from inception_lab.errors import USAGE, InceptionLabError, nearest
from inception_lab.models import inception_v4 as v4
from inception_lab.models.blocks import Branches, Conv, ConvBlock, conv_chain
from inception_lab.models.networks import Classifier

_conv = partial(ConvBlock, style=v4.STYLE)
_convs = partial(conv_chain, style=v4.STYLE)

# ---------------------------------------------------------------------------------- the tables

Layers = Iterator[tuple[str, nn.Module]]
Widths = tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """The residual blocks of one grid.

    Args:
        repeats: Number of blocks.
        scale: Factor of the residual before it is added.
        widths: Of each convolution, branch by branch.
    """

    repeats: int
    scale: float
    widths: Widths


@dataclass(frozen=True, slots=True)
class Design:
    """The choices in which the networks of this file differ.

    Args:
        stem: Builds the layers up to the first residual block.
        stem_channels: Channels that they give.
        block_a: Blocks of the 35 x 35 grid.
        klmn: Widths of Reduction-A under the letters of Table 1.
        block_b: Blocks of the 17 x 17 grid.
        reduction_b: Widths of each convolution of Reduction-B, branch by branch.
        block_c: Blocks of the 8 x 8 grid.
        pool_first: True where the pool of a reduction is its first branch, as drawn, and not its last.
        stem_narrowing: The layers of the stem that make the grid smaller.
        last: Width of a 1x1 after the blocks, of which the last then has scale 1 and no ReLU; 0 for
            neither.
        scale: Factor of the residual of every block, the last included, in place of those above.
    """

    stem: Callable[[], Layers]
    stem_channels: int
    block_a: Stage
    klmn: tuple[int, int, int, int]
    block_b: Stage
    reduction_b: Widths
    block_c: Stage
    stem_narrowing: tuple[str, ...]
    pool_first: bool = True
    last: int = 0
    scale: float | None = None

    @property
    def channels(self) -> tuple[int, int, int]:
        """Channels on each of the three grids: a reduction adds what its convolutions give."""
        grid_b = self.stem_channels + sum(self.klmn[2:])
        return self.stem_channels, grid_b, grid_b + sum(row[-1] for row in self.reduction_b)

    @property
    def narrowing(self) -> tuple[str, ...]:
        """One path through all that makes the grid smaller: the stem's, then the pools of the reductions."""
        pool_a, pool_b = (1, 1) if self.pool_first else (3, 4)
        return *self.stem_narrowing, f"reduction_a.branch{pool_a}", f"reduction_b.branch{pool_b}"


# ------------------------------------------------------------------------------------ the stems


def _stem_start() -> Layers:
    """The beginning of the stem in v1 and in the released v2, to 192 channels."""
    yield "conv1", _conv(3, 32, 3, stride=2, padding=0)
    yield "conv2", _conv(32, 32, 3, padding=0)
    yield "conv3", _conv(32, 64, 3)
    yield "pool1", v4.grid_pool()
    yield "conv4", _conv(64, 80, 1)
    yield "conv5", _conv(80, 192, 3, padding=0)


def _stem_v1() -> Layers:
    """Figure 14."""
    yield from _stem_start()
    yield "conv6", _conv(192, 256, 3, stride=2, padding=0)


def _stem_released() -> Layers:
    """The stem of Inception-v3, then a module of its first kind."""
    yield from _stem_start()
    yield "pool2", v4.grid_pool()
    yield "mixed_5b", mixed_5b()


def mixed_5b() -> Branches:
    """The module before the residual blocks of the released network, 192 channels to 320."""
    return Branches(
        320,
        branch1=_conv(192, 96, 1),
        branch2=_convs(192, Conv("reduce", 48), Conv("conv5x5", 64, 5)),
        branch3=_convs(192, Conv("reduce", 64), Conv("conv3x3_1", 96, 3), Conv("conv3x3_2", 96, 3)),
        branch4=v4.pool_branch(192, 64),
    )


# ---------------------------------------------------------------------------- the three designs

V1 = Design(
    stem=_stem_v1,
    stem_channels=256,
    block_a=Stage(5, 0.17, ((32,), (32, 32), (32, 32, 32))),
    klmn=(192, 192, 256, 384),
    block_b=Stage(10, 0.10, ((128,), (128, 128, 128))),
    reduction_b=((256, 384), (256, 256), (256, 256, 256)),
    block_c=Stage(5, 0.20, ((192,), (192, 192, 192))),
    stem_narrowing=("conv1.conv", "conv2.conv", "pool1", "conv5.conv", "conv6.conv"),
)
"""The first, about as costly as Inception-v3: figures 10 to 15."""

V2_PAPER = Design(
    stem=lambda: v4.stem((v4.TALL, v4.WIDE)),
    stem_channels=384,
    block_a=Stage(5, 0.17, ((32,), (32, 32), (32, 48, 64))),
    klmn=(256, 256, 384, 384),
    block_b=Stage(10, 0.10, ((192,), (128, 160, 192))),
    reduction_b=((256, 384), (256, 288), (256, 288, 320)),
    block_c=Stage(5, 0.20, ((192,), (192, 224, 256))),
    stem_narrowing=v4.NARROWING[:5],
)
"""The second as drawn: figures 3 and 15 to 19, with 1152 and 2144 channels for the 1154 and 2048 there."""

V2_RELEASED = replace(
    V2_PAPER,
    stem=_stem_released,
    stem_channels=320,
    block_a=replace(V2_PAPER.block_a, repeats=10),
    block_b=replace(V2_PAPER.block_b, repeats=20),
    block_c=replace(V2_PAPER.block_c, repeats=10),
    stem_narrowing=("conv1.conv", "conv2.conv", "pool1", "conv5.conv", "pool2"),
    pool_first=False,
    last=1536,
)
"""The second as released in TF-Slim: its own stem, twice the blocks, a 1x1 at the end."""

READINGS = {"released": V2_RELEASED, "paper": V2_PAPER}

# ---------------------------------------------------------------------------------- the blocks

Kernels = tuple[tuple[tuple[int, int], ...], ...]

SQUARE = (3, 3)
KERNELS_A: Kernels = ((), (SQUARE,), (SQUARE, SQUARE))
KERNELS_B: Kernels = ((), (v4.WIDE, v4.TALL))
KERNELS_C: Kernels = ((), ((1, 3), (3, 1)))
"""Kernels after the 1x1 of each branch in the blocks of a grid, the same in all networks."""

KERNELS_REDUCTION_B: Kernels = ((SQUARE,), (SQUARE,), (SQUARE, SQUARE))


class ResidualBlock(nn.Module):
    """An input plus its scaled residual: branches, then a 1x1 without activation to the input's width.

    Args:
        in_channels: Channels of the input and the output.
        branches: The convolutions of the residual, on the input's grid.
        scale: Factor of the residual (section 3.3).
        relu: Add a ReLU after the sum.

    Example:
        >>> import torch
        >>> block = ResidualBlock(8, Branches(3, branch1=nn.Conv2d(8, 3, 1)), scale=0.1)
        >>> block(torch.zeros(1, 8, 4, 4)).shape
        torch.Size([1, 8, 4, 4])
    """

    def __init__(self, in_channels: int, branches: Branches, *, scale: float, relu: bool = True) -> None:
        super().__init__()
        self.scale = float(scale)  # a tensor takes no integer of more than 64 bits
        self.branches = branches
        self.expand = nn.Conv2d(branches.out_channels, in_channels, 1)
        self.relu = nn.ReLU() if relu else None

    def forward(self, x: Tensor) -> Tensor:
        """From N x in_channels x H x W to the same shape."""
        total: Tensor = self.expand(self.branches(x)) * self.scale + x
        return self.relu(total) if self.relu else total

    def extra_repr(self) -> str:
        """The block's own part of what torch prints."""
        return f"scale={self.scale}"


def residual_branches(in_channels: int, widths: Widths, kernels: Kernels) -> Branches:
    """The branches of a block.

    Args:
        in_channels: Channels of the input.
        widths: Of each convolution, branch by branch.
        kernels: Of each convolution after the 1x1, branch by branch.

    Example:
        >>> branches = residual_branches(384, V2_PAPER.block_a.widths, KERNELS_A)
        >>> [name for name, _ in branches.branch3.named_children()]
        ['reduce', 'conv3x3_1', 'conv3x3_2']
    """
    chains = [_branch(in_channels, *row) for row in zip(widths, kernels, strict=True)]
    branches = {f"branch{number}": branch for number, branch in enumerate(chains, 1)}
    return Branches(sum(row[-1] for row in widths), **branches)


def _branch(in_channels: int, widths: Sequence[int], kernels: Sequence[tuple[int, int]]) -> nn.Module:
    """A 1x1 alone, or one that reduces and the convolutions after it."""
    if not kernels:
        return _conv(in_channels, widths[0], 1)
    return _convs(in_channels, *_rows(widths, kernels))


def _rows(widths: Sequence[int], kernels: Sequence[tuple[int, int]]) -> Iterator[Conv]:
    yield Conv("reduce", widths[0])
    for number, (width, kernel) in enumerate(zip(widths[1:], kernels, strict=True), 1):
        suffix = f"_{number}" if kernels.count(kernel) > 1 else ""
        yield Conv(f"conv{kernel[0]}x{kernel[1]}{suffix}", width, kernel)


def reduction_b(in_channels: int, widths: Widths, *, pool_first: bool) -> Branches:
    """From the 17 x 17 to the 8 x 8 grid (figures 12 and 18).

    Args:
        in_channels: Channels of the input.
        widths: Of each convolution, branch by branch; the last of a branch halves the grid.
        pool_first: Put the pool first among the branches, as drawn, not last, as released.

    Example:
        >>> reduction_b(1152, V2_PAPER.reduction_b, pool_first=True).out_channels
        2144
    """
    convs = []
    for row, kernels in zip(widths, KERNELS_REDUCTION_B, strict=True):
        *before, last = _rows(row, kernels)
        convs.append(_convs(in_channels, *before, replace(last, stride=2, padding=0)))
    out_channels = in_channels + sum(row[-1] for row in widths)
    return v4.beside_pool(out_channels, convs, pool_first=pool_first)


# --------------------------------------------------------------------------------- the networks


class InceptionResNet(Classifier):
    """Stem, residual blocks on three grids with a reduction between them, classifier.

    Any image of at least 75 x 75 is taken, as the classifier averages whatever grid is left.

    Args:
        design: The stem, all widths and scales.
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights as `initialise` does; otherwise torch's own stay.
    """

    def __init__(self, design: Design, *, num_classes: int, dropout: float, init_weights: bool) -> None:
        super().__init__(
            _layers(design),
            design.last or design.channels[2],
            design.narrowing,
            num_classes=num_classes,
            dropout=dropout,
            init_weights=init_weights,
        )


def _layers(design: Design) -> Layers:
    channels_a, channels_b, channels_c = design.channels
    pool_first = design.pool_first
    blocks = partial(_blocks, scale=design.scale)
    yield from design.stem()
    yield from blocks("block_a", channels_a, design.block_a, KERNELS_A)
    yield "reduction_a", v4.reduction_a(channels_a, design.klmn, pool_first=pool_first)
    yield from blocks("block_b", channels_b, design.block_b, KERNELS_B)
    yield "reduction_b", reduction_b(channels_b, design.reduction_b, pool_first=pool_first)
    yield from blocks("block_c", channels_c, design.block_c, KERNELS_C, linear_end=design.last > 0)
    if design.last:
        yield "conv6", _conv(channels_c, design.last, 1)


def _blocks(
    name: str,
    channels: int,
    stage: Stage,
    kernels: Kernels,
    *,
    scale: float | None,
    linear_end: bool = False,
) -> Layers:
    for number in range(1, stage.repeats + 1):
        linear = linear_end and number == stage.repeats
        branches = residual_branches(channels, stage.widths, kernels)
        default_scale = 1.0 if linear else stage.scale
        factor = default_scale if scale is None else scale
        yield f"{name}{number}", ResidualBlock(channels, branches, scale=factor, relu=not linear)


# ---------------------------------------------------------------------------------- the entries


def inception_resnet_v1(
    *,
    scale: float | None = None,
    num_classes: int = 1000,
    dropout: float = 0.2,
    init_weights: bool = True,
) -> InceptionResNet:
    """Inception-ResNet-v1 as drawn (figures 10 to 15), blocks 5/10/5.

    The paper says of the scales only that they lie between 0.1 and 0.3: they are those that v2 was
    released with, and so is the batch normalisation's eps of 1e-3.

    Args:
        scale: Factor of the residual of every block, such as 1.0 for plain sums; by default 0.17, 0.10 and
            0.20 on the three grids.
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net = inception_resnet_v1(scale=1.0)
        >>> net.block_a1.scale, net.block_c5.scale
        (1.0, 1.0)
    """
    design = replace(V1, scale=scale)
    return InceptionResNet(design, num_classes=num_classes, dropout=dropout, init_weights=init_weights)


def inception_resnet_v2(
    *,
    reading: str = "released",
    scale: float | None = None,
    num_classes: int = 1000,
    dropout: float = 0.2,
    init_weights: bool = True,
) -> InceptionResNet:
    """Inception-ResNet-v2, as released or as drawn.

    As released it has a stem like that of Inception-v3 and a module to 320 channels, blocks 10/20/10 on
    320, 1088 and 2080 channels, of which the last has scale 1 and no ReLU, and a 1x1 to 1536: 55.8 M
    parameters. As drawn (figures 3 and 15 to 19) it has the stem of Inception-v4 and blocks 5/10/5 on
    384, 1152 and 2144 channels: 32.4 M. The figures print 1154 and 2048 for the last two, which is not
    what their reductions give.

    Args:
        reading: `released` or `paper`.
        scale: Factor of the residual of every block, the last as released included; by default those
            published, 0.17, 0.10 and 0.20 on the three grids and 1 in that last one.
        num_classes: Classes to tell apart.
        dropout: Share dropped before the classifier.
        init_weights: Draw weights for ReLU networks; otherwise torch's own stay.

    Raises:
        InceptionLabError: The reading is not one of these (exit code 2).

    Example:
        >>> import torch
        >>> with torch.device("meta"):
        ...     net = inception_resnet_v2(reading="paper", num_classes=10)
        >>> net.fc
        Linear(in_features=2144, out_features=10, bias=True)
    """
    if reading not in READINGS:
        hint = nearest(str(reading), READINGS)
        raise InceptionLabError(f"no reading {reading!r}", hint=hint, exit_code=USAGE)
    design = replace(READINGS[reading], scale=scale)
    return InceptionResNet(design, num_classes=num_classes, dropout=dropout, init_weights=init_weights)
