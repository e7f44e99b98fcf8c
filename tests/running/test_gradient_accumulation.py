"""Sums of gradients, beside the profiler and the allocator of steps that no dispatch mode watches."""

import subprocess
import sys
from contextlib import nullcontext
from itertools import accumulate

import pytest
import torch
from support.zoo import small_image
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.running.gradient_accumulation import ADD, ADD_IN_PLACE, SumsInPlace


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


class ThreeReaders(nn.Module):
    """Three readers of one tensor, none of which takes memory of its own inside an operation."""

    def forward(self, x):
        x = x.exp()
        return x.sin() + x.cos() + x.tanh()


class Residual(nn.Module):
    """One gradient goes two ways, so that the first sum cannot be in place."""

    def forward(self, x):
        x = x.exp()
        return (x + x.sin()).exp()


class KeepsGradient(nn.Module):
    """A hook keeps the very gradient that another is added to."""

    def __init__(self):
        super().__init__()
        self.gradients = []

    def forward(self, x):
        x = x.exp()
        other, y = x.cos(), x + 1
        y.register_hook(self.gradients.append)
        return other + y.sin()


class AddsInHook(nn.Module):
    """A hook adds in Python, where the argument of the hook is held."""

    def forward(self, x):
        x = x.exp()
        x.register_hook(lambda gradient: gradient + torch.ones_like(gradient))
        return x.sin()


class Twice(nn.Module):
    """One node has two gradients for one tensor."""

    def forward(self, x):
        x = x.exp()
        return x * x


class Inner(nn.Module):
    """Gradients in the forward pass."""

    def forward(self, x):
        z = x * 1.0
        (slope,) = torch.autograd.grad((2 * z).sum() + (3 * z).sum(), z)
        return x.sum() * slope.mean()


class AddsToArgument(torch.autograd.Function):
    """Its backward adds to its argument, in Python."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return torch.add(gradient, x) * gradient


class Function(nn.Module):
    def forward(self, x):
        return AddsToArgument.apply(x.exp())


class SquareOfExp(nn.Module):
    """Three sums of gradients, of which one lies within the backward of an operation."""

    def forward(self, x):
        return Square.apply(x.exp())


NETS = [
    ThreeReaders(), Residual(), KeepsGradient(), AddsInHook(), Twice(), Inner(), Function(), SquareOfExp(),
]  # fmt: skip


def profile_step(model, x):
    """Number of additions, and the most bytes that the allocator gave out beside the input."""
    for _ in range(2):  # the first run of a kernel may keep tensors
        x = x.detach().clone().requires_grad_()
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
            outputs = model(x)
            loss = total(outputs)
            loss.backward()
            del outputs, loss
            x.grad = None
            model.zero_grad()
            model.__dict__.get("gradients", []).clear()
    events = sorted(profiler.profiler.kineto_results.events(), key=lambda e: e.start_ns())
    names = [e.name() for e in events]
    changes = [e.nbytes() for e in events if e.name() == "[memory]"]
    most = max(accumulate(changes))
    return {"aten::add": names.count("aten::add"), "aten::add_": names.count("aten::add_")}, most


def additions(trace):
    names = [op.name for op in trace.ops]
    return {"aten::add": names.count(str(ADD)), "aten::add_": names.count(str(ADD_IN_PLACE))}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", NETS, ids=lambda net: type(net).__name__)
def test_what_an_unwatched_step_adds_and_holds(model):
    x = torch.rand(2, 3, 16, 16, requires_grad=True)
    expected, most = profile_step(model, x)
    step = il.trace(model, x, mode="train", loss=total)
    model.__dict__.get("gradients", []).clear()
    assert additions(step) == expected
    assert sum(expected.values())
    numbers = 32  # bytes of numbers that are wrapped into tensors within an operation
    assert peak_memory(step).peak_bytes == pytest.approx(x.nbytes + most, abs=numbers)


@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "inception_resnet_v1", "xception"])
def test_the_zoo_adds_as_an_unwatched_step(name):
    model = il.create_model(name, num_classes=10)
    x = torch.zeros(small_image(name, batch=2), requires_grad=True)
    expected, _ = profile_step(model.train(), x)
    step = il.trace(model, x, mode="train", loss=total)
    assert additions(step) == expected
    assert expected["aten::add_"]


def test_a_second_derivative_is_never_in_place():
    class GradientPenalty(nn.Module):
        def forward(self, x):
            y = x.exp()
            (slope,) = torch.autograd.grad((y.sin() + y.cos()).sum(), x, create_graph=True)
            return y + slope

    x = torch.rand(2, 8, requires_grad=True)
    step = il.trace(GradientPenalty(), x, mode="train", loss=total)
    forward = [op.name for op in step.ops if op.phase == "forward"]
    assert str(ADD) in forward
    assert str(ADD_IN_PLACE) not in forward


def test_a_watched_step_changes_no_gradient_that_somebody_keeps():
    x = torch.rand(2, 8)
    gradients = []
    for watch in (nullcontext(), SumsInPlace()):
        model = KeepsGradient()
        with watch:
            total(model(x.clone().requires_grad_())).backward()
        gradients += model.gradients
    assert torch.equal(*gradients)


def test_a_trace_in_eval_mode_imports_no_compiler():
    code = """import sys, torch, inception_lab as il
il.trace(il.create_model("googlenet", device="meta"), (1, 3, 64, 64))
assert "torch._dynamo" not in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True)
