"""Where answers go: files by their ending, standard output, terminals with and without colour."""

import json
import os
import pty
import re
import subprocess
import sys

import pytest
from support.typed import typed

ESCAPE = re.compile(r"\x1b\[\d+m")
STARTS = {
    ".csv": "layer,type,",
    ".json": "{",
    ".md": "nin, input 1x3x224x224, eval\n\n| Layer |",
    ".txt": "nin, input",
}


@pytest.mark.parametrize("ending", [*STARTS, ".CSV", "", ".log"])
def test_the_ending_says_the_format(capsys, tmp_path, ending):
    path = tmp_path / f"answer{ending}"
    assert typed(capsys, "summary", "nin", "-o", str(path)) == (0, "", "")
    assert path.read_text().startswith(STARTS.get(ending.lower(), STARTS[".txt"]))


def test_a_format_that_is_typed_wins(capsys, tmp_path):
    path = tmp_path / "answer.csv"
    typed(capsys, "summary", "nin", "--format", "json", "-o", str(path))
    assert json.loads(path.read_text())["model"] == "nin"
    typed(capsys, "summary", "nin", "--format", "table", "-o", str(path))
    assert path.read_text().startswith("nin, input")


@pytest.mark.parametrize(
    ("command", "ending", "start"),
    [
        ("models", ".csv", "name,family,"),
        ("compare nin alexnet", ".json", "{"),
        ("confirm 22", ".md", "# The published figures"),
        ("check googlenet", ".csv", "budget,model,"),
        ("worksheet googlenet inception3a", ".tex", "\\documentclass"),
        ("worksheet googlenet inception3a", ".md", "# inception3a of googlenet"),
        ("check googlenet", ".tex", "passed  googlenet"),
    ],
)
def test_so_it_does_for_every_command(capsys, tmp_path, command, ending, start):
    path = tmp_path / f"answer{ending}"
    typed(capsys, *command.split(), "-o", str(path))
    assert path.read_text().startswith(start)


def test_rows_are_chosen_for_tables_alone(capsys, tmp_path):
    path = tmp_path / "top.csv"
    code, _, err = typed(capsys, "summary", "nin", "--top", "3", "-o", str(path))
    assert (code, path.exists()) == (2, False)
    assert "csv holds every row and column; leave out --top" in err


def test_a_dash_is_standard_output(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, usual, _ = typed(capsys, "models")
    assert typed(capsys, "models", "-o", "-") == (0, usual, "")
    assert typed(capsys, "check", "--config", str(tmp_path), "-o", "-")[0] == 2
    assert list(tmp_path.iterdir()) == []
    typed(capsys, "models", "-o", "./-")
    assert (tmp_path / "-").read_text() == usual


def on_terminal(*arguments, **variables):
    """What a command writes on a terminal of 100 columns; errors and progress apart."""
    master, terminal = pty.openpty()
    environment = {
        "TERM": "xterm",
        **{k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "TERM")},
    }
    command = [sys.executable, "-m", "inception_lab", *arguments]
    process = subprocess.Popen(
        command, stdout=terminal, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
        env={**environment, "TERM": "xterm", "COLUMNS": "100", **variables},
    )  # fmt: skip
    os.close(terminal)
    output = b""
    while True:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        output += part
    process.communicate()
    os.close(master)
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_has_colour_and_the_same_text(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = on_terminal("models")
    assert "\x1b[1m" in text
    assert ESCAPE.sub("", text) == typed(capsys, "models")[1]


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"NO_COLOR": "0"}, {"TERM": "dumb"}])
def test_no_colour_where_none_is_wanted(variables):
    text = on_terminal("models", **variables)
    assert "\x1b" not in text
    assert "googlenet" in text


def test_an_empty_no_color_says_nothing():
    assert "\x1b[1m" in on_terminal("models", NO_COLOR="")


def test_a_file_has_no_colour(tmp_path):
    path = tmp_path / "zoo.txt"
    assert on_terminal("models", "-o", str(path)) == ""
    assert "\x1b" not in path.read_text()


def test_an_ending_is_no_format_that_was_typed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "budgets.toml").write_text('[budgets.nin]\nmodel = "nin"\nmacs = { growth = "0 %" }\n')
    code, _, err = typed(capsys, "check", "--config", "budgets.toml", "--update", "-o", "answer.json")
    assert (code, err) == (0, "")
    assert "nin" in (tmp_path / "answer.json").read_text()
