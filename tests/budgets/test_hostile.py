"""Thousands of hostile configurations: a configuration, or one clear line, and never anything else."""

import tomllib
from collections import UserDict

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from support.budget_nets import Net

import inception_lab as il
from inception_lab.budgets.budget_metrics import BUDGET_METRICS
from inception_lab.budgets.configuration import read_configuration
from inception_lab.budgets.lock import _toml
from inception_lab.errors import InceptionLabError

VALID = """\
[budgets.small]  # the first
model = "mynet:MyNet(se=False)"
kwargs = { width = 0.5, blocks = [1, 2] }
input-size = [
  "3x32x32",
  "10:int64",
]
batch-size = 8
mode = "train"
optimizer = "adamw"
params = "7.0 M"
train_peak_bytes = { max = "40 MiB", min = "1 KiB", growth = ["1 %", "20 KiB"], severity = "warn" }
macs = { ratio = 1.5, to = "googlenet", message = "too slow" }
"inception5*.branch3.*" = { macs = "20 M" }

[budgets.small.layers]
fc = { params = 1_000, macs.growth = "1 % or 20 K" }

[budgets."the other"]
model = "nin"
time = { ratio = 1.1, to = "small", message = '''
two
lines''' }
"""
KEYS = ["model", "kwargs", "input-size", "batch-size", "mode", "optimizer", "layers", "conv.*", "nonsense",
        "", *BUDGET_METRICS]  # fmt: skip
LIMIT_KEYS = ["max", "min", "growth", "ratio", "to", "severity", "message", "maximum", ""]
WORDS = ["7 M", "40 MiB", "1 %", "1 % or 20 K", "20 K", "-1", "nan", "inf", "1e999", "eval", "train", "sgd",
         "warn", "error", "googlenet", "nin(", "a.b:c(d=1)", "3x8x8", "3x0x8", "%", " or ", "1 % or", "", " ",
         "\0", "\n"]  # fmt: skip

texts = st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
numbers = (
    st.integers(-3, 10)
    | st.integers()
    | st.sampled_from([2**31, 2**63, 10**400, -(10**400)])
    | st.floats()
    | st.booleans()
)
keys = st.sampled_from([*KEYS, *LIMIT_KEYS]) | texts
values = st.recursive(
    texts | numbers | st.dates() | st.times() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=8,
)
limits = st.dictionaries(
    st.sampled_from(LIMIT_KEYS), texts | numbers | st.lists(texts, max_size=3), max_size=4
)
tables = st.dictionaries(
    st.sampled_from(KEYS), limits | values | st.dictionaries(texts, limits, max_size=2), max_size=4
)


def toml(value):
    """A value as TOML; of huge integers in hexadecimal, as no other is read."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"0x{value:x}" if value > 2**63 else "-1" if value < -(2**63) else str(value)
    return _toml(value) if isinstance(value, str | bool | float) else value.isoformat()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("hostile") / "budgets.toml"


def read(file, content):
    """A configuration, or None where it is refused in one line that begins with its path."""
    file.write_bytes(content)
    try:
        return read_configuration(file)
    except InceptionLabError as error:
        line, exit_code, where = str(error), error.exit_code, error.where
    assert exit_code == 2
    assert where.startswith(str(file))
    assert "\n" not in line.removeprefix(str(file))
    assert len(line) < 700
    return None


hostile = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@settings(hostile, max_examples=1000)
@given(tables)
def test_any_value_for_any_key(file, table):
    table = {"model": "nin", **table}
    text = "[budgets.a]\n" + "\n".join(f"{_toml(key)} = {toml(value)}" for key, value in table.items())
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, ValueError):  # such as an empty date
        assume(False)
    configuration = read(file, text.encode())
    if configuration:
        assert [budget.line for budget in configuration.budgets] == [1]
        assert all(2 <= limit.line <= len(table) + 1 for limit in configuration.budgets[0].limits)


@settings(hostile, max_examples=300)
@given(st.dictionaries(keys, values, max_size=2))
def test_any_document(file, data):
    configuration = read(
        file, "\n".join(f"{_toml(key)} = {toml(value)}" for key, value in data.items()).encode()
    )
    # of random keys none makes a budget: the document is refused, or says nothing of budgets
    assert configuration is None or (configuration.budgets == () and "budgets" not in data)


@settings(hostile, max_examples=1000)
@given(st.data())
def test_a_valid_file_with_a_part_cut_or_replaced(file, data):
    content = VALID.encode()
    start = data.draw(st.integers(0, len(content)))
    end = start + data.draw(st.integers(0, 12) | st.integers(0, len(content)))
    new = data.draw(
        st.binary(max_size=3) | texts.map(str.encode) | st.sampled_from([b"[", b'"""', b"]", b"{", b"="])
    )
    configuration = read(file, content[:start] + new + content[end:])
    if configuration:
        rows = file.read_bytes().decode().split("\n")
        for budget in configuration.budgets:
            assert "budgets" in rows[budget.line - 1]


def test_the_valid_file_is_valid(file):
    assert [len(budget.limits) for budget in read(file, VALID.encode()).budgets] == [6, 1]


def test_a_valid_file_cut_anywhere(file):
    content = VALID.encode()
    whole = read(file, content).budgets
    for end in range(len(content)):
        configuration = read(file, content[:end])
        # what is read of a part is no more than the whole says
        assert configuration is None or len(configuration.budgets) <= len(whole)


python_values = st.recursive(
    texts | numbers | st.none() | st.binary(max_size=2) | st.just(Net) | st.complex_numbers(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(keys | st.integers(), inner, max_size=2),
    max_leaves=4,
)


@settings(hostile, max_examples=400)
@given(
    st.dictionaries(st.sampled_from([*BUDGET_METRICS, "layers", "mode", "optimizer", "name", "lock", "x"]),
                    limits | python_values, min_size=1, max_size=2)
)  # fmt: skip
def test_any_value_from_python(arguments):
    assume("time" not in arguments)  # which would run models
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)
        try:
            il.check_budget(Net(), (1, 1, 4, 4), **arguments)
        except (InceptionLabError, il.BudgetExceeded) as error:
            text = str(error)
        else:
            return
    assert text
    assert len(text) < 2000


@pytest.mark.parametrize(
    ("model", "inputs"),
    [(3, (1, 1, 4, 4)), (None, None), (Net, (1, 1, 4, 4)), ("", None), ("nin", "3x8x8"),
     ("nin", [(1, 3, 8, 8)]), ("nin", (1,)), ("nin", (1, 3, -8, 8)), ("nin", (True, 3, 8, 8)), (Net(), "x"),
     (Net(), (0, 1, 4, 4)), (Net(), [3, "x"])],
    ids=range(12),
)  # fmt: skip
def test_models_and_inputs_that_are_none(model, inputs):
    with pytest.raises((InceptionLabError, il.BudgetExceeded)) as failure:
        il.check_budget(model, inputs, params=10**9)
    assert "\n    " not in str(failure.value)


def test_a_mapping_of_another_kind_is_a_table():
    layers = UserDict({"fc": UserDict({"params": UserDict({"max": 165})})})
    assert il.check_budget(Net(), (1, 1, 4, 4), layers=layers).status == "passed"
