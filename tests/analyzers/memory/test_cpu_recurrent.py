"""Memory of a fused LSTM beside oneDNN's own: what it keeps, and what it holds while it runs."""

from itertools import accumulate

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.analyzers.memory.cpu_recurrent import Lstm, recurrent_workspaces, workspace_bytes
from inception_lab.analyzers.memory.devices import on_device
from inception_lab.measure.real_runs import quiet_profiler
from inception_lab.tracing.tracer import trace

SIZES = [
    Lstm(20, 8, 32, 64),
    Lstm(1, 1, 16, 16),
    Lstm(5, 3, 7, 11),
    Lstm(3, 33, 3, 17),
    Lstm(4, 16, 100, 64),
    Lstm(2, 64, 256, 128),
    Lstm(17, 2, 300, 256),
    Lstm(6, 5, 1, 8),
]
pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def layer(lstm, run=torch.ops.aten.mkldnn_rnn_layer.default):
    """A call of the operation by itself, with gradients."""
    steps, batch, inputs, hidden = lstm
    weights = [torch.rand(4 * hidden, inputs), torch.rand(4 * hidden, hidden), *torch.rand(2, 4 * hidden)]
    states = torch.rand(batch, hidden), torch.rand(batch, hidden)
    source = torch.rand(steps, batch, inputs)
    return lambda: run(source, *weights, *states, False, [], 2, hidden, 1, True, False, False, True)


def most_beyond_outputs(function):
    """Bytes of the allocator at most, less those that stay."""
    with quiet_profiler(), profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        outputs = function()
    rows = [e for e in events.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(rows, key=lambda e: e.start_ns())]
    del outputs
    return max(accumulate(changes)) - sum(changes)


def training_step(lstm):
    steps, batch, inputs, hidden = lstm
    net = nn.LSTM(inputs, hidden)
    return net, il.trace_for_device(net, (steps, batch, inputs), mode="train", loss=lambda y: y[0].sum())


@pytest.mark.parametrize("lstm", SIZES, ids=str)
def test_the_workspace_is_as_large_as_the_real_one(lstm):
    workspace = layer(lstm)()[3]
    assert workspace_bytes(lstm) == workspace.untyped_storage().nbytes()


@pytest.mark.parametrize("lstm", SIZES, ids=str)
def test_the_forward_holds_as_much_as_the_allocator_says(lstm):
    call = layer(lstm)
    call()
    step = training_step(lstm)[1]
    forward = next(iter(recurrent_workspaces(step).values()))
    assert forward == most_beyond_outputs(call)


NETS = {
    "plain": nn.LSTM(7, 11),
    "layers": nn.LSTM(7, 16, 2),
    "both directions": nn.LSTM(16, 16, bidirectional=True),
    "dropout": nn.LSTM(16, 16, 2, dropout=0.5),
    "without biases": nn.LSTM(16, 11, bias=False),
    "batch first": nn.LSTM(16, 16, batch_first=True),
    "projected": nn.LSTM(16, 11, proj_size=5),
    "gated": nn.GRU(16, 11, 2, bidirectional=True),
    "simple": nn.RNN(16, 11, 2, nonlinearity="relu"),
}


@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("name", NETS)
def test_recurrent_nets_hold_what_a_real_run_holds(name, mode):
    net, options = NETS[name], {"mode": mode}
    if mode == "train":
        options |= {"loss": lambda y: y[0].sum(), "optimizer": "adam"}
    inputs = (9, 4, net.input_size)
    comparison = il.compare_memory(net, inputs, **options)
    assert comparison.errors["tracked_bytes"] == 0
    if mode == "train":
        assert abs(comparison.errors["allocator_bytes"]) <= 0.005 * comparison.measurement.allocator_bytes


def test_what_has_no_rule_is_said():
    """Half precision; and CUDA, whose own library keeps something else."""
    net, step = training_step(Lstm(5, 3, 7, 11))
    assert il.peak_memory(step, "cpu").notes == ()
    assert il.peak_memory(step, "cuda").notes == (
        "what a fused LSTM keeps for its backward pass is not in it",
    )
    options = {"mode": "train", "loss": lambda y: y[0].sum()}
    half = trace(net.bfloat16(), (5, 3, 7), device="cpu", **options)
    assert "fused LSTM keeps" in il.peak_memory(half).notes[0]
    assert not recurrent_workspaces(half)


def test_a_bound_in_inference_is_said():
    comparison = il.compare_memory(nn.LSTM(7, 11), (5, 3, 7))
    assert any("lower bound" in note for note in comparison.notes)
    assert comparison.errors["allocator_bytes"] < 0
    assert il.compare_memory(nn.GRU(7, 11), (5, 3, 7)).notes == ()


def test_inference_keeps_nothing():
    forward = il.trace_for_device(nn.LSTM(7, 11), (5, 3, 7))
    assert on_device(forward, "cpu").storages == forward.storages
    assert not recurrent_workspaces(forward)
