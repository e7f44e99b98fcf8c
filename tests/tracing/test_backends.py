"""Models that cannot run on meta tensors run for real, and say so; all others do not."""

import weakref
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.fingerprints import assert_left_as_found, fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.analyzers.summary import summarise
from inception_lab.errors import InceptionLabError
from inception_lab.ir.trace import Trace
from inception_lab.models.registry import create_model
from inception_lab.running.request import Request
from inception_lab.tracing.backends import CPU
from inception_lab.tracing.tracer import trace_on

MODES = pytest.mark.parametrize("mode", ["eval", "train"])


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)


class Asking(Linear):
    """Goes one of two ways, by what its input holds."""

    def forward(self, x):
        return self.linear(x) if x.sum().item() > 0 else self.linear(self.linear(x))


class Masking(Linear):
    def forward(self, x):
        return self.linear(x[x[:, 0] > 0])


class Numpy(Linear):
    def forward(self, x):
        return self.linear(x) + torch.from_numpy(np.tanh(x.detach().numpy()))


class Strict(Linear):
    """Refuses what is not on a processor, in words that do not name meta tensors."""

    def forward(self, x):
        assert x.device.type in ("cpu", "cuda")
        return self.linear(x)


@MODES
@pytest.mark.parametrize("kind", [Asking, Masking, Numpy, Strict])
def test_runs_for_real_and_says_why(kind, mode):
    trace = assert_left_as_found(kind(), (2, 4), mode)
    assert trace.context.device == "cpu"
    assert trace.context.fallback.split(":")[0].split(" ")[0].endswith("Error")
    assert sum(op.macs for op in trace.ops if op.phase == "forward") == 2 * 4 * 4
    record = summarise(trace)
    assert record.context["device"] == "cpu"
    assert trace.context.fallback in record.context["note"]
    with pytest.raises(InceptionLabError) as caught:
        il.trace(kind(), (2, 4), mode=mode, meta_only=True)
    assert caught.value.exit_code == 3


def test_an_example_decides_the_way():
    for sign, calls in ((1.0, 1), (-1.0, 2)):
        trace = il.trace(Asking(), sign * torch.ones(2, 4))
        assert [call.path for call in trace.calls].count("linear") == calls


def test_the_numbers_of_a_real_run_are_the_same_every_time():
    traces = [il.trace(Masking(), (64, 4)) for _ in range(3)]
    assert traces[0].ops == traces[1].ops == traces[2].ops


@MODES
@pytest.mark.parametrize("name", ["googlenet", "googlenet_bn", "xception"])
def test_a_real_run_traces_what_meta_tensors_trace(name, mode):
    """All operations but those that PyTorch itself does otherwise: eval batch norm returns no statistics."""
    model, shape = create_model(name, num_classes=5), (2, 3, 71, 71)
    real = trace_on(CPU, Request(model, shape, mode, name=name), "asked for")
    meta = il.trace(model, shape, mode=mode, name=name)
    outline = [[(op.name, op.phase, op.call, op.macs, op.other_flops) for op in t.ops] for t in (real, meta)]
    assert outline[0] == outline[1]
    assert [(c.path, c.number, c.params) for c in real.calls] == [
        (c.path, c.number, c.params) for c in meta.calls
    ]
    assert Trace.from_dict(real.to_dict()) == real


def test_a_model_without_data_cannot_run_for_real():
    model = Asking().to("meta")
    with pytest.raises(InceptionLabError, match="meta") as caught:
        il.trace(model, (2, 4))
    assert caught.value.exit_code == 3


@MODES
def test_tensors_in_plain_attributes_meet_meta_tensors(mode):
    class Plain(Linear):
        def __init__(self):
            super().__init__()
            self.mask, self.shifts = torch.arange(4.0), {"a": [torch.ones(2, 4)]}
            self.pair = (self.linear.weight, torch.tensor(3))
            self.count = torch.zeros(2, dtype=torch.int64)

        def forward(self, x):
            self.count += 1
            self.count[0] = x.shape[0]
            y = self.linear(x) * self.mask + self.shifts["a"][0] + int(self.pair[1])
            self.shifts["a"].append(y)
            return y @ self.pair[0]

    trace = assert_left_as_found(Plain(), (2, 4), mode)
    assert trace.context.device == "meta"
    assert sum(op.macs for op in trace.ops if op.phase == "forward") == 2 * (2 * 4 * 4)
    gradients = [s for s in trace.storages if s.kind == "gradient"]
    assert len(gradients) == (2 if mode == "train" else 0)


def test_a_cache_kept_in_an_attribute_is_not_left_on_meta():
    class Caching(Linear):
        def __init__(self):
            super().__init__()
            self.cache = {}

        def forward(self, x):
            key = str(x.device)
            if key not in self.cache:
                self.cache[key] = self.linear.weight[:, 0]
            return self.linear(x) + self.cache[key]

    model = Caching().eval()
    il.trace(model, (2, 4))
    assert model.cache == {}
    images = torch.rand(2, 4)
    assert torch.equal(model(images), model.linear(images) + model.linear.weight[:, 0])


def test_recurrent_layers_know_their_parameters():
    step = il.trace(nn.LSTM(3, 5, 2, bidirectional=True), (7, 2, 3), mode="train")
    parameters = {name for name, _ in nn.LSTM(3, 5, 2, bidirectional=True).named_parameters()}
    assert {s.name for s in step.storages if s.kind == "gradient"} == parameters


