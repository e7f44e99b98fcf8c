"""Errors of one line, and hints that offer the nearest names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.errors import MOST_NAMES, USAGE, InceptionLabError, nearest


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({}, "it is wrong"),
        ({"where": "a.b"}, "a.b: it is wrong"),
        ({"hint": "mend it"}, "it is wrong; mend it"),
        ({"where": "a.b", "hint": "mend it", "exit_code": 3}, "a.b: it is wrong; mend it"),
    ],
)
def test_the_line(parts, line):
    error = InceptionLabError("it is wrong", **parts)
    assert str(error) == line
    assert (error.what, error.where, error.hint) == (
        "it is wrong",
        parts.get("where", ""),
        parts.get("hint", ""),
    )
    assert error.exit_code == parts.get("exit_code", USAGE)
    assert isinstance(error, ValueError)


@given(st.text(), st.text())
def test_it_is_one_line_whatever_it_quotes(what, where):
    line = str(InceptionLabError(what, where=where))
    assert len(line.splitlines()) <= 1
    assert line == " ".join(line.split())


@pytest.mark.parametrize(
    ("name", "choices", "hint"),
    [
        ("adm", ["sgd", "adam", "adamw"], "did you mean adam or adamw?"),
        ("xyz", ["b", "a"], "known: a, b"),
        ("xyz", [], "known: none"),
        ("conv", (f"conv{i}" for i in range(9)), "did you mean conv8 or conv7 or conv6?"),
        ("xyz", {f"{i:02}": 1 for i in range(30)}, "known: " + ", ".join(f"{i:02}" for i in range(30))),
        ("xyz", [f"{i:02}" for i in range(33)],
         "known: " + ", ".join(f"{i:02}" for i in range(30)) + " and 3 more"),
    ],
)  # fmt: skip
def test_nearest(name, choices, hint):
    assert nearest(name, choices) == hint


@given(st.text("ab", min_size=1), st.sets(st.text("abc", min_size=1), max_size=2 * MOST_NAMES))
def test_nearest_offers_choices_alone(name, choices):
    hint = nearest(name, choices)
    if hint.startswith("did you mean "):
        names = hint.removeprefix("did you mean ").removesuffix("?").split(" or ")
        assert 1 <= len(names) <= 3
    else:
        names = hint.removeprefix("known: ").partition(" and ")[0].split(", ")
        assert len(names) == max(1, min(len(choices), MOST_NAMES))
    assert set(names) <= (choices or {"none"})
