"""Warnings of libraries that this package imports are no errors of whoever makes all warnings errors."""

import subprocess
import sys

from support import pytest_plugin

CODE = """
import inception_lab as il
for name in il.__all__:
    getattr(il, name)
model = il.create_model("nin")
trace = il.trace(model, (1, 3, 64, 64))
il.summarise(trace), il.receptive_field(trace), il.memory_record(trace)
il.crosscheck(model, (1, 3, 64, 64))
il.measure_memory(model, (1, 3, 64, 64))
"""

TEST = """
import inception_lab as il

def test_it(inception_budget):
    inception_budget("nin", params="8 M")
    il.crosscheck(il.create_model("nin"), (1, 3, 64, 64))
"""


def test_everything_imports_and_runs_where_warnings_are_errors():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_pytest_with_warnings_as_errors(tmp_path):
    (tmp_path / "test_it.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    command += [*pytest_plugin.ARGUMENTS, str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
