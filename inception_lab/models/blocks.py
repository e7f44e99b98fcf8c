"""What several architectures share: convolutions, parallel branches, heads, and the guard of the input."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from inception_lab.errors import MODEL_FAILED, InputRefused

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
        keep_bias: The convolution has its bias beside the normalisation too.
        relu: A ReLU follows; without it the block is linear.
    """

    batch_norm: bool = False
    eps: float = 1e-5
    keep_bias: bool = False
    relu: bool = True


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
        groups: Parts of the channels that do not see each other.
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
        groups: int = 1,
        style: ConvStyle = PLAIN,
    ) -> None:
        super().__init__()
        padding = _half(kernel) if padding is None else padding
        bias = style.keep_bias or not style.batch_norm
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, groups=groups, bias=bias)
        if style.batch_norm:
            self.bn = nn.BatchNorm2d(out_channels, eps=style.eps)
        if style.relu:
            self.relu = nn.ReLU()


def _half(kernel: Size) -> Size:
    return kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)


@dataclass(frozen=True, slots=True)
class Conv:
    """One convolution of a chain, as a row of a table.

    Args:
        name: Its name in the chain.
        out_channels: Channels of its output.
        kernel: Side of the kernel, or its height and width.
        stride: Step of the kernel.
        padding: Zeros on each side; by default half the kernel, which keeps the size at stride 1.
    """

    name: str
    out_channels: int
    kernel: Size = 1
    stride: int = 1
    padding: Size | None = None


