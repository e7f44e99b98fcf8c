"""The benchmark against peers: what it writes, and that its verdicts are computed."""

import csv
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import bench_peers
import inception_lab as il
import peers.__main__
from peers.contenders import CONTENDERS, META_FORWARD, OURS, PEERS
from peers.fresh_processes import probe_all
from peers.options import parse
from peers.race import operation_count, race, turns
from peers.results import Case, Results, Spread, Timing
from peers.targets import TARGETS, Target, batch_512, microseconds_per_operation

TINY = ["--models", "googlenet", "--input-size", "3x32x32", "--rounds", "2"]


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    for name in PEERS:
        pytest.importorskip(name)
    folder = tmp_path_factory.mktemp("peers")
    command = [
        sys.executable,
        bench_peers.__file__,
        *TINY,
        "--probes",
        "0",
        "--longest",
        "0",
        "--output",
        str(folder),
    ]
    subprocess.run(command, check=True, capture_output=True)
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


def test_a_fresh_process_tells_cold_start_and_memory():
    options = parse([*TINY, "--probes", "1", "--batch-sizes", "1"])
    timings = {Case("googlenet", 1, OURS): Timing((1.0,))}
    ((probe,),) = probe_all(timings, options).values()
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
def test_a_verdict_compares_the_median(at_least, goal, median, verdict):
    target = Target("", batch_512, 0.25, at_least=at_least, goal=goal)
    assert target.verdict(Spread(0, median, 1)) == verdict


def test_ratios_are_taken_round_by_round():
    assert Spread.of_ratios([1, 20, 300], [1, 10, 100]) == Spread(1.5, 2, 2.5)
    assert Spread.of([]) is None
    assert Spread.of([3]) == Spread(3, 3, 3)


def test_every_round_has_every_case_in_another_order():
    order = list(turns("abc", 3))
    assert [order[:3], order[3:6], order[6:]] == [["a", "b", "c"], ["a", "c", "b"], ["c", "a", "b"]]


def test_time_per_operation_counts_what_a_forward_dispatches():
    class Counting(TorchDispatchMode):
        calls = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.calls += 1
            return func(*args, **(kwargs or {}))

    options = parse(TINY)
    model = il.create_model("googlenet", device="meta").eval()
    image = torch.zeros(1, 3, 32, 32, device="meta")
    with torch.no_grad(), Counting() as counting:
        model(image)
    assert operation_count("googlenet", options) == counting.calls
    timings = {Case("googlenet", 1, OURS): Timing((2e-3, 4e-3, 6e-3))}
    results = Results(options, timings, {}, {"googlenet": 100})
    assert microseconds_per_operation(results, "googlenet") == Spread(30, 40, 50)


def test_a_peer_that_fails_is_a_row_with_its_reason(monkeypatch):
    def fail(*_):
        raise LookupError("no such operator")

    options = parse([*TINY, "--batch-sizes", "1"])
    contenders = {name: CONTENDERS[name] for name in (OURS, "real forward")}
    contenders["peer"] = replace(CONTENDERS[OURS], prepare=fail)
    monkeypatch.setattr("peers.race.CONTENDERS", contenders)
    timings = race("googlenet", options)
    assert [case.contender for case in timings] == [OURS, "real forward", "peer"]
    assert timings[Case("googlenet", 1, "peer")].why_not == "not run: LookupError on meta tensors"
    assert len(timings[Case("googlenet", 1, OURS)].seconds) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--models", "gogglenet"],
        ["--rounds", "0"],
        ["--input-size", "3x8x8"],
        ["--input-size", "32x32"],
    ],
)
def test_wrong_usage_exits_with_2(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        parse(arguments)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err


def test_an_absent_peer_is_an_error_that_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setattr(peers.__main__, "find_spec", lambda name: None if name == "torchinfo" else name)
    assert bench_peers.main([]) == 2
    error = capsys.readouterr().err
    assert "no torchinfo" in error
    assert "pip install inception_lab[bench]" in error
