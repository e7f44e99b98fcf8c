"""Models side by side from Python: totals, ratios, modules and what cannot be compared."""

import json
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.random_nets import NETS, record_of
from torch import nn

import inception_lab as il
from inception_lab.cli.compare_text import ModuleOptions, comparison_text
from inception_lab.comparison.comparability import is_comparable
from inception_lab.errors import InceptionLabError
from inception_lab.loading.options import ModelRequest
from inception_lab.report.view import View

SHAPE = (2, 3, 8, 8)


class Block(nn.Module):
    """Two branches, of which the second may have a reduction."""

    def __init__(self, reduced=False, width=4):
        super().__init__()
        self.wide = nn.Conv2d(3, width, 1)
        self.deep = nn.Sequential()
        if reduced:
            self.deep.add_module("reduce", nn.Conv2d(3, 2, 1))
        self.deep.add_module("conv", nn.Conv2d(2 if reduced else 3, 4, 3, padding=1))

    def forward(self, x):
        return torch.cat([self.wide(x), self.deep(x)], 1)


def rows(comparison, **options):
    return comparison.by_module(**options).set_index("first_module", drop=False)


def test_totals_and_ratios_by_hand():
    narrow, wide = nn.Linear(3, 2), nn.Linear(3, 6)
    comparison = il.compare(narrow, wide, inputs=(5, 3), names=["narrow", "wide"])
    totals = comparison.totals.set_index("model")
    assert totals["params"].tolist() == [8, 24]
    assert totals["macs"].tolist() == [30, 90]
    assert totals["params_ratio"].tolist() == [1, 3]
    assert totals["macs_ratio"].tolist() == [1, 3]
    assert totals["input_shapes"].tolist() == [[[5, 3]], [[5, 3]]]
    assert comparison.notes == ()


def test_a_reduction_is_added_and_what_reads_it_is_narrower():
    comparison = il.compare(Block(), Block(reduced=True), inputs=SHAPE)
    table = comparison.changes()
    assert table["change"].tolist() == ["added", "changed"]
    assert table["second_module"].tolist() == ["deep.reduce", "deep.conv"]
    # 2 images of 8 x 8: 3 x 2 MACs a pixel more, and 9 x 4 of each input channel that is gone
    assert table["macs_growth"].tolist() == [128 * 3 * 2, -128 * 9 * 4]
    assert table["params_growth"].tolist() == [3 * 2 + 2, -9 * 4]
    assert table["first_module"].isna().tolist() == [True, False]
    by_depth = rows(comparison, depth=1)
    assert by_depth.loc["deep", "change"] == "changed"
    assert by_depth.loc["wide", "change"] == "unchanged"
    assert by_depth.loc["deep", "macs_growth"] == 128 * (3 * 2 - 9 * 4)


def test_the_largest_growth_is_first_for_the_metric_that_is_named():
    first = record_of({"a": ("Conv2d", 1), "b": ("Conv2d", 2)})
    second = record_of({"a": ("Conv2d", 9), "b": ("Conv2d", 1), "c": ("Conv2d", 3)})
    comparison = il.compare(first, second)
    assert comparison.changes()["second_module"].tolist() == ["a", "c", "b"]
    assert comparison.changes("params")["params_growth"].tolist() == [8, 3, -1]
    with pytest.raises(InceptionLabError, match="layers have no 'mac' to compare; did you mean macs"):
        comparison.changes("mac")


def test_a_renamed_branch_has_one_row_and_only_its_name_differs():
    branch = {"conv": ("Conv2d", 5), "relu": ("ReLU", 0)}
    first = record_of({"m": {"b1": ("Conv2d", 1), "b5x5": branch}})
    second = record_of({"m": {"b1": ("Conv2d", 1), "double": branch}})
    (row,) = il.compare(first, second).changes().to_dict("records")
    assert (row["change"], row["first_module"], row["second_module"]) == ("renamed", "m.b5x5", "m.double")
    assert (row["first_params"], row["second_params"], row["params_growth"]) == (5, 5, 0)


