"""Influence of parameters: against an analysis of variance by hand, and against functions that are known."""

from itertools import product
from statistics import fmean

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.errors import InceptionLabError

LEVEL = st.sampled_from(["naive", "reduced", 3, True, 1, None, 0.5])


def row_of(influence, parameter, metric="macs"):
    (row,) = influence[influence["parameter"].eq(parameter) & influence["metric"].eq(metric)].to_dict(
        "records"
    )
    return row


def share_by_hand(levels, values):
    """Epsilon squared by its other formula, from the sum of squares between levels, in percent."""
    groups = {}
    for level, value in zip(levels, values, strict=True):
        groups.setdefault((type(level), level), []).append(value)
    mean, n, k = fmean(values), len(values), len(groups)
    between = sum(len(group) * (fmean(group) - mean) ** 2 for group in groups.values())
    within = sum((value - fmean(group)) ** 2 for group in groups.values() for value in group)
    return 100 * max(0, (between - (k - 1) * within / (n - k)) / (between + within))


@settings(deadline=None)
@given(st.lists(st.tuples(LEVEL, st.integers(0, 9)), min_size=1, max_size=40))
def test_a_share_is_that_of_an_analysis_of_variance(rows):
    levels, values = zip(*rows, strict=True)
    # one text makes all others words too, so that True and 1 are two levels
    table = pd.DataFrame({"kind": pd.Series([*levels, "naive"], dtype=object), "macs": [*values, 4]})
    row = row_of(il.parameter_influence(table, ["kind"], ["macs"]), "kind")
    levels, values = [*levels, "naive"], [*values, 4]
    if len(set(values)) == 1:
        assert row["share"] == 0
    elif len({(type(level), level) for level in levels}) == len(levels):
        assert np.isnan(row["share"])
    else:
        assert row["share"] == pytest.approx(share_by_hand(levels, values), abs=1e-9)


def additive(repeats):
    """Each combination of three parameters as often, and a metric that is the sum of what each gives."""
    rows = list(product([1, 2, 4], ["naive", "reduced"], [False, True])) * repeats
    table = pd.DataFrame(rows, columns=["width", "kind", "bias"])
    return table.assign(
        macs=10 * table["width"] + table["kind"].map({"naive": 9, "reduced": 0}) + table["bias"]
    )


def test_shares_of_a_sum_are_the_variances_of_its_terms():
    influence = il.parameter_influence(additive(500), ["bias", "kind", "width"], ["macs"])
    # of 10, 20, 40; of 9, 0; of 0, 1
    variances = {"width": 1400 / 9, "kind": 81 / 4, "bias": 1 / 4}
    for name, variance in variances.items():
        assert row_of(influence, name)["share"] == pytest.approx(
            100 * variance / sum(variances.values()), abs=0.05
        )
    assert influence["parameter"].tolist() == ["width", "kind", "bias", "(rest)"]
    assert row_of(influence, "(rest)")["share"] == pytest.approx(0, abs=0.1)
    assert influence["share"].sum() == pytest.approx(100)


def test_what_only_a_combination_explains_is_the_rest():
    table = pd.DataFrame(list(product([0, 1], [0, 1])) * 100, columns=["a", "b"])
    influence = il.parameter_influence(table.assign(macs=table["a"] ^ table["b"]), ["a", "b"], ["macs"])
    assert influence["share"].tolist() == [0, 0, 100]


def test_ends_are_means_at_the_lowest_and_highest_value():
    influence = il.parameter_influence(additive(1), ["width", "kind", "bias"], ["macs"])
    ends = {row["parameter"]: (row["low"], row["high"], row["at_low"], row["at_high"])
            for row in influence.to_dict("records")[:-1]}  # fmt: skip
    assert ends == {
        "width": (15, 45, 1, 4),
        "kind": (pytest.approx(143 / 6), pytest.approx(197 / 6), "reduced", "naive"),
        "bias": (pytest.approx(167 / 6), pytest.approx(173 / 6), False, True),
    }


