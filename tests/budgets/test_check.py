"""Configurations checked and locked from end to end, on small nets of one's own."""

import json
import subprocess
import sys
from collections import Counter
from functools import partial

import pytest

import inception_lab as il
from inception_lab.budgets import traced
from inception_lab.budgets.lock import read_lock
from inception_lab.budgets.update import LockChange
from inception_lab.budgets.verdict import Change
from inception_lab.measure.timing import timing

NETS = '''
"""Nets of a user, whose width a file decides."""
from pathlib import Path
import torch
from torch import nn

WIDTH = int(Path(__file__).with_name("width").read_text())


def net(width=WIDTH, frozen=False):
    conv = nn.Conv2d(1, width, 3, bias=False).requires_grad_(not frozen)
    return nn.Sequential(conv, nn.ReLU(), nn.Flatten(), nn.Linear(width * 4, 2))


def broken():
    raise RuntimeError("out of order")


class Partial(nn.Module):
    def forward(self, x):
        return torch.cholesky_inverse(x[0, 0] @ x[0, 0].T)
'''
CONFIGURATION = """
[budgets.small]
model = "user_nets:net"
input-size = "1x4x4"
params = { max = 50, growth = "10 %" }
training_macs = "10 K"

[budgets.broken]
model = "user_nets:broken"
params = 3

[budgets.partial]
model = "user_nets:Partial"
input-size = "1x4x4"
params = 3

[budgets.wide]
model = "user_nets:net(width=3)"
input-size = "1x4x4"
macs = { ratio = 2, to = "small" }
layers."0" = { trainable_params = 27 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "user_nets.py").write_text(NETS)
    (tmp_path / "inception-lab.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    set_width(tmp_path, 2)
    yield tmp_path
    sys.modules.pop("user_nets", None)


def set_width(folder, width):
    (folder / "width").write_text(str(width))
    sys.modules.pop("user_nets", None)


def params(width):
    return 9 * width + 4 * width * 2 + 2


@pytest.mark.usefixtures("folder")
def test_a_model_that_fails_fails_its_own_budget_alone():
    check = il.check_budgets()
    assert [(v.budget.name, v.status) for v in check.verdicts] == [
        ("small", "failed"), ("broken", "error"), ("partial", "error"), ("wide", "passed"),
    ]  # fmt: skip
    assert (check.passed, check.lock, check.configuration.name) == (False, None, "inception-lab.toml")
    small, broken, partial, _ = check.verdicts
    assert small.findings[0].value == params(2) == 36
    assert small.findings[0].reason.startswith("no locked value to grow from: there is no lock")
    assert broken.error == "user_nets:broken: building it failed: RuntimeError: out of order"
    assert partial.error.startswith("not counted: ")
    assert partial.findings[0].passed


def test_layers_of_a_training_budget_are_those_of_the_step_though_it_limits_a_peak_of_inference(folder):
    (folder / "inception-lab.toml").write_text(
        '[budgets.a]\nmodel = "torch.nn:Dropout"\ninput-size = "8"\nmode = "train"\npeak_bytes = "1 KiB"\n'
        '"(model)*" = { activation_bytes = { growth = "0 %" } }\n'
    )
    update = il.update_lock()
    figures = read_lock(update.path).budgets["a"].figures
    total = figures.totals["activation_bytes"]
    assert sum(row.get("activation_bytes", 0) for row in figures.layers.values()) == total > 0
    assert il.check_budgets().passed


def test_the_lock_is_what_growth_is_held_against(folder):
    update = il.update_lock()
    assert set(update.errors) == {"broken", "partial"}
    assert list(read_lock(update.path).budgets) == ["small", "wide"]
    assert il.check_budgets().verdicts[0].status == "passed"
    set_width(folder, 3)
    finding = il.check_budgets(folder).verdicts[0].findings[0]
    assert (finding.value, finding.locked, finding.passed) == (params(3), params(2), False)
    assert finding.allowed == 39  # the whole part of 36 * 1.1
    assert finding.changes == (Change("0", 18, 27), Change("3", 18, 26))
    assert finding.reason.startswith("53 is 14 (35.9 %) above the 39 that growth from 36 allows")


def test_an_update_says_what_changed(folder):
    first = il.update_lock()
    assert first.note == ""
    assert LockChange("small", "params", None, 36) in first.changes
    assert il.update_lock().changes == ()
    set_width(folder, 3)
    changes = {change.metric: change for change in il.update_lock().changes}
    assert {change.budget for change in changes.values()} == {"small"}
    assert changes["params"] == LockChange(
        "small", "params", 36, 53, (Change("0", 18, 27), Change("3", 18, 26))
    )
    (folder / "inception-lab.toml").write_text(CONFIGURATION.split("[budgets.broken]")[0])
    gone = [change for change in il.update_lock().changes if change.metric == "params"]
    assert gone == [LockChange("wide", "params", 53, None, gone[0].layers)]


def test_an_update_says_what_moved_and_which_settings_changed(folder):
    il.update_lock()
    (folder / "user_nets.py").write_text(NETS.replace("nn.ReLU()", "nn.Identity(), nn.ReLU()"))
    (folder / "inception-lab.toml").write_text(CONFIGURATION.replace('"1x4x4"', '["1x4x4:float32"]', 1))
    sys.modules.pop("user_nets", None)
    update = il.update_lock()
    assert update.conditions == {"small": ("input-size",)}
    changes = [change for change in update.changes if (change.budget, change.metric) == ("small", "params")]
    assert changes == [LockChange("small", "params", 36, 36, (Change("4", 0, 18), Change("3", 18, 0)))]
    assert {change.metric for change in update.changes} >= {"params", "macs", "training_macs"}
    assert il.update_lock().conditions == {}


def test_a_budget_whose_model_fails_keeps_its_locked_figures(folder):
    il.update_lock()
    before = read_lock("inception-lab.lock").budgets["small"]
    (folder / "user_nets.py").write_text("def net(**kwargs): raise ValueError('not today')")
    set_width(folder, 2)
    update = il.update_lock()
    assert "not today" in update.errors["small"]
    assert (update.changes, read_lock(update.path).budgets["small"]) == ((), before)


@pytest.mark.usefixtures("folder")
def test_an_update_mends_a_damaged_lock():
    lock = il.update_lock().path
    text = lock.read_text()
    lock.write_text(text.replace("params = 36", "params = 35"))
    with pytest.raises(il.InceptionLabError, match=r"damaged lock.*update_lock\(\)") as failure:
        il.check_budgets()
    assert failure.value.exit_code == 2
    assert il.update_lock().note.startswith("budgets.small: damaged lock")
    assert lock.read_text() == text


def test_training_figures_are_in_the_lock_where_a_budget_asks_for_them(folder):
    il.update_lock()
    figures = read_lock("inception-lab.lock").budgets["small"].figures
    macs = 4 * 2 * 9 + 8 * 2  # the input needs no gradient: its convolution has one product backwards
    assert (figures.total("macs"), figures.total("training_macs")) == (macs, macs + 4 * 2 * 9 + 2 * 8 * 2)
    assert {"train_peak_bytes", "saved_bytes", "backward_macs"}.isdisjoint(figures.totals)
    more = CONFIGURATION.replace('training_macs = "10 K"', 'train_peak_bytes = "1 MiB"\nmode = "train"')
    (folder / "inception-lab.toml").write_text(more)
    il.update_lock()
    figures = read_lock("inception-lab.lock").budgets["small"].figures
    step = il.summarise(il.trace(user_net(), (1, 1, 4, 4), mode="train")).totals
    for metric in ("train_peak_bytes", "saved_bytes", "backward_macs", "training_macs"):
        assert figures.total(metric) == step[metric]
    assert "peak_bytes" not in figures.totals


def user_net():
    import user_nets

    return user_nets.net()


@pytest.mark.usefixtures("folder")
def test_locked_figures_are_those_of_the_summary():
    il.update_lock()
    figures = read_lock("inception-lab.lock").budgets["wide"].figures
    import user_nets

    record = il.summarise(il.trace(user_nets.net(width=3), (1, 1, 4, 4)))
    for metric, total in record.totals.items():
        assert figures.total(metric) == total
    for metric in ("params", "macs", "flops", "other_flops", "activation_bytes"):
        assert figures.by_layer(metric) == {row["layer"]: row[metric] for row in record.layers}
    assert figures.total("trainable_params") == params(3)


def test_each_question_is_traced_once(folder, monkeypatch):
    runs = Counter()
    trace = traced.trace

    def counted_trace(model, inputs, **options):
        runs[options["name"], options["mode"], options["optimizer"]] += 1
        return trace(model, inputs, **options)

    monkeypatch.setattr(traced, "trace", counted_trace)
    again = CONFIGURATION + CONFIGURATION.replace("[budgets.", "[budgets.second_").replace(
        '"small"', '"second_small"'
    )
    (folder / "inception-lab.toml").write_text(again)
    assert len(il.check_budgets().verdicts) == 8
    assert runs == {
        ("user_nets:net", "eval", None): 1,
        ("user_nets:net", "train", None): 1,
        ("user_nets:net(width=3)", "eval", None): 1,
        ("user_nets:Partial", "eval", None): 1,
    }


def test_a_time_is_a_ratio_of_real_runs(folder, monkeypatch):
    monkeypatch.setattr(timing, "compare_times", partial(timing.compare_times, seconds=0))
    budget = """