def test_subjects_of_every_kind_are_compared(tmp_path):
    trace = il.trace(il.create_model("nin", device="meta"), (1, 3, 224, 224), name="nin")
    record = il.summarise(trace)
    path = tmp_path / "saved.json"
    path.write_text(record.to_json())
    comparison = il.compare("nin", trace, record, path, str(path), ModelRequest("nin"), "nin(num_classes=10)")
    totals = comparison.totals
    assert totals["params_ratio"].tolist()[:6] == [1.0] * 6
    assert totals["macs_ratio"].iloc[6] < 1
    assert len(set(comparison.labels)) == 7
    assert comparison.labels[6] == "nin(num_classes=10)"
    assert str(path) in comparison.labels[3]


def test_mode_and_optimizer_are_of_models_that_are_run():
    comparison = il.compare(nn.Linear(3, 2), nn.Linear(3, 2), inputs=(1, 3), mode="train", optimizer="adam")
    assert {"training_macs", "train_peak_bytes_ratio"} <= set(comparison.totals.columns)
    assert "saved_bytes" in comparison.metrics


@pytest.mark.parametrize(
    ("facts", "metrics"),
    [
        ({"mode": "train"}, ["params"]),
        ({"input_shapes": [[4, 3, 9, 9]]}, ["params"]),
        ({"complete": False}, ["params"]),
        ({"dtype": "float16"}, ["macs", "params"]),
        ({"optimizer": "adam"}, ["macs", "params"]),
        ({"input_shapes": [[1, 3, 11, 11]]}, ["macs", "params"]),
    ],
)
def test_what_cannot_be_compared_has_no_ratio_and_is_said(facts, metrics):
    comparison = il.compare(
        record_of({"a": ("Conv2d", 1)}), record_of({"a": ("Conv2d", 2)}, "other", **facts)
    )
    assert list(comparison.metrics) == metrics
    ratios = comparison.totals.iloc[1].filter(like="_ratio").dropna()
    assert sorted(ratios.index) == [f"{metric}_ratio" for metric in metrics]
    assert bool(comparison.notes) == ("input_shapes" not in facts or len(metrics) == 1)
    for note in comparison.notes:
        assert note.startswith("other")
        assert ("no ratios of MACs" in note) == ("complete" not in facts and "macs" not in metrics)


def test_ratios_of_memory_are_of_one_dtype_and_one_optimizer():
    one, other = record_of({"a": ("Conv2d", 1)}), record_of({"a": ("Conv2d", 1)}, dtype="float16")
    assert not is_comparable("peak_bytes", one, other)
    assert not is_comparable("train_peak_bytes", one, one.with_context(optimizer="sgd"))
    assert is_comparable("saved_bytes", one, one.with_context(optimizer="sgd"))
    assert not is_comparable("step_ms", one, one.with_context(optimizer="sgd"))


def test_a_partial_record_is_said_to_be_one():
    uncounted = ({"name": "aten.cat.default", "count": 9},)
    record = record_of({"a": ("Conv2d", 1)}, complete=False)
    partial = il.Record(record.context, record.totals, uncounted, (), record.layers)
    comparison = il.compare(partial, partial)
    assert not comparison.complete
    assert comparison.notes[0] == "net (1) is partial, not counted: aten.cat.default (9x)"


def test_another_version_of_torch_is_said():
    old, new = (record_of({"a": ("Conv2d", 1)}, torch=version) for version in ("2.4", "2.13"))
    assert il.compare(old, new).notes == ("net (2) is of torch 2.13, net (1) of torch 2.4",)
    assert il.compare(new, new).notes == ()


def test_records_without_layers_have_totals_alone():
    record = record_of({"a": ("Conv2d", 1)})
    record = il.Record(record.context, record.totals, (), (), ())
    comparison = il.compare(record, record)
    assert comparison.totals["macs_ratio"].tolist() == [1, 1]
    assert comparison.by_module()["change"].tolist() == ["unchanged"]
    with pytest.raises(InceptionLabError, match="layers have nothing to compare; see the totals"):
        comparison.changes()


