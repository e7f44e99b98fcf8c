"""Configurations of budgets: what they give, and the one line about each fault."""

import subprocess
import sys
from pathlib import Path

import pytest

from inception_lab.budgets.budget import Budget, Growth, Limit, Ratio
from inception_lab.budgets.configuration import Configuration, read_configuration
from inception_lab.budgets.limit_syntax import read_limit
from inception_lab.budgets.questions import OPTIMIZERS
from inception_lab.budgets.toml_source import Place
from inception_lab.errors import InceptionLabError
from inception_lab.running import optimizers


def write(folder, text, name="inception-lab.toml"):
    file = folder / name
    file.write_text(text)
    return file


FULL = """
[tool.other]
x = 1

[tool.inception-lab.budgets.small]
model = "mynet:MyNet(se=False)"
kwargs = { width = 0.5, blocks = [1, 2] }
input-size = ["3x32x32", "10:int64"]
batch-size = 8
mode = "train"
optimizer = "adamw"
params = "7.0 M"
train_peak_bytes = { max = "40 MiB", min = "1 KiB", growth = ["1 %", "20 KiB"], severity = "warn" }
macs = { ratio = 1.5, to = "googlenet", message = "too slow" }
"inception5*.branch3.*" = { macs = "20 M" }

[tool.inception-lab.budgets.small.layers]
fc = { params = 1_000 }
"""


def test_every_key(tmp_path):
    file = write(tmp_path, FULL, "pyproject.toml")
    configuration = read_configuration(file)
    assert configuration.lock == tmp_path / "inception-lab.lock"
    assert configuration.budgets == (
        Budget(
            name="small",
            model="mynet:MyNet(se=False)",
            kwargs={"width": 0.5, "blocks": [1, 2]},
            input_sizes=("3x32x32", "10:int64"),
            batch_size=8,
            mode="train",
            optimizer="adamw",
            limits=(
                Limit("params", most=7e6, line=12),
                Limit(
                    "train_peak_bytes", most=40 * 2**20, least=1024, growth=Growth(1, 20 * 1024),
                    severity="warn", line=13,
                ),
                Limit("macs", ratio=Ratio(1.5, "googlenet"), message="too slow", line=14),
                Limit("macs", "inception5*.branch3.*", most=20e6, line=15),
                Limit("params", "fc", most=1000, line=18),
            ),
            line=5,
        ),
    )  # fmt: skip


def test_the_defaults(tmp_path):
    (budget,) = read_configuration(write(tmp_path, "[budgets.a]\nmodel = 'nin'\n")).budgets
    assert budget == Budget("a", "nin", {}, (), 1, "eval", None, (), 1)


@pytest.mark.parametrize(
    ("value", "growth"),
    [
        ("1 %", (1, None)), ("0.5%", (0.5, None)), ("20 K", (None, 20_000)), (20, (None, 20)),
        ("20 k", (None, 20_000)),
        ("1 % or 20 K", (1, 20_000)), ("20 K or 1 %", (1, 20_000)), (["1 %", "20 K"], (1, 20_000)),
        (["1 %", 5], (1, 5)), ("0 %", (0, None)), (0, (None, 0)),
    ],
)  # fmt: skip
def test_growth(value, growth):
    assert read_limit("params", {"growth": value}, Place()).growth == Growth(*growth)


@pytest.mark.parametrize(
    ("value", "most"),
    [("7 M", 7e6), ("1.005 K", 1005), ("8.29 M", 8_290_000), (3, 3), (0.5, 0.5), (0, 0), ("1e3", 1000)],
)
def test_amounts_are_the_decimal_numbers_that_are_written(value, most):
    assert read_limit("params", value, Place()).most == most


def test_a_folder_is_looked_into(tmp_path, monkeypatch):
    own = write(tmp_path, "[budgets.a]\nmodel = 'nin'\n")
    write(tmp_path, "[tool.ruff]\nx = 1\n", "pyproject.toml")
    assert read_configuration(tmp_path).file == own
    monkeypatch.chdir(tmp_path)
    assert read_configuration().file.resolve() == own
    write(tmp_path, FULL, "pyproject.toml")
    with pytest.raises(InceptionLabError, match=r"inception-lab.toml:1: budgets: pyproject.toml beside it"):
        read_configuration()
    own.unlink()
    assert read_configuration().budgets[0].name == "small"


