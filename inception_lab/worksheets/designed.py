"""The worksheet of a module that exists as numbers alone: it is built on meta tensors and traced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.ir.structure import ROOT
from inception_lab.models.blocks import Branches, chain
from inception_lab.tracing.tracer import trace
from inception_lab.worksheets.notation import BranchDesign, LayerDesign, parse_branches, parse_input
from inception_lab.worksheets.sheet import Window, Worksheet
from inception_lab.worksheets.traced import worksheet


@checked
def design_worksheet(input_size: str | Sequence[int], branches: str | Sequence[int]) -> Worksheet:
    """Write down the arithmetic of a module of which nothing but numbers exists.

    Every convolution has biases. The figures are those of `worksheet` for such a module.

    Args:
        input_size: Height, width and channels: `28x28x256`, or a sequence of these.
        branches: A row of GoogLeNet's Table 1: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, pool proj, where 0
            leaves a layer out; or the layers of each branch, such as `1x1:64 | 1x1:16 5x5:32 | max3x3`.

    Raises:
        InceptionLabError: Either cannot be read, a layer does not fit its input, or the branches end in
            different sizes (exit code 2).

    Example:
        >>> sheet = design_worksheet("28x28x192", "64,96,128,16,32,32")
        >>> sheet.naive.macs, sheet.reduced.macs
        (303464448, 128049152)
    """
    height, width, channels = parse_input(input_size)
    designs = parse_branches(branches)
    _check_sizes(designs, (height, width))
    text = branches if isinstance(branches, str) else ",".join(map(str, branches))
    name = f"{' '.join(text.split())} on {height} x {width} x {channels}"
    design = trace(_module(designs, channels), (1, channels, height, width), name=name)
    return replace(worksheet(design, ROOT), is_design=True)


def _check_sizes(designs: Sequence[BranchDesign], size: tuple[int, int]) -> None:
    """Refuse layers that do not fit, and branches that cannot be joined."""
    sizes = {design.name: _output_size(design, size) for design in designs}
    first, *others = sizes
    for other in others:
        if sizes[other] != sizes[first]:
            raise InceptionLabError(
                f"{first} ends in {_text(sizes[first])} and {other} in {_text(sizes[other])}",
                where="branches",
                hint="give them equal strides and paddings",
            )


def _output_size(design: BranchDesign, size: tuple[int, int]) -> tuple[int, int]:
    for layer in design.layers:
        window = Window(layer.kernel, (layer.stride,) * 2, layer.padding, (1, 1))
        before, size = size, (window.positions(0, size[0]), window.positions(1, size[1]))
        if min(size) < 1:
            raise InceptionLabError(
                f"{layer.name} does not fit into {_text(before)}", where=design.name, hint="pad it with more"
            )
    return size


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _module(designs: Sequence[BranchDesign], channels: int) -> nn.Module:
    """The module of these branches, on meta tensors."""
    with torch.device("meta"):
        branches = {design.name: _branch(design, channels) for design in designs}
        widths = [[channels, *(x.channels for x in design.layers if x.channels)][-1] for design in designs]
        return Branches(sum(widths), **branches)


def _branch(design: BranchDesign, channels: int) -> nn.Sequential:
    layers: dict[str, nn.Module] = {}
    for layer in design.layers:
        layers[layer.name] = _layer(layer, channels)
        channels = layer.channels or channels
    return chain(layers)


def _layer(layer: LayerDesign, channels: int) -> nn.Module:
    if layer.channels is not None:
        return nn.Conv2d(channels, layer.channels, layer.kernel, layer.stride, layer.padding)
    pool = nn.AvgPool2d if layer.average else nn.MaxPool2d
    return pool(layer.kernel, layer.stride, layer.padding)
