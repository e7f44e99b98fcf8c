"""The rows of GoogLeNet's Table 1 (1409.4842), and the modules that are built from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import pairwise
from math import sqrt
from string import ascii_lowercase
from types import MappingProxyType

from torch import nn

from inception_lab.errors import USAGE, InceptionLabError, nearest
from inception_lab.models.blocks import PLAIN, Branches, ConvBlock, ConvStyle, Size, chain

# ---------------------------------------------------------------------------------- the table


@dataclass(frozen=True, slots=True)
class Row:
    """One module of Table 1: its name and, under the paper's columns, the filters of each layer."""

    name: str
    conv1x1: int
    conv3x3_reduce: int
    conv3x3: int
    conv5x5_reduce: int
    conv5x5: int
    pool_proj: int

    @property
    def out_channels(self) -> int:
        """Channels that the module gives with its reductions."""
        return self.conv1x1 + self.conv3x3 + self.conv5x5 + self.pool_proj


COLUMNS = tuple(column.name for column in fields(Row) if column.name != "name")

TABLE = (
    #   name   1x1  3x3 reduce  3x3  5x5 reduce  5x5  pool proj
    Row("3a",   64,         96, 128,         16,  32,        32),
    Row("3b",  128,        128, 192,         32,  96,        64),
    Row("4a",  192,         96, 208,         16,  48,        64),
    Row("4b",  160,        112, 224,         24,  64,        64),
    Row("4c",  128,        128, 256,         24,  64,        64),
    Row("4d",  112,        144, 288,         32,  64,        64),
    Row("4e",  256,        160, 320,         32, 128,       128),
    Row("5a",  256,        160, 320,         32, 128,       128),
    Row("5b",  384,        192, 384,         48, 128,       128),
)  # fmt: skip
"""The nine modules in network order."""

STEM_CHANNELS = 192


def get_row(name: str) -> Row:
    """The row of a module.

    Args:
        name: As the paper names it, `3a` to `5b`.

    Raises:
        InceptionLabError: The table has no such module (exit code 2).

    Example:
        >>> get_row("3a").conv5x5, get_row("3a").out_channels
        (32, 256)
    """
    rows = {row.name: row for row in TABLE}
    if name not in rows:
        raise InceptionLabError(f"no module {name!r}", hint=nearest(name, rows), exit_code=USAGE)
    return rows[name]


def stage_rows(stage: str, depth: int) -> tuple[Row, ...]:
    """The rows of a stage of any depth: its own, and its last one again under the letters that follow.

    Args:
        stage: `3`, `4` or `5`.
        depth: Number of modules, 1 to 26.

    Example:
        >>> [row.name for row in stage_rows("5", 4)], stage_rows("5", 4)[3].conv1x1
        (['5a', '5b', '5c', '5d'], 384)
    """
    rows = [row for row in TABLE if row.name.startswith(stage)]
    return tuple(
        replace(rows[min(place, len(rows) - 1)], name=f"{stage}{ascii_lowercase[place]}")
        for place in range(depth)
    )


def scaled(count: int, factor: float) -> int:
    """A number of channels times a factor, rounded, and at least 1.

    Example:
        >>> scaled(96, 0.25), scaled(16, 0.01)
        (24, 1)
    """
    return max(1, round(count * factor))


def input_channels(name: str) -> int:
    """The channels that a module of the paper's network is given.

    Args:
        name: As the paper names it, `3a` to `5b`.

    Raises:
        InceptionLabError: The table has no such module (exit code 2).

    Example:
        >>> input_channels("3a"), input_channels("5b")
        (192, 832)
    """
    before = TABLE.index(get_row(name)) - 1
    return STEM_CHANNELS if before < 0 else TABLE[before].out_channels


# -------------------------------------------------------------------------------- the modules

Kernels = tuple[tuple[str, Size], ...]


@dataclass(frozen=True, slots=True)
class Filters:
    """The convolutions, by layer name and kernel, that stand for the 3x3 and for the 5x5 of a module.

    Args:
        conv3x3: Those of the second branch.
        conv5x5: Those of the third.
        middle: Width between two of them: `output`, `input` (of the first) or `geometric` (the mean of
            both).
    """

    conv3x3: Kernels = (("conv3x3", 3),)
    conv5x5: Kernels = (("conv5x5", 5),)
    middle: str = "output"


