"""The script that compares the fields of the zoo with gradients."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_fields.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_fields_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


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
