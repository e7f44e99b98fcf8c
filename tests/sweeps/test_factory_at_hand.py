"""A function or class in place of MODEL's name: found by other processes, or refused in one line."""

import subprocess
import sys

import pytest
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError

SCRIPT = """\
import inception_lab as il
from torch import nn

def net(width=8):
    return nn.Sequential(nn.Conv2d(3, width, 3), nn.Flatten())

if __name__ == "__main__":
    space = {"model": net, "parameters": {"width": [4, 8]}, "input-size": "3x8x8"}
    table = il.sweep(space, jobs=2)
    print(table["params"].tolist(), table["status"].unique().tolist())
"""


def test_a_function_of_a_script_runs_in_other_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=False)
    # weights of 3 x 3 x 3 and a bias for each filter
    assert (done.stdout, done.returncode) == (f"{[28 * 4, 28 * 8]} ['complete']\n", 0), done.stderr


def test_a_class_of_a_package_is_named_as_it_is_imported():
    space = il.read_space(
        {"model": nn.Linear, "kwargs": {"in_features": 3}, "parameters": {"out_features": [2]}}
    )
    assert space.model == "torch.nn.modules.linear:Linear"


@pytest.mark.parametrize("factory", [lambda width: nn.Conv2d(3, width, 3), nn.Linear(2, 2).forward.__call__])
def test_what_no_other_process_finds_is_refused(factory):
    with pytest.raises(InceptionLabError, match=r"^model: .* is not at the top of a file.*mynet.py:build'$"):
        il.read_space({"model": factory, "parameters": {"width": [4]}})


def test_a_function_within_a_function_is_refused():
    def local(width):
        return nn.Conv2d(3, width, 3)

    with pytest.raises(InceptionLabError, match="not at the top of a file"):
        il.read_space({"model": local, "parameters": {"width": [4]}})
