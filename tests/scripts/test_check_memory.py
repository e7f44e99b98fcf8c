"""The comparison of predicted peaks with real runs on the CPU."""

from dataclasses import replace

import pandas as pd
import pytest

import check_memory
import inception_lab as il
from shared import REPORTS


def run(folder, *options):
    code = check_memory.main(["--models", "nin", *options, "-o", str(folder)])
    return code, pd.read_csv(folder / "memory.csv"), (folder / "README.md").read_text()


def test_rows_and_verdicts(tmp_path):
    _, rows, page = run(tmp_path, "--side", "64")
    assert list(rows.columns) == list(check_memory.COLUMNS)
    assert list(zip(rows["mode"], rows["batch"], strict=True)) == [
        ("eval", 1), ("train", 2), ("train", 2), ("train", 8)
    ]  # fmt: skip
    assert (rows["tracked_error"] == 0)[rows["mode"] == "train"].all()
    assert "to the byte | 3 | 3 | 0 |" in page
    for figure, prediction in (("tracked", "predicted"), ("allocator", "predicted_allocator")):
        size, error = rows[f"{figure}_bytes"], rows[f"{figure}_error"]
        assert (rows[f"{prediction}_bytes"] - size == error).all()
        assert rows[f"{figure}_percent"].tolist() == pytest.approx((100 * error / size).tolist(), rel=1e-5)
    step = il.trace(il.create_model("nin"), (2, 3, 64, 64), mode="train", optimizer="adamw")
    peak = il.peak_memory(step)
    assert rows.loc[2, ["predicted_bytes", "at", "operation"]].tolist() == [
        peak.peak_bytes, peak.layer, peak.operation
    ]  # fmt: skip


def test_a_wrong_prediction_is_told(tmp_path, monkeypatch):
    measure_memory, where = il.measure_memory, "inception_lab.measure.prediction.measure_memory"
    monkeypatch.setattr(check_memory, "RUNS", check_memory.RUNS[1:2])
    monkeypatch.setattr(where, lambda *a, **k: replace(measure_memory(*a, **k), tracked_bytes=1))
    code, _, page = run(tmp_path)
    assert code == 1
    assert "to the byte | 1 | 0 |" in page


def test_what_would_not_fit_is_named(tmp_path):
    code, rows, page = run(tmp_path, "--limit-gib", "0.001")
    assert code == 0
    assert rows["tracked_bytes"].isna().all()
    assert "not run: about" in page
    assert "to the byte | 0 | 0 |  |  |" in page


def test_the_committed_page_is_that_of_the_committed_rows():
    folder = REPORTS / "memory"
    rows = pd.read_csv(folder / "memory.csv", dtype={"note": str}).fillna({"note": ""})
    page = (folder / "README.md").read_text()
    assert check_memory.page(rows).splitlines()[:-1] == page.splitlines()[:-1]
