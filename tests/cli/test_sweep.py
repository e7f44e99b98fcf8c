"""The command `sweep` as a user types it."""

import csv
import json
import subprocess
import sys

import pytest
import torch
from support.sweep_nets import macs_of, params_of, write_nets
from support.typed import typed

SPACE = """
model = "MODULE:net"
input-size = "3x16x16"
metrics = ["params"]
kwargs = { falls = { 7 = "leave" } }

[parameters]
width = { min = 1, max = 9, step = 1 }

[objectives]
params = "max"
macs = "min"

[budgets]
params = "500"
"""
WITHIN = [width for width in range(1, 10) if params_of(width) <= 500]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a net and a space of it; the current one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "space.toml").write_text(SPACE.replace("MODULE", write_nets(tmp_path)))
    return tmp_path


def change(folder, old, new):
    file = folder / "space.toml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def sweep(capsys, *arguments):
    return typed(capsys, "sweep", "space.toml", "--jobs", "1", *arguments)


def test_the_table_has_the_front_and_says_what_became_of_all(capsys, folder, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = sweep(capsys)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    title, table, facts = out.split("\n\n")
    assert title.startswith("Pareto front of ")
    assert " ".join(title.split()).endswith("_nets:net, 9 variants of 1 parameter")
    header, _, *rest = table.splitlines()
    assert header.split() == ["Variant", "Width", "Parameters", "MACs"]
    rows = [line.split()[:3] for line in rest]
    # more parameters cost more MACs, so that all within budgets are on the front
    assert rows == [[str(width), str(width), str(params_of(width))] for width in reversed(WITHIN)]
    assert "1 failed: " in facts
    for line in (
        f"Variants     9, 1 failed, {len(WITHIN)} within budgets, {len(WITHIN)} on the front",
        "Objectives   largest parameters, least MACs",
        "Budgets      parameters at most 500",
        "Store        space.jsonl",
    ):
        assert line in facts.splitlines()
    assert len((folder / "space.jsonl").read_text().splitlines()) == 9


@pytest.mark.usefixtures("folder")
def test_csv_has_every_variant(capsys):
    code, out, _ = sweep(capsys, "--format", "csv")
    rows = list(csv.DictReader(out.splitlines()))
    assert code == 0
    assert [int(row["variant"]) for row in rows] == list(range(1, 10))
    assert [row["status"] for row in rows] == ["complete"] * 6 + ["failed"] + ["complete"] * 2
    assert [row["params"] for row in rows if row["params"]] == [
        str(params_of(w)) for w in range(1, 10) if w != 7
    ]
    assert [row["on_front"] for row in rows] == [str(width in WITHIN).lower() for width in range(1, 10)]


@pytest.mark.usefixtures("folder")
def test_json_has_every_variant_and_the_counts(capsys):
    code, out, _ = sweep(capsys, "--format", "json")
    data = json.loads(out)
    assert code == 0
    assert data["totals"] == {
        "variants": 9,
        "complete": 8,
        "partial": 0,
        "failed": 1,
        "within_budgets": len(WITHIN),
        "on_front": len(WITHIN),
    }
    assert (data["complete"], data["objectives"]) == (False, {"params": "max", "macs": "min"})
    assert [row["macs"] for row in data["variants"]] == [
        None if width == 7 else macs_of(width, 16) for width in range(1, 10)
    ]


@pytest.mark.usefixtures("folder")
def test_markdown_has_the_front(capsys):
    code, out, _ = sweep(capsys, "--format", "markdown")
    assert code == 0
    assert out.splitlines()[2] == "| Variant | Width | Parameters | MACs |"


def test_a_space_without_objectives_lists_the_variants_within_budgets(capsys, folder):
    change(folder, '[objectives]\nparams = "max"\nmacs = "min"\n', "")
    code, out, _ = sweep(capsys, "--format", "table")
    assert code == 0
    assert out.startswith("Variants of ")
    assert "on the front" not in out


def test_nothing_within_budgets_is_exit_code_1_behind_the_table(capsys, folder):
    change(folder, 'params = "500"', "params = 1")
    code, out, err = sweep(capsys)
    assert (code, err) == (1, "inception-lab: no variant is within budgets; loosen one\n")
    assert "0 within budgets, 0 on the front" in out


def test_variants_that_all_fail_are_listed_with_their_cause(capsys, folder):
    change(folder, "step = 1 }", "step = 10 }")
    change(folder, "falls = { 7", "falls = { 1")
    code, out, err = sweep(capsys)
    assert (code, err) == (1, "inception-lab: no variant is within budgets; loosen one\n")
    assert "SystemExit" in out


def test_strict_is_exit_code_1_where_a_variant_failed(capsys, folder):
    code, out, err = sweep(capsys, "--strict")
    assert (code, err) == (
        1,
        "inception-lab: 1 of 9 variants are partial or failed; see their cause in csv\n",
    )
    assert out
    change(folder, 'falls = { 7 = "leave" }', "")
    assert sweep(capsys, "--strict")[0] == 0


def test_a_sample_in_the_command_is_in_place_of_that_of_the_space(capsys, folder):
    change(folder, "metrics", "sample = 5\nseed = 1\nmetrics")

    def widths(*arguments):
        out = sweep(capsys, "--format", "csv", *arguments)[1]
        return [row["width"] for row in csv.DictReader(out.splitlines())]

    own = widths()
    assert len(own) == 5
    assert widths("--sample", "3") == own[:3]
    assert widths("--sample", "5", "--seed", "2") != own
    assert "drawn with seed 2" in sweep(capsys, "--seed", "2")[1]


def test_a_store_elsewhere_and_a_retry(capsys, folder):
    sweep(capsys, "--store", "other.jsonl")
    assert not (folder / "space.jsonl").exists()
    for arguments, count in ((), 9), (("--retry",), 10):
        assert sweep(capsys, "--store", "other.jsonl", *arguments)[0] == 0
        assert len((folder / "other.jsonl").read_text().splitlines()) == count


@pytest.mark.usefixtures("folder")
def test_the_best_are_timed(capsys):
    code, out, _ = sweep(capsys, "--measure", "2", "--seconds", "0", "--threads", "1", "--format", "json")
    data = json.loads(out)
    assert (code, data["threads"], data["device"]) == (0, 1, "cpu")
    assert [row["width"] for row in data["timed"]] == WITHIN[::-1][:2]
    assert all(row["plain_step_ms"] > 0 for row in data["timed"])


def test_a_study_is_written_beside_the_store(capsys, folder):
    pytest.importorskip("optuna")
    code, _, err = sweep(capsys, "--export", "optuna", "--store", "other.jsonl")
    assert code == 0
    assert err.startswith("wrote study ")
    assert (folder / "other.journal").is_file()


def test_an_answer_in_a_file(capsys, folder):
    code, out, _ = sweep(capsys, "--format", "csv", "-o", "out.csv")
    assert (code, out) == (0, "")
    assert len((folder / "out.csv").read_text().splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "dask"], "a cluster has no address; add --address tcp://"),
        (["--engine", "dsak"], "'dsak' is not one of 'processes', 'dask'"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--sample", "0"], "0 is not in the range"),
        (["--measure", "0"], "0 is not in the range"),
        (["--export", "csv"], "'csv' is not"),
        (["--store", "."], "directory"),
        (["--columns", "no"], "no"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_a_wrong_option_is_one_line_and_exit_code_2(capsys, arguments, message):
    code, out, err = typed(capsys, "sweep", "space.toml", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", [["--measure", "1"], ["--export", "optuna"], ["--plot", "front.png"]])
def test_what_needs_objectives_is_refused_before_anything_is_run(capsys, folder, option):
    change(folder, '[objectives]\nparams = "max"\nmacs = "min"\n', "")
    code, out, err = sweep(capsys, *option)
    assert (code, out) == (2, "")
    assert "[objectives]" in err
    assert not (folder / "space.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metrics", "metrcis", "space.toml:4: metrcis: is not a key of a space; did you mean metrics?"),
        (
            "step = 1",
            "step = 0",
            "space.toml:8: parameters.width.step: 0 is not above 0; give a step above 0",
        ),
        ("MODULE", "MODULE", "space.toml:7: parameters: no keyword 'colour'; known: falls"),
        (':net"', ':nte"', "has no 'nte'; did you mean net?"),
    ],
)
def test_a_wrong_space_is_one_line_and_exit_code_2(capsys, folder, old, new, message):
    if old == "MODULE":
        change(folder, "falls = { 7 =", "colour = { 7 =")
    else:
        change(folder, old, new)
    code, out, err = sweep(capsys)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (folder / "space.jsonl").exists()


def test_a_second_process_gives_the_same_answer_and_nothing_beside_it(folder):
    command = [sys.executable, "-m", "inception_lab", "sweep", "space.toml", "--jobs", "1"]
    first, second = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(2))
    assert first.stdout == second.stdout
    assert first.stderr == second.stderr == ""
    assert (folder / "space.jsonl").is_file()


def test_nothing_within_budgets_is_not_timed(capsys, folder):
    change(folder, "[budgets]", "[budgets]\npeak_bytes = '1 B'")
    code, out, err = sweep(capsys, "--measure", "2")
    assert (code, "no variant is within budgets" in err) == (1, True)
    assert "NOTE         no variant is within budgets: the table is of all" in out
    assert "Step" not in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_told_before_anything_is_run(capsys, folder):
    code, out, err = sweep(capsys, "--measure", "2", "--device", "cuda")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "has no CUDA device; use --device cpu" in err
    assert not (folder / "space.jsonl").exists()