def test_the_changes_of_equals_have_columns_and_no_rows():
    record = record_of({"a": ("Conv2d", 1)})
    changes = il.compare(record, record).changes()
    assert len(changes) == 0
    assert [*changes] == [*il.compare(record, record).modules]


@pytest.mark.parametrize(
    "net", [nn.Conv2d(3, 2, 3), nn.Sequential(nn.Conv2d(3, 2, 3))], ids=["one", "several"]
)
def test_a_net_that_computes_nothing_is_not_the_same_as_one_that_does(net):
    nothing = nn.Identity()
    for subjects, sign in (((nothing, net), 1), ((net, nothing), -1)):
        comparison = il.compare(*subjects, inputs=(1, 3, 9, 9))
        rows = comparison.changes("params")
        assert rows["params_growth"].sum() == sign * (2 * 3 * 9 + 2)
        assert rows["macs_growth"].sum() == sign * 2 * 3 * 9 * 7 * 7
        assert "unchanged" not in set(comparison.modules["change"])


def test_a_total_of_nothing_has_no_ratio():
    zero, one = record_of({"a": ("Conv2d", 0)}), record_of({"a": ("Conv2d", 1)})
    assert "params_ratio" not in il.compare(zero, one).totals
    assert il.compare(one, zero).totals["params_ratio"].tolist() == [1, 0]


def test_the_json_has_totals_of_each_model_and_modules_of_two():
    first, second = record_of({"a": ("Conv2d", 1)}), record_of({"b": ("Linear", 3)}, "other")
    data = json.loads(json.dumps(il.compare(first, second).to_dict()))
    assert (data["schema"], data["tool"].split()[0]) == (1, "inception_lab")
    assert [model["totals"] for model in data["models"]] == [first.totals, second.totals]
    assert [model["mode"] for model in data["models"]] == ["eval", "eval"]
    assert data["models"][1]["ratios"]["params"] == 3
    assert "layers" not in data["models"][0]
    (row,) = data["modules"]
    assert (row["change"], row["first_params"], row["second_params"]) == ("changed", 1, 3)
    assert "modules" not in il.compare(first, second, first).to_dict()


def test_more_than_two_models_are_not_compared_module_by_module():
    comparison = il.compare(*[record_of({"a": ("Conv2d", 1)})] * 3)
    assert comparison.labels == ("net (1)", "net (2)", "net (3)")
    for table in (lambda: comparison.modules, comparison.changes, comparison.by_module):
        with pytest.raises(
            InceptionLabError, match="3 models are not compared module by module; compare two"
        ):
            table()


