"""Spaces as TOML: what they mean, and that each fault is one line with its key and its line."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import inception_lab as il
from inception_lab.budgets.budget_metrics import BUDGET_METRICS, TIME
from inception_lab.errors import InceptionLabError
from inception_lab.sweeps.ranges import Points
from inception_lab.sweeps.reading import METRICS

HEAD = 'model = "nin"\n'
TAIL = "[parameters]\nnum_classes = [10, 100]\n"
FACTORY = 'model = "nets:net"\n'


def read(folder, text):
    file = folder / "space.toml"
    file.write_bytes(text.encode())
    return il.read_space(file)


def test_what_is_left_out_has_its_default(tmp_path):
    space = read(tmp_path, HEAD + TAIL)
    assert (space.model, space.kwargs, space.constraints, space.budgets) == ("nin", {}, (), ())
    assert (space.batch_size, space.mode, space.optimizer, space.sample, space.seed) == (
        1,
        "eval",
        None,
        None,
        0,
    )
    assert set(space.metrics) == {"params", "macs", "receptive_field", "peak_bytes"}


def test_every_key_is_read(tmp_path):
    space = read(
        tmp_path,
        """
model = "googlenet"
kwargs = { num_classes = 10 }
input-size = "3x128x128"
batch-size = 8
mode = "train"
optimizer = "adam"
constraints = ["dropout < 0.5", "aux_logits or dropout > 0"]
metrics = ["params"]
references = ["nin", "googlenet"]
sample = 5
seed = 3

[parameters]
dropout = { min = 0.0, max = 0.8, step = 0.2 }
aux_logits = [true, false]

[budgets]
macs = "1.2 G"
params = { min = "1 k", max = 5_000_000 }

[objectives]
receptive_field = "max"
train_peak_bytes = "min"
""",
    )
    assert space.parameters["dropout"] == Points((0.0, 0.2, 0.4, 0.6, 0.8))
    assert (space.kwargs, space.input_sizes, space.batch_size) == ({"num_classes": 10}, ("3x128x128",), 8)
    assert (space.mode, space.optimizer, space.sample, space.seed) == ("train", "adam", 5, 3)
    assert [(limit.metric, limit.least, limit.most) for limit in space.budgets] == [
        ("macs", None, 1.2e9),
        ("params", 1e3, 5e6),
    ]
    assert space.objectives == {"receptive_field": "max", "train_peak_bytes": "min"}
    assert set(space.metrics) == {"params", "macs", "receptive_field", "train_peak_bytes"}
    assert space.references == ("nin", "googlenet")
    assert len(space.variants()) == 5


def test_a_dictionary_says_the_same_as_a_file(tmp_path):
    ranges = {"num_classes": {"min": 10, "max": 100, "factor": 10}, "dropout": [0.1, 0.5]}
    budgets, objectives = {"params": {"max": "7 M"}}, {"macs": "min"}
    table = {"model": "nin", "parameters": ranges, "budgets": budgets, "objectives": objectives}
    text = """
