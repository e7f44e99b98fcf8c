"""Random nets with branches, each as modules of any names and as one function without modules."""

from dataclasses import dataclass, field, replace

import torch
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

CHANNELS = 4


@dataclass(frozen=True)
class Conv:
    """A convolution that keeps the grid, and what follows it."""

    kernel: int
    channels: int
    bn: bool
    relu: bool
    dilation: int = 1
    bias: bool = True

    @property
    def padding(self):
        return self.dilation * (self.kernel // 2)


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool that keeps the grid."""

    kind: str


@dataclass(frozen=True)
class Split:
    """Branches, joined along the channels."""

    branches: tuple = field()


CONVS = st.builds(
    Conv, st.sampled_from([1, 3, 5]), st.integers(2, 9), st.booleans(), st.booleans(), bias=st.booleans()
)
POOLS = st.builds(Pool, st.sampled_from(["max", "average"]))
LAYERS = st.one_of(CONVS, CONVS, POOLS)


def _splits(steps):
    branches = st.lists(st.lists(steps, min_size=1, max_size=3).map(tuple), min_size=2, max_size=4)
    return branches.map(tuple).map(Split)


STEPS = st.one_of(LAYERS, _splits(st.one_of(LAYERS, _splits(LAYERS))))
NETS = st.lists(STEPS, min_size=1, max_size=4).map(tuple).filter(lambda net: [*convs(net)])


def convs(steps):
    """The place of each convolution of a net, with the convolution."""
    return layers_of(steps, Conv)


def layers_of(steps, kind, path=()):
    """The place of each layer of a kind, with the layer."""
    for n, step in enumerate(steps):
        if isinstance(step, kind):
            yield (*path, n), step
        elif isinstance(step, Split):
            for m, branch in enumerate(step.branches):
                yield from layers_of(branch, kind, (*path, n, m))


def changed(steps, place, change):
    """The net with the layer at a place replaced by another, or by nothing."""
    n, *rest = place
    if not rest:
        return (*steps[:n], *change, *steps[n + 1 :])
    m, *inner = rest
    branches = list(steps[n].branches)
    branches[m] = changed(branches[m], inner, change)
    return (*steps[:n], Split(tuple(branches)), *steps[n + 1 :])


class Layers(nn.Sequential):
    """Steps one after another, under names that begin with a prefix."""

    def __init__(self, steps, channels, prefix):
        super().__init__()
        for n, step in enumerate(steps):
            layer = module_of(step, channels, prefix)
            channels = width(step, channels)
            self.add_module(f"{prefix}{n}", layer)


class Parallel(nn.Module):
    def __init__(self, branches, channels, prefix):
        super().__init__()
        for n, branch in enumerate(branches):
            self.add_module(f"{prefix}branch{n}", Layers(branch, channels, prefix))

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


def module_of(step, channels, prefix):
    if isinstance(step, Split):
        return Parallel(step.branches, channels, prefix)
    if isinstance(step, Pool):
        return (nn.MaxPool2d if step.kind == "max" else nn.AvgPool2d)(3, 1, 1)
    layers = [
        nn.Conv2d(channels, step.channels, step.kernel, 1, step.padding, step.dilation, bias=step.bias),
        *([nn.BatchNorm2d(step.channels)] if step.bn else []),
        *([nn.ReLU(inplace=True)] if step.relu else []),
    ]
    return nn.Sequential(*layers)


def width(step, channels):
    """Channels that a step gives."""
    if isinstance(step, Split):
        return sum(width_of(branch, channels) for branch in step.branches)
    return step.channels if isinstance(step, Conv) else channels


def width_of(steps, channels):
    for step in steps:
        channels = width(step, channels)
    return channels


class Written(nn.Module):
    """The same net as one forward, without modules, its weights in a list."""

    def __init__(self, steps, channels=CHANNELS):
        super().__init__()
        self.steps = steps
        self.weights = nn.ParameterList()
        self._declare(steps, channels)

    def _declare(self, steps, channels):
        for step in steps:
            if isinstance(step, Split):
                for branch in step.branches:
                    self._declare(branch, channels)
            elif isinstance(step, Conv):
                out, side = step.channels, step.kernel
                shapes = [(out, channels, side, side), *[(out,)] * (step.bias + 2 * step.bn)]
                self.weights.extend(nn.Parameter(torch.zeros(shape)) for shape in shapes)
                for name in ("mean", "var") if step.bn else ():
                    self.register_buffer(f"{name}{len(self.weights)}", torch.ones(out))
            channels = width(step, channels)

    def forward(self, x):
        self.next = 0
        return self._run(self.steps, x)

    def _run(self, steps, x):
        for step in steps:
            if isinstance(step, Split):
                x = torch.cat([self._run(branch, x) for branch in step.branches], 1)
            elif isinstance(step, Pool):
                x = F.max_pool2d(x, 3, 1, 1) if step.kind == "max" else F.avg_pool2d(x, 3, 1, 1)
            else:
                x = self._conv(step, x)
        return x

    def _take(self):
        self.next += 1
        return self.weights[self.next - 1]

    def _conv(self, step, x):
        weight, bias = self._take(), self._take() if step.bias else None
        x = F.conv2d(x, weight, bias, 1, step.padding, step.dilation)
        if step.bn:
            scale, shift = self._take(), self._take()
            mean, var = getattr(self, f"mean{self.next}"), getattr(self, f"var{self.next}")
            x = F.batch_norm(x, mean, var, scale, shift)
        return F.relu(x) if step.relu else x


def net_of(steps, prefix="layer"):
    """The net as modules."""
    return Layers(steps, CHANNELS, prefix)


CHANGES = {
    "kernel": lambda conv: [replace(conv, kernel=7)],
    "channels": lambda conv: [replace(conv, channels=conv.channels + 10)],
    "normalisation": lambda conv: [replace(conv, bn=not conv.bn)],
    "activation": lambda conv: [replace(conv, relu=not conv.relu)],
    "dilation": lambda conv: [replace(conv, dilation=2)],
    "bias": lambda conv: [replace(conv, bias=not conv.bias)],
    "layer": lambda conv: [conv, replace(conv, kernel=7)],
}
"""Changes of one convolution, by the property in which a net then departs."""
