"""Pareto fronts of tables: against a search of all pairs, and against Optuna's own."""

from time import perf_counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.errors import InceptionLabError

NAMES = ("macs", "receptive_field", "train_peak_bytes")
OBJECTIVES = {"macs": "min", "receptive_field": "max"}
FIGURE = st.one_of(st.integers(-3, 3), st.sampled_from([None, float("nan"), float("inf"), 0.5, -0.0]))


@st.composite
def tables(draw):
    """A table with ties and gaps under any index, and one to three objectives."""
    row = st.fixed_dictionaries(
        {
            **dict.fromkeys(NAMES, FIGURE),
            "status": st.sampled_from(["complete"] * 4 + ["partial", "failed"]),
            "within_budgets": st.sampled_from([True, True, True, False, None]),
        }
    )
    rows = draw(st.lists(row, min_size=1, max_size=25))
    labels = st.lists(st.integers(-99, 99), min_size=len(rows), max_size=len(rows))
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    directions = {name: draw(st.sampled_from(["min", "max"])) for name in names}
    return pd.DataFrame(rows, index=draw(labels)), directions


def takes_part(row, objectives):
    return (
        row["status"] == "complete"
        and row["within_budgets"] is True
        and all(row[name] is not None and row[name] == row[name] for name in objectives)
    )


def dominates(one, other, objectives):
    """True where one is nowhere worse and somewhere better, word for word."""
    pairs = [
        (one[name], other[name]) if way == "min" else (other[name], one[name])
        for name, way in objectives.items()
    ]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def rows_of(table):
    """Its rows as dictionaries, with None and NaN as drawn."""
    columns = {name: table[name].astype(object).tolist() for name in table}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def peeled(table, objectives):
    """The rank of each row, front by front, each by all pairs."""
    rows = rows_of(table)
    left = [place for place, row in enumerate(rows) if takes_part(row, objectives)]
    ranks, rank = [None] * len(rows), 0
    while left:
        rank += 1
        front = [p for p in left if not any(dominates(rows[q], rows[p], objectives) for q in left)]
        for place in front:
            ranks[place] = rank
        left = [place for place in left if place not in front]
    return ranks


@settings(max_examples=300, deadline=None)
@given(tables())
def test_ranks_are_those_of_a_search_of_all_pairs(case):
    table, objectives = case
    ranks = il.pareto_ranks(table, objectives)
    assert [None if rank is pd.NA else rank for rank in ranks] == peeled(table, objectives)
    assert ranks.index.equals(table.index)


@settings(max_examples=200, deadline=None)
@given(tables(), st.integers(1, 30))
def test_the_front_and_the_best_are_whole_rows_in_order(case, count):
    table, objectives = case
    table = table.assign(place=range(len(table)))
    ranks = peeled(table, objectives)
    front = il.pareto_front(table, objectives)
    assert sorted(front["place"]) == [place for place, rank in enumerate(ranks) if rank == 1]
    pd.testing.assert_frame_equal(front, table.iloc[front["place"].tolist()])
    first, direction = next(iter(objectives.items()))
    figures = front[first].astype(float).tolist()
    assert figures == sorted(figures, reverse=direction == "max")

    best = il.best_variants(table, objectives, count)
    sign = 1 if direction == "min" else -1
    keys = [
        (ranks[place], sign * float(figure)) for place, figure in zip(best["place"], best[first], strict=True)
    ]
    assert keys == sorted(keys)
    every = sorted(rank for rank in ranks if rank)
    assert [rank for rank, _ in keys] == every[:count]


@settings(max_examples=60, deadline=None)
@given(tables())
def test_the_front_is_that_of_optuna(case):
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    table, objectives = case
    table = table.assign(place=range(len(table)))
    rows = [row for row in rows_of(table) if takes_part(row, objectives)]
    assume(rows)
    study = optuna.create_study(directions=[f"{way}imize" for way in objectives.values()])
    for row in rows:
        values = [float(row[name]) for name in objectives]
        study.add_trial(optuna.create_trial(values=values, user_attrs={"place": row["place"]}))
    if len(objectives) == 1:
        expected = [r["place"] for r in rows if float(r[next(iter(objectives))]) == study.best_value]
    else:
        expected = [trial.user_attrs["place"] for trial in study.best_trials]
    assert sorted(il.pareto_front(table, objectives)["place"]) == sorted(expected)


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("shape", ["cloud", "sphere"])
def test_a_hundred_thousand_variants_take_seconds_at_most(count, shape):
    figures = np.random.default_rng(0).random((100_000, count))
    if shape == "sphere" and count > 1:  # none dominates another
        figures /= np.linalg.norm(figures, axis=1, keepdims=True)
    table = pd.DataFrame(figures, columns=NAMES[:count]).assign(status="complete", within_budgets=True)
    start = perf_counter()
    front = il.pareto_front(table, dict.fromkeys(NAMES[:count], "min"))
    assert perf_counter() - start < 5
    assert len(front) == 1 if count == 1 else len(front) > 5


def test_a_table_without_status_and_budgets_takes_part():
    table = pd.DataFrame({"macs": [2, 1, 1], "receptive_field": [5, 5, 5]}, index=["a", "b", "c"])
    assert il.pareto_front(table, OBJECTIVES).index.tolist() == ["b", "c"]


def test_where_none_takes_part_the_front_is_empty():
    table = pd.DataFrame({"macs": [2], "receptive_field": [5], "status": ["failed"]})
    assert il.pareto_front(table, OBJECTIVES).empty
    assert il.best_variants(table, OBJECTIVES, 3).empty
    assert list(il.pareto_front(table, OBJECTIVES)) == list(table)


TABLE = pd.DataFrame({"kind": ["a", "b"], "macs": [2, 1], "receptive_field": [5, 6], "params": [1, None]})


@pytest.mark.parametrize("function", [il.pareto_front, il.pareto_ranks])
@pytest.mark.parametrize(
    ("table", "objectives", "line"),
    [
        (TABLE.head(0), OBJECTIVES, "a table without rows; pass that of a sweep"),
        (TABLE, {}, "0 objectives; give 1 to 3"),
        (TABLE, dict.fromkeys("abcd", "min"), "4 objectives; give 1 to 3"),
        (TABLE, {"mac": "min"}, "no column 'mac'; did you mean macs?"),
        (TABLE, {"macs": "minimum"}, "macs: 'minimum' is not an objective; did you mean min?"),
        (TABLE, {"macs": 1}, "macs: 1 is not an objective; known: max, min"),
        (TABLE, {"kind": "min"}, "kind has values that are not numbers, as 'a'; name a column"),
        (pd.concat([TABLE, TABLE], axis=1), OBJECTIVES, "2 columns 'macs'; rename all but one"),
        ([1], OBJECTIVES, "a list is not a table; pass a pandas DataFrame"),
        (TABLE, ["macs"], "a list is not objectives by metric; pass {"),
    ],
)  # fmt: skip
def test_what_cannot_be_ordered_is_refused_in_one_line(function, table, objectives, line):
    with pytest.raises(InceptionLabError) as refusal:
        function(table, objectives)
    assert str(refusal.value).startswith(line)
    assert "\n" not in str(refusal.value)


def test_a_count_below_1_is_refused():
    with pytest.raises(InceptionLabError, match="count 0 is below 1; ask for one"):
        il.best_variants(TABLE, OBJECTIVES, 0)
