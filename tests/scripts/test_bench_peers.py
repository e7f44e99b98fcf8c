"""The benchmark against peers: what it writes, and that its verdicts are computed."""

import csv
import subprocess
import sys

import pytest
from support.loaded_script import SCRIPTS, loaded_script

pytest.importorskip("fvcore")
pytest.importorskip("torchinfo")

SCRIPT = SCRIPTS / "bench_peers.py"
TINY = ["--models", "googlenet", "--input-size", "3x32x32", "--rounds", "2"]


@pytest.fixture(scope="module")
def bench():
    with loaded_script("bench_peers") as module:
        yield module


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    command = [sys.executable, str(SCRIPT), *TINY, "--probes", "0", "--longest", "0", "--output", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def rows(output):
    with (output / "peers.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def number(row, column):
    return float(row[column])


def test_every_contender_has_a_row_at_each_batch_size(bench, rows):
    found = [(row["batch"], row["contender"]) for row in rows]
    assert found == [(batch, name) for batch in ("1", "512") for name in bench.CONTENDERS]


def test_what_needs_a_real_forward_is_named_and_not_run(bench, rows):
    skipped = {r["contender"] for r in rows if r["batch"] == "512" and "needs a real forward" in r["status"]}
    assert skipped == {name for name, contender in bench.CONTENDERS.items() if contender.computes}
    assert all(row["rounds"] == ("2" if row["status"] == "ok" else "0") for row in rows)


def test_times_and_ratios_are_medians_between_quartiles(bench, rows):
    for row in (row for row in rows if row["status"] == "ok"):
        for column in ("cpu_ms", "over_inception_lab", "over_meta_forward"):
            low, middle, high = (number(row, f"{column}_{part}") for part in ("q1", "median", "q3"))
            assert 0 < low <= middle <= high
        own = {bench.OURS: "over_inception_lab", bench.META_FORWARD: "over_meta_forward"}
        if row["contender"] in own:
            assert number(row, f"{own[row['contender']]}_median") == 1


def test_counts_agree_where_they_mean_the_same(rows):
    counts = {(row["batch"], row["contender"]): row["counts"] for row in rows}
    assert counts["1", "inception_lab"] == "reference"
    assert {counts["1", name] for name in ("fvcore", "FlopCounterMode", "FlopCounterMode on meta")} == {
        "equal"
    }
    assert counts["512", "FlopCounterMode on meta"] == "equal"
    assert counts["1", "torchinfo"] == "own definition"


def test_the_page_has_all_targets_and_no_verdict_without_a_measurement(bench, output):
    page = (output / "peers.md").read_text(encoding="utf-8")
    lines = {
        text: line for t in bench.TARGETS for text in [t.text] for line in page.splitlines() if text in line
    }
    assert set(lines) == {target.text for target in bench.TARGETS}
    assert all("not measured" in lines[text] for text in lines if "cold" in text or "MB" in text)
    assert "not measured" not in lines["fvcore / warm trace + costs"]
    assert str(output) not in page


def test_a_fresh_process_tells_cold_start_and_memory(bench):
    options = bench.parse([*TINY, "--probes", "1", "--batch-sizes", "1"])
    timings = {bench.Case("googlenet", 1, bench.OURS): bench.Timing((1.0,))}
    ((probe,),) = bench.probe_all(timings, options).values()
    assert min(probe.pandas, probe.package, probe.first, probe.second) > 0
    assert probe.first_added is None or probe.first_added >= 0


@pytest.mark.parametrize(
    ("at_least", "goal", "median", "verdict"),
    [
        (False, None, 0.25, "met"),
        (False, None, 0.26, "missed"),
        (True, 0.5, 0.25, "met, goal of 0.5 missed"),
        (True, 0.5, 0.5, "met, goal of 0.5 met"),
        (True, 0.5, 0.24, "missed"),
    ],
)
def test_a_verdict_compares_the_median(bench, at_least, goal, median, verdict):
    target = bench.Target("", bench._batch_512, 0.25, at_least=at_least, goal=goal)
    assert target.verdict(bench.Spread(0, median, 1)) == verdict


def test_ratios_are_taken_round_by_round(bench):
    assert bench.Spread.of_ratios([1, 20, 300], [1, 10, 100]) == bench.Spread(1.5, 2, 2.5)
    assert bench.Spread.of([]) is None
    assert bench.Spread.of([3]) == bench.Spread(3, 3, 3)


def test_every_round_has_every_case_in_another_order(bench):
    order = list(bench.turns("abc", 3))
    assert [order[:3], order[3:6], order[6:]] == [["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--models", "gogglenet"],
        ["--rounds", "0"],
        ["--input-size", "3x8x8"],
        ["--input-size", "32x32"],
    ],
)
def test_wrong_usage_exits_with_2(bench, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        bench.main(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_absent_peer_is_an_error_that_says_what_to_install(bench, capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_spec", lambda name: None if name == "torchinfo" else name)
    assert bench.main([]) == 2
    error = capsys.readouterr().err
    assert "no torchinfo" in error
    assert "pip install inception_lab[bench]" in error
