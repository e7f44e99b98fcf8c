"""What a row of a store is an answer to: the code on disk, the traces that were asked for, the formulas."""

import subprocess
import sys

import pytest
import torch
from support.sweep_nets import macs_of, params_of, space_of, write_nets

import inception_lab as il
from inception_lab.errors import InceptionLabError

EDITED = """\
import importlib, sys
from pathlib import Path
import inception_lab as il

module = importlib.import_module(sys.argv[1])
file = Path(module.__file__)
file.write_text(file.read_text().replace("nn.Conv2d(3, width, 3)", "nn.Conv2d(3, width, 1)"))
space = {"model": f"{sys.argv[1]}:net", "parameters": {"width": [4]}, "input-size": "3x16x16"}
table = il.sweep(space, jobs=1)
print(table["params"].tolist())
"""
UNTRAINABLE = """
import torch
from torch import nn

class Net(nn.Linear):
    def __init__(self, width=4):
        super().__init__(width, width)

    def forward(self, x):
        if self.training:
            raise RuntimeError("for inference alone")
        return super().forward(x)
"""
UNKNOWN = """
import torch
from torch import nn
REGISTERED
class Net(nn.Linear):
    def __init__(self, width=4):
        super().__init__(width, width)

    def forward(self, x):
        return torch.linalg.matrix_exp(super().forward(x))
"""


def unknown_space(module):
    return {"model": f"{module}:Net", "parameters": {"width": [4]}, "input-size": "4x4", "metrics": ["macs"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_code_that_changed_since_its_import_is_run_as_it_is_on_disk(folder):
    module = write_nets(folder)
    command = [sys.executable, "-c", EDITED, module]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    # 1 x 1 and a bias, then 3 x 3 and a bias
    assert done.stdout == f"{[3 * 4 + 4 + 4 * 4 * 9 + 4]}\n", done.stderr


def test_a_net_that_fails_in_training_alone_has_its_parameters(folder):
    module, store = write_nets(folder, UNTRAINABLE), folder / "store.jsonl"
    space = {"model": f"{module}:Net", "parameters": {"width": [4]}, "input-size": "4"}
    train = il.sweep({**space, "metrics": ["params", "train_peak_bytes"]}, store=store, jobs=1)
    assert train["status"].tolist() == ["failed"]
    assert "for inference alone" in train["cause"].tolist()[0]
    eval_alone = il.sweep({**space, "metrics": ["params"]}, store=store, jobs=1)
    assert eval_alone[["params", "status"]].to_numpy().tolist() == [[4 * 4 + 4, "complete"]]


def test_a_store_has_the_figures_of_all_questions(folder):
    module, log, store = write_nets(folder), folder / "log", folder / "store.jsonl"
    for metrics in (["params"], ["macs"], ["params", "macs"], ["params"]):
        table = il.sweep(space_of(module, [2, 3], log=log, metrics=metrics), store=store, jobs=1)
        assert table["status"].tolist() == ["complete"] * 2
    # once for the parameters and once for the MACs
    assert sorted(log.read_text().split()) == ["2", "2", "3", "3"]
    both = il.sweep(space_of(module, [2, 3], log=log), store=store, jobs=1)
    assert both["params"].tolist() == [params_of(2), params_of(3)]
    assert both["macs"].tolist() == [macs_of(2, 16), macs_of(3, 16)]


def test_a_single_job_survives_a_variant_that_ends_its_process(folder):
    module = write_nets(folder)
    table = il.sweep(space_of(module, [2, 3, 4], falls={"3": "kill"}), jobs=1)
    assert table["status"].tolist() == ["complete", "failed", "complete"]


def test_a_formula_that_no_worker_knows_is_refused(folder):
    module, store = write_nets(folder, UNKNOWN.replace("REGISTERED", "")), folder / "store.jsonl"
    space = unknown_space(module)
    operation, message = torch.ops.aten.linalg_matrix_exp, "a worker has formula of .* not at all.*; register"
    with (
        il.register_formula(operation, lambda *_, **__: il.Cost(macs=1000)),
        pytest.raises(InceptionLabError, match=message),
    ):
        il.sweep(space, store=store, jobs=1)
    table = il.sweep(space, store=store, jobs=1)
    assert table["status"].tolist() == ["partial"]


def test_a_formula_in_the_file_of_the_model_is_known_everywhere(folder):
    registration = (
        "import inception_lab as il\n"
        "def cost(*_, **__):\n    return il.Cost(macs=1000)\n"
        "il.register_formula(torch.ops.aten.linalg_matrix_exp, cost)\n"
    )
    module = write_nets(folder, UNKNOWN.replace("REGISTERED", registration))
    space = unknown_space(module)
    code = f"import inception_lab as il; print(il.sweep({space!r})[['macs', 'status']].to_numpy().tolist())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=folder, check=False
    )
    # a product of 4 x 4 by 4 x 4, and the formula
    assert done.stdout == f"{[[64 + 1000, 'complete']]}\n", done.stderr


def test_a_reference_that_has_no_figures_says_so(folder):
    module = write_nets(folder, UNTRAINABLE)
    space = {
        "model": "nin",
        "parameters": {"dropout": [0.5]},
        "references": ["nin", f"{module}:Net"],
        "metrics": ["params"],
    }
    rows = il.reference_variants(space)
    assert rows["status"].tolist() == ["complete", "failed"]
    assert "how large its input is" in rows["cause"].tolist()[1]
