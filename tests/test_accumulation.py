"""Sums of gradients, beside the profiler and the allocator of steps that no dispatch mode watches."""

from itertools import accumulate

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from zoo import small_image

import inception_lab as il
from inception_lab.accumulation import ADD, ADD_IN_PLACE
from inception_lab.analyzers.memory import peak_memory


def total(y):
    return y.sum()


class Square(torch.autograd.Function):
    """Its backward adds two terms of its own."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * x + gradient * x


class Branched(nn.Module):
    """Three readers of one tensor, none of which takes memory of its own inside an operation."""

    def forward(self, x):
        x = x.exp()
        return x.sin() + x.cos() + x.tanh()


class Residual(nn.Module):
    """One gradient goes two ways, so that the first sum cannot be in place."""

    def forward(self, x):
        x = x.exp()
        return (x + x.sin()).exp()


class Kept(nn.Module):
    """A hook keeps the gradient that another is added to."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        x = x.exp()
        y = x.sin()
        y.register_hook(self.seen.append)
        return (y + x).exp() + x.cos()


class Squared(nn.Module):
    """Three sums of gradients, of which one lies within the backward of an operation."""

    def forward(self, x):
        return Square.apply(x.exp())


NETS = [Branched(), Residual(), Kept(), Squared()]


def profiled(model, x):
    """Additions of the backward pass, and the most that the allocator held beside the input."""
    for _ in range(2):  # the first run of a kernel may keep tensors
        x = x.detach().clone().requires_grad_()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
            outputs = model(x)
            loss = total(outputs)
            with torch.profiler.record_function("backward begins"):
                loss.backward()
            del outputs, loss
            x.grad = None
            model.zero_grad()
            model.__dict__.get("seen", []).clear()
    events = sorted(seen.profiler.kineto_results.events(), key=lambda e: e.start_ns())
    names = [e.name() for e in events]
    backward = names[names.index("backward begins") :]
    changes = [e.nbytes() for e in events if e.name() == "[memory]"]
    most = max(accumulate(changes))
    return {"aten::add": backward.count("aten::add"), "aten::add_": backward.count("aten::add_")}, most


def additions(trace):
    names = [op.name for op in trace.ops if op.phase == "backward"]
    return {"aten::add": names.count(str(ADD)), "aten::add_": names.count(str(ADD_IN_PLACE))}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", NETS, ids=lambda net: type(net).__name__)
def test_what_an_unwatched_step_adds_and_holds(model):
    x = torch.rand(2, 3, 16, 16, requires_grad=True)
    found, most = profiled(model, x)
    step = il.trace(model, x, mode="train", loss=total)
    model.__dict__.get("seen", []).clear()
    assert additions(step) == found
    assert sum(found.values())
    assert peak_memory(step).peak_bytes == x.nbytes + most


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "inception_resnet_v1", "xception"])
def test_the_zoo_adds_as_an_unwatched_step(name):
    model = il.create_model(name, num_classes=10)
    x = torch.zeros(small_image(name, batch=2), requires_grad=True)
    found, _ = profiled(model.train(), x)
    step = il.trace(model, x, mode="train", loss=total)
    assert additions(step) == found
    assert found["aten::add_"]


def test_a_second_derivative_is_never_in_place():
    class Penalised(nn.Module):
        def forward(self, x):
            y = x.exp()
            (slope,) = torch.autograd.grad((y.sin() + y.cos()).sum(), x, create_graph=True)
            return y + slope

    x = torch.rand(2, 8, requires_grad=True)
    step = il.trace(Penalised(), x, mode="train", loss=total)
    forward = [op.name for op in step.ops if op.phase == "forward"]
    assert str(ADD) in forward
    assert str(ADD_IN_PLACE) not in forward
