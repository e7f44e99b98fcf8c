"""Weights of a network that is built: drawn for ReLU, or none on the meta device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils._device import DeviceContext


def initialise(network: nn.Module, nonlinearity: Literal["relu", "linear"] = "relu") -> None:
    """Draw weights for ReLU networks, biases zero.

    Convolutions are He-normal over the fan-in (1502.01852), linear layers normal with deviation 0.01, so
    that training starts near the loss of a guess. Parameters on the meta device have no values to set.

    Args:
        network: Its convolutions and linear layers are changed in place.
        nonlinearity: Of the layer after each convolution; without a ReLU nothing halves the variance.

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


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build modules on the meta device, with neither memory nor initialisation.

    Example:
        >>> with shapes_only():
        ...     layer = nn.Linear(4, 2)
        >>> layer.weight.is_meta
        True
    """
    with _MetaWithoutDraws("meta"):
        yield


class _MetaWithoutDraws(DeviceContext):
    """Leaves the initialisers of torch's own layers undone: on meta they take time and set nothing.

    One mode with that of the device, as each one is a call of Python for all that a layer asks its tensors.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        initialiser = getattr(func, "__module__", None) == "torch.nn.init"
        if initialiser or func in (Tensor.fill_, Tensor.zero_):
            return args[0] if args else kwargs["tensor"]
        return super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
