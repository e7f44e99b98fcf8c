"""The answer of `check` as text, of checks made by hand."""

import csv
import io
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_checks import ALL, BROKEN, CHANGES, CONFIGURATION, KEPT, PASSED, verdict

from inception_lab.budgets.verdict import Change, Check, Finding
from inception_lab.cli.check_text import FORMS, MARKDOWN_COLUMNS, check_text

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
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    assert head == "| Budget | Limit on | Value | Bound | Lock | Verdict |"
    assert rule == "| :--- | :--- | ---: | ---: | ---: | :--- |"
    assert rows[2] == "| big | macs | 1.71 G | at most 1.60 G | 1.60 G | FAILED |"
    assert len(rows) == 8
    assert text.count("<details>") == text.count("</details>") == 2
    assert r"- inception4e.branch3.conv5x5.conv  +98.0 M (20.0 M -\> 118 M)" in text


def check_of(name, layer, reason):
    finding = replace(BROKEN, changes=(Change(layer, 1, 2),), reason=reason)
    return Check(CONFIGURATION, (verdict(name, finding, KEPT),))


@given(st.text(min_size=1), st.text(), st.text())
def test_any_text_stays_in_its_line_and_its_cell(name, layer, reason):
    check = check_of(name, layer, reason)
    plain = check_of("name", "layer", "reason")
    table = check_text(check, "table", every_layer=False)
    assert len(table.split("\n")) == len(check_text(plain, "table", every_layer=False).split("\n"))
    assert all(character.isprintable() for character in table.replace("\n", ""))
    markdown = check_text(check, "markdown", every_layer=False)
    assert len(markdown.split("\n")) == len(check_text(plain, "markdown", every_layer=False).split("\n"))
    rows = [line for line in markdown.split("\n") if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(MARKDOWN_COLUMNS) + 1}


# control characters come back as escapes, and formulas behind an apostrophe
PLAIN = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="=+-@"))


@given(PLAIN.filter(bool), st.text(), PLAIN)
def test_any_text_comes_back_from_the_formats_for_programs(name, layer, reason):
    check = check_of(name, layer, reason)
    (budget,) = json.loads(check_text(check, "json", every_layer=False))["budgets"]
    assert (budget["budget"], budget["limits"][0]["changes"][0]["layer"]) == (name, layer)
    rows = list(csv.DictReader(io.StringIO(check_text(check, "csv", every_layer=False), newline="")))
    assert [(row["budget"], row["reason"]) for row in rows] == [(name, reason), (name, "")]
    assert json.loads(check_text(check, "bencher", every_layer=False))[name]
    assert (
        json.loads(check_text(check, "customSmallerIsBetter", every_layer=False))[0]["name"] == f"{name}/macs"
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("check", [Check(None, ()), PASSED], ids=["empty", "passed"])
def test_every_format_has_a_word_for_every_check(form, check):
    assert check_text(check, form, every_layer=True).strip()
