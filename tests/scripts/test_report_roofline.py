"""The page of a roofline: its arithmetic, and what a small run writes."""

import json

import pandas as pd
import pytest
from support.made_times import CEILINGS, times_of
from torch import nn

import inception_lab as il
import report_roofline
from shared import REPORTS


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_run_writes_tables_plot_and_page(tmp_path, capsys):
    folder = tmp_path / "out"
    arguments = ["--model", "nin", "--side", "64", "--batch-size", "1", "--seconds", "0", "-o", str(folder)]
    assert report_roofline.main(arguments) == 0
    layers, modules = (pd.read_csv(folder / f"{name}.csv") for name in ("layers", "modules"))
    facts = json.loads((folder / "facts.json").read_text())
    assert layers["share"].sum() == pytest.approx(100, abs=1e-2)
    assert layers["launches"].sum() == modules["launches"].sum() == facts["totals"]["launches"]
    names = {
        "layers.csv",
        "modules.csv",
        "facts.json",
        "macs_beside_time.svg",
        "README.md",
    }
    assert {path.name for path in folder.iterdir()} == names
    page = (folder / "README.md").read_text()
    assert page.rstrip() == capsys.readouterr().out.rstrip()


def made():
    """Two layers: 1 ms for 2 x 16 x 27 x 64 MACs, and 3 ms for none."""
    model = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU())
    trace = il.trace(model, (2, 3, 8, 8))
    return il.Roofline(times_of(trace, {"0": 1, "1": 3}), trace, CEILINGS)


def test_the_words_of_the_page_by_hand(tmp_path):
    roofline = made()
    page = report_roofline.write_report(tmp_path, roofline, "A machine.")
    rate = 2 * 2 * 16 * 27 * 64 / 1e-3 / 1e9
    assert f"Layers with MACs reach {rate:.1f} GFLOP/s" in page
    assert "4.0 ms" in page
    images, activations, parameters = 4 * 2 * 3 * 64, 4 * 2 * 16 * 64, 4 * (16 * 27 + 16)
    assert f"2 operations move {(images + 3 * activations + parameters) / 1024:.1f} KiB" in page
    assert "| compute | 1.0 GFLOP/s | made |" in page
    assert "modules without MACs take 75 % of the time" in page
    assert page.endswith("A machine.\n")


def test_the_page_is_that_of_the_files(tmp_path):
    page = report_roofline.write_report(tmp_path, made(), "A machine.")
    layers, modules = (pd.read_csv(tmp_path / f"{name}.csv") for name in ("layers", "modules"))
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert report_roofline.page(layers, modules, facts, "A machine.") == page


@pytest.mark.skipif(not (REPORTS / "roofline").exists(), reason="no report has been made yet")
def test_the_committed_page_is_that_of_the_committed_files():
    folder = REPORTS / "roofline"
    layers, modules = (pd.read_csv(folder / f"{name}.csv") for name in ("layers", "modules"))
    facts, page = json.loads((folder / "facts.json").read_text()), (folder / "README.md").read_text()
    assert report_roofline.page(layers, modules, facts, "").splitlines() == page.splitlines()[:-2]
