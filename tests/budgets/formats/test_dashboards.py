"""Figures for Bencher and for github-action-benchmark."""

import json

from support.made_checks import ALL, BROKEN, KEPT, WARNED, verdict

from inception_lab.budgets.formats.dashboards import bencher_json, smaller_is_better_json
from inception_lab.budgets.verdict import Check


def test_bencher_reads_a_benchmark_per_budget_and_a_measure_per_metric():
    assert json.loads(bencher_json(ALL)) == {
        "good": {"params": {"value": 6_998_552.0}},
        "big": {"params": {"value": 6_998_552.0}, "macs": {"value": 1_709_000_000.0}},
        "big/stem.*": {"peak_bytes": {"value": 2_097_152.0}},
        "loud/stem.*": {"peak_bytes": {"value": 2_097_152.0}},
        "small": {"receptive_field": {"value": 215.0}},
    }


def test_smaller_is_better_has_what_is_to_stay_small():
    entries = json.loads(smaller_is_better_json(ALL))
    assert [entry["name"] for entry in entries] == [
        "good/params", "big/params", "big/macs", "big/stem.*/peak_bytes", "loud/stem.*/peak_bytes"
    ]  # fmt: skip
    assert entries[2] == {
        "name": "big/macs",
        "unit": "MACs",
        "value": 1_709_000_000.0,
        "extra": "limit: 1,600,000,000\nlock: 1,600,000,000",
    }
    assert entries[3]["unit"] == "bytes"
    assert {frozenset(entry) for entry in entries} == {frozenset({"name", "unit", "value", "extra"})}


def test_two_limits_on_one_metric_are_one_figure():
    check = Check(None, (verdict("x", BROKEN, BROKEN, KEPT, WARNED),))
    names = [entry["name"] for entry in json.loads(smaller_is_better_json(check))]
    assert len(names) == len(set(names)) == 3
