"""Spreads, and what a case makes of its figures."""

from peers.contenders import OURS
from peers.options import parse
from peers.results import Case, Results, Spread, Timing


def test_ratios_are_taken_round_by_round():
    assert Spread.of_ratios([1, 20, 300], [1, 10, 100]) == Spread(1.5, 2, 2.5)
    assert Spread.of([]) is None
    assert Spread.of([3]) == Spread(3, 3, 3)


def test_counts_are_judged_by_what_a_contender_means_by_them():
    macs = {OURS: 6, "fvcore": 6, "TorchScan": 5, "torchinfo": 7, "meta forward": None}
    timings = {Case("nin", 1, name): Timing((1.0,), number) for name, number in macs.items()}
    results = Results(parse([]), timings, {})
    assert [results.agreement(case) for case in timings] == [
        "reference", "equal", "NOT EQUAL", "own definition", ""
    ]  # fmt: skip
