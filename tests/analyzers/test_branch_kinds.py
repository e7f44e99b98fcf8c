"""Kinds of branches: the kernels along each."""

import torch
from torch import nn

import inception_lab as il
from inception_lab.analyzers.branch_kinds import branch_kinds
from inception_lab.ir.structure import places


class Mix(nn.Module):
    """Branches that read one input, added up or put side by side."""

    def __init__(self, **branches):
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x):
        return torch.cat([branch(x) for branch in self.children()], 1)


def kinds_of(*branches, shape=(1, 8, 16, 16), **options):
    """The kind of each branch by its number; of those that have one."""
    net = Mix(**{f"b{number}": branch for number, branch in enumerate(branches)})
    kinds = branch_kinds(il.trace(nn.Sequential(net), shape, **options))
    assert {module for module, _ in kinds} == {"0"}
    return {int(branch.removeprefix("b")): kind for (_, branch), kind in kinds.items()}


def conv(kernel, **options):
    padding = [k // 2 for k in kernel] if isinstance(kernel, tuple) else kernel // 2
    return nn.Conv2d(8, 8, kernel, padding=padding, **options)


def test_kernels_are_named_in_their_order():
    chain = nn.Sequential(conv(1), nn.BatchNorm2d(8), nn.ReLU(), conv((1, 7)), conv((7, 1)))
    assert kinds_of(conv(1), chain) == {0: "1x1", 1: "1x1 → 1x7 → 7x1"}


def test_pools_and_what_is_special_about_a_kernel():
    pool = nn.MaxPool2d(3, 1, 1)
    dilated = nn.Conv2d(8, 8, 3, padding=2, dilation=2)
    up = nn.ConvTranspose2d(8, 8, 3, padding=1)
    assert kinds_of(nn.Sequential(pool, conv(1)), conv(3, groups=8), conv(3, groups=2), dilated, up) == {
        0: "pool → 1x1", 1: "depthwise 3x3", 2: "grouped 3x3", 3: "dilated 3x3", 4: "transposed 3x3",
    }  # fmt: skip


def test_kernels_of_other_axes():
    assert kinds_of(nn.Conv1d(8, 8, 5, padding=2), nn.AvgPool1d(3, 1, 1), shape=(1, 8, 16)) == {
        0: "5",
        1: "pool",
    }
    net = Mix(a=nn.Linear(8, 8), b=nn.Linear(8, 8))
    assert set(branch_kinds(il.trace(nn.Sequential(net), (4, 8))).values()) == {"linear"}


def test_a_branch_without_kernels_or_with_many_has_no_kind():
    long = nn.Sequential(*[conv(3) for _ in range(6)])
    assert kinds_of(conv(1), nn.ReLU(), long) == {0: "1x1"}


def test_the_backward_pass_adds_nothing():
    branches = conv(1), nn.Sequential(conv(1), conv(3))
    assert kinds_of(*branches, mode="train") == {0: "1x1", 1: "1x1 → 3x3"}


class Twice(nn.Module):
    """A block that is called again on what it returned, or on an input of other channels."""

    def __init__(self, block):
        super().__init__()
        self.block = block

    def forward(self, x):
        return self.block(self.block(x)[:, :8])


def test_a_block_called_twice_has_the_kernels_of_one_call():
    block = Mix(a=conv(1), b=nn.Sequential(conv(1), conv(3)))
    kinds = branch_kinds(il.trace(nn.Sequential(Twice(block)), (1, 8, 16, 16)))
    assert dict(kinds) == {("0.block", "a"): "1x1", ("0.block", "b"): "1x1 → 3x3"}


class Alternating(nn.Module):
    """Other kernels in every second call."""

    def __init__(self):
        super().__init__()
        self.kernels = nn.ModuleList([conv(3), conv(5)])
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.kernels[self.calls % 2](x)


def test_a_branch_that_differs_from_call_to_call_has_no_kind():
    block = Mix(a=conv(1), b=Alternating())
    kinds = branch_kinds(il.trace(nn.Sequential(Twice(block)), (1, 8, 16, 16)))
    assert dict(kinds) == {("0.block", "a"): "1x1"}


class Products(nn.Module):
    """Attention without projections: products of activations."""

    def forward(self, x):
        return torch.softmax(x @ x.transpose(-2, -1), -1) @ x


class Normalised(nn.Module):
    """A linear layer whose weight is made of a parameter."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(16, 16))

    def forward(self, x):
        return x @ torch.tanh(self.weight)


def test_only_a_product_with_weights_is_linear():
    branches = nn.Sequential(nn.Linear(16, 16), Products()), Normalised()
    assert kinds_of(*branches, shape=(1, 16, 16)) == {0: "linear → matmul → matmul", 1: "linear"}


class Gated(Mix):
    """Branches, and a gate behind them."""

    def __init__(self):
        super().__init__(left=conv(1), right=conv(3))
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(16, 16, 1))
        self.reduce = nn.Conv2d(16, 8, 1)

    def forward(self, x):
        mixed = torch.cat([self.left(x), self.right(x)], 1)
        return self.reduce(mixed * torch.sigmoid(self.gate(mixed)))


def test_a_gate_counts_to_the_block_that_it_is_in():
    net = nn.Sequential()
    net.stages = nn.ModuleList([Gated(), Gated()])
    net.forward = lambda x: net.stages[1](net.stages[0](x))
    trace = il.trace(net, (1, 8, 16, 16))
    place_of = {call.path: places(trace)[call.id] for call in trace.calls}
    assert place_of["stages.0.gate.1"] == ("stages.0", "")
    assert place_of["stages.1.reduce"] == ("stages.1", "")
    assert place_of["stages.1.right"] == ("stages.1", "right")
    costs = il.branch_costs(trace)
    assert set(costs["module"]) == {"stages.0", "stages.1"} | (set(costs["module"]) & {"(model)"})
    assert costs["macs"].sum() == il.layer_costs(trace)["macs"].sum()
