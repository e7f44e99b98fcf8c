"""Worksheets as JSON and CSV."""

import csv
import io
import json

import pytest

import inception_lab as il


@pytest.fixture(scope="module")
def sheet():
    model = il.create_model("inception_v3", device="meta")
    return il.worksheet(il.trace(model, (1, 3, 299, 299), name="inception_v3"), "mixed_6b")


def test_json_has_context_totals_and_layers(sheet):
    data = json.loads(il.render_worksheet(sheet, "json"))
    assert (data["schema"], data["model"], data["module"]) == (1, "inception_v3", "mixed_6b")
    assert (data["input_shapes"], data["input_shape"]) == ([[1, 3, 299, 299]], [1, 768, 17, 17])
    assert (data["complete"], data["uncounted_ops"]) == (True, [])
    assert (data["joined_channels"], data["naive_joined_channels"]) == ([192] * 4, [192, 192, 192, 768])
    for name in ("macs", "weights", "biases", "other_params", "params", "naive_macs", "naive_params"):
        assert sum(branch[name] for branch in data["branches"]) == data["totals"][name]
    assert data["totals"]["macs_ratio"] == data["totals"]["naive_macs"] / data["totals"]["macs"]
    (pool,) = [branch for branch in data["branches"] if branch["branch"] == "branch4"]
    assert [layer["layer"] for layer in pool["layers"]] == ["pool", "proj.conv", "proj.bn"]
    assert [layer["layer"] for layer in pool["naive_layers"]] == ["pool"]
    assert pool["naive_macs"] == pool["macs_ratio"] == 0


def test_a_plain_module_has_no_naive_figures():
    data = json.loads(il.render_worksheet(il.design_worksheet("8x8x4", "1x1:3"), "json"))
    assert not [name for name in (*data, *data["totals"], *data["branches"][0]) if "naive" in name]
    assert {row["side"] for row in rows_of(il.design_worksheet("8x8x4", "1x1:3"))} == {"reduced"}


def test_a_single_branch_has_naive_figures():
    model = il.create_model("googlenet", device="meta")
    sheet = il.worksheet(il.trace(model, (1, 3, 224, 224)), "inception3a.branch3")
    data = json.loads(il.render_worksheet(sheet, "json"))
    assert (data["totals"]["naive_macs"], data["totals"]["macs"]) == (120_422_400, 12_443_648)
    assert "Naive: without the 1x1 reductions" in il.render_worksheet(sheet)


def rows_of(sheet):
    return list(csv.DictReader(io.StringIO(il.render_worksheet(sheet, "csv"))))


@pytest.mark.parametrize("side", ["naive", "reduced"])
def test_csv_adds_up_on_each_side(sheet, side):
    rows = [row for row in rows_of(sheet) if row["side"] == side]
    sums = getattr(sheet, side)
    assert sum(int(row["macs"]) for row in rows) == sums.macs
    assert sum(int(row["params"]) for row in rows) == sums.params


def test_a_format_that_does_not_exist_is_one_line(sheet):
    with pytest.raises(il.InceptionLabError, match="no format 'latx'; did you mean latex"):
        il.render_worksheet(sheet, "latx")
