"""`inception-lab report` as a user types it: what it adds to a report beside the trace."""

import csv
import gzip
import json
import re
from urllib.parse import unquote

import pytest
from support.typed import typed

import inception_lab as il
from inception_lab.cli import report as command_file

SMALL = ["--input-size", "3x64x64"]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_measured_times_stand_in_the_report(capsys, tmp_path):
    arguments = ["--measure", "--seconds", "0", "--mode", "train", "--optimizer", "sgd"]
    code, _, err = typed(capsys, "report", "nin", *SMALL, *arguments, "-o", str(tmp_path / "nin"))
    assert (code, err) == (0, "")
    table = rows(tmp_path / "nin" / "times.csv")
    step = sum(float(row["self_ms"]) for row in table)
    (profile,) = json.loads((tmp_path / "nin" / "speedscope.json").read_text())["profiles"]
    assert profile["endValue"] == pytest.approx(step, abs=1e-6)
    assert profile["name"] == "nin, input 1x3x64x64, train, sgd"
    trace = json.loads(gzip.decompress((tmp_path / "nin" / "trace.json.gz").read_bytes()))
    assert {"forward", "backward", "optimizer"} <= {event["name"] for event in trace["traceEvents"]}
    assert "Measured on " in (tmp_path / "nin" / "README.md").read_text()


def test_each_of_several_models_is_measured(capsys, tmp_path):
    typed(
        capsys, "report", "nin", "alexnet", *SMALL, "--measure", "--seconds", "0", "-o", str(tmp_path / "all")
    )
    folders = sorted(path.parent.name for path in (tmp_path / "all").glob("*/times.csv"))
    assert folders == ["alexnet-3x64x64", "nin-3x64x64"]


def test_the_page_of_several_models_leads_to_that_of_each(capsys, tmp_path):
    subjects = ["nin", "nin(num_classes=10)"]
    assert typed(capsys, "report", *subjects, *SMALL, "-o", str(tmp_path))[0] == 0
    page = tmp_path / "comparison-3x64x64" / "index.html"
    links = re.findall(r'<th scope="row"><a href="([^"]*)">', page.read_text())
    titles = [re.search("<title>(.*?) ·", (page.parent / unquote(link)).read_text())[1] for link in links]
    assert titles == subjects


def test_without_measuring_nothing_runs(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(command_file, "progress_bar", None)
    typed(capsys, "report", "nin", *SMALL, "-o", str(tmp_path / "nin"))
    assert not (tmp_path / "nin" / "times.csv").exists()


def test_what_changed_since_a_record_stands_in_the_report(capsys, tmp_path):
    before = str(tmp_path / "before.json")
    typed(capsys, "summary", "nin", *SMALL, "--format", "json", "-o", before)
    arguments = [*SMALL, "--against", before, "-o", str(tmp_path / "nin")]
    code, _, _ = typed(capsys, "report", "nin(num_classes=10)", *arguments)
    assert code == 0
    page = (tmp_path / "nin" / "README.md").read_text()
    assert f"Since nin in {before}: " in page
    comparison = il.compare(before, tmp_path / "nin" / "summary.json")
    table = rows(tmp_path / "nin" / "changes.csv")
    assert [row["second_module"] for row in table] == list(comparison.changes()["second_module"])
    assert sum(int(row["params_growth"]) for row in table) == (
        comparison.records[1].totals["params"] - comparison.records[0].totals["params"]
    )


def test_a_report_can_be_compared_with_the_one_that_it_replaces(capsys, tmp_path):
    folder = str(tmp_path / "nin")
    typed(capsys, "report", "nin", *SMALL, "-o", folder)
    code, _, _ = typed(capsys, "report", "nin", *SMALL, "--against", f"{folder}/summary.json", "-o", folder)
    assert code == 0
    assert "no module differs." in (tmp_path / "nin" / "README.md").read_text()


def test_claims_of_the_zoo_stand_in_the_report(capsys, tmp_path):
    typed(capsys, "report", "nin", "nin(num_classes=10)", "-o", str(tmp_path / "all"))
    table = rows(tmp_path / "all" / "nin" / "claims.csv")
    claims = il.claims_about(["nin"])["nin"].claims
    assert [(row["id"], row["verdict"]) for row in table] == [(c.claim.id, c.verdict.kind) for c in claims]
    assert not (tmp_path / "all" / "nin-num_classes=10" / "claims.csv").exists()
