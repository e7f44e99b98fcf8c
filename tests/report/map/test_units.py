"""Boxes of the map: what stands in one, and the products that a forward computes without modules."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import inception_lab as il
from inception_lab.analyzers.dataflow import dataflow
from inception_lab.report.map.units import units


class Functional(nn.Module):
    """Two branches in one forward, without modules."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (nn.Parameter(torch.zeros(4, 3, 1, 1)) for _ in range(2))

    def forward(self, x):
        return torch.cat([F.conv2d(x, self.first), F.conv2d(x, self.second).relu()], 1)


class Scores(nn.Module):
    """Scores of attention: a product of what two modules make."""

    def __init__(self):
        super().__init__()
        self.query, self.key = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        return self.query(x) @ self.key(x).transpose(-1, -2)


def drawn(model, *shape):
    trace = il.trace(model, shape)
    return units(dataflow(trace), il.summarise(trace).layers)


def names_in(unit):
    return [inner.name for inner in unit.units]


def test_a_forward_without_modules_is_drawn_by_its_operations():
    net = drawn(Functional(), 1, 3, 8, 8)
    assert names_in(net) == ["convolution", "convolution", "relu", "cat"]
    assert [inner.macs for inner in net.units] == [768, 768, 0, 0]  # 4 x 3 x 8 x 8
    assert {(flow.source, flow.target) for flow in net.flows} == {(-1, 0), (-1, 1), (0, 3), (1, 2), (2, 3)}


def test_a_product_that_a_module_computes_itself_has_its_macs():
    net = drawn(Scores(), 1, 5, 4)
    assert names_in(net) == ["query", "key", "bmm"]
    assert net.units[2].macs == 5 * 5 * 4


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (Functional(), (1, 3, 8, 8)),
        (Scores(), (1, 5, 4)),
        (nn.TransformerEncoderLayer(8, 2, batch_first=True), (2, 5, 8)),
        (il.create_model("googlenet", device="meta"), (1, 3, 224, 224)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_innermost_boxes_add_up_to_the_net(model, shape):
    trace = il.trace(model, shape)
    record = il.summarise(trace)
    boxes = leaves(units(dataflow(trace), record.layers))
    macs = [box.macs + sum(record.layers[row]["macs"] for row in box.rows) for box in boxes]
    assert sum(macs) == record.totals["macs"] > 0


def leaves(unit):
    return [leaf for inner in unit.units for leaf in leaves(inner)] if unit.units else [unit]


def test_a_net_of_a_few_modules_shows_them():
    assert names_in(drawn(nn.Sequential(nn.MaxPool2d(2), nn.ReLU()), 1, 3, 8, 8)) == ["0", "1"]


def test_a_net_that_is_one_layer_is_one_box():
    assert drawn(nn.Linear(3, 2), 1, 3).units == ()
    # 100 steps of a dozen operations each
    assert drawn(nn.LSTM(2, 2), 100, 1, 2).units == ()
