"""Branches of a module as a user writes them, read into data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inception_lab.errors import InceptionLabError

COLUMNS = ("1x1", "3x3 reduce", "3x3", "5x5 reduce", "5x5", "pool proj")
"""Those of Table 1 of 1409.4842, in its order."""

_MOST_DIGITS = 5
"""Of one number: beyond, the sizes of tensors leave 64 bits."""
_LARGEST_KERNEL = 99
_LONGEST_SHOWN = 60

_LAYER = re.compile(
    r"(?P<pool>max|avg)?(?P<height>\d+)x(?P<width>\d+)(?:/(?P<stride>\d+))?(?:p(?P<padding>\d+))?"
    r"(?::(?P<channels>\d+))?",
    re.ASCII,
)
_HINT = 'write six numbers like "64,96,128,16,32,32", or layers like "1x1:64 | 1x1:16 5x5:32 | max3x3 1x1:32"'
_INPUT_HINT = "write height x width x channels, like 28x28x256"


@dataclass(frozen=True)
class LayerDesign:
    """One layer of a branch.

    Attributes:
        name: As the user writes it, or its column of Table 1.
        kernel: Height and width.
        stride: Of both axes.
        padding: Zeros on each side, per axis.
        channels: Of a convolution; None for a pool.
        average: True for an average pool.
    """

    name: str
    kernel: tuple[int, int]
    stride: int = 1
    padding: tuple[int, int] = (0, 0)
    channels: int | None = None
    average: bool = False


@dataclass(frozen=True)
class BranchDesign:
    """The layers of one branch, in order."""

    name: str
    layers: tuple[LayerDesign, ...]


def parse_input(text: str | Sequence[int]) -> tuple[int, int, int]:
    """Read the size of a module's input.

    Args:
        text: Height, width and channels, as papers write them: `28x28x256`, or a sequence of these.

    Raises:
        InceptionLabError: It is not three positive whole numbers (exit code 2).

    Example:
        >>> parse_input("28x28x256")
        (28, 28, 256)
    """
    parts = text.lower().split("x") if isinstance(text, str) else list(map(str, text))
    if len(parts) != 3 or not all(map(_is_number, parts)) or 0 in map(int, parts):
        raise InceptionLabError(f"{_text(text)} is not the size of an input", hint=_INPUT_HINT)
    height, width, channels = map(int, parts)
    return height, width, channels


def parse_branches(text: str | Sequence[int]) -> tuple[BranchDesign, ...]:
    """Read the branches of a module.

    Args:
        text: The six numbers of a row in Table 1 of 1409.4842, in its order: 1x1, 3x3 reduce, 3x3,
            5x5 reduce, 5x5, pool proj, where 0 leaves a layer out. Or the layers of each branch, with `|`
            between branches: a convolution is `KERNEL:CHANNELS`, a pool `maxKERNEL` or `avgKERNEL`; behind
            the kernel may stand `/STRIDE` and `pPADDING`, which is half the kernel by default.

    Raises:
        InceptionLabError: It is neither (exit code 2).

    Example:
        >>> [branch.name for branch in parse_branches("64,96,128,16,32,32")]
        ['1x1', '3x3', '5x5', 'pool']
        >>> [layer.stride for layer in parse_branches("1x1:64 | max3x3/2p0 1x1:8")[1].layers]
        [2, 1]
    """
    if not isinstance(text, str):
        return _from_table(list(map(str, text)), text)
    if not {"x", ":", "|"} & set(text):
        return _from_table([part.strip() for part in text.split(",")], text)
    branches = [part.split() for part in text.split("|")]
    if not all(branches):
        raise InceptionLabError(f"{_text(text)} has a branch without a layer", hint=_HINT)
    return tuple(
        BranchDesign(f"branch{number}", _layers(branch)) for number, branch in enumerate(branches, start=1)
    )


def _from_table(parts: Sequence[str], text: object) -> tuple[BranchDesign, ...]:
    """The branches of a row of Table 1."""
    if len(parts) != len(COLUMNS) or not all(map(_is_number, parts)):
        raise InceptionLabError(f"{_text(text)} is not six numbers", hint=_HINT)
    one, three_reduce, three, five_reduce, five, proj = map(int, parts)
    branches = (
        BranchDesign("1x1", _chain(("conv", one, 1))),
        BranchDesign("3x3", _chain(("reduce", three_reduce, 1), ("conv", three, 3))),
        BranchDesign("5x5", _chain(("reduce", five_reduce, 1), ("conv", five, 5))),
        BranchDesign("pool", (LayerDesign("pool", (3, 3), 1, (1, 1)), *_chain(("proj", proj, 1)))),
    )
    for column, reduce, width in ((1, three_reduce, three), (3, five_reduce, five)):
        if reduce and not width:
            raise InceptionLabError(f"{COLUMNS[column]} of {reduce} has no convolution behind it", hint=_HINT)
    return tuple(branch for branch in branches if branch.layers)


def _chain(*rows: tuple[str, int, int]) -> tuple[LayerDesign, ...]:
    """Convolutions that keep the size, of name, channels and side of the kernel; those of 0 are left out."""
    return tuple(
        LayerDesign(name, (side, side), 1, (side // 2, side // 2), channels)
        for name, channels, side in rows
        if channels
    )


def _layers(texts: Sequence[str]) -> tuple[LayerDesign, ...]:
    return tuple(
        replace(
            _layer(text), name=f"{text}_{texts[:place].count(text) + 1}" if text in texts[:place] else text
        )
        for place, text in enumerate(texts)
    )


def _unique_name(text: str, before: Sequence[str]) -> str:
    """A name for a layer, with a number behind it where an equal one stands before it in its branch."""
    return f"{text}_{before.count(text) + 1}" if text in before else text


def _layer(text: str) -> LayerDesign:
    match = _LAYER.fullmatch(text)
    if match is None or not all(number is None or _is_number(number) for number in match.groups()[1:]):
        raise InceptionLabError(f"{_text(text)} is not a layer", hint=_HINT)
    numbers = {name: int(number) for name, number in match.groupdict().items() if number and name != "pool"}
    height, width = numbers["height"], numbers["width"]
    layer = LayerDesign(
        name=text,
        kernel=(height, width),
        stride=numbers.get("stride", 1),
        padding=(numbers.get("padding", height // 2), numbers.get("padding", width // 2)),
        channels=numbers.get("channels"),
        average=match["pool"] == "avg",
    )
    _check_channels(layer, is_pool=match["pool"] is not None)
    _check_window(layer)
    return layer


def _check_channels(layer: LayerDesign, *, is_pool: bool) -> None:
    name = layer.name
    if is_pool and layer.channels is not None:
        raise InceptionLabError(
            f"the pool {name!r} has channels", hint="a pool passes on those that it reads"
        )
    if not is_pool and layer.channels is None:
        raise InceptionLabError(f"the convolution {name!r} has no channels", hint=f"write it like {name}:64")


def _check_window(layer: LayerDesign) -> None:
    if 0 in (*layer.kernel, layer.stride, layer.channels) or max(layer.kernel) > _LARGEST_KERNEL:
        hint = f"kernels have 1 to {_LARGEST_KERNEL} elements a side"
        raise InceptionLabError(f"{layer.name!r} has a number out of range", hint=hint)
    is_half = all(2 * zeros <= side for zeros, side in zip(layer.padding, layer.kernel, strict=True))
    if layer.channels is None and not is_half:
        raise InceptionLabError(
            f"the padding of {layer.name!r} is above half its kernel", hint="pad it with less"
        )


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _text(value: object) -> str:
    """The text that a user wrote, as an error shows it."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
