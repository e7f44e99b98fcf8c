"""Ctrl-C at any moment of a command: exit code 130, and the old report whole.

The moments are calls counted from the first line on, as seconds depend on the machine. The longer check, by
seconds and of a real process from its start, is `scripts/check_interrupts.py`.
"""

import subprocess
import sys

import pytest

INTERRUPTED_AT_A_CALL = """
import runpy, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell had it ignored
calls, moment = 0, int(sys.argv[1])
def count(frame, event, argument):
    global calls
    calls += event == "call"
    if calls == moment:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)
from inception_lab import interrupts
interrupts.leave_on_request()
sys.argv = ["inception-lab", *sys.argv[2:]]
if moment:
    sys.setprofile(count)
runpy.run_module("inception_lab", run_name="__main__")
"""

SOURCE = """
import signal
from torch import nn

class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU())

class Swallowing(Net):
    "Nothing that is raised in its layers comes out of it, as with a bare except around a fallback."
    def forward(self, x):
        try:
            signal.raise_signal(signal.SIGINT)
        except:
            pass
        return super().forward(x)

class Failing(Net):
    def forward(self, x):
        try:
            signal.raise_signal(signal.SIGINT)
        except BaseException as error:
            raise ImportError("of course") from error

class Collected(Net):
    "Python prints what is raised here and goes on."
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
    def forward(self, x):
        Collected.__del__ = lambda self: None
        class Other:
            def __del__(self):
                signal.raise_signal(signal.SIGINT)
        Other()
        return super().forward(x)
"""

SWALLOWING_IMPORT = """
import signal
try:
    signal.raise_signal(signal.SIGINT)
except:
    pass
from mynets import Net
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mynets.py").write_text(SOURCE)
    (tmp_path / "swallowing_import.py").write_text(SWALLOWING_IMPORT)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "summary.json").write_text('{"schema": 1, "tool": "inception_lab 0.1.0"}')
    (tmp_path / "report" / "README.md").write_text("old")
    return tmp_path


def content(report):
    return {path.name: path.read_bytes() for path in report.iterdir()}


def interrupted(folder, moment, *arguments):
    command = [sys.executable, "-c", INTERRUPTED_AT_A_CALL, str(moment), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("moment", [1, 300, 3_000, 30_000, 300_000, 900_000])
def test_ctrl_c_at_any_call_ends_with_130_and_leaves_the_old_report(folder, moment):
    before = content(folder / "report")
    done = interrupted(folder, moment, "report", "mynets:Net", "--input-size", "3x8x8", "-o", "report")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "inception-lab: interrupted"
    assert content(folder / "report") == before
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("command", "model"),
    [
        ("report", "mynets:Swallowing"),
        ("summary", "mynets:Failing"),
        ("report", "mynets:Collected"),
        ("memory", "swallowing_import:Net"),
    ],
)
def test_code_that_swallows_ctrl_c_does_not_hide_it(folder, command, model):
    before = content(folder / "report")
    output = [] if command == "summary" else ["-o", "report" if command == "report" else "file"]
    done = interrupted(folder, 0, command, model, "--input-size", "3x8x8", *output)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1] == "inception-lab: interrupted"
    assert content(folder / "report") == before
    assert not (folder / "file").exists()