def test_no_budgets_at_all(tmp_path):
    for text in ("", "[tool.inception-lab]\n", "[tool.inception-lab.budgets]\n"):
        write(tmp_path, text, "pyproject.toml")
        with pytest.raises(
            InceptionLabError, match=r"has no budgets; write \[tool.inception-lab.budgets.NAME\]"
        ):
            read_configuration(tmp_path)


HEAD = "[budgets.a]\nmodel = 'nin'\n"


def fault(tmp_path, text):
    """The one line about a configuration, without the path of its file."""
    file = write(tmp_path, text)
    with pytest.raises(InceptionLabError) as failure:
        read_configuration(file)
    assert failure.value.exit_code == 2
    return str(failure.value).removeprefix(str(file))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[budget.a]\n", ":1: budget: is not a key of the configuration; did you mean budgets?"),
        ("x = 1\n[budgets.a]\n", ":1: x: is not a key of the configuration; known: budgets"),
        ("budgets = 3\n", ":1: budgets: 3 is not a table; write its keys under a [header]"),
        ("[[budgets]]\nmodel = 'nin'\n",
         ":1: budgets: [{'model': 'nin'}] is not a table; write its keys under a [header]"),
        ("[budgets]\na = 'nin'\n", ":2: budgets.a: 'nin' is not a table; write its keys under a [header]"),
        ("[budgets.'']\n", ":1: budgets.'': '' is not the name of a budget; give it one of letters"),
        ("[budgets.a]\nparams = 3\n",
         ":1: budgets.a: has no model; add model = 'googlenet', or 'package.module:factory'"),
        ("[budgets.a]\n\nmodel = 3\n", ":3: budgets.a.model: 3 is not a model; write model = 'googlenet'"),
        ("[budgets.a]\nmodel = 'nin('\n",
         ":2: budgets.a.model: 'nin(' cannot be read; write it like nin(num_classes=10), "
             "text other than one word in quotes"),
        ("[budgets.a]\nmodel = 'nin(num_classes=3)'\nkwargs.num_classes = 4\n",
         ":2: budgets.a.model: keyword 'num_classes' is given twice; give it once"),
        ("[budgets.a]\nmodel = 'nin'\nmode = 'train'\noptimizer = 'adamm'\n",
         ":4: budgets.a.optimizer: 'adamm' is not an optimizer; did you mean adam or adamw?"),
        ("[budgets.a]\nmodel = 'nin'\n'a.*' = { macs = 3 }\nlayers.'a.*' = { params = 3 }\n",
         ":4: budgets.a.layers.'a.*': is there twice; give all limits of a pattern in one table"),
        ("[budgets.a]\nmodel = 'nin'\n[budgets.a]\n",
         ":3: is not TOML: Cannot declare ('budgets', 'a') twice"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_fault_names_file_key_and_line(tmp_path, text, error):
    assert fault(tmp_path, text) == error


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ("kwargs = 3\n", "kwargs: 3 is not a table; write its keys under a [header]"),
        ("kwargs.a-b = 3\n", "kwargs.a-b: is not a keyword; name a parameter of the model"),
        ("kwargs.a = 1979-05-27\n",
         "kwargs.a: datetime.date(1979, 5, 27) is not a value for a model; give text, numbers, true, "
         "false or lists"),
        ("input_size = '3x8x8'\n", "input_size: is not a key of a budget; did you mean input-size?"),
        ("input-size = '3x8x'\n", "input-size: '3x8x' is not an input size; write it like 3x224x224"),
        ("input-size = []\n", "input-size: is empty; write it like '3x224x224', of several inputs a list"),
        ("input-size = [3, 8, 8]\n",
         "input-size: 3 is not an input size; write it like '3x224x224', of several inputs a list"),
        ("batch-size = 0\n", "batch-size: 0 is not a batch size; give 1 or more"),
        ("batch-size = true\n", "batch-size: True is not a batch size; give 1 or more"),
        ("mode = 'test'\n", "mode: 'test' is not a mode; give eval or train"),
        ("optimizer = 'sgd'\n", "optimizer: an optimizer takes no step in eval mode; add mode = 'train'"),
        ("parmas = 3\n", "parmas: is not a key of a budget; did you mean params or macs?"),
        ("params = '7 MiB'\n", "params: '7 MiB' is not a quantity of count; write it like 7 M"),
        ("peak_bytes = '7 M'\n", "peak_bytes: '7 M' is not a quantity of bytes; write it like 40 MiB"),
        ("params = -1\n", "params: -1 is negative; give 0 or more"),
        ("params = nan\n", "params: nan is not a finite number; give one that a model can have"),
        ("params = '1e999'\n", "params: inf is not a finite number; give one that a model can have"),
        ("params = 0x" + "f" * 5000,
         "params: a huge int is not a finite number; give one that a model can have"),
        ("params = true\n", "params: True is not a number; give text such as '7 M', or a number"),
        ("params = []\n", "params: [] is not a number; give text such as '7 M', or a number"),
        ("params = {}\n", "params: has no bound; give it max, min, growth or ratio"),
        ("params = { severity = 'warn' }\n", "params: has no bound; give it max, min, growth or ratio"),
        ("params.maxi = 3\n", "params.maxi: is not a key of a limit; did you mean max?"),
        ("params.min = 5\nparams.max = 4\n",
         "params: no figure is at least 5 and at most 4; let min be below max"),
        ("params.growth = '1 % or 2 %'\n",
         "params.growth: '1 % or 2 %' is not one percentage, one amount, or one of each; write it like "
         "'1 %', '20 k' or '1 % or 20 k'"),
        ("params.growth = []\n",
         "params.growth: [] is not one percentage, one amount, or one of each; write it like '1 %', '20 "
         "k' or '1 % or 20 k'"),
        ("params.growth = '-1 %'\n",
         "params.growth: '-1 ' is not a quantity of percent; write it like 6.67"),
        ("params.ratio = 2\n",
         "params.ratio: is a multiple of nothing; add to = 'MODEL', or the name of a budget"),
        ("params = { max = 3, to = 'nin' }\n", "params.to: has no ratio beside it; add ratio = 1.0"),
        ("params = { ratio = 0, to = 'nin' }\n",
         "params.ratio: 0 is not a ratio; give a finite number above 0"),
        ("params = { ratio = '2', to = 'nin' }\n",
         "params.ratio: '2' is not a number; give a number such as 1.1"),
        ("params = { ratio = 2, to = '' }\n", "params.to: is empty; name a model, or a budget"),
        ("params = { max = 2, severity = 'err' }\n",
         "params.severity: 'err' is not a severity; give error or warn"),
        ("params = { max = 2, message = 3 }\n", "params.message: 3 is not text; put it in quotes"),
        ("time = 3\n",
         "time: a time is limited as a ratio to another model's alone; write { ratio = 1.1, to = "
         "'MODEL' }"),
        ("time = '3 ms'\n",
         "time: a time is limited as a ratio to another model's alone; write { ratio = 1.1, to = "
         "'MODEL' }"),
        ("time = { max = '3 ms' }\n",
         "time: a time is limited as a ratio to another model's alone; write { ratio = 1.1, to = "
         "'MODEL' }"),
        ("time = { ratio = 2, to = 'nin', max = 3 }\n",
         "time: a time is limited as a ratio to another model's alone; write { ratio = 1.1, to = "
         "'MODEL' }"),
        ("'' = { macs = 3 }\n",
         "'': an empty pattern names no layer; write one like 'inception5*.branch3.*'"),
        ("'a.*' = 3\n", "'a.*': 3 is not a table of limits; write { macs = '20 M' }"),
        ("'a.*' = { mac = 3 }\n", "'a.*'.mac: is not a metric; did you mean macs?"),
        ("'a.*' = { peak_bytes = 3 }\n",
         "'a.*'.peak_bytes: layers have no peak_bytes of their own; did you mean saved_bytes?"),
        ("layers = 3\n", "layers: 3 is not a table; write its keys under a [header]"),
    ],
    ids=range(43),
)  # fmt: skip
def test_a_fault_of_a_key_in_a_budget(tmp_path, row, error):
    assert fault(tmp_path, HEAD + row) == f":3: budgets.a.{error}"


