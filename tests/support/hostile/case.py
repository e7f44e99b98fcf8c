"""One hostile net with its expected figures, and a real run of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class Hostile:
    """A net, its inputs, and the figures worked out by hand.

    Args:
        name: Its name in tests and tables.
        build: Makes the net.
        inputs: As `il.trace` takes them: a tuple is a shape, a list positional, a dict keyword inputs.
        macs: Of one forward.
        macs_in_train: Of one forward in train mode, where that is another number.
        params: Elements of the parameters, each once.
        rows: Rows of the layer table in eval mode.
        device: `meta`, `fake` under autocast, or `cpu` where the net can only run for real.
        device_in_train: The same in train mode, where it is another one.
        uncounted: Operations that must be listed by name; none where the count is complete.
        error: Text of the one-line error, where no trace may come out.
        train_error: The same, in train mode only.
        unlike_torch: The reason for which FlopCounterMode counts something else.
        unlike_torch_in_train: The reason for which it counts another backward pass.
    """

    name: str
    build: Callable[[], nn.Module]
    inputs: Any
    macs: int = 0
    macs_in_train: int | None = None
    params: int = 0
    rows: int = 0
    device: str = "meta"
    device_in_train: str = ""
    uncounted: tuple[str, ...] = ()
    error: str = ""
    train_error: str = ""
    unlike_torch: str = ""
    unlike_torch_in_train: str = ""

    def make(self) -> nn.Module:
        """Build the net, with the same weights every time."""
        torch.manual_seed(0)
        return self.build()

    def error_in(self, mode: str) -> str:
        """Text of the error in this mode, empty where there is none."""
        return self.error or (self.train_error if mode == "train" else "")

    def device_of(self, mode: str) -> str:
        """Kind of device that this mode can run on."""
        return self.device if mode == "eval" else self.device_in_train or self.device

    def forward_macs(self, mode: str) -> int:
        """Multiply-accumulates of one forward in this mode."""
        return self.macs if mode == "eval" or self.macs_in_train is None else self.macs_in_train

    def run(self, model: nn.Module) -> Any:
        """Return the net's outputs for real inputs, the same ones every time."""
        torch.manual_seed(1)
        floating = (t.dtype for t in model.parameters() if t.is_floating_point())
        return call(model, real(self.inputs, next(floating, torch.float32)))


def call(model: nn.Module, inputs: Any) -> Any:
    """Call a model with one tensor, a list of positional inputs, or a dictionary of keyword inputs."""
    if isinstance(inputs, dict):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, list) else model(inputs)


def real(inputs: Any, dtype: torch.dtype) -> Any:
    """Random tensors in place of shapes, wherever they stand, and copies of tensors."""
    if isinstance(inputs, Tensor):
        return inputs.clone()
    if isinstance(inputs, list):
        return [real(part, dtype) for part in inputs]
    if isinstance(inputs, dict):
        return {key: real(part, dtype) for key, part in inputs.items()}
    return torch.randn(inputs, dtype=dtype) if isinstance(inputs, tuple) else inputs


@contextmanager
def products_visible() -> Iterator[None]:
    """Have PyTorch run every product as an operation that FlopCounterMode knows."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with (
            sdpa_kernel(SDPBackend.MATH),
            torch.backends.mkldnn.flags(enabled=False),
            torch.compiler.set_stance("force_eager"),
        ):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
