"""Live bytes after each operation, beside nets worked out by hand, and what has to add up."""

import pytest
import torch
from support.counting import Net
from support.hostile.table import HOSTILE
from support.zoo import image
from torch import nn

import inception_lab as il
from inception_lab.analyzers.memory.by_module import memory_by_module
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.analyzers.memory.timeline import KINDS, memory_timeline

FLOAT, LONG = 4, 8
NETS = pytest.mark.parametrize(
    ("mode", "optimizer"), [("eval", None), ("train", None), ("train", "momentum"), ("train", "adamw")]
)


def saved(trace):
    return sorted(s.bytes for s in trace.storages if s.kind == "saved")


def sizes(trace, kind):
    return {s.name: s.bytes for s in trace.storages if s.kind == kind}


class Doubled(nn.Module):
    """Two products of the input, side by side."""

    def forward(self, x):
        return torch.cat((x * 2, x * 3), 1)


class TestByHand:
    """Linear 4 -> 3, ReLU, Linear 3 -> 2 at batch 2, the loss the sum of the outputs, plain SGD.

    Bytes of float32: first weight 48, its bias 12, second weight 24, its bias 8: parameters 92. The input x
    has 32, h = first(x) and r = relu(h) have 24 each, y = second(r) has 16, the loss 4.
    """

    STEP = (  # operation, gradients, saved, temporaries; parameters and input are there throughout
        ("t", 0, 0, 0),  # a view of the first weight
        ("addmm", 0, 0, 24),  # h
        ("relu", 0, 24, 24),  # r, which ReLU's backward needs, beside h
        ("detach", 0, 24, 24),  # ReLU saves r as a view of it; then nobody needs h
        ("t", 0, 24, 0),
        ("addmm", 0, 24, 16),  # y, alive to the end
        ("sum", 0, 24, 20),  # the loss, alive to the end
        ("ones_like", 0, 24, 24),  # its gradient, 4 bytes
        ("expand", 0, 24, 24),  # gradient of y: a view
        ("t", 0, 24, 24),
        ("mm", 0, 24, 48),  # gradient of r, 24
        ("t", 0, 24, 48),
        ("mm", 24, 24, 48),  # gradient of the second weight
        ("t", 24, 24, 48),
        ("sum", 32, 24, 48),  # gradient of its bias
        *[(name, 32, 24, 48) for name in ("view", "detach", "t", "detach", "detach")],
        ("threshold_backward", 32, 24, 72),  # gradient of h, 24; then gradient of r and r itself go
        ("t", 32, 0, 48),
        ("mm", 80, 0, 48),  # gradient of the first weight, 48
        ("t", 80, 0, 48),
        ("sum", 92, 0, 48),  # gradient of its bias, 12: the peak; x needs no gradient
        ("view", 92, 0, 48),
        *[(name, 92, 0, 24) for name in ("detach", "t", "detach")],  # the gradient of h is gone
        ("_record_function_enter_new", 92, 0, 20),  # and so is that of the loss
        *[("add_", 92, 0, 20)] * 4,
        ("_record_function_exit", 92, 0, 20),
    )

    @pytest.fixture
    def model(self):
        return nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))

    @pytest.fixture
    def step(self, model):
        return il.trace(model, (2, 4), mode="train", loss=torch.sum, optimizer="sgd")

    def test_every_operation_of_a_step(self, step):
        timeline = memory_timeline(step)
        names = [operation.split(".")[1] for operation in timeline["operation"]]
        assert list(
            zip(names, timeline["gradients"], timeline["saved"], timeline["temporaries"], strict=True)
        ) == list(self.STEP)
        assert set(timeline["parameters"]) == {92}
        assert set(timeline["inputs"]) == {32}
        assert set(timeline["buffers"]) == set(timeline["optimizer_state"]) == {0}

    def test_the_peak(self, step):
        peak = peak_memory(step)
        assert peak.peak_bytes == 92 + 32 + 92 + 48 == 264
        assert (peak.operation, peak.phase, peak.layer) == ("aten.sum.dim_IntList", "backward", "0")
        assert dict(peak.by_kind) == {
            "parameters": 92, "buffers": 0, "gradients": 92, "optimizer_state": 0, "inputs": 32, "saved": 0,
            "temporaries": 24 + 16 + 4 + 4,
        }  # fmt: skip
        assert list(peak.tensors["bytes"]) == [48, 48, 32, 24, 24, 24, 16, 12, 12, 8, 8, 4, 4]

    def test_inference_keeps_no_more_than_two_activations(self, model):
        timeline = memory_timeline(il.trace(model, (2, 4)))
        assert list(timeline["live_bytes"]) == [124, 124 + 24, 124 + 48, 124 + 24, 124 + 24 + 16]
        assert set(timeline["temporaries"]) == {0, 24, 48, 40}

    def test_a_module_owns_its_parameters_and_their_gradients(self, step):
        rows = memory_by_module(step).set_index("module")
        assert rows.loc["0", ["parameters", "gradients", "bytes"]].tolist() == [60, 60, 60 + 60]
        assert rows.loc["2", ["parameters", "gradients", "temporaries", "bytes"]].tolist() == [32, 32, 16, 80]
        assert rows.loc["1", "temporaries"] == 24

    @pytest.mark.parametrize(
        ("optimizer", "state"),
        [("sgd", 0), ("momentum", 92), ("adam", 2 * 92 + 4 * FLOAT), ("adamw", 2 * 92 + 4 * FLOAT)],
    )
    def test_what_an_optimizer_keeps(self, model, optimizer, state):
        step = il.trace(model, (2, 4), mode="train", loss=torch.sum, optimizer=optimizer)
        assert set(memory_timeline(step)["optimizer_state"]) == {state}  # Adam counts the steps per tensor
        if "adam" in optimizer:
            assert sizes(step, "optimizer state")["0.weight.exp_avg"] == 48
            assert sizes(step, "optimizer state")["0.weight.step"] == FLOAT

    def test_rounding(self, model):
        model = nn.Linear(10, 20)  # 800 + 80, the input 160, the output 320
        trace = il.trace(model, (4, 10))
        assert peak_memory(trace).peak_bytes == 800 + 80 + 160 + 320
        assert peak_memory(trace, rounding=256).peak_bytes == 1024 + 256 + 256 + 512
        assert peak_memory(trace, "cuda").peak_bytes == 1024 + 512 + 512 + 512
        assert peak_memory(trace, "cuda", rounding=1).peak_bytes == peak_memory(trace).peak_bytes


