"""Optimizers in steady state, and training steps that end with one."""

import pytest
import torch
from support.fingerprints import assert_left_as_found
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.running.step import Request
from inception_lab.tracing.backends import CPU
from inception_lab.tracing.tracer import trace_on


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 5))


def state_bytes(step):
    return sum(s.bytes for s in step.storages if s.kind == "optimizer state")


@pytest.mark.parametrize(("name", "copies"), [("sgd", 0), ("momentum", 1), ("adam", 2), ("adamw", 2)])
def test_what_an_optimizer_keeps(name, copies):
    """So many copies of the parameters, and for Adam a counter of 4 bytes for each of the 6 tensors."""
    model = net()
    step = assert_left_as_found(model, (2, 3, 8, 8), "train", optimizer=name)
    size = 4 * sum(p.numel() for p in model.parameters())
    assert state_bytes(step) == copies * size + (6 * 4 if copies == 2 else 0)
    assert all(s.born is None for s in step.storages if s.kind == "optimizer state")
    assert {op.phase for op in step.ops} == {"forward", "loss", "backward", "optimizer"}
    assert step.context.optimizer == name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_real_step_is_the_traced_one(name):
    model, shape = net(), (2, 3, 8, 8)
    real = trace_on(CPU, Request(model, shape, "train", optimizer=optimizer_of(name), name="it"), "asked for")
    meta = il.trace(model, shape, mode="train", optimizer=name, name="it")
    assert [(op.name, op.phase) for op in real.ops] == [(op.name, op.phase) for op in meta.ops]
    assert il.memory_timeline(real)["live_bytes"].max() == il.memory_timeline(meta)["live_bytes"].max()


def test_an_optimizer_of_the_users_own():
    def mine(parameters):
        return torch.optim.RMSprop(parameters, lr=0.1)

    step = il.trace(net(), (2, 3, 8, 8), mode="train", optimizer=mine)
    assert step.context.optimizer == "mine"
    assert state_bytes(step) > 0


def test_all_at_once_gives_the_same_state_and_no_gradient_of_the_step_before():
    model = net()
    one_by_one = il.trace(model, (2, 3, 8, 8), mode="train", optimizer="adamw")
    at_once = il.trace(model, (2, 3, 8, 8), mode="train", optimizer=optimizer_of("adamw", foreach=True))
    assert state_bytes(one_by_one) == state_bytes(at_once)
    timeline = il.memory_timeline(at_once)
    assert timeline["gradients"].iloc[0] == 0
    assert not [op for op in at_once.ops if op.phase == "backward" and op.name == "aten.add_.Tensor"]


def test_nothing_is_kept_for_what_no_gradient_reaches():
    class Idle(nn.Module):
        def __init__(self):
            super().__init__()
            self.active, self.idle = nn.Linear(4, 4), nn.Linear(100, 100)

        def forward(self, x):
            return self.active(x)

    step = il.trace(Idle(), (2, 4), mode="train", optimizer="adam")
    assert state_bytes(step) == 2 * 4 * 20 + 2 * 4


def test_a_net_without_parameters_takes_no_step():
    step = il.trace(nn.ReLU(), (2, 4), mode="train", optimizer="adam")
    assert not [op for op in step.ops if op.phase == "optimizer"]


@pytest.mark.parametrize(
    ("optimizer", "text"),
    [
        ("adm", "did you mean adam"),
        (lambda parameters: torch.optim.LBFGS(parameters), "closure"),
        (lambda _: None, "cannot take a step"),
        (lambda _: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_cannot_take_a_step(optimizer, text):
    model = net()
    with pytest.raises(InceptionLabError, match=text):
        assert_left_as_found(model, (2, 3, 8, 8), "train", optimizer=optimizer)
    assert all(p.grad is None for p in model.parameters())


def test_an_optimizer_needs_train_mode():
    with pytest.raises(InceptionLabError, match="mode='train'"):
        il.trace(net(), (2, 3, 8, 8), optimizer="sgd")


class TestAutocast:
    @pytest.mark.parametrize("mode", ["eval", "train"])
    @pytest.mark.parametrize("name", ["googlenet_3x3", "googlenet_bn"])
    def test_the_peak_is_that_of_a_real_run(self, name, mode):
        model, shape = il.create_model(name, num_classes=5), (2, 3, 64, 64)
        trace = il.trace(model, shape, mode=mode, autocast=torch.bfloat16, name="it")
        request = Request(model, shape, mode, autocast=torch.bfloat16, name="it")
        real = [trace_on(CPU, request, "asked for") for _ in range(2)][1]
        assert il.peak_memory(trace).peak_bytes == il.peak_memory(real).peak_bytes
        assert (trace.context.device, trace.context.autocast) == ("fake", "bfloat16")
        assert "bfloat16" in {value.dtype for value in trace.values}

    def test_macs_are_the_same(self):
        model, shape = net(), (2, 3, 8, 8)
        plain, cast = il.trace(model, shape), il.trace(model, shape, autocast=torch.bfloat16)
        assert sum(op.macs for op in plain.ops) == sum(op.macs for op in cast.ops)

    @pytest.mark.parametrize("dtype", [torch.float64, torch.int32, "bfloat16"])
    def test_other_types(self, dtype):
        with pytest.raises(InceptionLabError, match="use torch"):
            il.trace(net(), (2, 3, 8, 8), autocast=dtype)