class Net(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        (lambda: il.compare(), "fewer than two models to compare; name two or more"),
        (lambda: il.compare("nin"), "fewer than two models"),
        (lambda: il.compare(Net(3, 2), Net(3, 4)), r"Net: no inputs to run it on; give inputs=\(1, 3"),
        (lambda: il.compare(Net(3, 2), (1, 3)), "no inputs to run it on"),
        (lambda: il.compare("nin", (1, 3)), "a tuple is not something to compare; pass models, traces"),
        (lambda: il.compare("nin", None), "a NoneType is not something to compare"),
        (lambda: il.compare("nin", "gogglenet"), "no model 'gogglenet'; did you mean googlenet"),
        (lambda: il.compare("nin", "nin(10)"), "a value without a keyword"),
        (lambda: il.compare("nin", "no.json"), "no.json: cannot be read"),
        (lambda: il.compare("nin", "nin", inputs=(1, 3, 9, 9)), "inputs= without an nn.Module; leave it out"),
        (lambda: il.compare("no.json", Path("no"), mode="train"), "not run again; leave out inputs=, mode="),
        (lambda: il.compare("nin", "nin", names="ab"), "2 models and names='ab'; give a name for each"),
        (lambda: il.compare("nin", "nin", names=["a"]), "give a name for each"),
        (lambda: il.compare("nin", "nin", names=2), "2 models and names=2; give a name for each"),
        (lambda: il.compare("nin", "nin", mode="training"), "training"),
        (lambda: il.compare("nin", "nin").by_module(0), "depth 0 is below 1"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_clear_line(compare, message):
    with pytest.raises(InceptionLabError, match=message) as raised:
        compare()
    assert "\n" not in str(raised.value)


def test_a_damaged_layer_is_refused_with_the_name_of_its_model():
    good, bad = record_of({"a": ("Conv2d", 1)}), record_of({"a": ("Conv2d", 1)}, "bad")
    bad = il.Record(bad.context, bad.totals, (), (), ({"layer": "a", "macs": "many"},))
    with pytest.raises(InceptionLabError, match="bad: damaged record: macs of 'a'"):
        il.compare(good, bad).by_module()


@given(NETS)
def test_a_net_beside_itself_has_ratios_of_one_and_no_changes(net):
    comparison = il.compare(record_of(net), record_of(net))
    ratios = comparison.totals.filter(like="_ratio").to_numpy().ravel()
    assert len(ratios)
    assert all(value == 1 for value in ratios if not math.isnan(value))
    assert comparison.changes().empty
    assert set(comparison.by_module()["change"]) == {"unchanged"}


@given(NETS, NETS, st.none() | st.integers(1, 3))
def test_columns_add_up_to_the_totals_of_both_nets(net, other, depth):
    comparison = il.compare(record_of(net), record_of(other))
    table = comparison.by_module(depth)
    for metric in ("params", "macs"):
        sums = [table[f"{side}_{metric}"].sum() for side in ("first", "second")]
        assert sums == comparison.totals[metric].tolist()
        assert table[f"{metric}_growth"].sum() == sums[1] - sums[0]


MIRRORED = {"added": "removed", "removed": "added"}


@given(NETS, NETS, st.none() | st.integers(1, 3))
def test_the_other_order_mirrors_every_row(net, other, depth):
    def facts(comparison, sides):
        columns = [f"{side}_{name}" for side in sides for name in ("module", "type", "params", "macs")]
        table = comparison.by_module(depth).astype(object)
        return {tuple(None if value != value else value for value in row)
                for row in table[["change", *columns]].itertuples(index=False)}  # fmt: skip

    one = facts(il.compare(record_of(net), record_of(other)), ("first", "second"))
    two = facts(il.compare(record_of(other), record_of(net)), ("second", "first"))
    assert one == {(MIRRORED.get(change, change), *rest) for change, *rest in two}


PATHS = st.sampled_from(["", "a", "a.b", "..", "(model)"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | PATHS,
    lambda parts: st.lists(parts, max_size=2) | st.dictionaries(st.text(max_size=2), parts, max_size=2),
    max_leaves=3,
)
KEYS = st.sampled_from(["layer", "type", "macs", "params", "call", "output_shape", "self_ms", "x"])
FACTS = st.sampled_from(["dtype", "optimizer", "loss", "note", "torch", "kwargs", "device", "model", "mode"])


@settings(max_examples=400)
@given(st.lists(st.dictionaries(KEYS, JSON), max_size=4), st.dictionaries(FACTS, JSON, max_size=3))
def test_any_json_is_compared_or_refused_in_one_line(layers, facts):
    good = record_of({"a": ("Conv2d", 1), "b": {"0": ("ReLU", 0)}}).to_dict()
    try:
        record = il.Record.from_dict({**good, **facts, "layers": layers})
        comparison = il.compare(record, il.Record.from_dict(good))
        json.dumps(comparison.to_dict())
        assert comparison.totals.shape[0] == 2
        for form in ("table", "markdown", "csv"):
            assert comparison_text(comparison, ModuleOptions(None, False, False), View(form)).endswith("\n")
    except InceptionLabError as error:
        assert "\n" not in str(error)  # noqa: PT017
