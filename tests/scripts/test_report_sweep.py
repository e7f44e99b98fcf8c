"""The report of a sweep: what a small one writes, and that the committed one is what the nets have."""

import re

import pandas as pd
import pytest

import inception_lab as il
import report_sweep
from shared import REPORTS

FOLDER = REPORTS / "sweep"


def test_a_small_sweep_writes_tables_plots_and_page(tmp_path):
    folder, store = tmp_path / "out", tmp_path / "store.jsonl"
    arguments = ["--sample", "12", "--jobs", "1", "--store", str(store), "-o", str(folder)]
    assert report_sweep.main(arguments) == 0
    variants, front = (pd.read_csv(folder / f"{name}.csv") for name in ("variants", "front"))
    assert len(variants) == len(store.read_text().splitlines()) == 12
    assert (front[["params", "macs"]] <= [5e6, 1.2e9]).all(axis=None)
    names = {"README.md", "front.csv", "front.svg", "influence.csv", "influence.svg", "variants.csv"}
    assert {path.name for path in folder.iterdir()} == names
    page = (folder / "README.md").read_text()
    assert f"Of 12 variants {int(variants['within_budgets'].sum())} are within the budgets" in page


@pytest.fixture(scope="module")
def variants():
    return pd.read_csv(FOLDER / "variants.csv")


def test_the_committed_front_is_that_of_the_variants(variants):
    front = pd.read_csv(FOLDER / "front.csv")
    within = variants[(variants["params"] <= 5e6) & (variants["macs"] <= 1.2e9)]
    assert len(within) == variants["within_budgets"].sum()
    for row in front.to_dict("records"):
        sees_more = within["receptive_field"] >= row["receptive_field"]
        less = within["train_peak_bytes"] <= row["train_peak_bytes"]
        rivals = within[sees_more & less][["receptive_field", "train_peak_bytes"]].drop_duplicates()
        assert len(rivals) == 1


def test_the_committed_sample_is_that_of_the_space(variants):
    drawn = il.read_space(report_sweep.SPACE).variants()
    assert len(drawn) == len(variants)
    for name in ("module_3", "depth_4", "input_size"):
        assert [row[name] for row in drawn] == variants[name].tolist()


@pytest.mark.parametrize("number", [0, 701, 1999])
def test_committed_figures_are_those_of_the_nets(number, variants):
    parameters = il.read_space(report_sweep.SPACE).variants()[number]
    row = variants.iloc[number]
    model = il.create_model("googlenet", device="meta", batch_norm=True, **parameters)
    side = parameters["input_size"]
    trace = il.trace(model, (1, 3, side, side))
    fields = il.receptive_field(trace)
    maps = fields[fields["reason"] != "sees everything"]["receptive_field"]
    step = il.trace(model, (32, 3, side, side), mode="train", optimizer="momentum")
    assert row["params"] == sum(parameter.numel() for parameter in model.parameters())
    assert row["macs"] == il.layer_costs(trace)["macs"].sum()
    assert row["receptive_field"] == max(max(sides) for sides in maps.dropna())
    assert row["train_peak_bytes"] == il.peak_memory(step).peak_bytes


def test_the_page_says_what_the_tables_have(variants):
    page, front = (FOLDER / "README.md").read_text(), pd.read_csv(FOLDER / "front.csv")
    count, within, best = re.search(
        r"Of ([\d,]+) variants ([\d,]+) are .* and (\d+) of", page, re.DOTALL
    ).groups()
    assert int(count.replace(",", "")) == len(variants)
    assert int(within.replace(",", "")) == variants["within_budgets"].sum()
    assert int(best) == len(front)
