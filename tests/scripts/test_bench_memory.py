"""The race of predictions against traces: a row for every batch and optimizer, and a computed verdict."""

import pandas as pd
import pytest
import torch
from support.loaded_script import loaded_script

from inception_lab.running.optimizers import OPTIMIZERS


@pytest.fixture
def script():
    threads = torch.get_num_threads()
    with loaded_script("bench_memory") as module:
        yield module
    torch.set_num_threads(threads)


def test_rows_and_verdict(script, monkeypatch, tmp_path):
    clock = iter(range(1000))  # a second passes between any two looks, so that all ratios are 1
    monkeypatch.setattr(script.time, "thread_time", lambda: float(next(clock)))
    assert script.main(["--models", "nin", "--rounds", "1", "-o", str(tmp_path)]) == 0
    rows = pd.read_csv(tmp_path / "memory.csv")
    pairs = [(batch, optimizer) for batch in (1, 512) for optimizer in OPTIMIZERS]
    assert list(zip(rows["batch"], rows["optimizer"], strict=True)) == pairs
    assert set(rows["ratio"]) == {1.0}
    assert set(rows["step_ms"]) == {1000.0}
    assert "8 of 8, the longest 1.00" in (tmp_path / "memory.md").read_text()
    monkeypatch.setattr(script, "MOST", 0.5)
    assert script.main(["--models", "nin", "--rounds", "1", "-o", str(tmp_path)]) == 1
    assert "0 of 8" in (tmp_path / "memory.md").read_text()
