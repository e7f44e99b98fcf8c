"""No line of any command is wider than the terminal, and nothing is lost in silence."""

import re
import unicodedata

import pytest
from support.typed import typed

WIDTHS = (80, 120)
OWN = "support.chinese_nets:Net"
MODELS = {"googlenet": "3x64x64", "inception_resnet_v2": "3x96x96", OWN: "3x64x64"}
MODULES = {"googlenet": "inception3a", "inception_resnet_v2": "block_a1", OWN: "(model)"}

COMMANDS = [
    "summary {model}",
    "summary {model} --mode train --batch-size 2 --optimizer adam --depth 2",
    "summary {model} --sort params --top 12",
    "receptive-field {model}",
    "memory {model}",
    "memory {model} --mode train --batch-size 2 --optimizer adam --by module --depth 3",
    "crosscheck {model}",
    "time {model} --seconds 0",
    "worksheet {model} {module}",
    "compare {model} googlenet_bn",
    "compare {model} {model} --unchanged",
    "compare {model} googlenet_bn nin",
    "confirm --model {model} --against googlenet_bn",
]


def width(text):
    """The cells of a text by its characters' property East Asian Width."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def lines_at(capsys, monkeypatch, columns, *arguments):
    """The lines of a command on a terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = typed(capsys, *arguments)
    assert "Traceback" not in err
    assert code in (0, 1), err
    return out.splitlines()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_than_the_terminal(capsys, monkeypatch, command, model):
    words = command.format(model=model, module=MODULES[model]).split()
    for columns in WIDTHS:
        lines = lines_at(capsys, monkeypatch, columns, *words, "--input-size", MODELS[model])
        assert lines
        assert [line for line in lines if width(line) > columns] == []


@pytest.mark.parametrize(
    "command",
    [
        "models",
        "models --family googlenet --sort year",
        "confirm",
        "confirm --source 1512.00567 --why 42",
        "check",
        "check --why googlenet",
        "time nin alexnet --seconds 0 --input-size 3x64x64",
        "time nin --batch-size 1 --batch-size 2 --seconds 0 --input-size 3x64x64",
        "worksheet --input 17x17x768 --branches 128,64,192,64,96,64",
        "receptive-field googlenet_3x3 --input-size 3x64x64 --effective --seeds 1 --samples 1",
        "memory nin --input-size 3x64x64 --measure --fits 80MiB",
    ],
)
def test_other_commands_fit_as_well(capsys, monkeypatch, command):
    for columns in WIDTHS:
        lines = lines_at(capsys, monkeypatch, columns, *command.split())
        assert [line for line in lines if width(line) > columns] == []


@pytest.mark.parametrize("command", ["summary", "receptive-field", "memory", "crosscheck"])
def test_every_column_is_shown_or_named(capsys, monkeypatch, command):
    _, out, _ = typed(capsys, command, "nin", "--format", "csv")
    columns = set(out.partition("\n")[0].split(","))
    # a column for programs is none of the table
    monkeypatch.setenv("COLUMNS", "999")
    assert "left out" not in typed(capsys, command, "nin")[1]
    monkeypatch.setenv("COLUMNS", "40")
    text = " ".join(typed(capsys, command, "nin")[1].split())
    names = re.search(r"left out at 40 columns: (.*?); --wide shows everything", text)[1].split(", ")
    assert set(names) < columns | {"share"}
    assert typed(capsys, command, "nin", "--wide")[1].count("left out") == 0


@pytest.mark.parametrize("command", ["summary", "receptive-field", "memory --top 9999", "crosscheck"])
def test_no_row_is_lost(capsys, monkeypatch, command):
    words = [*command.split(), "googlenet"]
    _, out, _ = typed(capsys, *words[:1], "googlenet", "--format", "csv")
    layers = {line.partition(",")[0] for line in out.splitlines()[1:]}
    monkeypatch.setenv("COLUMNS", "120")
    lines = typed(capsys, *words)[1].splitlines()
    assert layers <= {line.partition("  ")[0] for line in lines}


@pytest.mark.parametrize("columns", ["", "0", "-3", "abc", "7"])
def test_a_width_that_is_none_is_not_believed(capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = typed(capsys, "models")
    assert max(map(len, out.splitlines())) <= (20 if columns == "7" else 80)
    assert out.count("googlenet") >= 2


@pytest.mark.parametrize(
    "command",
    ["summary nin", "receptive-field nin", "memory nin", "crosscheck nin", "time nin --seconds 0"],
)
def test_an_answer_names_model_input_and_step(capsys, command):
    arguments = [*command.split(), "--input-size", "3x64x64"]
    assert typed(capsys, *arguments)[1].startswith("nin, input 1x3x64x64, eval\n\n")
    assert typed(capsys, *arguments, "--format", "markdown")[1].startswith("nin, input 1x3x64x64, eval\n\n| ")


def test_a_long_answer_stands_first_and_last(capsys):
    total = "MACs                  1,582,671,872   1.58 G\n"
    assert typed(capsys, "summary", "googlenet")[1].count(total) == 2
    assert typed(capsys, "summary", "googlenet", "--top", "5")[1].count(total) == 1


@pytest.mark.parametrize(
    "command", ["summary", "receptive-field", "memory", "crosscheck", "time", "models", "compare nin"]
)
@pytest.mark.parametrize("option", ["--sort macs", "--top 3", "--columns layer"])
def test_forms_for_programs_refuse_to_leave_anything_out(capsys, command, option):
    model = ["nin"] if command != "models" else []
    for form in ("csv", "json"):
        arguments = [*command.split(), *model, *option.split(), "--format", form]
        code, out, err = typed(capsys, *arguments)
        assert (code, out) == (2, "")
        assert err == (
            f"inception-lab: {form} holds every row and column; "
            f"leave out {option.split()[0]}, or take --format table\n"
        )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("summary nin --columns layer,mac", "no column 'mac'; did you mean macs"),
        ("receptive-field nin --sort strid", "no metric 'strid' to sort by; did you mean stride"),
        ("memory nin --sort byte", "no metric 'byte' to sort by; did you mean bytes"),
        ("models --columns nam", "no column 'nam'; did you mean name"),
        ("crosscheck nin --columns verdct", "no column 'verdct'; did you mean verdict"),
        ("compare nin alexnet --columns mac", "did you mean macs"),
        ("summary nin --top 0", "0 is not in the range"),
    ],
)
def test_a_name_that_is_not_there_is_one_line(capsys, arguments, line):
    code, out, err = typed(capsys, *arguments.split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err
