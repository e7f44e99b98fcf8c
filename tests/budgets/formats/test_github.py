"""Checks as workflow commands of GitHub Actions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_checks import ALL, BROKEN, PASSED, verdict

from inception_lab.budgets.formats.github import error_command, github_text, workflow_command
from inception_lab.budgets.verdict import Check
from inception_lab.errors import InceptionLabError

ROOT = Path("/repo")


def parsed(line):
    """Kind, properties and message of a workflow command, as the runner reads them.

    Source: ActionCommand.TryParseV2 of actions/runner: properties end at the first `::` and are split at
    commas and equals signs, then the escapes are undone, `%25` last.
    """
    head, _, message = line.removeprefix("::").partition("::")
    kind, _, properties = head.partition(" ")
    pairs = dict(part.split("=", 1) for part in properties.split(",") if part)
    plain = {name: unescaped(unescaped_property(text)) for name, text in pairs.items()}
    return kind, plain, unescaped(message)


def unescaped_property(text):
    return text.replace("%3A", ":").replace("%2C", ",")


def unescaped(text):
    return text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")


def test_each_broken_limit_is_on_its_line():
    commands = [parsed(line) for line in github_text(ALL, ROOT).splitlines()[:-1]]
    places = [(kind, properties.get("file"), properties.get("line")) for kind, properties, _ in commands]
    assert places == [
        ("error", "sub/pyproject.toml", "6"),
        ("warning", "sub/pyproject.toml", "7"),
        ("warning", "sub/pyproject.toml", "7"),
        ("error", "sub/pyproject.toml", "8"),
        ("error", "sub/pyproject.toml", "9"),
        ("error", "sub/pyproject.toml", "20"),
    ]
    _, properties, message = commands[0]
    assert properties["title"] == "Budget big: macs"
    first, second, third, *_ = message.splitlines()
    assert BROKEN.reason in first
    assert second == BROKEN.limit.message
    assert third.startswith("inception4e.branch3.conv5x5.conv")


def test_a_check_without_failures_has_no_command():
    assert github_text(PASSED, ROOT) == "1 budget: 1 kept\n"


def test_a_budget_without_a_file_has_an_annotation_without_a_place():
    line = github_text(Check(None, (verdict("x", line=None, error="no"),)), ROOT).splitlines()[0]
    assert line == "::error title=Budget x::no"


def test_a_fault_is_on_its_line_where_it_names_a_file(tmp_path):
    file = tmp_path / "a,b:5.toml"
    file.touch()
    error = InceptionLabError("too much", where=f"{file}:12", hint="give less")
    kind, properties, message = parsed(error_command(error, tmp_path))
    assert (kind, properties) == ("error", {"file": "a,b:5.toml", "line": "12", "title": "Budgets"})
    assert message == f"{file}:12: too much; give less"
    assert parsed(error_command(InceptionLabError("bad", where=str(file)), tmp_path))[1].get("line") is None


@pytest.mark.parametrize("where", ["", "googlenet", "mynet:Net", "absent.toml:3", "12", ":3"])
def test_a_fault_elsewhere_is_annotated_without_a_place(where):
    assert parsed(error_command(InceptionLabError("bad", where=where), ROOT))[1] == {"title": "Budgets"}


@given(st.text(), st.text())
def test_a_command_is_one_line_and_comes_back(title, message):
    line = workflow_command("error", {"title": title, "line": 3}, message)
    assert not set("\r\n") & set(line)
    assert parsed(line) == ("error", {"title": title, "line": "3"}, message)


def test_percent_signs_are_escaped_first():
    line = workflow_command("error", {"title": "50%, a:b"}, "5% off\nnext")
    assert line == "::error title=50%25%2C a%3Ab::5%25 off%0Anext"
