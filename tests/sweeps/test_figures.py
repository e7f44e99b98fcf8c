"""Figures of variants, against the public functions, published figures and figures by hand."""

import pytest
from support.sweep_nets import macs_of, params_of, space_of, write_nets

import inception_lab as il
from inception_lab.models.cards import CARDS

ODD_NETS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, kind="plain"):
        super().__init__()
        self.kind, self.first, self.last = kind, nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)

    def forward(self, x):
        x = self.first(x)
        if self.kind == "uncounted":
            x = torch.linalg.matrix_exp(x)
        if self.kind == "unknown":
            x = x.gather(-1, x.argsort(dim=-1))
        if self.kind == "wrong":
            x = x.view(5)
        return self.last(x)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_figures_are_those_of_a_pocket_calculator(folder):
    table = il.sweep(
        space_of(write_nets(folder), [1, 4, 9], metrics=["params", "macs", "receptive_field"]), jobs=1
    )
    assert table["params"].tolist() == [params_of(width) for width in (1, 4, 9)]
    assert table["macs"].tolist() == [macs_of(width, 16) for width in (1, 4, 9)]
    assert table["receptive_field"].tolist() == [5, 5, 5]
    assert table.columns.tolist() == [
        "width", "params", "macs", "receptive_field", "within_budgets", "status", "cause",
    ]  # fmt: skip


def test_figures_are_those_of_one_model_analysed_by_itself():
    metrics = ["params", "macs", "receptive_field", "peak_bytes", "train_peak_bytes"]
    space = {
        "model": "googlenet",
        "parameters": {"num_classes": [10], "batch-size": [2], "input-size": ["3x96x96"]},
        "metrics": metrics,
        "optimizer": "adam",
    }
    (row,) = il.sweep(space, jobs=1).to_dict("records")
    model = il.create_model("googlenet", num_classes=10, device="meta")
    trace = il.trace(model, (2, 3, 96, 96))
    step = il.trace(model, (2, 3, 96, 96), mode="train", optimizer="adam")
    costs = il.layer_costs(trace)
    assert (row["params"], row["macs"]) == (costs["params"].sum(), costs["macs"].sum())
    assert row["receptive_field"] == max(map(max, il.receptive_field(trace)["receptive_field"].dropna()))
    assert row["peak_bytes"] == il.peak_memory(trace).peak_bytes
    assert row["train_peak_bytes"] == il.peak_memory(step).peak_bytes


@pytest.mark.parametrize("name", ["googlenet", "nin"])
def test_figures_of_the_zoo_are_those_of_its_cards(name):
    space = {"model": name, "parameters": {"num_classes": [1000]}, "metrics": ["params", "macs"]}
    (row,) = il.sweep(space, jobs=1).to_dict("records")
    assert (row["params"], row["macs"]) == (CARDS[name].params, CARDS[name].macs)


def test_what_is_not_counted_or_not_known_is_partial_and_what_fails_has_its_cause(folder):
    module = write_nets(folder, ODD_NETS)
    space = {
        "model": f"{module}:Net",
        "input-size": "3x16x16",
        "parameters": {"kind": ["plain", "uncounted", "unknown", "wrong"]},
        "metrics": ["params", "macs", "receptive_field"],
        "budgets": {"params": "1 M"},
    }
    table = il.sweep(space, jobs=1)
    assert table["status"].tolist() == ["complete", "partial", "partial", "failed"]
    assert table["within_budgets"].tolist() == [True, False, False, False]
    plain, uncounted, unknown, wrong = table["cause"]
    assert plain == ""
    assert "not counted: aten.linalg_matrix_exp.default (1x)" in uncounted
    assert "the receptive field of (model) is not known: the data decides which places are read" in unknown
    assert wrong.startswith("cannot run on an input of 1x3x16x16: RuntimeError")
    assert table["params"].isna().tolist() == [False, False, False, True]
    # costs alone are complete where only the field is not known
    costs = il.sweep(space | {"metrics": ["params", "macs"]}, jobs=1)
    assert costs["status"].tolist() == ["complete", "partial", "complete", "failed"]


def test_budgets_tell_the_variants_within_both_bounds(folder):
    space = space_of(write_nets(folder), range(1, 7), metrics=["params"])
    table = il.sweep(space | {"budgets": {"params": {"min": params_of(2), "max": params_of(4)}}}, jobs=1)
    assert table["within_budgets"].tolist() == [False, True, True, True, False, False]


def test_types_of_columns_are_those_of_their_values(folder):
    source = "from torch import nn\ndef net(a, b, c, d):\n    return nn.Conv2d(3, a, 1, bias=c)\n"
    module = write_nets(folder, source)
    parameters = {"a": [1, 2], "b": [0.5], "c": [True, False], "d": ["x", 1]}
    space = {"model": f"{module}:net", "parameters": parameters, "input-size": "3x8x8", "metrics": ["params"]}
    table = il.sweep(space, jobs=1)
    assert {name: str(table[name].dtype) for name in "abcd"} == {
        "a": "int64", "b": "float64", "c": "bool", "d": "object",
    }  # fmt: skip
    assert table["params"].tolist() == [3 * a + a * c for a in (1, 2) for c in (1, 0) for _ in "xy"]
