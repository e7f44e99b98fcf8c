"""Prices of the operations that a model dispatches on the CPU, beside the trace on meta tensors."""

from collections import Counter

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from inception_lab.formulas.registry import Cost, cost_of


class Prices(TorchDispatchMode):
    """The cost of all operations that run within a `with` block.

    Attributes:
        runs: Number of runs of each operation.
        uncounted: Number of runs of each operation that no formula knows.
        total: The cost of all.
    """

    def __init__(self):
        super().__init__()
        self.runs, self.uncounted, self.total = Counter(), Counter(), Cost()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        cost = cost_of(func, args, kwargs or {}, out)
        name = func.overloadpacket.__name__
        self.runs[name] += 1
        self.uncounted.update([name] * (not cost.counted))
        self.total = Cost(self.total.macs + cost.macs, self.total.other_flops + cost.other_flops)
        return out


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def example(tensor_or_shape):
    """A tensor as it is, or a random one of this shape."""
    return tensor_or_shape if isinstance(tensor_or_shape, torch.Tensor) else torch.rand(tensor_or_shape)


def price(model, *inputs, mode="eval"):
    """Prices of a real forward pass and, in train mode, of the backward pass of the summed outputs."""
    tensors = [example(x).detach() for x in inputs]
    training = mode == "train"
    for x in tensors:
        x.requires_grad_(training and x.is_floating_point())
    model.train(training)
    with torch.set_grad_enabled(training), Prices() as forward:
        out = model(*tensors)
    differentiable = [x for x in tree_leaves(out) if isinstance(x, torch.Tensor) and x.requires_grad]
    with Prices() as backward:
        if differentiable:
            sum(x.sum() for x in differentiable).backward()
    model.zero_grad()
    return forward, backward
