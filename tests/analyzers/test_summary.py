"""Columns and totals of all analyzers in one record, and what is refused where they meet."""

import json

import numpy as np
import pytest
from pandas import NA, DataFrame, NaT
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


def raising(*_):
    raise KeyError("macs")


@pytest.mark.parametrize(
    ("layers", "totals", "line"),
    [
        (lambda _: None, dict, "its layers gave None; return a DataFrame"),
        (lambda _: 5, dict, "its layers gave 5; return a DataFrame"),
        (
            lambda _: DataFrame(KEYS),
            lambda *_: None,
            "its totals gave None; return a dictionary, {} for none",
        ),
        (raising, dict, "raised KeyError: 'macs'"),
        (lambda _: DataFrame(KEYS), raising, "raised KeyError: 'macs'"),
        (lambda _: DataFrame(KEYS | {"self_ms": ["a", 1, 2]}), lambda *_: {}, "raised TypeError: "),
    ],
)
def test_a_faulty_analyzer_is_named(trace, layers, totals, line):
    with pytest.raises(il.InceptionLabError) as caught:
        il.summarise(trace, [COST, Analyzer("mine", layers, totals)])
    assert str(caught.value).startswith(f"analyzer 'mine': {line}")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("analyzers", "line"),
    [
        (None, "None is not a list of analyzers; leave it out"),
        ([5], "5 is not an analyzer; pass an Analyzer"),
    ],
)
def test_what_is_not_an_analyzer(trace, analyzers, line):
    with pytest.raises(il.InceptionLabError) as caught:
        il.summarise(trace, analyzers)
    assert str(caught.value).startswith(line)


def test_a_column_of_floats_adds_up_but_for_rounding(trace):
    times = KEYS | {"self_ms": [0.1, 0.2, 0.0]}  # 0.1 + 0.2 is not 0.3 in floats
    assert il.summarise(trace, [analyzer(times, {"self_ms": 0.3})]).totals == {"self_ms": 0.3}
    with pytest.raises(il.InceptionLabError, match=r"total of 'self_ms' is 0\.31, but"):
        il.summarise(trace, [analyzer(times, {"self_ms": 0.31})])


def test_a_column_of_integers_adds_up_exactly(trace):
    large = KEYS | {"macs": [10**15, 1, 0]}
    assert il.summarise(trace, [analyzer(large, {"macs": 10**15 + 1})]).totals == {"macs": 10**15 + 1}
    with pytest.raises(il.InceptionLabError, match="total of 'macs' is 1000000000000000, but"):
        il.summarise(trace, [analyzer(large, {"macs": 10**15})])


@pytest.mark.parametrize("missing", [None, float("nan"), NaT, NA])
def test_a_field_without_a_value_is_left_out(trace, missing):
    record = il.summarise(trace, [analyzer(KEYS | {"extent": [missing, (0, 3), missing]})])
    assert [row.get("extent") for row in record.layers] == [None, [0, 3], None]
    assert "extent" not in record.layers[0]
    numbers = il.summarise(trace, [analyzer(KEYS | {"extent": [1.5, missing, 2.5]})])
    assert [row.get("extent") for row in json.loads(numbers.to_json())["layers"]] == [1.5, None, 2.5]


@pytest.mark.parametrize(
    "value", [float("inf"), {1, 2}, np.arange(2), object()], ids=lambda value: type(value).__name__
)
def test_a_column_that_json_has_not_is_refused(trace, value):
    with pytest.raises(il.InceptionLabError, match="its column 'extent' cannot be written: "):
        il.summarise(trace, [analyzer(KEYS | {"extent": [value, None, value]})])


def test_numbers_of_numpy_are_written(trace):
    record = il.summarise(trace, [analyzer(KEYS | {"extent": [np.int64(3), "a", np.float64(0.5)]})])
    assert [row["extent"] for row in json.loads(record.to_json())["layers"]] == [3, "a", 0.5]
