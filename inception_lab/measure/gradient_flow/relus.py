"""ReLUs of a forward, be they modules or functions: how many elements and channels they leave at zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from inception_lab.ir.operation_name import parse_operation_name
from inception_lab.running.bare_mode import BareMode

_RELUS = {"relu": (), "hardtanh": (0,), "clamp_min": (0,), "clamp": (0,), "threshold": (0, 0)}
"""Operations that are a ReLU where the arguments behind their input begin with these, by base name."""

_CHANNELS_SECOND = frozenset({"convolution", "native_batch_norm", "cudnn_batch_norm", "native_group_norm"})
_CHANNELS_LAST = frozenset({"addmm", "mm", "bmm", "baddbmm", "linear", "native_layer_norm"})
"""Operations whose output has its channels along the second axis, and along the last one."""


@dataclass
class ReluSums:
    """Sums over the outputs of the ReLUs that a module runs by itself, its children apart.

    Attributes:
        elements: Of all outputs.
        zeros: Those that are zero.
        channels: Of all outputs.
        dead: Those that are zero at every place of every sample.
    """

    elements: int = 0
    zeros: Tensor | int = 0
    channels: int = 0
    dead: Tensor | int = 0


class ReluWatch(BareMode):
    """Sees every ReLU that runs while it is active.

    Attributes:
        sums: By path of the innermost module that ran them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[str, ReluSums] = {}
        self._path = ""
        self._axis = 1

    @contextmanager
    def within(self, path: str) -> Iterator[None]:
        """Count what runs meanwhile to the module of a path."""
        outside, self._path = self._path, path
        try:
            yield
        finally:
            self._path = outside

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run an operation, and look at what it gave if it is a ReLU."""
        out = func(*args, **(kwargs or {}))
        name = parse_operation_name(str(func)).base
        if name in _CHANNELS_SECOND:
            self._axis = 1
        elif name in _CHANNELS_LAST:
            self._axis = -1
        elif _is_relu(name, args[1:]) and _has_reals(out):
            self._add(out)
        return out

    def _add(self, out: Tensor) -> None:
        sums = self.sums.setdefault(self._path, ReluSums())
        sums.elements += out.numel()
        sums.zeros = sums.zeros + out.numel() - torch.count_nonzero(out)
        largest = _largest_of_channels(out, self._axis)
        sums.channels += largest.numel()
        sums.dead = sums.dead + torch.count_nonzero(largest == 0)


def _is_relu(name: str, others: tuple[Any, ...]) -> bool:
    bounds = _RELUS.get(name)
    if bounds is None or any(isinstance(bound, Tensor) for bound in others):
        return False
    return others[: len(bounds)] == bounds


def _has_reals(out: Tensor) -> bool:
    """True for a dense tensor of real numbers: a row of indices is clamped too."""
    return out.is_floating_point() and out.layout is torch.strided and bool(out.numel())


def _largest_of_channels(out: Tensor, axis: int) -> Tensor:
    """The largest element of each channel: nothing is below zero, so that at zero all of them are."""
    if out.dim() < 2:
        return out
    channels = axis % out.dim()
    return out.amax([place for place in range(out.dim()) if place != channels])
