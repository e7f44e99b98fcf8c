"""The script that compares the fields of the zoo with gradients."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from support.loaded_script import loaded_script


@pytest.fixture(scope="module")
def script():
    with loaded_script("check_fields") as module:
        yield module


@pytest.fixture(autouse=True)
def _threads():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_run_writes_rows_and_a_verdict(script, tmp_path):
    assert script.main(["nin", "--layers", "2", "-o", str(tmp_path)]) == 0
    rows = pd.read_csv(tmp_path / "gradients.csv")
    assert rows.agree.all()
    assert rows.layer.nunique() == 2
    assert set(rows.axis) == {0, 1}
    line = next(x for x in (tmp_path / "README.md").read_text().splitlines() if x.startswith("| nin"))
    assert f"| 2 | {len(rows)} | all | exact |" in line


def test_what_would_not_fit_is_named(script, tmp_path):
    assert script.main(["nin", "--limit-gib", "0.001", "-o", str(tmp_path)]) == 0
    line = next(x for x in (tmp_path / "README.md").read_text().splitlines() if x.startswith("| nin"))
    assert "not run" in line
    assert "GiB of activations" in line


def test_a_disagreement_is_told(script, tmp_path, monkeypatch):
    whole = script.checked

    def wrong(*given):
        found = whole(*given)
        return replace(found, rows=found.rows.assign(agree=[False] + [True] * (len(found.rows) - 1)))

    monkeypatch.setattr(script, "checked", wrong)
    assert script.main(["nin", "--layers", "1", "-o", str(tmp_path)]) == 1
    assert "| 1 | 10 | 9 | exact |" in (tmp_path / "README.md").read_text()