class TestSwitches:
    @MODES
    def test_the_encoders_fused_path_is_off_while_counting_and_on_again(self, mode):
        torch.backends.mha.set_fastpath_enabled(True)
        encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        for trace in (il.trace(encoder, (2, 5, 8), mode=mode), real_run(encoder, (2, 5, 8), mode)):
            projections = 4 * 8 * 8 + 2 * 8 * 16
            products = 2 * 5 * 8
            forward = sum(op.macs for op in trace.ops if op.phase == "forward")
            assert forward == 2 * (2 * 5) * (projections + products)
        assert torch.backends.mha.get_fastpath_enabled()

    @MODES
    def test_a_compiled_model_runs_operation_by_operation(self, mode):
        model = torch.compile(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)))
        trace = il.trace(model, (2, 3), mode=mode)
        owners = {trace.calls[op.call].path for op in trace.ops if op.macs}
        assert owners == {"_orig_mod.0", "_orig_mod.2"}
        assert sum(op.macs for op in trace.ops if op.phase == "forward") == 2 * (12 + 8)

    def test_replicas_are_left_alone(self):
        model = nn.DataParallel(nn.Linear(3, 4))
        model.device_ids = [0, 1]
        assert sum(op.macs for op in assert_left_as_found(model, (2, 3), "eval").ops) == 24
        assert model.device_ids == [0, 1]


def real_run(model, shape, mode):
    before = fingerprint(model)
    trace = trace_on(CPU, Request(model, shape, mode, name="it"), "asked for")
    assert same(before, fingerprint(model))
    return trace


class TestUnregistered:
    """Modules and tensors that a model uses without owning them are left as they were found, too."""

    def test_modules_in_a_list(self):
        class Holding(nn.Module):
            def __init__(self):
                super().__init__()
                self.others = [nn.BatchNorm1d(4), {"a": nn.Sequential(nn.Linear(4, 4))}]

            def forward(self, x):
                return self.others[1]["a"](self.others[0](x))

        model = Holding()
        inner = nn.ModuleList([model.others[0], model.others[1]["a"]])
        before = fingerprint(inner)
        trace = assert_left_as_found(model, (3, 4), "train")
        assert trace.context.device == "meta"
        assert same(before, fingerprint(inner))
        assert sum(op.macs for op in trace.ops if op.phase == "forward") == 3 * 16
        assert sum(call.params for call in trace.calls) == 0

    def test_a_weight_of_nobody(self):
        weight = torch.randn(4, 4, requires_grad=True)
        weight.grad = gradient = torch.ones(4, 4)

        class Using(nn.Module):
            def forward(self, x):
                return x @ weight

        il.trace(Using(), (3, 4), mode="train")
        assert weight.grad is gradient
        assert torch.equal(gradient, torch.ones(4, 4))

    @pytest.mark.parametrize("keeps", [True, False])
    def test_a_loss_with_weights(self, keeps):
        class Perceptual(nn.Module):
            def __init__(self, model):
                super().__init__()
                self.features, self.model = nn.Linear(4, 2), model if keeps else None

            def forward(self, outputs):
                return self.features(outputs).sum()

        model = Linear()
        model.forward = model.linear.forward
        loss = Perceptual(model)
        before = fingerprint(loss)
        step = il.trace(model, (3, 4), mode="train", loss=loss)
        assert step.context.device == "meta"
        assert same(before, fingerprint(loss))

    def test_hooks_of_every_kind(self):
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].register_full_backward_hook(lambda module, *_: setattr(module, "seen", 1))
        model[1].register_full_backward_pre_hook(lambda module, *_: setattr(module, "before", 1))
        assert_left_as_found(model, (2, 4), "train")
        everywhere = nn.modules.module.register_module_forward_hook(
            lambda module, *_: setattr(module, "x", 1)
        )
        try:
            assert_left_as_found(nn.Sequential(nn.Linear(4, 4)), (2, 4), "train")
        finally:
            everywhere.remove()

    def test_state_in_objects_deques_and_tuples(self):
        class Keeping(Linear):
            def __init__(self):
                super().__init__()
                self.state = SimpleNamespace(last=None, number=0)
                self.queue, self.pair = deque([torch.zeros(4)]), ({"a": torch.zeros(4)},)

            def forward(self, x):
                self.state.last, self.state.number = x, self.state.number + 1
                self.queue[0].add_(1)
                self.pair[0]["a"] += 1
                self.pair[0]["b"] = x
                return self.linear(x)

        model = Keeping()
        assert_left_as_found(model, (2, 4), "eval")
        assert (model.state.last, model.state.number, list(model.pair[0])) == (None, 0, ["a"])
        assert float(model.queue[0].sum() + model.pair[0]["a"].sum()) == 0


def test_a_generator_is_run_to_its_end():
    class Yielding(Linear):
        def forward(self, x):
            yield self.linear(x)
            yield self.linear(x)

    assert sum(op.macs for op in il.trace(Yielding(), (1, 4)).ops) == 2 * 16


def test_a_real_run_that_takes_too_long_is_given_up(monkeypatch):
    monkeypatch.setattr("inception_lab.tracing.tracer.CPU", CPU._replace(most_macs=50))
    assert il.trace(Asking(), (2, 4)).context.device == "cpu"
    with pytest.raises(InceptionLabError, match="smaller input") as caught:
        il.trace(Asking(), (16, 4))
    assert caught.value.exit_code == 3


def test_a_wrong_size_on_a_large_model_copies_no_weights(monkeypatch):
    monkeypatch.setattr("inception_lab.tracing.backends.FEW_BYTES", 10)
    monkeypatch.setattr("inception_lab.tracing.backends.stand_ins.cpu_copy", None)
    with pytest.raises(InceptionLabError, match="cannot run on an input of 2x5"):
        il.trace(nn.Linear(4, 4), (2, 5))


def test_nothing_is_kept_of_a_real_run():
    model = Asking()
    il.trace(model, (2, 4))
    copies = weakref.ref(model.linear.weight)
    del model
    assert copies() is None
