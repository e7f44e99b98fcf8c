"""`inception-lab confirm`."""

import csv
import io
import json
import re

import pytest
import torch

import inception_lab as il
from inception_lab.claims import recompute
from inception_lab.claims.nets import Nets
from inception_lab.cli import main
from inception_lab.measure.hardware import device_name
from inception_lab.measure.timing import rounds
from inception_lab.report.text import FORMATS


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["confirm", *arguments])
    streams = capsys.readouterr()
    return left.value.code or 0, streams.out, streams.err


def test_a_table_by_source(capsys):
    code, out, err = run(capsys, "12x", "cs231n_naive", "7M")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "Going deeper with convolutions (1409.4842)"
    assert lines[-1] == "3 claims: 2 confirmed, 1 contradicted"
    assert "Lecture on CNN architectures (Stanford CS231n)" in lines
    assert max(map(len, lines)) <= 130


def test_the_working_of_one(capsys):
    code, out, _ = run(capsys, "--why", "mul_ratio")
    assert code == 0
    assert "120,422,400 / 12,443,648 = 9.677" in out
    assert "claimed   about 10x, give or take 1x" in out
    assert re.search(r"\* branch3 of inception3a", out)


def test_working_stands_below_the_claims_that_are_named_too(capsys):
    _, out, _ = run(capsys, "22", "--why", "27")
    assert "longest path of googlenet, pools counted: 27 layers" in out
    assert "longest path of googlenet: 22" not in out


def test_working_fits_a_narrow_terminal(capsys):
    _, out, _ = run(capsys, *(f"--why={id}" for id in ("100", "auxshape", "v2name", "2.5x")))
    working = out[out.index("\n100: ") :]
    assert "said by" in working
    assert max(map(len, working.splitlines()[:-1])) <= 80


def test_json_is_what_python_answers(capsys):
    code, out, _ = run(capsys, "5M", "--format", "json")
    assert code == 0
    assert json.loads(out) == json.loads(json.dumps(il.confirm(["5M"]).to_dict()))
    (row,) = json.loads(out)["claims"]
    assert {"id", "claim", "source", "claimed", "computed", "verdict", "note"} <= row.keys()


def test_csv_has_a_row_per_claim(capsys):
    _, out, _ = run(capsys, "5M", "irv2_1154", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["id"] for row in rows] == ["5M", "irv2_1154"]
    assert rows[1]["verdict"] == "off"
    assert float(rows[1]["deviation"]) == pytest.approx(2 / 1154, abs=1e-6)


def test_markdown_is_a_page_with_all_the_working(capsys, tmp_path):
    code, out, _ = run(capsys, "5M", "28", "--format", "markdown", "-o", str(tmp_path / "page.md"))
    assert (code, out) == (0, "")
    page = (tmp_path / "page.md").read_text()
    assert page.startswith("# The published figures, recomputed\n")
    assert "1 - 73,728 / 102,400 = 28.0%" in page
    assert "**as built**" in page


def test_a_verdict_that_is_not_the_recorded_one_fails(capsys, monkeypatch, tmp_path):
    claims = [c for c in recompute.ALL if c.id == "22"]
    monkeypatch.setattr(type(claims[0]), "expected_verdict", "contradicted", raising=False)
    code, out, _ = run(capsys, "22")
    assert code == 1
    assert "22 is confirmed, recorded is contradicted" in out
    code, out, err = run(capsys, "22", "-o", str(tmp_path / "text"))
    assert (code, out) == (1, "")
    assert "not as recorded: 22" in err
    assert (tmp_path / "text").read_text()


@pytest.mark.parametrize("arguments", [["12y"], ["--why", "12y"], ["--source", "nobody"]], ids=" ".join)
def test_a_name_that_is_not_there_is_one_line(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert err.startswith("inception-lab: no claim")


def test_an_unknown_format_is_refused(capsys):
    code, _, err = run(capsys, "22", "--format", "yaml")
    assert code == 2
    assert "yaml" in err
    assert {"table", "csv", "markdown"} <= FORMATS.keys()


def test_times_are_measured_where_asked_for_and_labelled_with_the_machine(capsys, monkeypatch):
    monkeypatch.setattr(recompute, "Nets", lambda **options: Nets(**options | {"seconds": 0}))
    monkeypatch.setattr(rounds, "FEWEST", 2)
    code, out, err = run(capsys, "faster", "--measure")
    assert (code, err) == (0, "")
    assert out.count("median of paired rounds") == 2
    assert f"on {device_name('cpu')}, {torch.get_num_threads()} threads, torch" in out
    code, out, _ = run(capsys, "faster")
    assert code == 0
    assert "not checkable here: a real run: --measure" in out
