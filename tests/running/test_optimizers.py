"""Optimizers in steady state, and training steps that end with one."""

from functools import partial

import pytest
import torch
from support.fingerprints import assert_left_as_found
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.running.request import Request
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


EVERY_OPTIMIZER = [
    name
    for name in torch.optim.__all__
    if isinstance(getattr(torch.optim, name), type) and name not in ("Optimizer", "LBFGS", "SparseAdam")
]
WITH_OPTIONS = [
    *((name, {}) for name in EVERY_OPTIMIZER),
    *((name, {"foreach": True}) for name in EVERY_OPTIMIZER if name != "Muon"),
    *((name, {"fused": True}) for name in ("SGD", "Adam", "AdamW", "Adagrad")),
    ("SGD", {"fused": True, "momentum": 0.9}),
    ("Adam", {"fused": True, "amsgrad": True}),
    ("RMSprop", {"momentum": 0.9, "centered": True}),
]


def name_of(case):
    return "-".join([case[0], *case[1]])


def matrices():
    return nn.Sequential(nn.Linear(6, 8, bias=False), nn.Linear(8, 5, bias=False))


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("case", WITH_OPTIONS, ids=name_of)
def test_every_optimizer_steps_as_in_reality(case, device):
    """The operations of a real step and its peak; the state is that of an optimizer that took two steps."""
    name, options = case
    model, shape = (matrices(), (2, 6)) if name == "Muon" else (net(), (2, 3, 8, 8))
    maker = optimizer_of(partial(getattr(torch.optim, name), lr=1e-3, **options))
    traced = il.trace(model, shape, mode="train", optimizer=maker, name="it", device=device)
    real = trace_on(CPU, Request(model, shape, "train", optimizer=maker, name="it"), "asked for")
    assert traced.context.optimizer == name
    assert traced.context.device == {"meta": "meta", "cpu": "fake"}[device]
    assert optimizer_ops(traced) == optimizer_ops(real)
    # numbers as tensors of one element, which a real step may make of Python's own
    assert abs(il.peak_memory(traced).peak_bytes - il.peak_memory(real).peak_bytes) <= 32
    assert state_bytes(traced) == bytes_after_two_steps(model, shape, maker)


def optimizer_ops(step):
    """What an optimizer ran, but for numbers that go from a tensor to Python and back."""
    numbers = ("_local_scalar_dense", "lift_fresh", "scalar_tensor", "_to_copy", "detach")
    names = [
        op.base_name for op in step.ops if op.phase == "optimizer" and not op.name.startswith("profiler")
    ]
    return [name for name in names if name not in numbers]


def bytes_after_two_steps(model, shape, maker):
    optimizer = maker.make(list(model.parameters()))
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(shape)).sum().backward()
        optimizer.step()
    tensors = [t for state in optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize("name", ["Adam", "AdamW", "NAdam", "RAdam", "Adamax", "RMSprop", "Adadelta", "ASGD"])
def test_a_step_that_can_be_captured_in_a_graph(name):
    """Its kernels are those of a GPU, where all parameters step at once and counters lie on the device."""
    maker = partial(getattr(torch.optim, name), lr=1e-3)
    captured = il.trace(net(), (2, 3, 8, 8), mode="train", optimizer=partial(maker, capturable=True))
    plain = il.trace(net(), (2, 3, 8, 8), mode="train", optimizer=partial(maker, foreach=True))
    assert captured.context.device == "meta"
    assert state_bytes(captured) == state_bytes(plain)


class TwoPasses(torch.optim.SGD):
    """Sharpness-aware: climbs, has the model run again there, and steps from where it was."""

    def step(self, closure):
        parameters = [p for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(parameter.grad, alpha=0.05)
        closure()
        super().step()


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_closure_runs_the_model_once_more(device):
    """Of Linear(6, 8) and (8, 5) on two samples; the input of the first one wants no gradient."""
    step = il.trace(matrices(), (2, 6), mode="train", optimizer=partial(TwoPasses, lr=0.1), device=device)
    totals = il.layer_costs(step)[["macs", "backward_macs", "training_macs"]].sum()
    forward, backward = 2 * (6 * 8 + 8 * 5), 2 * (6 * 8 + 2 * 8 * 5)
    assert totals.tolist() == [forward, backward, 2 * (forward + backward)]


def test_a_closure_that_comes_first_finds_the_passes_that_were_made():
    class First(torch.optim.SGD):
        def step(self, closure):
            loss = closure()
            super().step()
            return loss

    step = il.trace(matrices(), (2, 6), mode="train", optimizer=partial(First, lr=0.1))
    plain = il.trace(matrices(), (2, 6), mode="train", optimizer="sgd")
    assert optimizer_ops(step) == optimizer_ops(plain)
    assert step.calls[-1].path == "(optimizer)"


def test_training_macs_are_those_of_the_whole_step():
    """Muon multiplies X by its transpose, that by itself, and both by X, of n x m with n below m."""
    muon = il.trace(matrices(), (2, 6), mode="train", optimizer=partial(torch.optim.Muon, lr=0.1))
    plain = il.trace(matrices(), (2, 6), mode="train", optimizer="sgd")
    of_steps = sum(5 * (2 * n * n * m + n * n * n) for n, m in [(6, 8), (5, 8)])
    totals = [il.layer_costs(step)["training_macs"].sum() for step in (muon, plain)]
    assert totals[0] - totals[1] == of_steps


def test_an_optimizer_that_asks_for_data_steps_for_real():
    class Asking(torch.optim.SGD):
        def step(self, closure=None):
            norm = max(p.grad.norm().item() for p in self.param_groups[0]["params"])
            return super().step(closure) if norm < 1e9 else None

    step = il.trace(matrices(), (2, 6), mode="train", optimizer=partial(Asking, lr=0.1))
    assert step.context.device == "cpu"
    assert "Asking" in step.context.fallback


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
        (lambda parameters: torch.optim.LBFGS(parameters), "depends on the numbers that come out"),
        (torch.optim.SparseAdam, "SparseAdam does not support dense gradients"),
        (torch.optim.Muon, "Muon only supports 2D parameters"),
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
