"""Verdicts in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_checks import ALL, BROKEN, CHANGES, KEPT, TOO_FEW, UNTOLD, WARNED, verdict

from inception_lab.budgets.budget import Limit, Ratio
from inception_lab.budgets.verdict import Change, Check, Finding
from inception_lab.budgets.wording import (
    broken_findings,
    change_text,
    changes_of_interest,
    finding_text,
    layer_texts,
    quantity_texts,
    summary_line,
    verdict_lines,
)


def test_a_broken_limit_says_the_figure_the_limit_and_the_lock():
    assert finding_text(BROKEN) == (
        "macs: 1,709,000,000 is 109,000,000 (6.81 %) above the maximum of 1,600,000,000; "
        "the lock has 1,600,000,000"
    )
    assert finding_text(UNTOLD) == "time: vgg16 cannot be built"


def test_a_locked_figure_is_said_once():
    reason = "5 is 1 (25 %) above the 4 that growth from 4 allows"
    assert finding_text(replace(BROKEN, locked=4.0, reason=reason)) == f"macs: {reason}"


def test_a_limit_that_could_not_be_judged_for_certain_says_so():
    limit = Limit("time", ratio=Ratio(1.1, "vgg16"))
    noisy = Finding(limit, 1.08, 1.1, passed=True, reason="too noisy to judge: 1.02 to 1.15 times")
    assert finding_text(noisy) == "time: 1.08, at most 1.10, too noisy to judge: 1.02 to 1.15 times"


@pytest.mark.parametrize(
    ("limit", "allowed", "text"),
    [
        (Limit("macs", most=2e6), 2e6, "macs: 1.50 M, at most 2.00 M"),
        (Limit("macs", least=1e6), 1e6, "macs: 1.50 M, at least 1.00 M"),
        (Limit("macs", layers="a.*", least=1.5e6, most=1.5e6), 1.5e6, "macs of a.*: 1.50 M, at most 1.50 M"),
        (Limit("macs", least=1), None, "macs: 1.50 M"),
    ],
)
def test_a_kept_limit_says_the_bound_that_decides(limit, allowed, text):
    assert finding_text(Finding(limit, 1_500_000, allowed, passed=True)) == text


def test_the_layers_that_grew_come_largest_first():
    assert list(layer_texts(BROKEN)) == [
        "inception4e.branch3.conv5x5.conv  +98.0 M (20.0 M -> 118 M)",
        "inception5a.new  +22.0 M (new)",
    ]


def test_with_all_layers_those_that_shrank_are_there_too():
    assert [text.split()[0] for text in layer_texts(BROKEN, None)] == [change.layer for change in CHANGES]


def test_a_broken_minimum_names_the_layers_that_shrank():
    assert changes_of_interest(TOO_FEW) == [Change("a", 300.0, 215.0)]


def test_layers_beyond_the_first_ones_are_counted():
    changes = tuple(Change(f"layer{i}", 1, 1 + i) for i in range(9, 0, -1))
    finding = replace(BROKEN, changes=changes)
    assert list(layer_texts(finding, 7))[-1] == "and 2 more"
    assert len(list(layer_texts(finding, 9))) == len(list(layer_texts(finding, None))) == 9


def test_without_a_lock_the_largest_layers_stand_there():
    finding = Finding(Limit("peak_bytes", most=1), 2**21, 1, False, largest=(("stem", 2**20), ("fc", 5)))
    assert list(layer_texts(finding, 1)) == ["largest: stem 1.00 MiB, fc 5 B"]
    for without_bound in (replace(finding, allowed=None), replace(finding, allowed=2.0**22)):
        assert list(layer_texts(without_bound)) == []
    assert list(layer_texts(replace(finding, changes=(Change("stem", 1, 2**20),)), None)) == [
        "stem  +1.00 MiB (1 B -> 1.00 MiB)"
    ]


def test_a_layer_that_is_gone_is_said_to_be():
    assert change_text("macs", Change("stem", 10e6, 0)) == "stem  -10.0 M (gone)"


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_figures_that_differ_look_different(first, second):
    texts = quantity_texts("params", first, second)
    assert (texts[0] == texts[1]) == (first == second)


def test_exact_figures_have_their_unit():
    assert quantity_texts("peak_bytes", 2**20 + 1, 2**20) == ["1,048,577 bytes", "1,048,576 bytes"]


def test_the_users_message_stands_under_the_sentence():
    first, second, third, *_ = verdict_lines(verdict("x", KEPT, BROKEN))
    assert (first, second) == (finding_text(BROKEN), "  phones: ask Ada, 100% sure")
    assert third.startswith("  inception4e")


def test_errors_come_before_warnings():
    assert broken_findings(verdict("x", WARNED, KEPT, BROKEN)) == [BROKEN, WARNED]


def test_a_model_that_cannot_be_built_says_why():
    assert list(verdict_lines(ALL.verdicts[-1])) == ["nowhere:Net: no module named 'nowhere'"]
    assert list(verdict_lines(ALL.verdicts[0])) == []


def test_the_summary_counts_every_budget_once():
    assert summary_line(ALL) == "5 budgets: 1 kept, 1 kept with warnings, 2 failed, 1 not judged"
    assert summary_line(Check(None, (verdict("good", KEPT),))) == "1 budget: 1 kept"
