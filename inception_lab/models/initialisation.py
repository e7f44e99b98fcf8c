"""Weights of a network that is built: drawn for ReLU, or none on the meta device."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from threading import Lock, get_ident
from typing import Any, Literal

import torch
from torch import nn


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
    with torch.device("meta"), _undrawn:
        yield


class _Undrawn:
    """Leaves the weights of torch's own layers undrawn, in the threads that are within it alone.

    On meta drawing sets nothing, and takes as long as all else that a layer does when it is made.
    """

    def __init__(self) -> None:
        self._lock, self._within = Lock(), Counter[int]()
        self._drawn: dict[Any, Callable[..., None]] = {}

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                self._drawn = {layer: layer.reset_parameters for layer in _drawing_layers()}
                for layer, draw in self._drawn.items():
                    layer.reset_parameters = self._unless_within(draw)
            self._within[get_ident()] += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= Counter([get_ident()])
            if not self._within:
                for layer, draw in self._drawn.items():
                    layer.reset_parameters = draw

    def _unless_within(self, draw: Callable[..., None]) -> Callable[..., None]:
        @wraps(draw)
        def reset_parameters(layer: nn.Module) -> None:
            if get_ident() not in self._within:
                draw(layer)

        return reset_parameters


_undrawn = _Undrawn()


@cache
def _drawing_layers() -> tuple[Any, ...]:
    """The classes of torch that draw the weights of a layer when it is made."""
    classes = [layer for layer in vars(nn).values() if isinstance(layer, type)]
    return tuple({base for layer in classes for base in layer.__mro__ if "reset_parameters" in vars(base)})
