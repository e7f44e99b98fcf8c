"""Hints of the library in the words of the command line."""

import re
from importlib import import_module

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inception_lab.cli import COMMANDS
from inception_lab.cli.hints import OTHER_NAMES, command_line_hint


def command(name):
    return import_module(f"inception_lab.cli.{name.replace('-', '_')}").command


@pytest.mark.parametrize(
    ("hint", "typed"),
    [
        ("use mode='train'", "use --mode train"),
        ('use device="cpu", or leave out optimizer=', "use --device cpu, or leave out --optimizer"),
        ("pass batch_size=4", "pass --batch-size 4"),
        ("leave out measure=True", "leave out --measure"),
        ("give input_sizes=, such as 3x224x224", "give --input-size, such as 3x224x224"),
        ("name a smaller limit=, or check that inputs= is right",
         "name a smaller --fits, or check that --input-size is right"),
        ("use another folder=", "use another --output"),
        ("pass loss=", "pass loss="),
        ("write it like num_classes=10", "write it like num_classes=10"),
        ("did you mean googlenet?", "did you mean googlenet?"),
        ("", ""),
    ],
)  # fmt: skip
def test_keywords_become_options(hint, typed):
    assert command_line_hint(hint, command("memory")) == typed


def test_an_option_that_a_command_lacks_stays_a_keyword():
    assert command_line_hint("use device='cpu'", command("summary")) == "use device='cpu'"


@given(st.text(max_size=40))
def test_a_command_without_options_changes_no_hint(hint):
    assert command_line_hint(hint, click.Command("none")) == hint


def test_every_other_name_is_an_option_of_some_command():
    options = {option.name for name in COMMANDS for option in command(name).params}
    assert set(OTHER_NAMES.values()) <= options
    assert not set(OTHER_NAMES) & options


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_named_as_it_is_typed(name):
    for option in command(name).params:
        if isinstance(option, click.Option):
            typed = command_line_hint(f"leave out {option.name}=", command(name))
            flag = re.fullmatch(r"leave out (--[a-z-]+)", typed)[1]
            assert flag in option.opts


def test_arguments_of_a_forward_are_one_option():
    hint = "pass other integers by args= or kwargs=, or leave out kwargs="
    assert command_line_hint(hint, command("summary")) == (
        "pass other integers by --arg, or leave out --kwargs"
    )
