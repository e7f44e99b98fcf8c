"""The JSON record, to the letter, and back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.errors import InceptionLabError


@pytest.fixture(scope="module")
def record():
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    return il.summarise(il.trace(model, (1, 3, 224, 224), name="googlenet"))


def test_the_fields_are_those_of_the_design(record):
    data = record.to_dict()
    assert list(data) == [
        "schema", "tool", "torch", "model", "input_shapes", "mode", "dtype", "complete", "axes",
        "totals", "uncounted_ops", "unexecuted_modules", "layers",
    ]  # fmt: skip
    assert data["schema"] == 1
    assert data["tool"] == f"inception_lab {il.__version__}"
    assert data["model"] == "googlenet"
    assert data["input_shapes"] == [[1, 3, 224, 224]]
    assert (data["mode"], data["dtype"], data["complete"]) == ("eval", "float32", True)
    assert data["uncounted_ops"] == []
    assert data["axes"] == [2, 3]
    assert "aux1.conv.conv" in data["unexecuted_modules"]


def test_a_layer_is_as_the_design_shows_it(record):
    layer = next(row for row in record.to_dict()["layers"] if row["layer"] == "inception3a.branch1.conv")
    assert layer == {
        "layer": "inception3a.branch1.conv", "type": "Conv2d", "executed": True,
        "input_shape": [1, 192, 28, 28], "output_shape": [1, 64, 28, 28],
        "params": 192 * 64 + 64, "trainable_params": 192 * 64 + 64,
        "macs": 28 * 28 * 192 * 64, "flops": 2 * 28 * 28 * 192 * 64,
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


NOT_FINITE = "total 'macs' is not a finite number"


@pytest.mark.parametrize(
    ("part", "value", "line"),
    [
        ("totals", {"macz": 1}, "total 'macz' is not a metric; did you mean macs?"),
        ("totals", {"macs": "7 M"}, f"{NOT_FINITE}: '7 M'; give an int or a float"),
        ("totals", {"macs": None}, f"{NOT_FINITE}: None; give an int or a float"),
        ("totals", {"macs": True}, f"{NOT_FINITE}: True; give an int or a float"),
        (
            "totals",
            {"macs": float("nan")},
            "total 'macs' is not a finite number: nan; give an int or a float",
        ),
        ("totals", {"macs": 10**309}, f"{NOT_FINITE}: {10**309}; give an int or a float"),
        ("totals", [], "damaged record: totals is not an object; write it again"),
        ("layers", {}, "damaged record: layers is not a list; write it again"),
        ("unexecuted_modules", [1], "damaged record; write it again"),
        ("model", 5, "damaged record: model is not text; write it again"),
        ("mode", None, "damaged record: mode is not text; write it again"),
        ("complete", 1, "damaged record: complete is not true or false; write it again"),
        ("input_shapes", 5, "damaged record: input_shapes is not a list; write it again"),
        ("input_shapes", [5], "damaged record: input_shapes are not lists of sizes; write it again"),
        ("input_shapes", [[1, "3"]], "damaged record: input_shapes are not lists of sizes; write it again"),
        ("schema", 2, "not a record of schema 1: 2; write it again"),
    ],
)
def test_a_saved_record_with_a_fault_gives_one_line_that_names_the_file(record, part, value, line, tmp_path):
    path = tmp_path / "summary.json"
    path.write_text(json.dumps(record.to_dict() | {part: value}))
    with pytest.raises(InceptionLabError) as caught:
        il.Record.load(path)
    assert str(caught.value) == f"{path}: {line}"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
TOTALS = st.dictionaries(st.sampled_from(["macs", "params"]), JSON | st.integers(10**300, 10**400))
PARTS = st.fixed_dictionaries(
    {},
    optional={
        "schema": st.just(1) | JSON, "model": JSON, "totals": JSON | TOTALS, "layers": JSON,
        "uncounted_ops": JSON, "unexecuted_modules": JSON | st.lists(st.text()), "more": JSON,
        "input_shapes": JSON | st.lists(st.lists(st.integers())), "mode": JSON, "complete": JSON,
    },
)  # fmt: skip


@settings(derandomize=True, deadline=None)
@given(PARTS)
def test_any_data_is_a_record_or_one_clear_line(parts):
    lists = {name: [] for name in ("uncounted_ops", "unexecuted_modules", "layers")}
    context = {"model": "", "input_shapes": [[1, 2]], "mode": "eval", "complete": True}
    data = {"schema": 1, **context, "totals": {}, **lists, **parts}
    try:
        line, answer = "", il.Record.from_dict(data).to_dict()
    except InceptionLabError as error:
        line, answer = str(error), data
    assert answer == data
    assert len(line.splitlines()) <= 1


def test_a_total_is_checked_where_it_is_made(record):
    with pytest.raises(InceptionLabError, match="total 'energy' is not a metric; known: accuracy, "):
        replace(record, totals={**record.totals, "energy": 1})
    with pytest.raises(InceptionLabError, match="is not a finite number"):
        replace(record, totals={"macs": np.int64(1)})  # JSON has no such number


@pytest.mark.parametrize("name", ["model", "input_shapes", "mode", "complete"])
def test_a_record_without_a_fact_is_damaged(record, name, tmp_path):
    data = record.to_dict()
    del data[name]
    with pytest.raises(InceptionLabError, match=f"^damaged record: {name} is not"):
        il.Record.from_dict(data)
    context = {key: fact for key, fact in record.context.items() if key != name}
    with pytest.raises(InceptionLabError, match=f"^damaged record: {name} is not"):
        il.write_comparison([record, replace(record, context=context)], tmp_path / "comparison")


@pytest.mark.parametrize("path", [None, 5, "a\0b"])
def test_what_is_not_a_path(path):
    with pytest.raises(InceptionLabError, match="is not a path; pass text"):
        il.Record.load(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InceptionLabError, match=r"nowhere\.json"):
        il.Record.load(tmp_path / "nowhere.json")
