"""The help of every command: examples that can be typed, and words explained where they stand."""

import shlex

import click
import pytest
from support.typed import typed

from inception_lab.cli import COMMANDS, app
from inception_lab.cli.examples import EXAMPLES


def help_of(capsys, monkeypatch, *command):
    monkeypatch.setenv("COLUMNS", "80")
    code, text, _ = typed(capsys, *command, "--help")
    assert code == 0
    return text


def arguments_of(name):
    command = app.get_command(click.Context(app), name)
    return [parameter for parameter in command.params if isinstance(parameter, click.Argument)]


def test_every_command_has_examples():
    assert EXAMPLES.keys() == COMMANDS.keys()
    assert {len(lines) for lines in EXAMPLES.values()} <= {2, 3, 4}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_ends_with_examples_and_fits_80_columns(capsys, monkeypatch, name):
    text = help_of(capsys, monkeypatch, name)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.rstrip().splitlines()
    start = lines.index("  Examples:")
    assert lines[start + 1 :] == [f"    inception-lab {example}" for example in EXAMPLES[name]]
    assert ("default: the model's" in text) == ("The model's is the one" in text)
    assert ("CxHxW" in text) == ("channels x height x width, without the" in text)
    assert "CXHXW" not in text
    assert "default: (" not in " ".join(text.split())
    takes_a_model = any(parameter.name in ("model", "models", "subjects") for parameter in arguments_of(name))
    assert takes_a_model == any("mynet:MyNet" in example for example in EXAMPLES[name])


def test_the_first_help_has_a_net_of_ones_own_and_completion(capsys, monkeypatch):
    text = help_of(capsys, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    assert "    inception-lab summary mynet:MyNet --input-size 3x64x64\n" in text
    assert '    eval "$(_INCEPTION_LAB_COMPLETE=bash_source inception-lab)"\n' in text


@pytest.mark.parametrize(
    "example", [example for examples in EXAMPLES.values() for example in examples], ids=lambda line: line[:40]
)
def test_every_example_is_a_right_command_line(example):
    """It is read, and not run: what it names is there, but for files and the net of one's own."""
    name, *arguments = shlex.split(example)
    with app.make_context("inception-lab", [name, *arguments]) as context:
        command = app.get_command(context, name)
        assert command.make_context(name, arguments, parent=context).params


def test_an_example_that_is_wrong_would_be_found():
    with app.make_context("inception-lab", ["summary", "nin"]) as context, pytest.raises(click.UsageError):
        app.get_command(context, "summary").make_context("summary", ["nin", "--depht", "1"], parent=context)
