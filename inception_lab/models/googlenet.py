"""GoogLeNet (1409.4842) and its counterparts, all from the nine rows of its Table 1."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypedDict, Unpack

from torch import Tensor, nn

from inception_lab.errors import InceptionLabError
from inception_lab.models.blocks import (
    PLAIN,
    AuxiliaryHead,
    Branches,
    ConvBlock,
    ConvStyle,
    Outputs,
    head_pool,
)
from inception_lab.models.googlenet_modules import (
    ASYMMETRIC,
    COLUMNS,
    MODULES,
    STACKED,
    STEM_CHANNELS,
    Filters,
    Module,
    Row,
    naive_module,
    reduced_module,
    scaled,
    stage_rows,
)
from inception_lab.models.initialisation import initialise
from inception_lab.models.input_limits import InputLimits, Window, check_input, first_side, side_after

# -------------------------------------------------------------------------------- the network


def grid_pool(kernel: int = 3) -> nn.MaxPool2d:
    """A max pool that halves the grid, rounding up: 112, 56, 28, 14, 7."""
    return nn.MaxPool2d(kernel, 2, ceil_mode=True)


def head_places(depth: int) -> dict[str, str]:
    """The auxiliary heads by the modules that they look at: the first of stage 4 and its fourth, or its last.

    Args:
        depth: Number of modules in stage 4.

    Example:
        >>> head_places(5), head_places(2), head_places(1)
        ({'4a': 'aux1', '4d': 'aux2'}, {'4a': 'aux1', '4b': 'aux2'}, {'4a': 'aux1'})
    """
    modules = [row.name for row in stage_rows("4", depth)][:4]
    return {module: f"aux{n}" for n, module in enumerate(dict.fromkeys((modules[0], modules[-1])), 1)}


@dataclass(frozen=True, slots=True)
class Design:
    """The choices in which the networks of this file differ; by default the paper's.

    Args:
        modules: Kind of the modules of stage 3, of stage 4 and of stage 5.
        depths: Number of modules in each of these.
        width: Factor on the filters of every convolution of stem and modules.
        reductions: Columns of the table that are a share of the channels of a module's input instead.
        style: Batch normalisation after each convolution, or bias and LRN.
        pool4_kernel: Side of the last grid pool.
        input_size: Side of the images that the network is given by default, for which its heads are made.
    """

    modules: tuple[Module, Module, Module] = (reduced_module,) * 3
    depths: tuple[int, int, int] = (2, 5, 2)
    width: float = 1.0
    reductions: Mapping[str, float] = field(default_factory=dict, hash=False)
    style: ConvStyle = PLAIN
    pool4_kernel: int = 3
    input_size: int = 224

    def row_on(self, in_channels: int, row: Row) -> Row:
        """A row of the table, as wide as it is in this design on an input of `in_channels`."""
        widths = {column: scaled(getattr(row, column), self.width) for column in COLUMNS}
        widths |= {column: scaled(in_channels, share) for column, share in self.reductions.items()}
        return Row(row.name, **widths)


PUBLISHED = Design()
"""The paper's network."""


class Options(TypedDict, total=False):
    """The keywords that every entry of this file takes; `GoogLeNet` says what they mean."""

    num_classes: int
    aux_logits: bool
    dropout: float
    init_weights: bool