def test_a_value_that_is_missing_is_a_level_but_not_an_end():
    table = pd.DataFrame({"dropout": [None, 0.2, 0.4] * 20, "macs": [90, 1, 2] * 20})
    row = row_of(il.parameter_influence(table, ["dropout"], ["macs"]), "dropout")
    assert row["share"] == pytest.approx(100)
    assert (row["low"], row["high"], row["at_low"], row["at_high"]) == (1, 2, 0.2, 0.4)


def test_many_numbers_are_ten_groups_of_as_many():
    width = np.linspace(1, 2, 1000)
    table = pd.DataFrame({"width": width, "macs": 5 * width})
    row = row_of(il.parameter_influence(table, ["width"], ["macs"]), "width")
    # of what varies evenly, a hundredth of the variance lies within tenths
    assert row["share"] == pytest.approx(99, abs=0.02)
    assert (row["low"], row["high"]) == (pytest.approx(5.25, abs=0.01), pytest.approx(9.75, abs=0.01))
    assert (row["at_low"], row["at_high"]) == ("1 to 1.1", "1.9 to 2")


def test_a_metric_that_does_not_vary_has_nothing_to_explain():
    influence = il.parameter_influence(additive(2).assign(macs=7), ["width", "kind"], ["macs"])
    assert influence["share"].tolist() == [0, 0, 0]
    assert influence["low"].tolist()[:2] == [7, 7]


def test_a_parameter_of_one_level_explains_nothing():
    table = additive(2).assign(depth=3)
    row = row_of(il.parameter_influence(table, ["depth", "width"], ["macs"]), "depth")
    assert row["share"] == pytest.approx(0, abs=1e-9)
    assert (row["low"], row["at_low"], row["at_high"]) == (row["high"], 3, 3)


def test_of_words_of_which_each_stands_once_nothing_is_known():
    table = additive(1).assign(name=[f"net{n}" for n in range(12)])
    influence = il.parameter_influence(table, ["name", "width"], ["macs"])
    assert influence["parameter"].tolist() == ["width", "name", "(rest)"]
    assert influence["share"].isna().tolist() == [False, True, True]


def test_failed_and_partial_rows_do_not_count_and_those_over_budget_do():
    table = additive(3).assign(status="complete", within_budgets=False)
    table.loc[:2, "macs"] = None
    spoilt = pd.concat(
        [table, table.assign(status="partial", macs=-99), table.assign(status="failed", macs=None)]
    )
    expected = il.parameter_influence(additive(3)[3:], ["width"], ["macs"])
    pd.testing.assert_frame_equal(il.parameter_influence(spoilt, ["width"], ["macs"]), expected)


def test_metrics_stand_in_the_order_in_which_they_are_named():
    table = additive(3).assign(params=[5, 9] * 18)
    influence = il.parameter_influence(table, ["width", "bias"], ["params", "macs"])
    assert influence[["metric", "parameter"]].to_numpy().tolist() == [
        ["params", "bias"], ["params", "width"], ["params", "(rest)"],
        ["macs", "width"], ["macs", "bias"], ["macs", "(rest)"],
    ]  # fmt: skip


def test_a_metric_without_figures_has_no_shares():
    influence = il.parameter_influence(additive(1).assign(params=None), ["width"], ["params"])
    assert influence["share"].isna().all()


@pytest.mark.parametrize(
    ("table", "parameters", "metrics", "line"),
    [
        (additive(1).head(0), ["width"], ["macs"], "a table without rows"),
        (additive(1), [], ["macs"], "no parameter; name a parameter or more"),
        (additive(1), ["width"], [], "no metric; name a metric or more"),
        (additive(1), ["wdith"], ["macs"], "no column 'wdith'; did you mean width?"),
        (additive(1), ["width"], ["kind"], "kind has values that are not numbers, as 'naive'"),
        (additive(1).assign(status="failed"), ["width"], ["macs"],
         "no variant is complete: 12 failed; see the column cause"),
        (additive(1), "width", ["macs"], "parameters is the text 'width'; pass ['width']"),
    ],
)  # fmt: skip
def test_what_cannot_be_told_is_refused_in_one_line(table, parameters, metrics, line):
    with pytest.raises(InceptionLabError) as refusal:
        il.parameter_influence(table, parameters, metrics)
    assert str(refusal.value).startswith(line)
