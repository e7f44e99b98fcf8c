"""Peaks beside MemTracker's: rows of files and page, and a verdict that a wrong peak changes."""

import pandas as pd

import bench_memtracker


def test_both_predict_and_a_wrong_peak_is_a_failure(monkeypatch, tmp_path):
    arguments = ["--models", "nin", "--batch", "1", "--rounds", "1", "-o", str(tmp_path)]
    assert bench_memtracker.main(arguments) == 0
    (row,) = pd.read_csv(tmp_path / "memtracker.csv").to_dict("records")
    assert row["our_bytes"] == row["measured_bytes"]
    # two counts that know nothing of each other
    assert abs(row["their_bytes"] / row["measured_bytes"] - 1) < 0.01
    errors = f"{row['measured_bytes']:,d} | +0 | {row['their_bytes'] - row['our_bytes']:+,d}"
    assert f"| nin | 1 | {errors} |" in (tmp_path / "memtracker.md").read_text()
    monkeypatch.setattr(bench_memtracker, "our_peak", lambda *_: 1)
    assert bench_memtracker.main(arguments) == 1
