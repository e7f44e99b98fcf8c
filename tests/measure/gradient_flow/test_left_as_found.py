"""Gradient flow and training leave model, loss, random states and modes as they were, and keep nothing."""

import gc
import random
import weakref

import numpy as np
import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.measure.gradient_flow.flow import compare_gradient_flow, gradient_flow
from inception_lab.measure.gradient_flow.training import compare_training, short_training

SHAPE = (4, 3, 8, 8)
RUNS = {
    "flow": lambda model, **options: gradient_flow(model, SHAPE, **{"seeds": 1, "batches": 2} | options),
    "training": lambda model, **options: short_training(model, SHAPE, 2, learning_rate=0.1, **options),
}
runs = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


class Net(nn.Module):
    """Statistics, dropout, a counter, gradients that are there already, and numbers of three libraries."""

    def __init__(self, fails_at=None, error=RuntimeError):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()
        self.act, self.fc = nn.ReLU(inplace=True), nn.Linear(4, 3)
        self.fails_at, self.error, self.calls = fails_at, error, 0
        self.fc.weight.grad = torch.ones_like(self.fc.weight)
        self.kept = []

    def forward(self, x):
        if not x.is_meta:
            self.calls += 1
            if self.calls == self.fails_at:
                raise self.error("on purpose")
        noise = 1 + 0.01 * (random.random() + np.random.rand())
        x = self.drop(self.act(self.norm(self.conv(x)))) * noise
        self.kept.append(x.detach())
        return self.fc(x.mean((2, 3)))


def random_states():
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()


def assert_left_as_found(model, function):
    before, states = fingerprint(model), random_states()
    modes = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), gc.isenabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    function()
    assert same(before, fingerprint(model))
    assert random_states() == states
    assert modes == (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), gc.isenabled())
    assert cudnn == (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)


@runs
@pytest.mark.parametrize("training", [False, True])
def test_a_model_is_left_as_it_was_found(run, training):
    model = Net().train(training)
    model.norm.eval()
    assert_left_as_found(model, lambda: run(model))


@runs
def test_a_model_of_torchs_own_is_too(run):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(144, 3)
    )
    assert_left_as_found(model, lambda: run(model, loss=lambda y: y.mean() * random.random()))


@pytest.mark.parametrize(("name", "call"), [("flow", 1), ("training", 1), ("training", 2)])
def test_a_model_that_raises_is_left_as_it_was_found(name, call):
    model = Net(fails_at=call)

    def function():
        with pytest.raises(InceptionLabError, match="net: cannot run: RuntimeError: on purpose") as raised:
            RUNS[name](model, name="net")
        assert raised.value.exit_code == MODEL_FAILED

    assert_left_as_found(model, function)


@runs
def test_ctrl_c_leaves_it_as_it_was_found(run):
    model = Net(fails_at=1, error=KeyboardInterrupt)

    def function():
        with pytest.raises(KeyboardInterrupt):
            run(model)

    assert_left_as_found(model, function)


@runs
def test_progress_that_raises_leaves_it_as_it_was_found(run):
    model = Net()

    def stop(_):
        raise LookupError

    def function():
        with pytest.raises(LookupError):
            run(model, progress=stop)

    assert_left_as_found(model, function)


@runs
def test_a_loss_that_is_a_module_is_left_as_it_was_found(run):
    """One that has weights of its own and counts its calls, as a loss of centres does."""

    class Centres(nn.Module):
        def __init__(self):
            super().__init__()
            self.centres, self.calls = nn.Parameter(torch.ones(3)), 0
            self.register_buffer("mean", torch.zeros(3))

        def forward(self, y):
            self.calls += 1
            self.mean += y.detach().mean(0)
            return {"fit": (y - self.centres).square().mean(), "size": y.square().mean()}

    loss, model = Centres(), Net()
    assert_left_as_found(loss, lambda: run(model, loss=loss))


@runs
def test_a_factory_that_draws_changes_no_random_state(run):
    def make():
        random.random(), np.random.rand()
        return Net()

    assert_left_as_found(nn.Linear(1, 1), lambda: run(make))


def test_generators_of_other_devices_are_not_seeded(monkeypatch):
    """`torch.manual_seed` seeds those of CUDA, or has it done once CUDA is used."""

    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    monkeypatch.setattr(torch.cuda, "manual_seed", seeded.append)
    RUNS["flow"](lambda: nn.Flatten())
    assert seeded == []
    torch.manual_seed(7)  # so that the test would see it
    assert seeded == [7]


@runs
def test_nothing_is_kept_alive(run):
    model = Net()
    tensors = []
    model.fc.register_forward_hook(lambda _m, _i, y: tensors.append(weakref.ref(y)))
    result = run(model)
    gc.collect()
    assert len(tensors) >= 2
    assert not [tensor for tensor in tensors if tensor() is not None]
    kept = weakref.ref(model)
    del model
    gc.collect()
    assert kept() is None
    assert len(result.losses) == 2


@runs
def test_modules_have_their_own_forward_again(run):
    model = Net()
    model.conv.forward = own = model.conv.forward
    run(model)
    assert model.conv.__dict__["forward"] is own
    assert "forward" not in model.fc.__dict__


class TestModes:
    """Those of the caller neither are felt nor changed."""

    @runs
    @pytest.mark.parametrize("is_factory", [False, True])
    @pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, FakeTensorMode])
    def test_modes_change_no_figure(self, run, mode, is_factory):
        def make():
            torch.manual_seed(0)
            return Net()

        model = make if is_factory else make()
        expected = run(model)
        with mode():
            found = run(model)
        assert found.losses.equals(expected.losses)

    @runs
    def test_another_default_device_and_dtype_make_no_difference(self, run):
        model, tokens = nn.Linear(4, 3), torch.ones(2, 4)
        for inputs in ((2, 4), [(2, 4)]):
            call = gradient_flow if run is RUNS["flow"] else lambda *args: short_training(*args, 1)
            net = model if inputs == (2, 4) else TwoInputs(model)
            inputs = inputs if inputs == (2, 4) else [(2, 4), tokens]
            expected = call(net, inputs)
            torch.set_default_dtype(torch.float64)
            try:
                with torch.device("meta"):
                    found = call(net, inputs)
            finally:
                torch.set_default_dtype(torch.float32)
            assert found.losses.equals(expected.losses)

    @pytest.mark.parametrize("run", [compare_gradient_flow, lambda *args: compare_training(*args, 1)])
    def test_weights_made_in_inference_mode(self, run):
        with torch.inference_mode():
            models = {"net": nn.Linear(4, 3)}
        assert len(run(models, (2, 4)).models) == 1
        assert models["net"].weight.is_inference()


class TwoInputs(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x, y):
        return self.net(x) * self.net(y)


def test_no_hook_stays_on_a_tensor_that_lives_on():
    """A module that returns a parameter, or a tensor that is not the model's."""
    kept = torch.ones(3, requires_grad=True)

    class Returns(nn.Module):
        def forward(self, x):
            return x

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.offset, self.give, self.fc = nn.Parameter(torch.zeros(3)), Returns(), nn.Linear(3, 2)

        def forward(self, x):
            return self.fc(x + self.give(self.offset) + self.give(kept))

    net = Net()
    flow = gradient_flow(net, (4, 3), seeds=2, batches=3)
    assert not kept._backward_hooks
    assert not net.offset._backward_hooks
    gradients = flow.values("output_gradient", "give")
    assert len(gradients) == 6
    assert all(value > 0 for value in gradients)
