"""The JSON record, to the letter, and back."""

import json

import pytest

import inception_lab as il
from inception_lab.errors import InceptionLabError


@pytest.fixture(scope="module")
def record():
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    return il.summarise(il.trace(model, (1, 3, 224, 224), name="googlenet"))


def test_the_fields_are_those_of_the_design(record):
    data = record.to_dict()
    assert list(data) == [
        "schema", "tool", "torch", "model", "input_shapes", "mode", "dtype", "complete", "totals",
        "uncounted_ops", "unexecuted_modules", "layers",
    ]  # fmt: skip
    assert data["schema"] == 1
    assert data["tool"] == f"inception_lab {il.__version__}"
    assert data["model"] == "googlenet"
    assert data["input_shapes"] == [[1, 3, 224, 224]]
    assert (data["mode"], data["dtype"], data["complete"]) == ("eval", "float32", True)
    assert data["uncounted_ops"] == []
    assert "aux1.conv.conv" in data["unexecuted_modules"]


def test_a_layer_is_as_the_design_shows_it(record):
    layer = next(row for row in record.to_dict()["layers"] if row["layer"] == "inception3a.branch1.conv")
    assert layer == {
        "layer": "inception3a.branch1.conv", "type": "Conv2d", "executed": True,
        "input_shape": [1, 192, 28, 28], "output_shape": [1, 64, 28, 28],
        "params": 192 * 64 + 64, "macs": 28 * 28 * 192 * 64, "flops": 2 * 28 * 28 * 192 * 64,
        "other_flops": 28 * 28 * 64, "activation_bytes": 4 * 28 * 28 * 64,
        "receptive_field": [27, 27], "stride": [8, 8], "padding": [7, 7],
    }  # fmt: skip


def test_totals_are_the_sums_of_the_layers(record):
    for name, total in record.totals.items():
        if name not in ("weighted_layers", "peak_bytes"):
            assert total == sum(layer[name] for layer in record.layers)
    assert record.totals["weighted_layers"] == 22
    # weights, the image, and four maps in the second LRN: the one that it divides, three of its own
    assert record.totals["peak_bytes"] == 4 * (13378280 + 3 * 224 * 224 + 4 * 192 * 56 * 56)


def test_json_and_back(record, tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(record.to_json())
    assert il.Record.load(path) == record
    assert json.loads(record.to_json()) == record.to_dict()


def test_the_frame_has_a_row_per_layer(record):
    assert record.frame()["macs"].sum() == record.totals["macs"]


def test_repeated_calls_carry_their_number():
    from torch import nn

    shared = nn.Linear(4, 4)
    record = il.summarise(il.trace(nn.Sequential(shared, nn.ReLU(), shared), (1, 4)))
    assert [row.get("call") for row in record.layers] == [None, None, 1]
    assert record.frame()["call"].tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "3", '{"schema": 2}', '{"schema": 1}', '{"schema": 1, "totals": {}, "layers": 3}'],
)
def test_damage_is_one_clear_line(text, tmp_path):
    path = tmp_path / "damaged.json"
    path.write_text(text)
    with pytest.raises(InceptionLabError) as caught:
        il.Record.load(path)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InceptionLabError, match=r"nowhere\.json"):
        il.Record.load(tmp_path / "nowhere.json")
