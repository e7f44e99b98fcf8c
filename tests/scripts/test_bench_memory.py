"""The race of predictions against traces: a row for every batch and optimizer, and a computed verdict."""

import time

import pandas as pd

import bench_memory
from inception_lab.running.optimizers import OPTIMIZERS


def test_rows_and_verdict(monkeypatch, tmp_path):
    clock = iter(range(1000))  # a second passes between any two looks, so that all ratios are 1
    monkeypatch.setattr(time, "thread_time", lambda: float(next(clock)))
    assert bench_memory.main(["--models", "nin", "--rounds", "1", "-o", str(tmp_path)]) == 0
    rows = pd.read_csv(tmp_path / "memory.csv")
    pairs = [(batch, optimizer) for batch in (1, 512) for optimizer in OPTIMIZERS]
    assert list(zip(rows["batch"], rows["optimizer"], strict=True)) == pairs
    assert set(rows["ratio"]) == {1.0}
    assert set(rows["step_ms"]) == {1000.0}
    page = (tmp_path / "memory.md").read_text()
    assert "8 of 8, the longest 1.00" in page
    assert "| nin | 512 | adamw | 1000.0 | 1000.0 | 1.00 |" in page
    monkeypatch.setattr(bench_memory, "MOST", 0.5)
    assert bench_memory.main(["--models", "nin", "--rounds", "1", "-o", str(tmp_path)]) == 1
    assert "0 of 8" in (tmp_path / "memory.md").read_text()