[budgets.a]
model = "user_nets:net"
input-size = "1x4x4"
time = { ratio = 1_000, to = "user_nets:net(width=3)" }
[budgets.b]
model = "user_nets:net"
input-size = "1x4x4"
time = { ratio = 0.001, to = "a" }
"""
    (folder / "inception-lab.toml").write_text(budget)
    kept, broken = (verdict.findings[0] for verdict in il.check_budgets().verdicts)
    assert (kept.passed, kept.reason, kept.allowed) == (True, "", 1000)
    assert broken.passed == broken.reason.startswith("too few rounds")
    assert 0.001 < broken.value < 1000


def test_frozen_layers_of_a_named_model(folder):
    text = '[budgets.a]\nmodel = "user_nets:net(frozen=True)"\ninput-size = "1x4x4"\ntrainable_params = 18\n'
    (folder / "inception-lab.toml").write_text(text)
    finding = il.check_budgets().verdicts[0].findings[0]
    assert (finding.passed, finding.value) == (True, 18)


def test_a_test_of_ones_own_can_grow_from_the_lock(folder):
    il.update_lock()
    limits = {"params": {"growth": "10 %"}, "name": "small", "lock": "inception-lab.lock"}
    assert il.check_budget(user_net(), (1, 1, 4, 4), **limits).status == "passed"
    for other in ({"inputs": (2, 1, 4, 4)}, {"inputs": (1, 1, 4, 4), "mode": "train"}):
        with pytest.raises(il.BudgetExceeded, match=r"the lock is of another (mode|input-shapes)"):
            il.check_budget(user_net(), **other, **limits)
    set_width(folder, 3)
    with pytest.raises(il.BudgetExceeded, match=r"0  \+9 .*\n.* 3  \+8 "):
        il.check_budget(user_net(), (1, 1, 4, 4), **limits)
    with pytest.raises(il.InceptionLabError, match="no budget 'smal'; did you mean small"):
        il.check_budget(user_net(), (1, 1, 4, 4), **limits | {"name": "smal"})
    with pytest.raises(il.InceptionLabError, match="there is no such lock"):
        il.check_budget(user_net(), (1, 1, 4, 4), **limits | {"lock": "none.lock"})


UPDATE = "import inception_lab as il; print(il.update_lock().errors)"


def test_two_updates_at_once_leave_a_whole_lock(folder):
    text = il.update_lock().path.read_text()
    (folder / "inception-lab.lock").unlink()
    programs = [
        subprocess.Popen([sys.executable, "-c", UPDATE], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    errors = [program.communicate()[1] for program in programs]
    assert [program.returncode for program in programs] == [0, 0], errors
    assert (folder / "inception-lab.lock").read_text() == text
    assert not [file for file in folder.iterdir() if file.name.startswith(".inception-lab.lock")]


def test_keyword_values_in_the_lock_are_read_back(folder):
    text = (
        '[budgets.a]\nmodel = "user_nets:net"\nkwargs = { width = 2, frozen = false }\ninput-size = "1x4x4"\n'
    )
    (folder / "inception-lab.toml").write_text(text)
    question = read_lock(il.update_lock().path).budgets["a"].question
    assert json.dumps(question, sort_keys=True) == json.dumps(
        {"batch-size": 1, "input-size": ["1x4x4"], "kwargs": {"frozen": False, "width": 2}, "mode": "eval",
         "model": "user_nets:net"}
    )  # fmt: skip


def test_models_that_set_pytorch_differently_do_not_take_turns(folder):
    text = "import torch\nfrom user_nets import net\ntorch.set_default_dtype(torch.float64)\n"
    (folder / "double_nets.py").write_text(text)
    budget = '[budgets.a]\nmodel = "user_nets:net"\ninput-size = "1x4x4"\n'
    budget += 'time = { ratio = 1, to = "double_nets:net" }\n'
    (folder / "inception-lab.toml").write_text(budget)
    message = "default dtype is torch.float64 of double_nets:net and torch.float32 of "
    (finding,) = il.check_budgets().verdicts[0].findings
    assert not finding.passed
    assert finding.reason.startswith(message)
    with pytest.raises(il.BudgetExceeded, match=message):
        il.check_budget(user_net(), (1, 1, 4, 4), time={"ratio": 1, "to": "double_nets:net"})
