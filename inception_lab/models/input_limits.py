"""The images that a network takes: the sides that its convolutions and pools leave a cell of."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor, nn

from inception_lab.errors import MODEL_FAILED, InputRefused

UNBOUNDED = sys.maxsize
"""The end of a range of sides of which none is too long."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The images that a network takes.

    Args:
        channels: Channels of an image.
        smallest: Shortest side, in pixels.
        with_heads: The sides that auxiliary heads take, up to `UNBOUNDED` where no side is too long;
            empty where there are none.
        largest: Longest side, in pixels; None where any is taken.
    """

    channels: int
    smallest: int
    with_heads: range = range(0)
    largest: int | None = None


def check_input(images: Tensor, limits: InputLimits, *, where: str, heads: bool) -> None:
    """Refuse images that the network cannot take, before a layer deep inside does.

    Args:
        images: The network's input.
        limits: Of the network.
        where: The network, as the error names it.
        heads: True where auxiliary heads run on these images.

    Raises:
        InputRefused: The images have not N x C x H x W, C or a side is wrong (exit code 3).

    Example:
        >>> import torch
        >>> check_input(torch.zeros(1, 3, 8, 32), InputLimits(3, 31), where="Net", heads=False)
        Traceback (most recent call last):
        inception_lab.errors.InputRefused: Net: input 1 x 3 x 8 x 32 is too small; \
the smallest is N x 3 x 31 x 31
    """
    hint = f"the smallest is N x {limits.channels} x {limits.smallest} x {limits.smallest}"
    if images.dim() != 4 or images.shape[1] != limits.channels:
        problem = f"is not N x {limits.channels} x H x W"
    elif min(images.shape[2:]) < limits.smallest:
        problem = "is too small"
    elif limits.largest is not None and max(images.shape[2:]) > limits.largest:
        problem = f"is too large; sides {limits.smallest} to {limits.largest} fit"
    elif heads and not all(side in limits.with_heads for side in images.shape[2:]):
        fitting = limits.with_heads
        sides = f"{fitting[0]} or more" if fitting.stop == UNBOUNDED else f"{fitting[0]} to {fitting[-1]}"
        problem = "does not fit the auxiliary heads"
        hint = f"they train on sides {sides}"
    else:
        return
    shape = " x ".join(map(str, images.shape)) or "of no dimension"
    raise InputRefused(f"input {shape} {problem}", where=where, hint=hint, exit_code=MODEL_FAILED)


Window = nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d


def first_side(windows: Sequence[Window], out: int) -> int:
    """The smallest side from which a chain of windows makes at least `out`.

    Args:
        windows: Convolutions and pools, one after another, square in kernel, stride and padding.
        out: Side at the end of the chain.

    Example:
        >>> first_side([nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, ceil_mode=True)], 1)
        3
    """
    return reduce(_side_before, reversed(windows), out)


def side_after(side: int, windows: Sequence[Window]) -> int:
    """The side that a chain of windows makes of a side; 0 where torch would refuse it.

    Args:
        side: Of the square grid before the chain.
        windows: As of `first_side`.

    Example:
        >>> side_after(224, [nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, ceil_mode=True)])
        56
    """
    for window in windows:
        side = _window_side(side, window) if side else 0
    return side


def _window_side(side: int, window: Window) -> int:
    kernel, stride, padding, slack = _geometry(window)
    out = (side + 2 * padding - kernel + slack) // stride + 1
    # torch drops a last window that would start in the trailing padding
    starts_outside = slack > 0 and (out - 1) * stride >= side + padding
    return max(out - starts_outside, 0)


def _side_before(out: int, window: Window) -> int:
    """The smallest side of which a window makes at least `out`."""
    kernel, stride, padding, slack = _geometry(window)
    start = (out - 1) * stride
    # the last window reaches as far as torch asks, and where it rounds up begins within side and padding
    return max(start + kernel - 2 * padding - slack, start - padding + 1 if slack else 1, 1)


def _geometry(window: Window) -> tuple[int, int, int, int]:
    """Kernel, stride, padding, and the cells that a last window may lack."""
    kernel, stride, padding = map(_height, (window.kernel_size, window.stride, window.padding))
    return kernel, stride, padding, stride - 1 if getattr(window, "ceil_mode", False) else 0


def _height(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple) else size)
