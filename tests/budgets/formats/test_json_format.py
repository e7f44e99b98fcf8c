"""Checks as JSON."""

import json
from dataclasses import replace

from support.made_checks import ALL, PASSED, verdict

from inception_lab.budgets.formats.json_format import check_to_dict, check_to_json
from inception_lab.budgets.verdict import Check


def test_every_budget_is_a_row_with_its_limits():
    data = check_to_dict(ALL)
    assert (data["schema"], data["passed"]) == (1, False)
    assert data["configuration"] == "/repo/sub/pyproject.toml"
    assert [row["status"] for row in data["budgets"]] == ["passed", "failed", "warned", "failed", "error"]
    broken = data["budgets"][1]["limits"][1]
    assert broken["max"] == 1_600_000_000
    assert broken["growth"] == {"percent": 1}
    assert broken["value"] - broken["allowed"] == 109_000_000
    assert broken["changes"][0] == {
        "layer": "inception4e.branch3.conv5x5.conv", "before": 20_000_000, "after": 118_000_000
    }  # fmt: skip


def test_what_has_no_value_is_absent():
    text = check_to_json(ALL)
    assert "null" not in text
    untold = json.loads(text)["budgets"][3]["limits"][1]
    assert untold["ratio"] == {"max": 2, "to": "vgg16"}
    assert not {"value", "allowed", "locked", "layers"} & untold.keys()
    assert not {"lock", "torch"} & check_to_dict(PASSED).keys()


def test_the_version_of_torch_is_that_of_the_first_model_that_was_traced():
    broken, good = verdict("x", error="no module"), replace(PASSED.verdicts[0], torch="2.13.0")
    assert check_to_dict(Check(None, (broken, good)))["torch"] == "2.13.0"


def test_a_keyword_that_json_has_no_word_for_is_text():
    check = Check(None, (verdict("x", kwargs={"width": 3, "limit": float("inf"), "names": {1}}),))
    assert json.loads(check_to_json(check))["budgets"][0]["kwargs"] == {
        "width": 3, "limit": "inf", "names": "{1}"
    }  # fmt: skip