AS_PUBLISHED = Filters()
SMALL_5X5 = Filters(conv5x5=(("conv3x3", 3),))
STACKED = Filters(conv5x5=(("conv3x3_1", 3), ("conv3x3_2", 3)))
ASYMMETRIC = Filters(
    conv3x3=(("conv1x3", (1, 3)), ("conv3x1", (3, 1))),
    conv5x5=(("conv1x5", (1, 5)), ("conv5x1", (5, 1))),
)

MIDDLE_WIDTH: dict[str, Callable[[int, int], int]] = {
    "output": lambda _first, last: last,
    "input": lambda first, _last: first,
    "geometric": lambda first, last: round(sqrt(first * last)),
}


def reduced_module(
    row: Row, in_channels: int, style: ConvStyle = PLAIN, filters: Filters = AS_PUBLISHED
) -> Branches:
    """The module with reductions (1409.4842, figure 2b).

    Args:
        row: Its filters.
        in_channels: Channels of its input.
        style: Bias or batch normalisation after each convolution.
        filters: The convolutions that stand for the 3x3 and the 5x5.

    Returns:
        Branches `branch1` (1x1), `branch2` (reduce, 3x3), `branch3` (reduce, 5x5) and `branch4` (pool,
        proj), from N x in_channels x H x W to N x row.out_channels x H x W.

    Example:
        >>> module = reduced_module(get_row("3a"), 192)
        >>> sum(p.numel() for p in module.parameters())
        163696
    """
    conv = partial(ConvBlock, style=style)

    def branch(reduce: int, out: int, kernels: Kernels) -> nn.Sequential:
        widths = [reduce, *[MIDDLE_WIDTH[filters.middle](reduce, out)] * (len(kernels) - 1), out]
        steps = zip(kernels, pairwise(widths), strict=True)
        convs = {name: conv(before, after, kernel) for (name, kernel), (before, after) in steps}
        return chain({"reduce": conv(in_channels, reduce, 1), **convs})

    return Branches(
        row.out_channels,
        branch1=conv(in_channels, row.conv1x1, 1),
        branch2=branch(row.conv3x3_reduce, row.conv3x3, filters.conv3x3),
        branch3=branch(row.conv5x5_reduce, row.conv5x5, filters.conv5x5),
        branch4=chain({"pool": same_pool(), "proj": conv(in_channels, row.pool_proj, 1)}),
    )


def naive_module(row: Row, in_channels: int, style: ConvStyle = PLAIN) -> Branches:
    """The module without reductions (1409.4842, figure 2a), its pool passed through.

    Args:
        row: Its filters; the reductions and the projection go unused.
        in_channels: Channels of its input.
        style: Bias or batch normalisation after each convolution.

    Returns:
        Branches `branch1` (1x1), `branch2` (3x3), `branch3` (5x5) and `branch4` (pool), from
        N x in_channels x H x W to N x (in_channels + 1x1 + 3x3 + 5x5) x H x W.

    Example:
        >>> naive_module(get_row("3a"), 192).out_channels
        416
    """
    conv = partial(ConvBlock, in_channels, style=style)
    return Branches(
        row.conv1x1 + row.conv3x3 + row.conv5x5 + in_channels,
        branch1=conv(row.conv1x1, 1),
        branch2=conv(row.conv3x3, 3),
        branch3=conv(row.conv5x5, 5),
        branch4=same_pool(),
    )


def same_pool() -> nn.MaxPool2d:
    """The 3x3/1 max pool of a module, which keeps the size."""
    return nn.MaxPool2d(3, 1, 1)


Module = Callable[[Row, int, ConvStyle], Branches]
"""Builds a module from its row, its input's channels and the style."""

MODULES: Mapping[str, Module] = MappingProxyType(
    {
        "reduced": reduced_module,
        "naive": naive_module,
        "3x3": partial(reduced_module, filters=SMALL_5X5),
        "stacked": partial(reduced_module, filters=STACKED),
        "asymmetric": partial(reduced_module, filters=ASYMMETRIC),
    }
)
"""The kinds of modules by the names that options have for them."""
