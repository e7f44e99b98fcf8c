"""Wrong calls of public functions end in one line: every function with every kind of wrong value."""

import inspect
import re
from contextlib import contextmanager

import pandas as pd
import pytest
from torch import nn

import inception_lab as il
from inception_lab.arguments import _RULES as RULES
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError

FUNCTIONS = [name for name in il.__all__ if inspect.isfunction(getattr(il, name))]
MODEL = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
SHAPE = (1, 3, 8, 8)
TABLE = pd.DataFrame({"width": [1, 2], "macs": [5, 9], "params": [4, 3]})
CALLED = ("progress", "loss", "formula", "optimizer")
RUNS = {
    "audit_models", "check_budgets", "check_fields", "compare_gradient_flow", "compare_memory",
    "compare_times", "compare_training", "confirm", "gradient_flow", "short_training",
    "crosscheck", "effective_field", "layer_times", "measure_ceilings", "measure_memory", "measure_roofline",
    "record_profile", "times_by_batch", "update_lock",
}  # fmt: skip
"""Those that run models for real or read a configuration: with a right value they take long, and are tried
with wrong ones of the parameters that are checked alone."""


@pytest.fixture(autouse=True)
def folder_of_its_own(tmp_path, monkeypatch):
    """As any text is a path, and some of these are written to."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def right(tmp_path_factory):
    """A right value for each parameter that has no default, by name."""
    trace = il.trace(MODEL, SHAPE)
    times = il.layer_times(MODEL, SHAPE, seconds=0)
    return {
        "trace": trace, "reference": trace, "model": MODEL, "models": [MODEL], "inputs": SHAPE,
        "shape": SHAPE, "input_shape": SHAPE,
        "limit": "1 MiB", "layer": "0", "module": "0", "source": "", "pixel": (3, 3),
        "times": times, "ceilings": None, "record": il.summarise(trace), "records": [il.summarise(trace)],
        "folder": tmp_path_factory.mktemp("folder") / "report", "path": "nowhere.json", "batch_sizes": [1],
        "name": "nin", "weights": {}, "operation": None, "formula": print, "sheet": None,
        "comparison": il.compare(trace, trace), "file": tmp_path_factory.mktemp("file") / "page.html",
        "flows": [il.gradient_flow(MODEL, SHAPE, seeds=1)], "runs": [il.short_training(MODEL, SHAPE, 1)],
        "table": TABLE, "objectives": {"macs": "min", "params": "min"}, "parameters": ["width"],
        "metrics": ["macs"], "influence": il.parameter_influence(TABLE, ["width"], ["macs"]), "count": 1,
        "steps": 1, "request": "nin", "input_size": "8x8x3", "branches": "1x1:4",
    }  # fmt: skip


def wrong_values(trace):
    return {
        "nothing": None, "a model": MODEL, "text": "nonsense", "an empty list": [], "a list of None": [None],
        "a tuple": (None,), "below 0": -1, "no number": float("nan"), "without end": float("inf"),
        "half": 1.5, "huge": 10**30, "an object": object(), "a dictionary": {},
        "a class": nn.Linear, "a flag": True,
        "a trace": trace, "a record": il.summarise(trace), "bytes": b"text",
    }  # fmt: skip


def required_arguments(name, right):
    """The right values of those that have no default."""
    parameters = inspect.signature(getattr(il, name)).parameters.values()
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {p.name: right.get(p.name) for p in parameters if p.default is p.empty and p.kind not in variable}


def call(name, arguments):
    function = getattr(il, name)
    parameters = inspect.signature(function).parameters.values()
    positional = [arguments[p.name] for p in parameters if p.kind is p.POSITIONAL_ONLY]
    names = {p.name for p in parameters if p.kind is p.POSITIONAL_ONLY}
    return function(*positional, **{key: value for key, value in arguments.items() if key not in names})


def refused_or_taken(name, arguments):
    try:
        call(name, arguments)
    except il.BudgetExceeded:
        pass
    except InceptionLabError as error:
        assert "\n" not in str(error)  # noqa: PT017


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_wrong_value_of_any_parameter_is_refused_in_one_line_or_taken(name, right):
    required = required_arguments(name, right)
    for parameter in inspect.signature(getattr(il, name)).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        rule = RULES.get(str(parameter.annotation))
        for kind, value in wrong_values(right["trace"]).items():
            # whatever can be called is a function, and what it raises is its own
            if parameter.name in CALLED and callable(value):
                continue
            if name in RUNS and (rule is None or rule.allows(value)):
                continue
            with subtest(f"{name}({parameter.name}={kind})"):
                refused_or_taken(name, {**required, parameter.name: value})


@contextmanager
def subtest(what):
    try:
        yield
    except Exception as error:
        raise AssertionError(what) from error


WITH_TRACE = [
    name
    for name in FUNCTIONS
    if str(getattr(inspect.signature(getattr(il, name)).parameters.get("trace"), "annotation", "")) == "Trace"
]


@pytest.mark.parametrize("name", WITH_TRACE)
@pytest.mark.parametrize(
    ("value", "what"), [(MODEL, "a Sequential"), (None, "a NoneType"), (SHAPE, "a tuple")]
)
def test_whoever_passes_no_trace_is_told_what_to_pass(name, value, what, right):
    with pytest.raises(InceptionLabError) as refusal:
        call(name, {**required_arguments(name, right), "trace": value})
    assert str(refusal.value) == f"{what} is not a trace; pass il.trace(model, (1, 3, 224, 224))"


@pytest.mark.parametrize(
    ("wrong_call", "line"),
    [
        (lambda trace: il.memory_by_module(trace, depth=-1), "depth -1 is below 1"),
        (lambda trace: il.memory_by_module(trace, depth=0), "depth 0 is below 1"),
        (lambda trace: il.memory_by_module(trace, depth=1.5), "a float is not a whole number"),
        (lambda trace: il.module_costs(trace, depth=True), "a bool is not a whole number"),
        (lambda trace: il.reserved_memory(trace, limit=float("nan")), "nan is not a number"),
        (lambda trace: il.reserved_memory(trace, limit=-1), "-1 bytes are not enough"),
        (lambda trace: il.peak_memory(trace, rounding=0), "no multiples of 0 bytes"),
        (lambda trace: il.peak_memory(trace, rounding=10**30), "no multiples of 1000000"),
        (lambda trace: il.field_of(trace, 5), "a int is not text"),
        (lambda trace: il.projective_field(trace, 5, "0"), "a int is not a list of whole numbers"),
        (lambda _: il.trace(None, SHAPE), "a NoneType is not a torch.nn.Module; pass a model"),
        (lambda trace: il.trace(trace, SHAPE), "a Trace is not a torch.nn.Module; pass a model"),
        (lambda _: il.trace(MODEL, SHAPE, optimizer=[]), "no optimizer []"),
        (lambda _: il.create_model("nin", device=10**30), "device is 1000"),
        (lambda _: il.measure_memory(MODEL, SHAPE, device=10**30), "memory cannot be measured on"),
        (lambda _: il.effective_field(MODEL, SHAPE, seeds=3), "a int is not a list of whole numbers"),
        (lambda _: il.layer_times(MODEL, SHAPE, progress="yes"), "a str is not a function"),
        (lambda _: il.audit_models(5), 'a int is not a model\'s name; pass text such as request="nin"'),
        (lambda _: il.measure_roofline(MODEL, SHAPE, ceilings=5), "a int is not ceilings"),
    ],
)
def test_numbers_and_names_out_of_range_are_refused(wrong_call, line, right):
    with pytest.raises(InceptionLabError, match=rf"^(\w+: )?{re.escape(line)}") as refusal:
        wrong_call(right["trace"])
    assert refusal.value.exit_code == 2


def test_every_public_function_has_its_arguments_checked():
    free = {name for name in FUNCTIONS if getattr(il, name).__code__ is not checked(len).__code__}
    assert free == set()


def test_a_wrong_number_of_arguments_is_an_error_of_python(right):
    with pytest.raises(TypeError):
        il.layer_costs()
    with pytest.raises(TypeError):
        il.layer_costs(right["trace"], 2, 3)