class GoogLeNet(nn.Module):
    """Stem, three stages of modules with grid pools between them, classifier, and heads in training.

    Any image of at least 31 x 31 (15 x 15 with `pool4_kernel` 2) is taken, as the classifier averages
    whatever grid is left. The linear layer of the heads is made for the grid of `input_size`, in the paper
    4x4, so with them training takes the sides that lead to this grid alone, in the paper 191 to 238.

    Args:
        design: The modules, their number and width, the normalisation, the last pool, the input.
        num_classes: Classes to tell apart.
        aux_logits: Add heads after the first and the fourth module of stage 4.
        dropout: Share dropped before the classifier; the heads drop 0.7.
        init_weights: Draw weights as `initialise` does; otherwise torch's own stay.

    Raises:
        InceptionLabError: The design's input size is too small for the network (exit code 2).

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
        self.default_cfg = {"input_size": (3, design.input_size, design.input_size)}
        self.limits = _limits(design, aux_logits)
        heads = head_places(design.depths[1]) if aux_logits else {}
        layers = (*_stem(design), *_tower(design, heads, num_classes))
        for name, layer in layers:
            self.add_module(name, layer)
        self._body = tuple(name for name, layer in layers if not isinstance(layer, AuxiliaryHead))
        self._heads = {f"inception{module}": head for module, head in heads.items()}
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        last = [layer for _, layer in layers if isinstance(layer, Branches)][-1]
        self.fc = nn.Linear(last.out_channels, num_classes)
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


def _limits(design: Design, heads: bool) -> InputLimits:
    """Modules keep the size, so the first convolution and the pools decide.

    Raises:
        InceptionLabError: The design's input size is not within them (exit code 2).
    """
    windows = _windows(design)
    to_heads = [*windows[:-1], head_pool()]
    smallest = first_side(to_heads if heads else windows, 1)
    if design.input_size < smallest:
        hint = f"it takes {smallest} or more{' with auxiliary heads' if heads else ''}"
        raise InceptionLabError(f"input_size is {design.input_size}", where=GoogLeNet.__name__, hint=hint)
    side = side_after(design.input_size, to_heads)
    sides = range(first_side(to_heads, side), first_side(to_heads, side + 1)) if heads else range(0)
    return InputLimits(3, first_side(windows, 1), sides)


def _windows(design: Design) -> tuple[Window, ...]:
    """The windows that make the grid smaller: that of conv1, here without weights, and the four pools."""
    conv1 = nn.MaxPool2d(7, 2, 3)
    return conv1, grid_pool(), grid_pool(), grid_pool(), grid_pool(design.pool4_kernel)


def _stem(design: Design) -> Iterator[tuple[str, nn.Module]]:
    """Up to the first module; batch normalisation takes the place of LRN."""
    conv = partial(ConvBlock, style=design.style)
    first, last = scaled(64, design.width), scaled(STEM_CHANNELS, design.width)
    yield "conv1", conv(3, first, 7, stride=2)
    yield "pool1", grid_pool()
    if not design.style.batch_norm:
        yield "norm1", _response_norm()
    yield "conv2_reduce", conv(first, first, 1)
    yield "conv2", conv(first, last, 3)
    if not design.style.batch_norm:
        yield "norm2", _response_norm()
    yield "pool2", grid_pool()


def _tower(design: Design, heads: Mapping[str, str], num_classes: int) -> Iterator[tuple[str, nn.Module]]:
    """The modules of each stage, the pools before stages 4 and 5, and the heads after their modules."""
    pools = {"4": ("pool3", 3), "5": ("pool4", design.pool4_kernel)}
    grid = side_after(design.input_size, _windows(design)[:-1])
    channels = scaled(STEM_CHANNELS, design.width)
    for stage, build, depth in zip("345", design.modules, design.depths, strict=True):
        if stage in pools:
            name, kernel = pools[stage]
            yield name, grid_pool(kernel)
        for row in stage_rows(stage, depth):
            module = build(design.row_on(channels, row), channels, design.style)
            channels = module.out_channels
            yield f"inception{row.name}", module
            if row.name in heads:
                yield heads[row.name], AuxiliaryHead(channels, num_classes, design.style, grid=grid)


def _response_norm() -> nn.LocalResponseNorm:
    return nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)


# -------------------------------------------------------------------------------- the entries


def googlenet(
    *,
    module_3: str = "reduced",
    module_4: str = "reduced",
    module_5: str = "reduced",
    depth_3: int = 2,
    depth_4: int = 5,
    depth_5: int = 2,
    width: float = 1.0,
    reduction_3x3: float | None = None,
    reduction_5x5: float | None = None,
    reduction_pool: float | None = None,
    batch_norm: bool = False,
    input_size: int = 224,
    **options: Unpack[Options],
) -> GoogLeNet:
    """The paper's network (1409.4842, Table 1): 5x5 branches, biases, LRN; or a variant of its design.

    The kinds of modules are `reduced` (the paper's), `naive` (without reductions), `3x3` (a 3x3 in place of
    the 5x5), `stacked` (two 3x3 in place of the 5x5) and `asymmetric` (1 x n, then n x 1, in place of each
    n x n). A stage of another depth has the first rows of its part of the table, and beyond them its last
    row again, under the letters that follow: `inception4f`.

    Args:
        module_3: Kind of the modules of stage 3.
        module_4: Kind of those of stage 4.
        module_5: Kind of those of stage 5.
        depth_3: Number of modules in stage 3, up to 26.
        depth_4: Number of those in stage 4.
        depth_5: Number of those in stage 5.
        width: Factor on the filters of every convolution of stem and modules, rounded.
        reduction_3x3: Width of the 1x1 before each 3x3, as a share of the channels of the module's input;
            None for the table's, times `width`. Naive modules have no reductions.
        reduction_5x5: Width of the 1x1 before each 5x5, likewise.
        reduction_pool: Width of the 1x1 after each pool, likewise.
        batch_norm: Batch normalisation after each convolution, in place of biases and LRN.
        input_size: Side of the square images that it is given by default, and that its heads are made for.
        **options: As `GoogLeNet` takes them.

    Raises:
        InceptionLabError: The input size is too small for the network (exit code 2).

    Example:
        >>> [name for name, _ in googlenet().inception3a.branch3.named_children()]
        ['reduce', 'conv5x5']
        >>> googlenet(width=0.5, depth_4=6).inception4f.out_channels
        416
    """
    shares = {"conv3x3_reduce": reduction_3x3, "conv5x5_reduce": reduction_5x5, "pool_proj": reduction_pool}
    design = Design(
        modules=(MODULES[module_3], MODULES[module_4], MODULES[module_5]),
        depths=(depth_3, depth_4, depth_5),
        width=width,
        reductions={column: share for column, share in shares.items() if share is not None},
        style=ConvStyle(batch_norm),
        input_size=input_size,
    )
    return GoogLeNet(design, **options)


def googlenet_bn(**options: Unpack[Options]) -> GoogLeNet:
    """The paper's network with batch normalisation (1502.03167) in place of biases and LRN.

    Args:
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(Design(style=ConvStyle(batch_norm=True)), **options)


def googlenet_3x3(**options: Unpack[Options]) -> GoogLeNet:
    """The widely used torchvision port: 3x3 for each 5x5, batch norm of eps 1e-3, last grid pool 2x2.

    Args:
        **options: As `GoogLeNet` takes them.
    """
    style = ConvStyle(batch_norm=True, eps=1e-3)
    design = Design((MODULES["3x3"],) * 3, style=style, pool4_kernel=2)
    return GoogLeNet(design, **options)


def googlenet_naive(*, batch_norm: bool = False, **options: Unpack[Options]) -> GoogLeNet:
    """Nine modules without reductions (1409.4842, figure 2a), which widen from 192 to 4944 channels.

    Stem, heads and the widths of the 1x1, 3x3 and 5x5 are the paper's, so that nothing but the module
    differs: 97.5 M parameters and 12.6 G MACs in place of 7.0 M and 1.6 G.

    Args:
        batch_norm: Batch normalisation after each convolution, in place of biases and LRN.
        **options: As `GoogLeNet` takes them.
    """
    return GoogLeNet(Design((naive_module,) * 3, style=ConvStyle(batch_norm)), **options)


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
    return Design((module,) * 3, style=ConvStyle(batch_norm))