class TestStorages:
    def test_in_place(self):
        linear = 32 + 4 * (4 * 3 + 3)  # the input, the weight and the bias
        apart, within = (
            il.trace(nn.Sequential(nn.Linear(4, 3), nn.ReLU(flag)), (2, 4)) for flag in (False, True)
        )
        assert peak_memory(apart).peak_bytes == linear + 2 * 24
        assert peak_memory(within).peak_bytes == linear + 24

    def test_views(self):
        trace = il.trace(Net(lambda x: x.transpose(1, 2).flatten(2)[:, ::2].squeeze()), (2, 3, 4, 5))
        assert peak_memory(trace).peak_bytes == 2 * 3 * 4 * 5 * FLOAT + 2 * 4 * 3 * 5 * FLOAT
        assert [s.bytes for s in trace.storages if s.born is not None] == [
            2 * 4 * 3 * 5 * FLOAT
        ]  # flatten copies

    def test_concatenation(self):
        assert peak_memory(il.trace(Doubled(), (2, 4))).peak_bytes == 32 + 32 + 32 + 64

    def test_pool_indices_are_of_8_bytes(self):
        model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), nn.MaxPool2d(2))
        step = il.trace(model, (1, 1, 4, 4), mode="train", loss=torch.sum)
        assert saved(step) == [4 * LONG, 16 * FLOAT]  # the indices, the pool's input

    def test_dropout_masks(self):
        step = il.trace(nn.Sequential(nn.Linear(4, 3), nn.Dropout()), (2, 4), mode="train", loss=torch.sum)
        assert saved(step) == [2 * 3 * FLOAT]  # the CPU's mask is of the input's type

    def test_batch_statistics(self):
        model = nn.Sequential(nn.Conv2d(1, 8, 1, bias=False), nn.BatchNorm2d(8))
        step = il.trace(model, (2, 1, 4, 4), mode="train", loss=torch.sum)
        assert saved(step) == [8 * FLOAT, 8 * FLOAT, 2 * 8 * 16 * FLOAT]  # mean, deviation, input
        assert set(memory_timeline(step)["buffers"]) == {8 * FLOAT + 8 * FLOAT + LONG}

    def test_tied_weights(self):
        (case,) = [case for case in HOSTILE if case.name == "tied"]
        step = il.trace(case.make(), case.inputs, mode="train", optimizer="momentum")
        peak = peak_memory(step)
        assert sizes(step, "parameter") == sizes(step, "gradient") == {"embedding.weight": 10 * 8 * FLOAT}
        assert peak.by_kind["parameters"] == peak.by_kind["optimizer_state"] == 10 * 8 * FLOAT

    def test_frozen_parameters(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        model[0].requires_grad_(False)
        step = il.trace(model, (2, 4), mode="train", loss=torch.sum, optimizer="adam")
        assert sizes(step, "gradient") == {"1.weight": 24, "1.bias": 8}
        assert sum(sizes(step, "optimizer state").values()) == 2 * 32 + 2 * FLOAT

    def test_an_output_that_is_its_input(self):
        assert peak_memory(il.trace(nn.Identity(), (2, 4))).peak_bytes == 32
        assert peak_memory(il.trace(Net(lambda x: (x, x.view(-1), x[0])), (2, 4))).peak_bytes == 32


class TestSums:
    @pytest.fixture
    def trace(self, mode, optimizer):
        model = il.create_model("googlenet_bn", device="meta", aux_logits=True)
        return il.trace(model, (2, 3, 224, 224), mode=mode, optimizer=optimizer)

    @NETS
    @pytest.mark.parametrize("device", DEVICES)
    def test_kinds_modules_and_tensors_add_up_to_the_peak(self, trace, device):
        timeline, peak = memory_timeline(trace, device), peak_memory(trace, device)
        assert (timeline[list(KINDS)].sum(axis=1) == timeline["live_bytes"]).all()
        assert (timeline[list(KINDS)] >= 0).all(axis=None)
        assert sum(peak.by_kind.values()) == peak.tensors["bytes"].sum() == timeline["live_bytes"].max()
        for depth in (1, 2):
            modules = memory_by_module(trace, depth, device)
            assert modules["bytes"].sum() == peak.peak_bytes
            assert modules[list(KINDS)].sum().to_dict() == dict(peak.by_kind)

    def test_what_inference_leaves_is_the_model_its_input_and_its_output(self):
        model = il.create_model("googlenet_bn")
        trace = il.trace(model, image("googlenet_bn"))
        tensors = [
            *model.parameters(),
            *model.buffers(),
            torch.zeros(image("googlenet_bn")),
            torch.zeros(1, 1000),
        ]
        remaining = sum(s.bytes for s in trace.storages if s.dies is None)
        assert remaining == sum(t.numel() * t.element_size() for t in tensors)
