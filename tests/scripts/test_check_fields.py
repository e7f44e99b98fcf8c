"""The comparison of the zoo's fields with gradients."""

from dataclasses import replace

import pandas as pd

import check_fields
from shared import REPORTS


def test_a_run_writes_rows_and_a_verdict(tmp_path):
    assert check_fields.main(["nin", "--layers", "2", "-o", str(tmp_path)]) == 0
    rows = pd.read_csv(tmp_path / "gradients.csv")
    assert rows.agree.all()
    assert rows.layer.nunique() == 2
    assert set(rows.axis) == {0, 1}
    line = next(x for x in (tmp_path / "README.md").read_text().splitlines() if x.startswith("| nin"))
    assert f"| 2 | {len(rows)} | all | exact |" in line


def test_what_would_not_fit_is_named(tmp_path):
    assert check_fields.main(["nin", "--limit-gib", "0.001", "-o", str(tmp_path)]) == 0
    line = next(x for x in (tmp_path / "README.md").read_text().splitlines() if x.startswith("| nin"))
    assert "not run" in line
    assert "GiB of activations" in line


def test_a_disagreement_is_told(tmp_path, monkeypatch):
    check = check_fields.check

    def wrong(*arguments):
        outcome = check(*arguments)
        return replace(outcome, rows=outcome.rows.assign(agree=[False] + [True] * (len(outcome.rows) - 1)))

    monkeypatch.setattr(check_fields, "check", wrong)
    assert check_fields.main(["nin", "--layers", "1", "-o", str(tmp_path)]) == 1
    assert "| 1 | 10 | 9 | exact |" in (tmp_path / "README.md").read_text()


def test_the_committed_page_is_that_of_the_committed_rows():
    page = (REPORTS / "fields" / "README.md").read_text()
    cells = {line.split(" | ")[0]: line.split(" | ") for line in page.splitlines() if line.startswith("| ")}
    rows = pd.read_csv(REPORTS / "fields" / "gradients.csv")
    outcomes = []
    for model, own in rows.groupby("model", sort=False):
        strips, seconds = (cells[f"| {model}"][column] for column in (1, 7))  # the CSV file has neither
        note = check_fields.edge_note(own)
        outcomes.append(check_fields.Outcome(model, strips, own, float(seconds), note))
    assert len(outcomes) == 21
    assert check_fields.page(outcomes).splitlines()[:-1] == page.splitlines()[:-1]
