"""The sweep: every net gets a row whatever it does, and verdicts are computed."""

import csv
import subprocess
import sys

import pytest
import torch
from support.loaded_script import SCRIPTS, loaded_script
from torch import nn

import inception_lab as il

SCRIPT = SCRIPTS / "sweep_zoo.py"


@pytest.fixture(scope="module")
def sweep():
    with loaded_script("sweep_zoo") as module:
        yield module


class MatrixVector(nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(4, 8))

    def forward(self, x):
        return self.matrix @ x


class Raising(nn.Module):
    def forward(self, x):
        raise RuntimeError(f"no {x.device.type} today")


class NeedsData(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 4)

    def forward(self, x):
        return self.linear(x) if x.sum().item() < 1e9 else x


def fail():
    raise OSError("no such configuration")


def rows_in(folder):
    with (folder / "coverage.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def swept(sweep, monkeypatch, tmp_path):
    """What a sweep over these nets writes: its rows by name, and its page."""

    def run(makers, *options):
        def source():
            for name, make in makers.items():
                yield sweep.Subject("timm", name, make)

        monkeypatch.setattr(sweep, "SOURCES", {"nets": source})
        monkeypatch.setattr(sweep, "context", lambda _: {})
        assert sweep.main(["-o", str(tmp_path), *options]) == 0
        return {r["name"]: r for r in rows_in(tmp_path)}, (tmp_path / "README.md").read_text(encoding="utf-8")

    return run


def test_a_net_of_the_zoo_from_the_command_line(tmp_path):
    command = [sys.executable, str(SCRIPT), "--package", "zoo", "--only", "alexnet", "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (row,) = rows_in(tmp_path)
    convolutions = 64 * 363 * 55**2 + 192 * 1600 * 27**2 + 13**2 * (384 * 1728 + 256 * 3456 + 256 * 2304)
    macs = str(convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000)
    assert (row["input"], row["params"], row["traced"]) == ("1x3x224x224", "61100840", "meta")
    assert (row["macs"], row["torch_macs"], row["counts"]) == (macs, macs, "equal")
    assert float(row["trace_s"]) > 0
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| zoo | 1 | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 0 |" in page


def test_no_net_stops_the_sweep(swept):
    rows, page = swept(
        {
            "cannot be built": fail,
            "raises": lambda: (Raising(), (1, 3)),
            "fine": lambda: (nn.Linear(8, 4), (2, 8)),
        }
    )
    assert [row["traced"] for row in rows.values()] == ["failed", "failed", "meta"]
    assert "OSError: no such configuration" in rows["cannot be built"]["reason"]
    assert "RuntimeError: no" in rows["raises"]["reason"]
    assert rows["fine"]["macs"] == rows["fine"]["torch_macs"] == str(2 * 8 * 4)
    assert "no such configuration" in page.partition("## Not traced on meta")[2]


def test_what_needs_data_is_built_on_the_cpu_and_runs_there(swept):
    rows, page = swept({"data": lambda: (NeedsData(), (2, 8))})
    row = rows["data"]
    assert (row["traced"], row["macs"], row["counts"]) == ("cpu", str(2 * 8 * 4), "equal")
    assert "item" in row["reason"]
    assert row["reason"] in page


def test_a_difference_is_explained_where_torch_has_no_formula(sweep):
    row = sweep.measured(sweep.Subject("timm", "mv", lambda: (MatrixVector(), (8,))))
    assert (row.macs, row.torch_macs, row.counts) == (str(4 * 8), "0", "explained")
    assert "aten.mv.default" in row.reason


def test_any_other_difference_is_unexplained(sweep):
    trace = il.trace(nn.Linear(8, 4), (2, 8))
    assert sweep.compare(trace, 64) == ("equal", "")
    assert sweep.compare(trace, 60) == ("unexplained", "differs by +4")


def test_a_package_that_cannot_be_imported_is_named(sweep, monkeypatch, tmp_path):
    def source():
        raise ModuleNotFoundError("No module named 'timm'")
        yield

    monkeypatch.setattr(sweep, "SOURCES", {"timm": source})
    assert sweep.main(["-o", str(tmp_path)]) == 0
    assert rows_in(tmp_path) == []
    assert "`timm` cannot be imported" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_resuming_keeps_the_rows_that_are_there(swept):
    nets = {name: lambda: (nn.Linear(8, 4), (2, 8)) for name in ("a", "b", "c")}
    first, _ = swept(nets, "--limit", "2")
    assert list(first) == ["a", "b"]
    rows, _ = swept(nets, "--resume")
    assert list(rows) == ["a", "b", "c"]
    assert {name: rows[name] for name in first} == first
    assert list(swept(nets, "--only", "b")[0]) == ["b"]


def test_hostile_nets_that_must_be_refused_are_no_failures(sweep):
    nets = {subject.name: subject for subject in sweep.from_hostile()}
    assert sweep.measured(nets["raising"]).traced == "refused"
    assert sweep.measured(nets["branching"]).traced == "cpu"
