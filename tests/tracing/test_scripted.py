"""Scripted and traced modules: a row each, with the figures of the module that they were made from."""

import pytest
import torch
import torch.nn.functional as F
from support.fingerprints import assert_left_as_found
from torch import Tensor, nn

import inception_lab as il

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
SHAPE = (2, 3, 8, 8)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).mean((2, 3)))


class StochasticDepth(torch.jit.ScriptModule):
    """As in the wild: a method in TorchScript that asks for the mode."""

    __constants__ = ["rate"]  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.rate = nn.Conv2d(3, 3, 3, padding=1), 0.5

    @torch.jit.script_method
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return x + self.conv(x) * self.rate
        return x + self.conv(x)


class Parts(nn.Module):
    """A scripted part within Python."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part, self.last = part, nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.part(x))


@torch.jit.script
def projected(x: Tensor, weight: Tensor) -> Tensor:
    return F.relu(F.linear(x, weight))


class CallsAFunction(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return projected(x, self.weight)


def traced(net):
    return torch.jit.trace(net.eval(), torch.zeros(SHAPE))


def totals(model, **options):
    table = il.layer_costs(assert_left_as_found(model, SHAPE, **options))
    names = [name for name in table.columns if table[name].dtype == "int64" and name != "call"]
    return table[names].sum().to_dict()


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_scripted_net_costs_what_the_net_does(mode):
    options = {"mode": mode} | ({"optimizer": "adam"} if mode == "train" else {})
    net = Net()
    assert totals(torch.jit.script(net), **options) == totals(net, **options)


def test_a_traced_net_costs_what_the_net_does():
    net = Net()
    assert totals(traced(net), mode="eval") == totals(net, mode="eval")


@pytest.mark.parametrize("convert", [torch.jit.script, traced])
def test_a_scripted_part_is_one_row(convert):
    rows = il.layer_costs(il.trace(Parts(convert(Net())), SHAPE)).set_index("layer")
    assert list(rows.index) == ["part", "last"]
    macs = 2 * 64 * 8 * 27 + 2 * 8 * 10
    assert rows["params"].tolist() == [8 * 27 + 8 + 16 + 90, 55]
    assert rows["macs"].tolist() == [macs, 2 * 10 * 5]


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_a_method_in_torchscript_heeds_the_mode(mode):
    model = StochasticDepth()
    trace = assert_left_as_found(model, SHAPE, mode)
    assert ("mul" in {op.base_name for op in trace.ops if op.phase == "forward"}) == (mode == "train")
    rows = il.layer_costs(trace)
    assert rows["params"].sum() == rows["trainable_params"].sum() == 3 * 27 + 3
    assert rows["macs"].sum() == 2 * 64 * 3 * 27
    assert model.training
    assert model.conv.training


def test_a_second_trace_is_the_first_one():
    model = torch.jit.script(Net())
    first, *others = (il.trace(model, SHAPE, mode="train") for _ in range(4))
    assert all(other.ops == first.ops for other in others)


def test_a_frozen_net_says_that_its_weights_are_constants():
    model = torch.jit.freeze(torch.jit.script(Net().eval()))
    trace = il.trace(model, SHAPE)
    assert sum(op.macs for op in trace.ops) == 2 * 64 * 8 * 27 + 2 * 8 * 10
    assert len(trace.context.notes) == 1, model.inlined_graph
    [note] = trace.context.notes
    assert f"its {8 * 27 + 8 + 90:,} weights" in note  # the normalisation is folded into the convolution
    assert note in il.summarise(trace).context["note"]


def test_a_scripted_function_counts():
    table = il.layer_costs(il.trace(CallsAFunction(), (2, 8)))
    assert table[["params", "macs"]].sum().tolist() == [32, 2 * 32]


def test_buffers_and_modes_are_those_from_before():
    model = torch.jit.script(Net()).eval()
    statistics = model.stem.state_dict()["1.running_mean"].clone()
    il.trace(model, SHAPE, mode="train")
    assert not model.training
    assert torch.equal(model.stem.state_dict()["1.running_mean"], statistics)
    assert model(torch.zeros(SHAPE)).device.type == "cpu"
