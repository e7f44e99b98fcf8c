"""Layers of 8-bit integers: parameters, products and bytes of the layers that they were made from."""

import warnings

import pytest
import torch
from torch import nn

import inception_lab as il

quantization = pytest.importorskip("torch.ao.quantization")
pytestmark = [
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(
        "x86" not in torch.backends.quantized.supported_engines, reason="no kernels for 8 bits"
    ),
]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.leave = quantization.QuantStub(), quantization.DeQuantStub()
        self.conv, self.grouped = nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3, groups=2, bias=False)
        self.relu, self.fc = nn.ReLU(), nn.Linear(8, 10)

    def forward(self, x):
        x = self.relu(self.grouped(self.conv(self.enter(x))))
        return self.leave(self.fc(x.mean((2, 3))))


def layers():
    return nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 10, bias=False))


def dynamic(model, kinds):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return quantization.quantize_dynamic(model, kinds)


def static(model, example):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.eval().qconfig = quantization.get_default_qconfig("x86")
        prepared = quantization.prepare(model)
        prepared(example)
        return quantization.convert(prepared)


def elements(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_dynamic_layers():
    model = layers()
    trace = il.trace(dynamic(model, {nn.Linear}), (4, 16))
    rows = il.layer_costs(trace).set_index("layer")
    assert rows["params"][["0", "1", "2"]].tolist() == [16 * 32 + 32, 0, 320]
    assert rows["params"].sum() == elements(model)
    assert rows["trainable_params"].sum() == 0
    assert rows["macs"].sum() == 4 * (16 * 32 + 32 * 10)
    assert trace.context.complete
    assert il.summarise(trace).unexecuted_modules == ()
    assert any(note.startswith(f"{elements(model):,} weights of 2 layers") for note in trace.context.notes)


def test_bytes_are_those_of_8_bits():
    trace = il.trace(dynamic(layers(), {nn.Linear}), (4, 16))
    packed = {s.name: s.bytes for s in trace.storages if "_packed_params" in s.name}
    assert sorted(packed.values()) == sorted([16 * 32, 4 * 32, 32 * 10])
    assert all(s.kind == "parameter" for s in trace.storages if s.name in packed)
    assert il.peak_memory(trace).peak_bytes >= sum(packed.values())


def test_static_layers():
    model, shape = Net(), (2, 4, 8, 8)
    trace = il.trace(static(model, torch.randn(shape)), shape)
    rows = il.layer_costs(trace).set_index("layer")
    assert rows["params"].sum() == elements(model)
    macs = {"conv": 2 * 36 * 8 * 36, "grouped": 2 * 16 * 8 * 36, "fc": 2 * 80}
    assert {name: rows.loc[name, "macs"] for name in macs} == macs
    assert rows["macs"].sum() == sum(macs.values())
    assert il.summarise(trace).unexecuted_modules == ()


def test_a_recurrent_layer_is_partial_and_has_its_parameters():
    model = nn.Sequential(nn.LSTM(16, 32, num_layers=2, bidirectional=True))
    trace = il.trace(dynamic(model, {nn.LSTM}), (7, 4, 16))
    assert not trace.context.complete
    assert il.layer_costs(trace)["params"].sum() == elements(model)


def test_a_reason_is_a_sentence():
    trace = il.trace(dynamic(layers(), {nn.Linear}), (4, 16))
    assert trace.context.fallback.endswith("could not find the fake impl for this operator")


def test_a_trace_with_packed_weights_is_saved_and_loaded(tmp_path):
    trace = il.trace(dynamic(layers(), {nn.Linear}), (4, 16))
    trace.save(tmp_path / "trace.json")
    assert il.Trace.load(tmp_path / "trace.json") == trace
