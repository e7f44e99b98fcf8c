"""Networks that run named layers one after another, behind a guard of their input."""

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn

from inception_lab.models.blocks import Outputs
from inception_lab.models.initialisation import initialise
from inception_lab.models.input_limits import InputLimits, Window, check_input, first_side


class Classifier(nn.Module):
    """Named layers one after another, then a global average, dropout and a linear layer.

    An auxiliary head stands right after the layer that it looks at, and runs in train mode alone.

    Args:
        layers: The layers by name, in the order in which they run.
        channels: Channels that the last of them gives.
        narrowing: Paths of the convolutions and pools that make the grid smaller, in order.
        num_classes: Classes to tell apart.
        dropout: Share dropped before the linear layer.
        init_weights: Draw weights as `initialise` does; otherwise torch's own stay.
        heads: Names of the auxiliary heads; a subclass says in `limits` what they take.

    Example:
        >>> import torch
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
        init_weights: Draw weights as `initialise` does; otherwise torch's own stay.

    Example:
        >>> import torch
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
        """The output of the last layer on images of N x 3 x H x W.

        Raises:
            InceptionLabError: The network cannot take images of this shape (exit code 3).
        """
        check_input(images, self.limits, where=type(self).__name__, heads=False)
        x = images
        for layer in self.children():
            x = layer(x)
        return x