model = "nin"
[parameters]
num_classes = { min = 10, max = 100, factor = 10 }
dropout = [0.1, 0.5]
[budgets]
params = { max = "7 M" }
[objectives]
macs = "min"
"""
    read_in_python, read_from_file = il.read_space(table), read(tmp_path, text)
    assert read_in_python.variants() == read_from_file.variants()
    assert read_in_python.metrics == read_from_file.metrics
    assert il.read_space(read_from_file) is read_from_file


FAULTS = {
    "modle = 'x'\n" + HEAD + TAIL: "1: modle: is not a key of a space; did you mean mode or model?",
    TAIL: " has no model; add model = 'googlenet'",
    "model = 3\n" + TAIL: "1: model: 3 is not a model",
    "model = 'nim'\n" + TAIL: "1: model: no model 'nim'; did you mean nin?",
    "model = 'nin(num_clases=3)'\n[parameters]\ndropout=[0.1]\n": "1: model: no option 'num_clases'; did you",
    "model = 'nin(num_classes=3)'\n" + TAIL: "1: model: keyword 'num_classes' is given twice",
    "model = 'nin('\n" + TAIL: "1: model: 'nin(' cannot be read",
    HEAD: " has no parameters",
    HEAD + "[parameters]\n": " has no parameters",
    "parameters = [1]\n" + HEAD: "1: parameters: [1] is not a table",
    HEAD + "[[parameters]]\nnum_classes = [1]\n": "2: parameters: ",
    HEAD + "[parameters]\nnum_clases = [1]\n": "3: parameters.num_clases: no option 'num_clases'; did you me",
    HEAD + "[parameters]\nnum_classes = ['a']\n": "3: parameters.num_classes: num_classes is 'a'; it takes a",
    HEAD + "[parameters]\nnum_classes = [1.5]\n": "3: parameters.num_classes: num_classes is 1.5; it takes",
    HEAD + "[parameters]\nnum_classes = [1979-05-27]\n": "3: parameters.num_classes: datetime.date(1979, 5,",
    HEAD + "[parameters]\nnum_classes = [[1], nan]\n": "3: parameters.num_classes: nan is not finite",
    HEAD + "[parameters.num_classes]\nmin = 1\nmax = 4\nstep = 'a'\n": "5: parameters.num_classes.step: 'a'",
    HEAD + "[parameters]\nnum_classes = { min = 1.5, max = 9, step = 1 }\n": "3: parameters.num_classes: num",
    HEAD + "sample = 2\n[parameters]\nnum_classes = { distribution = 'uniform', min = -5, max = 9 }\n":
        "4: parameters.num_classes: num_classes is -5; it takes an integer of 1 or more",
    HEAD + "[parameters]\nnum_classes = [1]\nnum_classes = [2]\n": "4: is not TOML: ",
    HEAD + "[parameters]\nnum_classes = [1\n": "3: is not TOML: ",
    HEAD + "[parameters]\n'größe' = [1]\n": "3: parameters.'größe': no option",
    HEAD + "[parameters]\ninput_size = ['3x32x32']\n": "3: parameters.input_size: no option",
    HEAD + "[parameters]\ninput-size = [224]\n": "3: parameters.input-size: 224 is not an input size",
    HEAD + "[parameters]\ninput-size = ['3x']\n": "3: parameters.input-size: '3x' is not an input size",
    HEAD + "[parameters]\ninput-size = { min = 32, max = 64, step = 32 }\n": "3: parameters.input-size: 32 i",
    HEAD + "[parameters]\nbatch-size = [0]\n": "3: parameters.batch-size: 0 is not a batch size",
    HEAD + "[parameters]\nbatch-size = { min = 1, max = 4, step = 0.5 }\n": "3: parameters.batch-size: 1.0 i",
    HEAD + "[parameters]\nbatch-size = { distribution = 'normal', mean = 4, deviation = 2 }\n":
        "3: parameters.batch-size: is not of this kind",
    "batch-size = 2\n" + HEAD + "[parameters]\nbatch-size = [1]\n": "4: parameters.batch-size: has one value",
    "kwargs = { num_classes = 3 }\n" + HEAD + TAIL: "4: parameters.num_classes: has one value and several",
    "kwargs = { num_clases = 3 }\n" + HEAD + TAIL: "1: kwargs.num_clases: no option 'num_clases'; did you me",
    HEAD + "[kwargs]\ndropout = 'x'\n" + TAIL: "3: kwargs.dropout: dropout is 'x'; it takes a number from 0",
    "kwargs = 3\n" + HEAD + TAIL: "1: kwargs: 3 is not a table",
    FACTORY + "[parameters]\n'a b' = [1]\n": "3: parameters.'a b': is not a parameter",
    FACTORY + "[parameters]\nmacs = [1]\n": "3: parameters.macs: is the name of another column",
    FACTORY + "[parameters]\nvariant = [1]\n": "3: parameters.variant: is the name of another column",
    FACTORY + "[parameters]\non_front = [1]\n": "3: parameters.on_front: is the name of another column",
    FACTORY + "[parameters]\nstatus = [1]\n": "3: parameters.status: is the name of another column",
    FACTORY + "[parameters]\nplain_step_ms = [1]\n": "3: parameters.plain_step_ms: is the name of another co",
    "sample = 0\n" + HEAD + TAIL: "1: sample: 0 is not a whole number from 1",
    "sample = true\n" + HEAD + TAIL: "1: sample: True is not a whole number",
    "sample = 99999999999\n" + HEAD + TAIL: "1: sample: 99999999999 is not a whole number from 1 to 10,000,0",
    "seed = -1\n" + HEAD + TAIL: "1: seed: -1 is not a whole number from 0",
    "seed = 1.0\n" + HEAD + TAIL: "1: seed: 1.0 is not a whole number",
    "mode = 'trian'\n" + HEAD + TAIL: "1: mode: 'trian' is not a mode",
    "optimizer = 'adm'\nmode = 'train'\n" + HEAD + TAIL: "1: optimizer: 'adm' is not an optimizer; did you m",
    "optimizer = 'adam'\n" + HEAD + TAIL: "1: optimizer: an optimizer takes no step in eval mode",
    "metrics = ['param']\n" + HEAD + TAIL: "1: metrics: 'param' is not a metric; did you mean params",
    "metrics = 'params'\n" + HEAD + TAIL: "1: metrics: 'params' is not a list",
    "metrics = ['plain_step_ms']\n" + HEAD + TAIL: "1: metrics: 'plain_step_ms' is not a metric",
    "metrics = []\n" + HEAD + TAIL: "1: metrics: is empty",
    HEAD + TAIL + "[objectives]\nmac = 'min'\n": "5: objectives.mac: 'mac' is not a metric; did you mean mac",
    HEAD + TAIL + "[objectives]\nmacs = 'minimise'\n": "5: objectives.macs: 'minimise' is not a direction",
    HEAD + TAIL + "[objectives]\nmacs='min'\nparams='min'\nflops='min'\npeak_bytes='min'\n": "4: objectives:",
    "objectives = ['macs']\n" + HEAD + TAIL: "1: objectives: ['macs'] is not a table",
    HEAD + TAIL + "[budgets]\nparms = '5 M'\n": "5: budgets.parms: 'parms' is not a metric; did you mean par",
    HEAD + TAIL + "[budgets]\nparams = '5 Q'\n": "5: budgets.params: '5 Q' is not a quantity",
    HEAD + TAIL + "[budgets]\nparams = -5\n": "5: budgets.params: -5 is negative",
    HEAD + TAIL + "[budgets]\nparams = { min = 9, max = 1 }\n": "5: budgets.params: no figure is at least 9",
    HEAD + TAIL + "[budgets]\nparams = { growth = '1 %' }\n": "5: budgets.params.growth: is not a bound of a",
    HEAD + TAIL + "[budgets]\nparams = { ratio = 1, to = 'nin' }\n": "5: budgets.params.ratio: is not a boun",
    HEAD + TAIL + "[budgets]\nparams = { max = 9, severity = 'warn' }\n": "5: budgets.params.severity: is no",
    HEAD + TAIL + "[budgets]\nparams = {}\n": "5: budgets.params: has no bound",
    "references = ['nim']\n" + HEAD + TAIL: "1: references: no model 'nim'; did you mean nin",
    "references = 'nin'\n" + HEAD + TAIL: "1: references: 'nin' is not a list",
    "references = [3]\n" + HEAD + TAIL: "1: references: 3 is not a model",
    "constraints = [3]\n" + HEAD + TAIL: "1: constraints: 3 is not a condition",
    "constraints = ['num_classes <']\n" + HEAD + TAIL: "1: constraints: 'num_classes <' cannot be read: inva",
    "constraints = ['num_clases < 3']\n" + HEAD + TAIL: "1: constraints: 'num_clases < 3' names 'num_clases'",
    "arg = 'x'\n" + HEAD + TAIL: "1: arg: 'x' is not an argument of a forward",
    "input-size = '3x'\n" + HEAD + TAIL: "1: input-size: '3x' is not an input size",
    (HEAD + "[parameters]\nnum_classes = [nan]\n").replace("\n", "\r\n"): "3: parameters.num_classes: nan is",
    HEAD + "[parameters]\nnum_classes = " + "[" * 3000 + "]" * 3000: "3: is not TOML: nested too deeply",
}  # fmt: skip


@pytest.mark.parametrize("text", FAULTS, ids=range(len(FAULTS)))
def test_a_fault_is_one_line_with_file_line_and_key(tmp_path, text):
    with pytest.raises(InceptionLabError) as error:
        read(tmp_path, text)
    line = str(error.value)
    assert line.startswith(f"{tmp_path / 'space.toml'}:{FAULTS[text]}")
    assert len(line.splitlines()) == 1
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"model": "nin", "parameters": {3: [1]}}, "parameters.3: is not a parameter"),
        ({"model": "nin", "parameters": {"num_classes": {1, 2}}}, "{1, 2} is not a row of values"),
        ({"model": "nin", "parameters": None}, "parameters: None is not a table"),
        ({"model": "a.b:c", "parameters": {"width": [None]}}, "None is not a value for a model"),
        ({"model": "a.b:c", "parameters": {"width": [(1, 2)]}}, "(1, 2) is not a value for a model"),
    ],
)
def test_a_fault_of_a_dictionary_is_told_by_its_key(table, message):
    with pytest.raises(InceptionLabError) as error:
        il.read_space(table)
    assert message in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InceptionLabError, match=r"no\.toml: cannot be read: No such file"):
        il.read_space(tmp_path / "no.toml")


NAMES = ["width", "depth", "ratio_1"]
literals = st.one_of(
    st.integers(-99, 99), st.booleans(), st.decimals(-9, 9, places=2).map(float), st.sampled_from(["a", "b"])
)


def unlike(values):
    return len({json.dumps(value) for value in values}) == len(values)


lists = st.lists(literals, min_size=1, max_size=4).filter(unlike)
whole_lists = st.lists(st.integers(-20, 20), min_size=1, max_size=5, unique=True)
whole_steps = st.tuples(st.integers(-20, 20), st.integers(1, 30), st.integers(1, 9))


@st.composite
def numeric_ranges(draw):
    """The text of a range of whole numbers, and what it means."""
    if draw(st.booleans()):
        values = draw(whole_lists)
        return json.dumps(values), values
    low, span, step = draw(whole_steps)
    return f"{{ min = {low}, max = {low + span}, step = {step} }}", list(range(low, low + span + 1, step))


conditions = st.builds(
    "{} {} {}".format,
    st.sampled_from(NAMES),
    st.sampled_from(["<", "<=", "!=", ">"]),
    st.sampled_from([*NAMES, "0", "-5", "width * 2 + depth", "abs(depth)"]),
)


@settings(deadline=None)
@given(st.lists(numeric_ranges(), min_size=3, max_size=3), st.lists(conditions, max_size=2), lists)
def test_variants_are_the_product_of_the_ranges_that_python_judges_to_keep_the_conditions(
    tmp_path_factory, ranges, texts, others
):
    body = "".join(f"{name} = {text}\n" for name, (text, _) in zip(NAMES, ranges, strict=True))
    space = read(
        tmp_path_factory.getbasetemp(),
        f"{FACTORY}constraints = {json.dumps(texts)}\n[parameters]\n{body}kind = {json.dumps(others)}\n",
    )
    axes = [values for _, values in ranges]
    rows = [dict(zip([*NAMES, "kind"], row, strict=True)) for row in product(*axes, others)]
    expected = [row for row in rows if all(eval(text, {"abs": abs}, dict(row)) for text in texts)]
    if not expected:
        with pytest.raises(InceptionLabError, match="constraints: no variant keeps all of them"):
            space.variants()
    else:
        assert json.dumps(space.variants()) == json.dumps(expected)


def test_all_metrics_of_a_budget_but_the_time_can_be_asked_for(tmp_path):
    space = read(tmp_path, f"metrics = {json.dumps(METRICS)}\n{HEAD}{TAIL}")
    assert space.metrics == METRICS
    assert set(METRICS) == set(BUDGET_METRICS) - {TIME}
