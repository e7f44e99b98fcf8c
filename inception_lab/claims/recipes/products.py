"""Costs of convolutions by themselves: what replaces what, at equal widths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from inception_lab.claims.nets import Nets
from inception_lab.claims.recipes.costs import Readings, total_of
from inception_lab.claims.recipes.layers import convolutions
from inception_lab.claims.recipes.registry import recipe
from inception_lab.claims.verdict import Reading
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace

if TYPE_CHECKING:
    from torch import nn

WIDTH, SIDE = 64, 16
"""Channels and grid of the convolutions that are compared; ratios of weights depend on neither."""

Kernels = tuple[tuple[int, int], ...]


def _stack(nets: Nets, kernels: Kernels) -> Trace:
    from torch import nn

    def build() -> nn.Module:
        return nn.Sequential(*(nn.Conv2d(WIDTH, WIDTH, kernel, bias=False) for kernel in kernels))

    return nets.probe(("stack", kernels), build, (1, WIDTH, SIDE, SIDE))


def _text(kernels: Kernels) -> str:
    return " + ".join(f"{height}x{width}" for height, width in kernels)


@recipe
def kernel_ratio(nets: Nets, kernels: Kernels, over: Kernels) -> Readings:
    """Weights of some convolutions over those of others, all equally wide; on one grid MACs go with them."""
    first, second = (total_of(_stack(nets, stack), "params") for stack in (kernels, over))
    text = f"{_text(kernels)} over {_text(over)}: {first:,} / {second:,} = {first / second:.3f}"
    return (Reading("equal widths", first / second, text),)


@recipe
def kernel_saving(nets: Nets, kernels: Kernels, over: Kernels) -> Readings:
    """Part of the weights, in percent, that the first convolutions save against the others.

    The reading beside it is that of GoogLeNet's own widths, where two 3x3 stand for a 5x5.
    """
    first, second = (total_of(_stack(nets, stack), "params") for stack in (kernels, over))
    value = 100 * (1 - first / second)
    readings = [Reading("equal widths", value, f"1 - {first:,} / {second:,} = {value:.1f}%")]
    if over == ((5, 5),):
        readings.append(_in_googlenet(nets))
    return tuple(readings)


def _in_googlenet(nets: Nets) -> Reading:
    """The same in the nine modules of GoogLeNet, where a 5x5 reads fewer channels than it gives."""
    pair, single = (
        sum(row.macs for row in convolutions(nets.trace(net)) if ".branch3.conv" in row.layer)
        for net in ("googlenet_v2", "googlenet")
    )
    if not single:
        raise InceptionLabError("no convolution of a third branch", where="googlenet")
    value = 100 * (1 - pair / single)
    return Reading("the widths of GoogLeNet", value, f"1 - {pair:,} / {single:,} = {value:.1f}%")


def _grid_macs(nets: Nets) -> tuple[int, int]:
    """MACs from k channels to 2k on half the grid: a convolution then a pool, and a pool before it."""
    from torch import nn

    def conv_first() -> nn.Module:
        return nn.Sequential(nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1), nn.MaxPool2d(2))

    def pool_first() -> nn.Module:
        return nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1))

    shape = (1, WIDTH, SIDE, SIDE)
    before = nets.probe("convolution, then pool", conv_first, shape)
    after = nets.probe("pool, then convolution", pool_first, shape)
    return total_of(before, "macs"), total_of(after, "macs")


@recipe
def grid_saving(nets: Nets) -> Readings:
    """Percent that a convolution on the halved grid saves, or what is left of the cost."""
    before, after = _grid_macs(nets)
    cut = 100 * (1 - after / before)
    return (
        Reading("reduced by", cut, f"1 - {after:,} / {before:,} = {cut:.0f}%"),
        Reading("reduced to", 100 - cut, f"{after:,} / {before:,} = {100 - cut:.0f}%"),
    )


@recipe
def grid_ratio(nets: Nets) -> Readings:
    """Cost of the convolution before the pool over that behind it, or how much dearer it is."""
    before, after = _grid_macs(nets)
    return (
        Reading("times as expensive", before / after, f"{before:,} / {after:,} = {before / after:.0f}"),
        Reading(
            "times more expensive",
            before / after - 1,
            f"({before:,} - {after:,}) / {after:,} = {before / after - 1:.0f}",
        ),
    )
