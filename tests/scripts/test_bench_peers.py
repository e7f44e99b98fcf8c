"""The benchmark against peers: what it writes, and that its verdicts are computed."""

import csv
import subprocess
import sys

import pytest

import bench_peers
import peers.__main__
from peers.contenders import CONTENDERS, META_FORWARD, OURS, PEERS
from peers.targets import TARGETS

TINY = ["--models", "googlenet", "--input-size", "3x32x32", "--rounds", "2"]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    for name in PEERS:
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("peers")
    options = [*TINY, "--probes", "0", "--longest", "0", "--output", str(folder)]
    subprocess.run([sys.executable, bench_peers.__file__, *options], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def rows(output):
    with (output / "peers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(row, column):
    return float(row[column])


def test_every_contender_has_a_row_at_each_batch_size(rows):
    cases = [(row["batch"], row["contender"]) for row in rows]
    assert cases == [(batch, name) for batch in ("1", "512") for name in CONTENDERS]


def test_what_needs_a_real_forward_is_named_and_not_run(rows):
    skipped = {r["contender"] for r in rows if r["batch"] == "512" and "needs a real forward" in r["status"]}
    assert skipped == {name for name, contender in CONTENDERS.items() if contender.computes}
    assert all(row["rounds"] == ("2" if row["status"] == "ok" else "0") for row in rows)


def test_times_and_ratios_are_medians_between_quartiles(rows):
    for row in (row for row in rows if row["status"] == "ok"):
        for column in ("cpu_ms", "over_inception_lab", "over_meta_forward"):
            low, middle, high = (number(row, f"{column}_{part}") for part in ("q1", "median", "q3"))
            assert 0 < low <= middle <= high
        own = {OURS: "over_inception_lab", META_FORWARD: "over_meta_forward"}
        if row["contender"] in own:
            assert number(row, f"{own[row['contender']]}_median") == 1


def test_counts_agree_where_they_mean_the_same(rows):
    counts = {(row["batch"], row["contender"]): row["counts"] for row in rows}
    assert counts["1", "inception_lab"] == "reference"
    for name in ("fvcore", "TorchScan", "TorchScan on meta", "FlopCounterMode", "FlopCounterMode on meta"):
        assert counts["1", name] == "equal"
    assert counts["512", "FlopCounterMode on meta"] == "equal"
    assert counts["1", "torchinfo"] == "own definition"


def test_the_page_has_all_targets_and_no_verdict_without_a_measurement(output):
    text = (output / "peers.md").read_text(encoding="utf-8")
    lines = {t.text: line for t in TARGETS for line in text.splitlines() if f" {t.text} |" in line}
    assert set(lines) == {target.text for target in TARGETS}
    assert all("not measured" in line for target, line in lines.items() if "cold" in target or "MB" in target)
    assert "not measured" not in lines["fvcore / warm trace + costs"]
    assert str(output) not in text


def test_an_absent_peer_is_an_error_that_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(peers.__main__, "find_spec", lambda name: None if name == "torchinfo" else name)
    assert bench_peers.main([]) == 2
    error = capsys.readouterr().err
    assert "no torchinfo" in error
    assert "pip install inception_lab[bench]" in error
