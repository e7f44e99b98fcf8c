"""Nets that something is wrapped around: hooks, compilers, checkpoints, scripts; and one that raises."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def two_layers() -> nn.Sequential:
    """Two linear layers with an activation between them."""
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))


def hooked() -> nn.Module:
    """Hooks of every kind that change nothing."""
    model = two_layers()
    model[0].register_forward_pre_hook(lambda *_: None)
    model[0].register_forward_hook(lambda *_: None)
    model[2].register_full_backward_hook(lambda *_: None)
    model.register_forward_hook(lambda *_: None, with_kwargs=True)
    return model


def changed_by_a_hook() -> nn.Module:
    """A hook that doubles what the first layer returns."""
    model = two_layers()
    model[0].register_forward_hook(lambda _module, _args, out: out * 2)
    return model


def compiled() -> nn.Module:
    """Wrapped by torch.compile."""
    return torch.compile(two_layers())


def compiled_in_place() -> nn.Module:
    """Told to compile itself when it is called."""
    model = two_layers()
    model.compile()
    return model


def compiled_inside() -> nn.Module:
    """A compiled module between plain ones."""
    return nn.Sequential(nn.Linear(8, 8), torch.compile(nn.Linear(8, 4)))


def data_parallel() -> nn.Module:
    """Wrapped by DataParallel."""
    return nn.DataParallel(two_layers())


class Checkpointed(nn.Module):
    """The first layer runs a second time in the backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(checkpoint(lambda x: self.first(x).relu(), x, use_reentrant=False))


class FrozenByContext(nn.Module):
    """A backbone that runs without gradients under a head that has them."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone, self.head = nn.Linear(8, 8), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.backbone(x)
        return self.head(x)


class Square(torch.autograd.Function):
    """A function with a backward of its own."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return 2 * grad * ctx.saved_tensors[0]


class OwnFunction(nn.Module):
    """A layer followed by such a function."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return Square.apply(self.linear(x))


class InnerGradient(nn.Module):
    """The gradient of an energy is the output, as in force fields."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            energy = self.energy(x).square().sum()
            return torch.autograd.grad(energy, x, create_graph=self.training)[0]


class Functional(nn.Module):
    """A module called with other parameters than its own."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        doubled = {name: 2 * p for name, p in self.linear.named_parameters()}
        return torch.func.functional_call(self.linear, doubled, (x,))


class Vectorised(nn.Module):
    """A module mapped over the samples by torch.func.vmap."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.func.vmap(self.linear)(x)


class Autocast(nn.Module):
    """A layer in bfloat16 by autocast."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.linear(x).float()


class Threaded(nn.Module):
    """A layer that runs in another thread."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(self.linear, x).result()


def scripted() -> nn.Module:
    """Compiled to TorchScript, which calls no module from Python."""
    return torch.jit.script(two_layers())


class Raising(nn.Module):
    """A forward that fails after its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        self.last = self.linear(x)
        raise RuntimeError("on purpose")
