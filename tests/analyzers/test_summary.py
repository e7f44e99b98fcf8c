"""Columns and totals of all analyzers in one record, and what is refused where they meet."""

import pytest
from pandas import DataFrame
from torch import nn

import inception_lab as il
from inception_lab.analyzers.analyzer import Analyzer
from inception_lab.analyzers.cost import COST
from inception_lab.analyzers.summary import ANALYZERS


@pytest.fixture(scope="module")
def trace():
    shared = nn.Linear(4, 4)
    return il.trace(nn.Sequential(shared, nn.ReLU(), shared), (2, 4))


KEYS = {"layer": ["0", "1", "0"], "call": [0, 0, 1]}


def analyzer(columns, totals=None, name="mine"):
    return Analyzer(name, lambda _: DataFrame(columns), lambda *_: totals or {})


def test_columns_stand_in_the_order_of_their_analyzers(trace):
    mine = analyzer(
        KEYS | {"extent": [(0, 3), None, (0, 3)], "weighted_layers": [1, 0, 1]}, {"peak_bytes": 7}
    )
    record = il.summarise(trace, [mine, COST])
    assert list(record.layers[0])[:4] == ["layer", "extent", "weighted_layers", "type"]
    assert [row.get("extent") for row in record.layers] == [[0, 3], None, [0, 3]]
    assert "extent" not in record.layers[1]
    assert record.totals["peak_bytes"] == 7
    assert record.totals["macs"] == 2 * 2 * 4 * 4


def test_a_table_with_an_index_of_its_own_stays_in_its_order(trace):
    table = DataFrame(KEYS | {"extent": [1, 2, 3]}, index=[2, 0, 1])
    record = il.summarise(trace, [Analyzer("mine", lambda _: table, lambda *_: {}), COST])
    assert [row["extent"] for row in record.layers] == [1, 2, 3]


def test_two_analyzers_may_not_claim_one_column(trace):
    with pytest.raises(il.InceptionLabError, match="'mine': column 'type' belongs to analyzer 'cost'"):
        il.summarise(trace, [*ANALYZERS, analyzer(KEYS | {"type": ["a", "b", "a"]})])


def test_two_analyzers_may_not_claim_one_total(trace):
    with pytest.raises(il.InceptionLabError, match="total 'weighted_layers' belongs to analyzer 'cost'"):
        il.summarise(trace, [COST, analyzer(KEYS, {"weighted_layers": 2})])


def test_one_analyzer_may_not_claim_a_column_twice(trace):
    table = DataFrame([("0", 0, 1, 2), ("1", 0, 1, 2), ("0", 1, 1, 2)], columns=[*KEYS, "extent", "extent"])
    with pytest.raises(il.InceptionLabError, match="column 'extent' belongs to analyzer 'mine' already"):
        il.summarise(trace, [Analyzer("mine", lambda _: table, lambda *_: {})])


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        (KEYS | {"layer": ["0", "1", "2"]}, "layer"),
        (KEYS | {"call": [0, 0, 0]}, "call"),
        ({"layer": ["0", "0", "1"], "call": [0, 1, 0]}, "layer"),
        ({"layer": ["0", "1"], "call": [0, 0]}, "layer"),
        ({"layer": ["0", "1", "0"]}, "call"),
        ({}, "layer"),
    ],
)
def test_every_table_has_the_rows_of_the_trace(trace, columns, key):
    with pytest.raises(il.InceptionLabError, match=f"analyzer 'mine': its column '{key}' is not that of"):
        il.summarise(trace, [COST, analyzer(columns)])


def test_a_metric_has_a_value_in_every_row(trace):
    with pytest.raises(il.InceptionLabError, match="'saved_bytes' has no value for '1'"):
        il.summarise(trace, [analyzer(KEYS | {"saved_bytes": [4, None, 4]})])


def test_a_column_adds_up_to_its_total(trace):
    saved = analyzer(KEYS | {"saved_bytes": [4, 2, 4]}, {"saved_bytes": 10})
    assert il.summarise(trace, [saved]).totals == {"saved_bytes": 10}
    wrong = analyzer(KEYS | {"saved_bytes": [4, 2, 4]}, {"saved_bytes": 9})
    with pytest.raises(il.InceptionLabError, match="total of 'saved_bytes' is 9, but the rows add up to 10"):
        il.summarise(trace, [wrong])


def test_a_total_is_a_metric(trace):
    with pytest.raises(il.InceptionLabError, match="'peak_byte' is not a metric; did you mean peak_bytes"):
        il.summarise(trace, [analyzer(KEYS, {"peak_byte": 1})])
