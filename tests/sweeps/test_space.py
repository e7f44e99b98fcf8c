"""Grids and samples: which variants there are, in which order."""

import json
import subprocess
import sys
from collections import Counter
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sweep_nets import space_of, write_nets

import inception_lab as il
from inception_lab.errors import InceptionLabError

RANGE = {"min": 1, "max": 100, "step": 1}
FLOAT = {"distribution": "loguniform", "min": 0.25, "max": 2.0}


def space(parameters, **keys):
    return il.read_space({"model": "nets:net", "parameters": parameters, **keys})


def texts(variants):
    return [json.dumps(variant) for variant in variants]


def test_a_grid_is_in_the_order_of_nested_loops():
    variants = space({"a": [2, 1], "b": ["x", "y"]}).variants()
    assert variants == [{"a": a, "b": b} for a in (2, 1) for b in ("x", "y")]


@pytest.mark.parametrize("parameters", [{"a": RANGE, "b": RANGE}, {"a": RANGE, "b": FLOAT}, {"a": FLOAT}])
def test_a_sample_has_as_many_variants_as_were_asked_for_and_none_twice(parameters):
    variants = space(parameters, sample=300).variants()
    assert len(set(texts(variants))) == len(variants) == 300


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 120), st.integers(1, 120), st.integers(0, 5), st.booleans(), st.booleans())
def test_a_larger_sample_begins_with_a_smaller_one(one, other, seed, is_float, is_constrained):
    parameters = {"a": {"min": 1, "max": 10, "step": 1}, "b": FLOAT if is_float else RANGE}
    constraints = ["a + b > 5"] if is_constrained else []
    few, many = sorted((one, other))
    small, large = (
        space(parameters, sample=count, seed=seed, constraints=constraints).variants()
        for count in (few, many)
    )
    assert large[:few] == small


@pytest.mark.parametrize("sample", [10, 12, 100])
def test_a_sample_of_more_than_the_grid_is_the_grid_and_begins_with_a_smaller_one(sample):
    parameters = {"a": {"min": 1, "max": 12, "step": 1}}
    variants = space(parameters, sample=sample, seed=4).variants()
    assert variants[:5] == space(parameters, sample=5, seed=4).variants()
    assert len(variants) == len(set(texts(variants))) == min(sample, 12)


def test_another_seed_draws_others():
    first, second = (space({"a": RANGE, "b": FLOAT}, sample=5, seed=seed).variants() for seed in (0, 1))
    assert first != second


def test_each_point_is_as_likely_to_be_drawn_as_any_other():
    drawn = Counter(
        variant["a"]
        for seed in range(600)
        for variant in space({"a": [0, 1, 2, 3, 4, 5]}, sample=2, seed=seed).variants()
    )
    # 200 each on average, with a deviation of 12
    assert sorted(drawn) == [0, 1, 2, 3, 4, 5]
    assert all(150 < count < 250 for count in drawn.values())


def test_few_points_that_keep_the_constraints_are_drawn_without_preference():
    parameters, constraints = {"a": RANGE, "b": RANGE}, ["a == b"]
    drawn = [v["a"] for v in space(parameters, sample=40, constraints=constraints).variants()]
    assert len(set(drawn)) == 40
    assert max(drawn) > 60
    assert len(space(parameters, sample=5000, constraints=constraints).variants()) == 100


def test_metrics_and_budgets_do_not_change_what_is_drawn():
    plain = space({"a": RANGE, "b": FLOAT}, sample=20, seed=9)
    rich = space(
        {"a": RANGE, "b": FLOAT},
        sample=20,
        seed=9,
        metrics=["train_peak_bytes"],
        budgets={"params": 5},
        objectives={"macs": "min"},
    )
    assert plain.variants() == rich.variants()


def test_another_process_draws_the_same_variants():
    parameters = {"a": RANGE, "b": FLOAT, "c": {"distribution": "normal", "mean": 0, "deviation": 3}}
    table = {"model": "nets:net", "parameters": parameters, "sample": 50, "seed": 7, "constraints": ["a > c"]}
    code = f"import inception_lab as il, json; print(json.dumps(il.read_space({table!r}).variants()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == il.read_space(table).variants()


def test_fixed_keywords_are_names_of_constraints_too():
    variants = space({"a": [1, 2, 3]}, kwargs={"limit": 2}, constraints=["a <= limit"]).variants()
    assert variants == [{"a": 1}, {"a": 2}]


def test_the_settings_of_a_trace_are_named_with_an_underscore():
    keys = {"batch-size": [1, 8, 64], "input-size": ["3x32x32", "3x64x64"]}
    variants = space(keys, constraints=["batch_size < 64", "input_size == '3x32x32'"]).variants()
    assert variants == [{"batch-size": n, "input-size": "3x32x32"} for n in (1, 8)]


def test_conditions_are_judged_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    log = tmp_path / "log"
    table = space_of(write_nets(tmp_path), range(1, 9), log=log) | {"constraints": ["width % 4 == 0"]}
    assert il.sweep(table, jobs=1)["width"].tolist() == [4, 8]
    assert log.read_text().split() == ["4", "8"]
    log.unlink()
    with pytest.raises(InceptionLabError, match="division by zero; it was judged for width = 8"):
        il.sweep(table | {"constraints": ["1 / (width - 8) < 1"]}, jobs=1)
    assert not log.exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"parameters": {"a": FLOAT}}, "parameters.a: a distribution has no grid; add sample = 1000"),
        ({"parameters": dict.fromkeys("abcd", RANGE)}, "the grid has 100,000,000 points"),
        (
            {"parameters": {"a": [1]}, "constraints": ["a > 1"]},
            "constraints: no variant keeps all of them; loosen one",
        ),
        (
            {"parameters": {"a": RANGE}, "sample": 3, "constraints": ["a < 1"]},
            "constraints: no variant keeps all of them",
        ),
        (
            {"parameters": {"a": FLOAT}, "sample": 3, "constraints": ["a > 9"]},
            "0 of 3 variants were found, and none in 100,000 more draws; loosen a constraint",
        ),
    ],
)
def test_a_space_without_variants_is_told_in_one_line_and_soon(keys, message):
    began = monotonic()
    with pytest.raises(InceptionLabError) as error:
        il.read_space({"model": "nets:net", **keys}).variants()
    assert message in str(error.value)
    assert error.value.exit_code == 2
    assert monotonic() - began < 20


def test_a_million_points_are_visited_in_a_bounded_time():
    began = monotonic()
    found = space(dict.fromkeys("abc", RANGE), sample=100, constraints=["a < b", "b < c"]).variants()
    assert len(found) == 100
    assert monotonic() - began < 5
