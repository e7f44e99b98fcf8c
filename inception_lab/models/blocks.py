"""What several architectures share: convolutions, parallel branches, heads, and the guard of the input."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inception_lab.errors import MODEL_FAILED, InceptionLabError

Size = int | tuple[int, int]


class Outputs(NamedTuple):
    """What a network with auxiliary heads gives in train mode.

    Attributes:
        logits: Of the main classifier, N x classes.
        aux_logits: Of each auxiliary head in network order, N x classes each.
    """

    logits: Tensor
    aux_logits: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class ConvStyle:
    """What follows each convolution of a network before its ReLU.

    Args:
        batch_norm: Batch normalisation instead of the convolution's bias.
        eps: What the normalisation adds to the variance.
    """

    batch_norm: bool = False
    eps: float = 1e-5


PLAIN = ConvStyle()
"""A bias, and no normalisation."""


def chain(layers: Mapping[str, nn.Module]) -> nn.Sequential:
    """The layers one after another, under their names.

    Example:
        >>> [name for name, _ in chain({"pool": nn.MaxPool2d(2), "relu": nn.ReLU()}).named_children()]
        ['pool', 'relu']
    """
    sequence = nn.Sequential()
    for name, layer in layers.items():
        sequence.add_module(name, layer)
    return sequence


class ConvBlock(nn.Sequential):
    """Convolution, batch normalisation where the style has it, and ReLU: `conv`, `bn`, `relu`.

    The ReLU writes a new tensor, so that a hook sees the convolution's output as it was.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel: Side of the kernel, or its height and width.
        stride: Step of the kernel.
        padding: Zeros on each side; by default half the kernel, which keeps the size at stride 1.
        style: Bias or batch normalisation.

    Example:
        >>> ConvBlock(3, 8, (1, 5))(torch.zeros(1, 3, 6, 6)).shape
        torch.Size([1, 8, 6, 6])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Size,
        *,
        stride: Size = 1,
        padding: Size | None = None,
        style: ConvStyle = PLAIN,
    ) -> None:
        super().__init__()
        padding = _half(kernel) if padding is None else padding
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=not style.batch_norm)
        if style.batch_norm:
            self.bn = nn.BatchNorm2d(out_channels, eps=style.eps)
        self.relu = nn.ReLU()


def _half(kernel: Size) -> Size:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


