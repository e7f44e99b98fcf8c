"""Predicted memory beside measured: by hand, and as figures that other programs read."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.hardware import this_processor
from inception_lab.measure.memory import MeasuredMemory
from inception_lab.measure.prediction import (
    HALF_PRECISION,
    UNKNOWN_PROCESSOR,
    WITHOUT_FAST_PATH,
    MemoryComparison,
    PredictedMemory,
    _predicted_on_cuda,
)

BLOCK = 512


def operations(trace):
    return {op.name for op in trace.ops}


class TestTraceForDevice:
    @pytest.mark.parametrize(("device", "at_once"), [("cpu", False), ("cuda", True)])
    def test_an_optimizer_steps_as_it_does_by_default_there(self, device, at_once):
        net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        step = il.trace_for_device(net, (2, 3), mode="train", optimizer="momentum", device=device)
        assert any("_foreach_" in name for name in operations(step)) is at_once

    def test_an_optimizer_of_the_users_own_is_left_alone(self):
        def one_by_one(parameters):
            return torch.optim.SGD(parameters, lr=0.1, foreach=False)

        step = il.trace_for_device(nn.Linear(3, 3), (2, 3), mode="train", optimizer=one_by_one, device="cuda")
        assert step.context.optimizer == "one_by_one"
        assert not any("_foreach_" in name for name in operations(step))

    def test_fused_operations_stay_whole(self):
        net = nn.LSTM(8, 16)
        apart, fused = il.trace(net, (5, 1, 8)), il.trace_for_device(net, (5, 1, 8), name="lstm")
        assert (apart.context.device, fused.context.device) == ("meta", "fake")
        assert fused.context.model == "lstm"
        assert operations(fused) == operations(il.trace(net, (5, 1, 8), device="cpu"))

    def test_anything_else_is_traced_once_on_meta(self):
        net = nn.Conv2d(3, 8, 3)
        assert il.trace_for_device(net, (2, 3, 9, 9)) == il.trace(net, (2, 3, 9, 9), name="Conv2d")

    def test_a_device_without_rules(self):
        with pytest.raises(InceptionLabError, match="no memory rules for device 'cud'; did you mean cuda"):
            il.trace_for_device(nn.Linear(2, 2), (1, 2), device="cud")


class TestCompareMemory:
    def test_a_linear_layer_by_hand(self):
        comparison = il.compare_memory(nn.Linear(10, 20), (4, 10))
        by_hand = 4 * (10 * 20 + 20 + 4 * 10 + 4 * 20)
        assert comparison.prediction.tracked_bytes == comparison.measurement.tracked_bytes == by_hand
        assert comparison.errors["tracked_bytes"] == 0
        assert "reserved_bytes" not in comparison.errors
        assert comparison.prediction.reserved_bytes is None

    def test_a_training_step(self):
        net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(800, 5))
        comparison = il.compare_memory(net, (4, 3, 12, 12), mode="train", optimizer="adam")
        step = il.trace(net, (4, 3, 12, 12), mode="train", optimizer="adam")
        assert comparison.prediction.tracked_bytes == il.peak_memory(step).peak_bytes
        assert comparison.errors["tracked_bytes"] == 0

    def test_what_no_rule_knows_is_said(self, monkeypatch):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
        assert this_processor() is None
        comparison = il.compare_memory(nn.Conv2d(3, 8, 3), (1, 3, 9, 9))
        assert comparison.notes == (UNKNOWN_PROCESSOR,)
        assert comparison.prediction.allocator_bytes == comparison.prediction.tracked_bytes

    @pytest.mark.skipif(torch.cuda.is_available(), reason="there is one")
    def test_a_device_that_is_not_there(self):
        with pytest.raises(InceptionLabError, match="CUDA device"):
            il.compare_memory(nn.Linear(2, 2), (1, 2), device="cuda")

    def test_on_cuda_the_workspace_of_cublas_is_that_of_the_run(self):
        step = il.trace_for_device(nn.Linear(10, 20), (4, 10), device="cuda")
        measured = MeasuredMemory("a GPU", 1, 2, 3, {"cublas": 8192, "convolution": 0})
        predicted = _predicted_on_cuda(step, measured)
        blocks = 2 * BLOCK + 3 * BLOCK  # weight; bias, input and output
        assert (predicted.tracked_bytes, predicted.allocator_bytes) == (blocks, blocks + 8192)
        assert predicted.reserved_bytes == il.reserved_memory(step) + 8192


def test_figures_as_plain_data():
    measured = MeasuredMemory("a GPU", 90, 210, 290, {"cublas": 7, "convolution": 8})
    comparison = MemoryComparison(PredictedMemory(100, 200, 300), measured)
    assert list(comparison.to_dict().items()) == [
        ("device", "a GPU"),
        ("predicted_bytes", 100),
        ("predicted_allocator_bytes", 200),
        ("predicted_reserved_bytes", 300),
        ("tracked_bytes", 90),
        ("allocator_bytes", 210),
        ("reserved_bytes", 290),
        ("tracked_error_bytes", 10),
        ("allocator_error_bytes", -10),
        ("reserved_error_bytes", 10),
        ("workspaces", {"cublas": 7, "convolution": 8}),
    ]


def test_figures_of_a_cpu_have_nothing_reserved():
    row = MemoryComparison(PredictedMemory(100, 200), MeasuredMemory("a CPU", 90, 210)).to_dict()
    assert list(row) == [
        "device",
        "predicted_bytes",
        "predicted_allocator_bytes",
        "tracked_bytes",
        "allocator_bytes",
        "tracked_error_bytes",
        "allocator_error_bytes",
    ]


def test_padded_sequences_traced_without_the_fast_path_are_said():
    class Padded(nn.Module):
        """Nested tensors, whose shapes come of the mask, in a real run."""

        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 1)

        def forward(self, x):
            mask = torch.zeros(x.shape[:2], dtype=torch.bool)
            mask[:, 4:] = True
            return self.encoder(x, src_key_padding_mask=mask)

    comparison = il.compare_memory(Padded(), (2, 8, 16))
    assert comparison.errors["tracked_bytes"] > 0
    assert WITHOUT_FAST_PATH in comparison.notes


@pytest.mark.parametrize("autocast", [None, torch.bfloat16])
@pytest.mark.parametrize(
    ("net", "shape"),
    [(nn.Conv2d(3, 8, 3), (2, 3, 16, 16)), (nn.Linear(64, 64), (4, 64))],
    ids=["convolution", "linear"],
)
def test_products_of_half_precision_are_said_to_have_no_rule(net, shape, autocast):
    notes = il.compare_memory(net, shape, mode="train", autocast=autocast).notes
    assert (HALF_PRECISION in notes) is (autocast is not None)