def test_optimizers_are_those_of_the_engine():
    assert tuple(optimizers.OPTIMIZERS) == OPTIMIZERS


def test_neither_configuration_nor_lock_nor_their_faults_import_torch(tmp_path):
    write(tmp_path, "[budgets.a]\nmodel = 'nin'\nparms = 3\n")
    lock = tmp_path / "inception-lab.lock"
    lock.write_text("schema = 1\n")
    code = f"""
import sys
from pathlib import Path
import inception_lab as il
from inception_lab.budgets.lock import read_lock
for read in (lambda: il.check_budgets({str(tmp_path)!r}), lambda: il.update_lock({str(tmp_path)!r}),
             lambda: read_lock({str(lock)!r})):
    try: read()
    except il.InceptionLabError as error: print(error)
il.check_budget, il.BudgetExceeded
print(sorted(set(sys.modules) & {{"torch", "pandas", "numpy"}}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.rpartition("; ")[0].rpartition(": ")[2] for line in lines[:2]] == [
        "is not a key of a budget"
    ] * 2
    assert "its end is missing" in lines[2]
    assert lines[3] == "[]"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[tool.inception-lab]\nbudget.a = 3\n",
         ":2: tool.inception-lab.budget: is not a key of the configuration; did you mean budgets?"),
        ("tool.inception-lab = 3\n",
         ":1: tool.inception-lab: 3 is not a table; write its keys under a [header]"),
        ("[tool.inception-lab.budgets.a]\nmodel = 'nin'\nparms = 1\n",
         ":3: tool.inception-lab.budgets.a.parms: is not a key of a budget; did you mean params?"),
    ],
    ids=range(3),
)  # fmt: skip
def test_a_fault_in_pyproject(tmp_path, text, error):
    file = write(tmp_path, text, "pyproject.toml")
    with pytest.raises(InceptionLabError) as failure:
        read_configuration(tmp_path)
    assert str(failure.value) == f"{file}{error}"


@pytest.mark.parametrize(
    ("name", "lock"),
    [
        ("pyproject.toml", "inception-lab.lock"), ("inception-lab.toml", "inception-lab.lock"),
        ("other.toml", "other.lock"), ("inception-lab.conf", "inception-lab.conf.lock"),
        ("a.b.toml", "a.b.lock"),
    ],
)  # fmt: skip
def test_a_configuration_of_another_name_has_a_lock_of_its_own(name, lock):
    assert Configuration(Path("folder", name), ()).lock == Path("folder", lock)


def test_a_byte_order_mark_is_not_a_fault(tmp_path):
    file = tmp_path / "inception-lab.toml"
    file.write_bytes(b"\xef\xbb\xbf[budgets.a]\nmodel = 'nin'\nparams = 3\n")
    assert [budget.line for budget in read_configuration(tmp_path).budgets] == [1]


@pytest.mark.parametrize("pattern", ["", "'inception3a.*' = ", "layers.stem = "])
def test_a_ratio_to_a_budget_of_the_same_name_is_refused(tmp_path, pattern):
    limit = "macs = { ratio = 1, to = 'nin' }"
    row = f"{pattern}{{ {limit} }}" if pattern else limit
    file = write(tmp_path, f"[budgets.nin]\nmodel = 'a.b:Net'\n{row}\n")
    with pytest.raises(InceptionLabError) as failure:
        read_configuration(tmp_path)
    assert str(failure.value) == (
        f"{file}:3: the macs of 'nin' would be a ratio to itself; give the budget another name"
    )
