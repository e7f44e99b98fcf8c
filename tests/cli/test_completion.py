"""Completion in shells: their scripts, and the words that may stand next."""

import os
import shutil
import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-m", "inception_lab"]


def asked(instruction, folder, line=""):
    """What the program answers a shell about the last word of a line."""
    words = {"COMP_WORDS": f"inception-lab {line}", "COMP_CWORD": str(1 + line.count(" "))}
    environment = {**os.environ, "_INCEPTION_LAB_COMPLETE": instruction, **words}
    done = subprocess.run(PROGRAM, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def words_for(line, folder):
    return [answer.partition(",")[2] for answer in asked("bash_complete", folder, line).split()]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell, tmp_path):
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("click asks bash for its version")
    script = asked(f"{shell}_source", tmp_path)
    assert f"_INCEPTION_LAB_COMPLETE={shell}_complete" in script
    assert "inception-lab" in script


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("re", ["receptive-field", "report"]),
        ("summary inception_r", ["inception_resnet_v1", "inception_resnet_v2"]),
        ("summary nin --mode ", ["eval", "train"]),
        ("memory nin --fi", ["--fits"]),
        ("memory nin --device c", ["cpu", "cuda"]),
        ("compare nin res", ["result.json"]),
        ("compare ", None),
        ("nonsense n", []),
        ("summary mynet:N", []),
        ("summary 'unclosed", []),
    ],
)  # fmt: skip
def test_the_words_that_may_stand_next(line, words, tmp_path):
    for name in ("result.json", "nets.lock", "result.csv"):
        (tmp_path / name).touch()
    (tmp_path / "folder.json").mkdir()
    found = words_for(line, tmp_path)
    if words is None:
        assert {"result.json", "nets.lock", "googlenet"} <= set(found)
        assert not {"result.csv", "folder.json"} & set(found)
    else:
        assert sorted(found) == sorted(words)


def test_completion_imports_nothing_heavy(tmp_path):
    code = """
import os, sys
os.environ |= {"COMP_WORDS": "inception-lab summary g", "COMP_CWORD": "2"}
os.environ["_INCEPTION_LAB_COMPLETE"] = "bash_complete"
from inception_lab.cli import main
try:
    main([])
except SystemExit:
    print(sorted({"torch", "numpy", "pandas", "matplotlib", "fvcore"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0] == "plain,googlenet"
    assert done.stdout.splitlines()[-1] == "[]"
