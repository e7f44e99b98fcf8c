"""Locks beside models: one budget or all of them, and every lock that is refused."""

from pathlib import Path

import pytest

import inception_lab as il
from inception_lab.comparison.locks import locked_records
from inception_lab.comparison.subjects import is_file, saved_model
from inception_lab.errors import InceptionLabError

CONFIGURATION = """
[budgets.small]
model = "nin(num_classes=10)"
input-size = "3x64x64"
macs = "1 G"

[budgets.step]
model = "nin"
input-size = "3x64x64"
batch-size = 2
mode = "train"
optimizer = "adam"
train_peak_bytes = "1 GiB"
saved_bytes = "1 GiB"
"""


@pytest.fixture(scope="module")
def lock(tmp_path_factory):
    """The path of a lock that was written from a configuration."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "inception-lab.toml").write_text(CONFIGURATION)
    il.update_lock(folder)
    return str(folder / "inception-lab.lock")


def traced(model, batch_size=1, **options):
    from inception_lab.loading.model import trace_model
    from inception_lab.loading.options import model_request, parse_input_size

    request = model_request(model, {}, (parse_input_size("3x64x64"),), batch_size)
    return trace_model(request, **options)


def test_a_locked_model_has_the_figures_of_its_trace(lock):
    comparison = il.compare(f"{lock}#small", traced("nin(num_classes=10)"))
    ratios = comparison.totals.iloc[1].filter(like="_ratio").dropna()
    assert {"params_ratio", "macs_ratio", "peak_bytes_ratio"} <= set(ratios.index)
    assert set(ratios) == {1.0}
    table = comparison.by_module()
    assert set(table["change"]) == {"unchanged"}
    assert table["first_macs"].sum() == comparison.totals["macs"].iloc[0]
    assert comparison.notes == ()


def test_the_name_of_a_lock_may_have_parentheses(lock):
    copy = Path(lock).with_name("inception-lab (1).lock")
    copy.write_bytes(Path(lock).read_bytes())
    assert is_file(f"{copy.name}#small")
    assert not is_file("nets:Net(path='a/b.lock')")
    assert not is_file("nets:Net(path='a/b'")
    assert il.compare(f"{copy}#small", f"{lock}#small").totals["params_ratio"].tolist() == [1.0, 1.0]


def test_a_locked_step_is_compared_with_a_step(lock):
    comparison = il.compare(f"{lock}#step", traced("nin", mode="train", optimizer="adam", batch_size=2))
    assert {"saved_bytes", "training_macs"} & set(comparison.metrics)
    assert comparison.totals["train_peak_bytes_ratio"].tolist() == [1.0, 1.0]
    assert comparison.changes().empty
    other = il.compare(f"{lock}#step", traced("nin", mode="train", optimizer="sgd", batch_size=2))
    assert "optimizer sgd, not adam; no ratios of Training peak" in other.notes[0]


def test_a_change_since_the_lock_names_the_layers(lock):
    comparison = il.compare(f"{lock}#small", traced("nin(num_classes=11)"))
    table = comparison.changes()
    assert table["change"].tolist() == ["changed"] * len(table)
    assert 1 <= len(table) <= 4
    growth = comparison.totals["params"].diff().iloc[1]
    assert table["params_growth"].sum() == growth > 0


def test_a_lock_alone_sets_all_its_budgets_side_by_side(lock):
    comparison = il.compare(lock)
    assert [record.context["model"] for record in comparison.records] == ["nin(num_classes=10)", "nin"]
    assert [model.source for model in comparison.models] == [f"{lock}#small", f"{lock}#step"]
    assert list(locked_records(f"{lock}#step")) == [f"{lock}#step"]


@pytest.mark.parametrize("order", [1, -1])
def test_numbers_in_paths_are_in_order(order):
    rows = [{"layer": f"f.{n}", "params": n} for n in range(12)]
    first = il.Record(_context(), {"params": 66}, (), (), tuple(sorted(rows, key=lambda row: row["layer"])))
    typed = [{"type": "Conv2d", **row} for row in rows]
    second = il.Record(_context(), {"params": 66}, (), (), tuple(typed))
    table = il.compare(*(first, second)[::order]).by_module()
    assert set(table["change"]) == {"unchanged"}
    assert table["first_module"].tolist() == [f"f.{n}" for n in range(12)]


def _context():
    return {"model": "net", "input_shapes": [[1, 3]], "mode": "eval", "complete": True}


def test_a_budget_that_is_not_in_the_lock(lock):
    with pytest.raises(InceptionLabError, match="no budget 'smal'; did you mean small"):
        il.compare(f"{lock}#smal", "nin")
    with pytest.raises(InceptionLabError, match="fewer than two models"):
        il.compare(f"{lock}#small")


def test_a_lock_that_is_not_there_or_damaged_is_refused_in_one_line(lock, tmp_path):
    with pytest.raises(InceptionLabError, match="there is no such lock; write it with"):
        il.compare(str(tmp_path / "no.lock"), "nin")
    good = Path(lock).read_text()
    bad = tmp_path / "bad.lock"
    edited = good.replace("macs = ", "macs = 1", 1)
    for text in ("", "<<<<<<< HEAD\n" + good, good[:-40], edited, "schema = 2", "\0"):
        bad.write_text(text)
        with pytest.raises(InceptionLabError) as raised:
            il.compare(str(bad), "nin")
        assert "bad.lock" in str(raised.value)
        assert "\n" not in str(raised.value)


def test_one_budget_is_one_saved_model(lock):
    model = saved_model(f"{lock}#small")
    assert model.source == f"{lock}#small"
    assert model.record.totals["macs"] == il.summarise(traced("nin(num_classes=10)")).totals["macs"]


def test_several_budgets_are_no_saved_model(lock):
    with pytest.raises(InceptionLabError) as refusal:
        saved_model(lock)
    assert str(refusal.value) == f"{lock}: the lock has 2 budgets; name one as in {lock}#step"


@pytest.mark.parametrize("name", ["googlenet", "", "before.txt"])
def test_other_names_are_no_saved_model(name):
    with pytest.raises(
        InceptionLabError, match=r"is not a saved record; name a FILE\.json or FILE\.lock#NAME"
    ):
        saved_model(name)


def test_a_saved_record_without_layers_is_refused(tmp_path):
    path = tmp_path / "before.json"
    context = {"model": "net", "mode": "eval", "input_shapes": [[1, 3]], "complete": True}
    il.Record(context, {"params": 3}, (), (), ({"params": 3},)).save(path)
    with pytest.raises(InceptionLabError) as refusal:
        saved_model(path)
    assert refusal.value.where == str(path)