class Branches(nn.Module):
    """Branches that see the same input, their outputs side by side along the channels.

    Args:
        out_channels: Channels of all branches together, for whatever comes next.
        **branches: The branches, in the order in which they run and are joined.

    Example:
        >>> split = Branches(5, branch1=nn.Conv2d(3, 2, 1), branch2=nn.MaxPool2d(3, 1, 1))
        >>> split(torch.zeros(1, 3, 4, 4)).shape
        torch.Size([1, 5, 4, 4])
    """

    def __init__(self, out_channels: int, **branches: nn.Module) -> None:
        super().__init__()
        self.out_channels = out_channels
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W to N x out_channels x H' x W', as the branches have it."""
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class AuxiliaryHead(nn.Module):
    """A classifier on an inner layer (1409.4842, section 5), used in training alone.

    Average pool 5x5/3 down to 4x4, 1x1 convolution to 128, linear to 1024, dropout 0.7, linear.

    Args:
        in_channels: Channels of the layer it looks at.
        num_classes: Classes to tell apart.
        style: Bias or batch normalisation after its convolution.

    Example:
        >>> AuxiliaryHead(512, 10)(torch.zeros(2, 512, 14, 14)).shape
        torch.Size([2, 10])
    """

    SIDE = 4

    def __init__(self, in_channels: int, num_classes: int, style: ConvStyle = PLAIN) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3, ceil_mode=True)
        self.conv = ConvBlock(in_channels, 128, 1, style=style)
        self.fc1 = nn.Linear(128 * self.SIDE**2, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(0.7)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W, H and W 12 to 14, to logits of N x num_classes."""
        x = self.conv(self.pool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return logits


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The images that a network takes.

    Args:
        channels: Channels of an image.
        smallest: Shortest side, in pixels.
        with_heads: The sides that auxiliary heads take; empty where there are none.
    """

    channels: int
    smallest: int
    with_heads: range = range(0)


def check_input(images: Tensor, limits: InputLimits, *, where: str, heads: bool) -> None:
    """Refuse images that the network cannot take, before a layer deep inside does.

    Args:
        images: The network's input.
        limits: What it takes.
        where: The network, as the error names it.
        heads: Whether auxiliary heads run on these images.

    Raises:
        InceptionLabError: The images have not N x C x H x W, C or a side is wrong (exit code 3).

    Example:
        >>> check_input(torch.zeros(1, 3, 8, 32), InputLimits(3, 31), where="Net", heads=False)
        Traceback (most recent call last):
        inception_lab.errors.InceptionLabError: Net: input 1 x 3 x 8 x 32 is too small; \
the smallest is N x 3 x 31 x 31
    """
    smallest = f"the smallest is N x {limits.channels} x {limits.smallest} x {limits.smallest}"
    if images.dim() != 4 or images.shape[1] != limits.channels:
        problem = f"is not N x {limits.channels} x H x W"
    elif min(images.shape[2:]) < limits.smallest:
        problem = "is too small"
    elif heads and not all(side in limits.with_heads for side in images.shape[2:]):
        fitting = limits.with_heads
        problem = f"does not fit the auxiliary heads, which train on sides {fitting[0]} to {fitting[-1]}"
    else:
        return
    shape = " x ".join(map(str, images.shape)) or "of no dimension"
    raise InceptionLabError(f"input {shape} {problem}", where=where, hint=smallest, exit_code=MODEL_FAILED)


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
    return next(side for side in count(1) if _side_after(side, windows) >= out)


def _side_after(side: int, windows: Sequence[Window]) -> int:
    for window in windows:
        side = _window_side(side, window) if side else 0
    return side


def _window_side(side: int, window: Window) -> int:
    """The side that torch's convolutions and pools give; 0 where they would refuse."""
    kernel, stride, padding = map(_height, (window.kernel_size, window.stride, window.padding))
    slack = stride - 1 if getattr(window, "ceil_mode", False) else 0
    out = (side + 2 * padding - kernel + slack) // stride + 1
    # torch drops a last window that would start in the trailing padding
    starts_outside = slack > 0 and (out - 1) * stride >= side + padding
    return max(out - starts_outside, 0)


def _height(size: Any) -> int:
    return int(size[0] if isinstance(size, tuple) else size)


def initialise(network: nn.Module) -> None:
    """Draw weights for ReLU networks, biases zero.

    Convolutions are He-normal over the fan-in (1502.01852), linear layers normal with deviation 0.01, so
    that training starts near the loss of a guess. Parameters on the meta device have no values to set.

    Args:
        network: Its convolutions and linear layers are changed in place.

    Example:
        >>> layer = nn.Linear(4, 2)
        >>> initialise(layer)
        >>> layer.bias.tolist()
        [0.0, 0.0]
    """
    for layer in network.modules():
        if not isinstance(layer, nn.Conv2d | nn.Linear) or layer.weight.is_meta:
            continue
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build modules on the meta device, with neither memory nor initialisation.

    Example:
        >>> with shapes_only():
        ...     layer = nn.Linear(4, 2)
        >>> layer.weight.is_meta
        True
    """
    with torch.device("meta"), _NoDraws():
        yield


class _NoDraws(TorchFunctionMode):
    """Leaves the initialisers of torch's own layers undone: on meta they take time and set nothing."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        initialiser = getattr(func, "__module__", None) == "torch.nn.init"
        if initialiser or func in (Tensor.fill_, Tensor.zero_):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))