def conv_chain(in_channels: int, *rows: Conv, style: ConvStyle = PLAIN) -> nn.Sequential:
    """Convolution blocks one after another, each as wide as its row says.

    Args:
        in_channels: Channels of the input of the first.
        *rows: The convolutions in order.
        style: Bias or batch normalisation after each.

    Example:
        >>> branch = conv_chain(192, Conv("reduce", 16), Conv("conv5x5", 32, 5))
        >>> branch.conv5x5.conv.weight.shape
        torch.Size([32, 16, 5, 5])
    """
    widths = [in_channels, *(row.out_channels for row in rows)]
    return chain(
        {
            row.name: ConvBlock(
                before, row.out_channels, row.kernel, stride=row.stride, padding=row.padding, style=style
            )
            for before, row in zip(widths, rows, strict=False)
        }
    )


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
        dropout: Share dropped before the last linear layer.

    Example:
        >>> AuxiliaryHead(512, 10)(torch.zeros(2, 512, 14, 14)).shape
        torch.Size([2, 10])
    """

    SIDE = 4

    def __init__(
        self, in_channels: int, num_classes: int, style: ConvStyle = PLAIN, dropout: float = 0.7
    ) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(5, 3, ceil_mode=True)
        self.conv = ConvBlock(in_channels, 128, 1, style=style)
        self.fc1 = nn.Linear(128 * self.SIDE**2, 1024)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.fc2 = nn.Linear(1024, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """From N x C x H x W, H and W 12 to 14, to logits of N x num_classes."""
        x = self.conv(self.pool(x)).flatten(1)
        logits: Tensor = self.fc2(self.dropout(self.relu(self.fc1(x))))
        return logits


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
        limits: What it takes.
        where: The network, as the error names it.
        heads: Whether auxiliary heads run on these images.

    Raises:
        InputRefused: The images have not N x C x H x W, C or a side is wrong (exit code 3).

    Example:
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


def initialise(network: nn.Module, nonlinearity: Literal["relu", "linear"] = "relu") -> None:
    """Draw weights for ReLU networks, biases zero.

    Convolutions are He-normal over the fan-in (1502.01852), linear layers normal with deviation 0.01, so
    that training starts near the loss of a guess. Parameters on the meta device have no values to set.

    Args:
        network: Its convolutions and linear layers are changed in place.
        nonlinearity: What follows its convolutions; after one without ReLU nothing halves the variance.

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
            nn.init.kaiming_normal_(layer.weight, nonlinearity=nonlinearity)
        else:
            nn.init.normal_(layer.weight, std=0.01)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Classifier(nn.Module):
    """Named layers one after another, then a global average, dropout and a linear layer.

    An auxiliary head stands right after the layer that it looks at, and runs in train mode alone.

    Args:
        layers: The layers by name, in the order in which they run.
        channels: Channels that the last of them gives.
        narrowing: Paths of the convolutions and pools that a small image does not survive, in order.
        num_classes: Classes to tell apart.
        dropout: Share dropped before the linear layer.
        init_weights: Whether to draw weights as `initialise` does; otherwise torch's own stay.
        heads: Which of the layers are auxiliary heads; a subclass says in `limits` what they take.

    Example:
        >>> layers = {"conv": nn.Conv2d(3, 8, 5)}
        >>> net = Classifier(
        ...     layers.items(), 8, ["conv"], num_classes=10, dropout=0.2, init_weights=True
        ... )
        >>> net(torch.zeros(1, 3, 32, 32)).shape, net.limits.smallest
        (torch.Size([1, 10]), 5)
    """

    def __init__(
        self,
        layers: Iterable[tuple[str, nn.Module]],
        channels: int,
        narrowing: Sequence[str],
        *,
        num_classes: int,
        dropout: float,
        init_weights: bool,
        heads: Sequence[str] = (),
    ) -> None:
        super().__init__()
        for name, layer in layers:
            self.add_module(name, layer)
        self._heads = tuple(heads)
        self._body = tuple(name for name, _ in self.named_children())
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(channels, num_classes)
        windows = [cast(Window, self.get_submodule(name)) for name in narrowing]
        self.limits = InputLimits(3, first_side(windows, 1))
        if init_weights:
            initialise(self)

    def forward(self, images: Tensor) -> Tensor | Outputs:
        """Logits of N x num_classes from images of N x 3 x H x W; `Outputs` where heads train.

        Raises:
            InceptionLabError: The network cannot take images of this shape (exit code 3).
        """
        train_heads = self.training and bool(self._heads)
        check_input(images, self.limits, where=type(self).__name__, heads=train_heads)
        x, aux = images, []
        for name in self._body:
            if name not in self._heads:
                x = getattr(self, name)(x)
            elif train_heads:
                aux.append(getattr(self, name)(x))
        logits: Tensor = self.fc(self.dropout(self.avgpool(x).flatten(1)))
        return Outputs(logits, tuple(aux)) if aux else logits


class Stack(nn.Module):
    """A network that is named layers one after another, behind a guard of its input.

    The smallest image is the one of which its convolutions and pools, in order, still make one cell;
    modules whose branches keep the size do not change that.

    Args:
        layers: The layers by name, in the order in which they run.
        init_weights: Whether to draw weights as `initialise` does; otherwise torch's own stay.

    Example:
        >>> net = Stack({"conv": nn.Conv2d(3, 8, 5), "pool": nn.MaxPool2d(2)}.items(), init_weights=True)
        >>> net(torch.zeros(1, 3, 32, 32)).shape, net.limits.smallest
        (torch.Size([1, 8, 14, 14]), 6)
    """

    def __init__(self, layers: Iterable[tuple[str, nn.Module]], *, init_weights: bool) -> None:
        super().__init__()
        for name, layer in layers:
            self.add_module(name, layer)
        windows = [layer for layer in self.modules() if isinstance(layer, Window)]
        self.limits = InputLimits(3, first_side(windows, 1))
        if init_weights:
            initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """What the last layer makes of images of N x 3 x H x W.

        Raises:
            InceptionLabError: The network cannot take images of this shape (exit code 3).
        """
        check_input(images, self.limits, where=type(self).__name__, heads=False)
        x = images
        for layer in self.children():
            x = layer(x)
        return x


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
