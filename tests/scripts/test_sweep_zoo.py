"""The sweep: every net gets a row whatever it does, and verdicts are computed."""

import csv
import subprocess
import sys

import pytest
from torch import nn

import sweep_zoo
from sweep import nets, page


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


def use_sources(monkeypatch, **sources):
    for module in (nets, sweep_zoo):
        monkeypatch.setattr(module, "SOURCES", sources)


@pytest.fixture
def sweep(monkeypatch, tmp_path):
    """Sweep over nets that are given as makers by name; returns the rows by name, and the page."""

    def run(makers, *options):
        def source():
            for name, make in makers.items():
                yield nets.Subject("timm", name, make)

        use_sources(monkeypatch, nets=source)
        monkeypatch.setattr(page, "context", lambda _: {})
        assert sweep_zoo.main(["-o", str(tmp_path), *options]) == 0
        return {r["name"]: r for r in rows_in(tmp_path)}, (tmp_path / "README.md").read_text(encoding="utf-8")

    return run


def test_a_net_of_the_zoo_from_the_command_line(tmp_path):
    command = [
        sys.executable,
        sweep_zoo.__file__,
        "--package",
        "zoo",
        "--only",
        "alexnet",
        "-o",
        str(tmp_path),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (row,) = rows_in(tmp_path)
    convolutions = 64 * 363 * 55**2 + 192 * 1600 * 27**2 + 13**2 * (384 * 1728 + 256 * 3456 + 256 * 2304)
    macs = str(convolutions + 9216 * 4096 + 4096 * 4096 + 4096 * 1000)
    assert (row["input"], row["params"], row["traced"]) == ("1x3x224x224", "61100840", "meta")
    assert (row["macs"], row["torch_macs"], row["counts"]) == (macs, macs, "equal")
    assert float(row["trace_s"]) > 0
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| zoo | 1 | 1 | 0 | 0 | 0 | 1 | 0 | 0 | 0 |" in text


def test_no_net_stops_the_sweep(sweep):
    rows, text = sweep(
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
    assert "no such configuration" in text.partition("## Not traced on meta")[2]


def test_what_needs_data_is_built_on_the_cpu_and_runs_there(sweep):
    rows, text = sweep({"data": lambda: (NeedsData(), (2, 8))})
    row = rows["data"]
    assert (row["traced"], row["macs"], row["counts"]) == ("cpu", str(2 * 8 * 4), "equal")
    assert "item" in row["reason"]
    assert row["reason"] in text


def test_a_package_that_cannot_be_imported_is_named(monkeypatch, tmp_path):
    def source():
        raise ModuleNotFoundError("No module named 'timm'")
        yield

    use_sources(monkeypatch, timm=source)
    assert sweep_zoo.main(["-o", str(tmp_path)]) == 0
    assert rows_in(tmp_path) == []
    assert "`timm` cannot be imported" in (tmp_path / "README.md").read_text(encoding="utf-8")


def test_resuming_keeps_the_rows_that_are_there(sweep):
    makers = {name: lambda: (nn.Linear(8, 4), (2, 8)) for name in ("a", "b", "c")}
    first, _ = sweep(makers, "--limit", "2")
    assert list(first) == ["a", "b"]
    rows, _ = sweep(makers, "--resume")
    assert list(rows) == ["a", "b", "c"]
    assert {name: rows[name] for name in first} == first
    assert list(sweep(makers, "--only", "b")[0]) == ["b"]
