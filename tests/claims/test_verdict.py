"""Verdicts follow from numbers and tolerance alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.claims.quantity import about, exactly, true
from inception_lab.claims.verdict import SEVERITY, Reading, Unavailable, Verdict, judge, worst

CLAIMED = about(100, within=0.05)


def kind(*values):
    return judge(CLAIMED, tuple(Reading(f"reading {n}", value) for n, value in enumerate(values))).kind


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(100, "confirmed"), (105, "confirmed"), (95, "confirmed"), (105.01, "off"), (94.99, "off"),
     (125, "off"), (75, "off"), (125.01, "contradicted"), (74.99, "contradicted"), (0, "contradicted")],
)  # fmt: skip
def test_the_boundaries(value, verdict):
    assert kind(value) == verdict


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_value_farther_off_is_never_judged_better(one, other):
    near, far = sorted((one, other))
    for sign in (1, -1):
        assert SEVERITY[kind(100 + sign * near)] <= SEVERITY[kind(100 + sign * far)]


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=6))
def test_another_reading_can_confirm_a_claim_and_nothing_else(values):
    plain = kind(values[0])
    inside = any(95 <= value <= 105 for value in values)
    if plain == "confirmed":
        assert kind(*values) == "confirmed"
    else:
        assert kind(*values) == ("confirmed under a reading" if inside else plain)


def test_a_reading_that_confirms_is_named():
    verdict = judge(CLAIMED, (Reading("plain", 50), Reading("doubled", 100), Reading("also", 101)))
    assert str(verdict) == "confirmed under a reading: doubled"


def test_a_false_statement_is_contradicted():
    assert judge(true(), (Reading("traced", False),)).kind == "contradicted"
    assert judge(exactly(0), (Reading("traced", 1),)).kind == "contradicted"


def test_what_cannot_be_computed_says_what_it_needs():
    assert str(judge(CLAIMED, Unavailable("a GPU"))) == "not checkable here: a GPU"


def test_a_claim_without_a_reading_is_refused():
    with pytest.raises(ValueError, match="no reading"):
        judge(CLAIMED, ())
    with pytest.raises(ValueError, match="no verdict"):
        worst([])


def test_the_worst_of_several_counts():
    off, far_off = Verdict("off", deviation=0.1), Verdict("off", deviation=0.2)
    assert worst([far_off, off, Verdict("confirmed")]) == far_off
    assert worst([off, Verdict("contradicted", deviation=3)]).kind == "contradicted"
    assert worst([Verdict("not checkable here", "a GPU"), off]).kind == "off"


def test_readings_of_several_figures_stand_beside_one_another():
    kinds = [Verdict("confirmed under a reading", name) for name in ("b", "a", "b")]
    assert str(worst([*kinds, Verdict("confirmed")])) == "confirmed under a reading: a; b"


@given(st.permutations([Verdict(kind) for kind in SEVERITY]))
def test_the_order_of_figures_does_not_matter(verdicts):
    assert worst(verdicts).kind == "contradicted"
