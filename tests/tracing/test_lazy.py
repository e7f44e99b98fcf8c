"""Lazy layers: the trace of the layers that they become, and the model still lazy behind it."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

SHAPE = (2, 3, 12, 12)


def chain():
    return nn.Sequential(
        nn.LazyConv2d(8, 3), nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConvTranspose2d(4, 2, stride=2),
        nn.LazyInstanceNorm2d(affine=True), nn.MaxPool2d(2), nn.Flatten(), nn.LazyLinear(10),
        nn.Linear(10, 3),
    )  # fmt: skip


class Shared(nn.Module):
    """One lazy layer called twice, and one that is never called."""

    def __init__(self):
        super().__init__()
        self.first, self.again, self.idle = nn.LazyLinear(12), nn.LazyLinear(12), nn.Linear(2, 2)

    def forward(self, x):
        x = self.again(self.first(x))
        return self.again(x)


class Asking(nn.Module):
    """Asks its input for data, so that it runs for real."""

    def __init__(self):
        super().__init__()
        self.lazy = nn.LazyLinear(4)

    def forward(self, x):
        return self.lazy(x) if x.mean().item() > -1e9 else x


def made_real(build, shape):
    """One that a real run has given its shapes."""
    real = build()
    real(torch.zeros(shape))
    return real


def state(model):
    return [
        (path, type(module), {name: id(value) for name, value in module.__dict__.items()},
         [list(registry) for registry in (module._parameters, module._buffers, module._forward_pre_hooks)],
         list(map(id, (*module._parameters.values(), *module._buffers.values()))))
        for path, module in model.named_modules()
    ]  # fmt: skip


@pytest.mark.parametrize("device", ["meta", "cpu"])
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize(("build", "shape"), [(chain, SHAPE), (Shared, (2, 12))])
def test_the_trace_is_that_of_the_layers_that_they_become(build, shape, mode, device):
    model = build()
    options = {"mode": mode, "device": device, "optimizer": "adam" if mode == "train" else None, "name": "it"}
    real = il.trace(made_real(build, shape), shape, **options)
    before = state(model)
    trace = il.trace(model, shape, **options)
    assert state(model) == before
    assert il.layer_costs(trace).equals(il.layer_costs(real))
    assert il.peak_memory(trace).peak_bytes == il.peak_memory(real).peak_bytes
    assert [op.name for op in trace.ops] == [op.name for op in real.ops]


def test_each_input_gives_shapes_of_its_own_and_a_real_run_too():
    model = chain()
    for size in (12, 20):
        trace = il.trace(model, (2, 3, size, size))
        rows = il.layer_costs(trace).set_index("layer")
        assert rows.loc["7", "params"] == 10 * (4 * (size - 2) ** 2 + 1)
    assert model(torch.zeros(SHAPE)).shape == (2, 3)
    assert type(model[0]) is nn.Conv2d


def test_a_lazy_net_that_asks_for_data():
    model = Asking()
    trace = il.trace(model, (2, 6))
    assert trace.context.device == "cpu"
    assert il.layer_costs(trace)["macs"].sum() == 2 * 6 * 4
    assert isinstance(model.lazy, nn.LazyLinear)


def test_an_input_that_does_not_fit_is_one_line():
    model = chain()
    with pytest.raises(InceptionLabError) as caught:
        il.trace(model, (2, 3, 1, 1))
    assert "\n" not in str(caught.value)
    assert isinstance(model[0], nn.LazyConv2d)


def test_a_search_for_the_smallest_input_refuses_and_takes_sizes():
    assert il.smallest_input(nn.Sequential(nn.LazyConv2d(8, 5), nn.LazyConv2d(4, 3)), (3, 20, 20)) == (7, 7)
