"""The checks of the times of layers: their arithmetic, and the page that they write."""

import pandas as pd
import pytest
import torch
from torch import nn

import check_times
from shared import REPORTS

EVAL, KEPT, TRAIN, _ = check_times.SETTINGS


def layers(**columns):
    names = {"layer": ["a", "b", "c"], "call": [0, 0, 0], "type": ["Conv2d", "Conv2d", "ReLU"]}
    return pd.DataFrame(names | columns)


def row(check, figure, spread=1.0):
    return {"check": check, "figure": figure, "spread_percent": spread}


def test_a_run_writes_every_check_and_every_layer(tmp_path, monkeypatch):
    monkeypatch.setattr(check_times, "SETTINGS", (KEPT, TRAIN))
    arguments = ["--model", "nin", "--side", "64", "--batch-size", "1", "--seconds", "0", "-o", str(tmp_path)]
    code = check_times.main(arguments)
    checks, rows = (pd.read_csv(tmp_path / name) for name in ("checks.csv", "layers.csv"))
    every, *_, profiled = (list(check_times.CHECKS)[slice(*ends)] for ends in ((-1,), (-1, None)))
    assert list(checks["check"]) == every + every + profiled
    assert set(checks.set_index("check").loc["sum", "figure"]) == {0}
    titles = [setting.title for setting in check_times.SETTINGS]
    for column in ("share_first", "share_second", "cpu_share_first", "cpu_share_second"):
        shares = rows.groupby("setting")[column].sum()
        assert dict(shares) == pytest.approx(dict.fromkeys(titles, 100), abs=1e-3)
    page = (tmp_path / "README.md").read_text()
    assert "nin on 1x3x64x64, inference" in page
    assert "nin on 1x3x64x64, a training step with momentum" in page
    verdicts = [check_times.verdict(check) for check in checks.to_dict("records")]
    assert code == (0 if set(verdicts) == {"reached"} else 1)


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (row("plain", -5), "reached"),
        (row("plain", 5.1), "missed"),
        (row("plain", -5.1, spread=11), "too noisy to judge"),
        (row("plain", 4, spread=50), "reached"),
        (row("sum", 1, spread=50), "missed"),
    ],
)
def test_verdicts(check, verdict):
    assert check_times.verdict(check) == verdict


def test_the_worst_change_is_that_of_a_layer_that_counts():
    table = layers(share_first=[50.0, 49.5, 0.5], share_second=[45.0, 49.5, 5.5])
    assert check_times.worst_change(table, "share") == pytest.approx(-10)
    assert check_times.worst_change(table.iloc[2:], "share") == 0


def test_the_profiler_counts_convolutions_with_all_that_they_call():
    class Waits(nn.Module):
        def forward(self, x):
            return torch.nn.functional.conv2d(x, torch.ones(64, 64, 5, 5))

    assert 50 < check_times.run_profiled(Waits(), (1, 64, 40, 40), EVAL) <= 100
    assert check_times.run_profiled(nn.ReLU(), (1, 3, 8, 8), EVAL) == 0
    wide = nn.Sequential(nn.Conv2d(64, 64, 5), nn.Flatten(), nn.AdaptiveAvgPool1d(4))
    assert 50 < check_times.run_profiled(wide, (1, 64, 40, 40), TRAIN) <= 100


def test_the_committed_page_is_that_of_the_committed_rows():
    folder = REPORTS / "times"
    checks, rows = (pd.read_csv(folder / name) for name in ("checks.csv", "layers.csv"))
    page = (folder / "README.md").read_text()
    assert check_times.page(checks, rows, "").splitlines() == page.splitlines()[:-2]
