"""The answer of `check` as text, of checks made by hand."""

import csv
import io

import pytest
from support.made_checks import ALL, BROKEN, CHANGES, CONFIGURATION, PASSED, verdict

from inception_lab.budgets.verdict import Change, Check, Finding
from inception_lab.cli.check_text import FORMS, check_text

TABLE = """\
passed  good    1 limit
failed  big     2 of 3 limits
        macs: 1,709,000,000 is 109,000,000 (6.81 %) above the maximum of 1,600,000,000; \
the lock has 1,600,000,000
          phones: ask Ada, 100% sure
          inception4e.branch3.conv5x5.conv  +98.0 M (20.0 M -> 118 M)
          inception5a.new  +22.0 M (new)
        peak_bytes of stem.*: 2,097,152 is 1,048,576 (100 %) above the maximum of 1,048,576
warned  loud    1 of 1 limit
        peak_bytes of stem.*: 2,097,152 is 1,048,576 (100 %) above the maximum of 1,048,576
failed  small   2 of 2 limits
        receptive_field: 215 is 9 (4.02 %) below the minimum of 224; the lock has 300
          a  -85 (300 -> 215)
        time: vgg16 cannot be built
error   absent
        nowhere:Net: no module named 'nowhere'

5 budgets: 1 kept, 1 kept with warnings, 2 failed, 1 not judged
"""


def test_the_table_has_a_verdict_per_budget_and_what_broke_it():
    assert check_text(ALL, "table", every_layer=False) == TABLE


def test_why_shows_kept_limits_and_every_layer():
    text = check_text(ALL, "table", every_layer=True)
    # both round to 7.00 M
    assert "        params: 6,998,552, at most 7,000,000, locked 6,998,552\n" in text
    for change in CHANGES:
        assert change.layer in text


def test_a_shortened_list_of_layers_says_how_to_see_the_rest():
    changes = tuple(Change(f"layer{i}", 1, 20 - i) for i in range(9))
    finding = Finding(BROKEN.limit, 2e9, 1.6e9, False, 1e9, changes, "too much")
    check = Check(CONFIGURATION, (verdict("big", finding),))
    assert check_text(check, "table", every_layer=False).endswith(
        "          and 4 more\n\n1 budget: 1 failed; --why lists all layers that changed\n"
    )
    assert "--why" not in check_text(check, "table", every_layer=True)


def test_csv_has_a_row_per_limit_with_bare_numbers():
    rows = list(csv.DictReader(io.StringIO(check_text(ALL, "csv", every_layer=False))))
    assert [(row["budget"], row["metric"], row["passed"]) for row in rows] == [
        ("good", "params", "true"), ("big", "params", "true"), ("big", "macs", "false"),
        ("big", "peak_bytes", "false"), ("loud", "peak_bytes", "false"),
        ("small", "receptive_field", "false"), ("small", "time", "false"), ("absent", "", ""),
    ]  # fmt: skip
    assert rows[2]["value"] == "1709000000.0"
    assert rows[-1]["reason"] == "nowhere:Net: no module named 'nowhere'"


def test_markdown_has_a_row_per_limit_and_folds_layers_away():
    text = check_text(ALL, "markdown", every_layer=False)
    head, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "| Budget | Limit on | Value | Bound | Lock | Verdict |"
    assert rows[2] == "| big | macs | 1.71 G | at most 1.60 G | 1.60 G | FAILED |"
    assert len(rows) == 8
    assert text.count("<details>") == text.count("</details>") == 2
    assert r"- inception4e.branch3.conv5x5.conv  +98.0 M (20.0 M -\> 118 M)" in text


@pytest.mark.parametrize("form", FORMS)
def test_names_with_markup_and_line_breaks_do_no_harm(form):
    finding = Finding(BROKEN.limit, 2e9, 1.6e9, False, None, (Change("a|b\n<x>", 1, 2),), "too\nmuch | *x*")
    text = check_text(Check(CONFIGURATION, (verdict("n|a\nme <b>", finding),)), form, every_layer=False)
    if form in ("table", "markdown"):
        assert "n|a\nme" not in text
        assert "<b>" not in text.replace("\\<b\\>", "") or form == "table"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", [Check(None, ()), PASSED], ids=["empty", "passed"])
def test_every_format_has_a_word_for_every_check(form, check):
    assert check_text(check, form, every_layer=True).strip()
