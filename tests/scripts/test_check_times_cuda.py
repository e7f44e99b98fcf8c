"""The checks of times on a GPU, with the CPU in its place; their arithmetic, and the page that they write."""

import os
import subprocess
import sys
from functools import partial
from math import isnan, nan

import pandas as pd
import pytest
import torch
from support.fake_gpu import FakeGpu

import check_times_cuda
import inception_lab as il
from inception_lab.measure.profile.profile import Profile
from inception_lab.measure.timing import timing
from inception_lab.measure.timing.cuda import measure_on_cuda
from shared import ROOT

SHARE_OF_LAYERS = 75.0
"""Of the kernel time in the profile that stands for a recorded one."""


PROFILE = Profile({}, {"kernel_ms": 4.0}, {"layers": [
    {"layer": "0", "phase": "forward", "device_ms": 3.0, "share": 75.0, "kernels": 1, "self_host_ms": 0}
]})  # fmt: skip
"""Has kernels, as no profile of the CPU does."""


@pytest.fixture
def script(monkeypatch):
    """The script where the CPU plays the GPU, whose every event is 20 ms after the last one."""
    gpu = partial(FakeGpu, tick=20 * 10**6)
    monkeypatch.setitem(timing._MEASURES, "cpu", partial(measure_on_cuda, make_gpu=gpu))
    monkeypatch.setattr(check_times_cuda, "DEVICE", "cpu")
    monkeypatch.setattr(check_times_cuda, "FLUSH_BYTES", 2)
    monkeypatch.setattr(check_times_cuda, "PLAIN_STEPS", 2)
    monkeypatch.setattr(il, "record_profile", lambda *_, **__: PROFILE, raising=False)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    return check_times_cuda


def row(check, figure, spread=1.0, **about):
    return {"check": check, "figure": figure, "spread_percent": spread} | about


def test_a_run_writes_every_check_every_layer_and_the_roofline(script, tmp_path):
    arguments = [
        "--models",
        "nin",
        "--side",
        "64",
        "--batch-size",
        "1",
        "--seconds",
        "0",
        "-o",
        str(tmp_path),
    ]
    code = script.main(arguments)
    names = ("times.csv", "layers.csv", "roofline.csv")
    checks, layers, roofline = (pd.read_csv(tmp_path / name) for name in names)
    assert list(checks["check"]) == [*script.CHECKS, *list(script.CHECKS)[:-1]]
    assert checks.set_index("check").loc["profile", "figure"] == SHARE_OF_LAYERS
    for _, run in checks.groupby("mode"):
        figures = run.set_index("check")["figure"]
        assert figures[["sum", "launches", "repeat", "equal"]].tolist() == [0, 0, 0, 0]
        assert figures["attributed"] >= 90
    for column in ("share_first", "share_second"):
        assert layers.groupby("mode")[column].sum().tolist() == pytest.approx([100, 100], abs=1e-3)
    assert (roofline["model"] == "nin").all()
    page = (tmp_path / "times.md").read_text()
    assert "| nin | train | 1 |" in page
    verdicts = [script.verdict(check) for check in checks.to_dict("records")]
    assert code == (0 if set(verdicts) == {"reached"} else 1)


def test_a_step_that_computes_something_else_under_ranges_is_counted(script, monkeypatch):
    def run(step):
        result = step.run()
        return result._replace(outputs=result.outputs + 1)

    request = script.request_of(torch.nn.Linear(3, 3), (2, 3), mode="train")
    assert script.count_differences(request) == 0
    monkeypatch.setattr(script, "run_with_ranges", run)
    assert script.count_differences(request) == 1
    assert not torch.backends.cudnn.deterministic


def test_a_recorded_profile_without_kernels_has_no_figure(monkeypatch):
    monkeypatch.setattr(check_times_cuda, "DEVICE", "cpu")
    assert isnan(check_times_cuda.profile_share("nin", (1, 3, 64, 64)))
    assert check_times_cuda.verdict(row("profile", nan)) == "missed"


def test_what_was_not_captured_has_no_figure_and_misses(script):
    gpu = FakeGpu(capture_error=RuntimeError("no"))
    timing._MEASURES["cpu"] = partial(measure_on_cuda, make_gpu=lambda: gpu)
    times = il.layer_times(torch.nn.Linear(3, 3), (2, 3), seconds=0)
    figures = script.figures_of(times, times.step_ms, 0.0, 0)
    assert script.verdict(row("replay", figures["replay"], spread=50)) == "missed"
    assert figures["plain"] == 0


@pytest.mark.parametrize(
    ("check", "verdict"),
    [
        (row("plain", -5), "reached"),
        (row("plain", -5.1), "missed"),
        (row("plain", -5.1, spread=11), "too noisy to judge"),
        (row("attributed", 99), "reached"),
        (row("attributed", 98.9, spread=50), "missed"),
        (row("gaps", -0.1), "missed"),
        (row("replay", -60), "reached"),
        (row("replay", nan), "missed"),
        (row("launches", 1, spread=50), "missed"),
    ],
)
def test_verdicts(check, verdict):
    assert check_times_cuda.verdict(check) == verdict


def test_a_note_stands_on_the_page_once():
    about = {"model": "nin", "mode": "eval", "batch": 1, "note": "2 launches without a kernel"}
    checks = pd.DataFrame([row("sum", 0, **about), row("replay", nan, **about)])
    assert check_times_cuda.notes(checks) == ["nin, eval: 2 launches without a kernel."]
    body = check_times_cuda.checks_table(checks).rows
    assert [cells[4:] for cells in body] == [
        ("+0.00 ns", "within 0 ns", "reached"), ("none", "-100 to 2 %", "missed")
    ]  # fmt: skip


def test_without_a_gpu_it_says_so(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert check_times_cuda.main(["-o", str(tmp_path)]) == 2
    assert "no CUDA device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def run_report(output, python, **environment):
    command = ["sh", str(ROOT / "scripts" / "gpu_report.sh"), str(output)]
    variables = os.environ | {"PYTHON": str(python)} | environment
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="it would run for minutes")
def test_the_report_is_one_line_without_a_gpu(tmp_path):
    done = run_report(tmp_path / "gpu", sys.executable)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "this machine has no CUDA device\n"
    assert not (tmp_path / "gpu").exists()


@pytest.mark.parametrize(
    ("failing", "code"), [("none", 0), ("check_times_cuda", 1), ("check_memory_cuda", 1)]
)
def test_the_report_runs_every_script_and_ends_with_1_where_one_fails(tmp_path, failing, code):
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "$@" >>"$CALLS"\ncase "$1" in\n*"$FAILING"*) echo wrong; exit 1;;\nesac\nexit 0\n'
    )
    python.chmod(0o755)
    calls = tmp_path / "calls"
    done = run_report(tmp_path / "gpu", python, CALLS=str(calls), FAILING=failing)
    assert done.returncode == code
    scripts = [line.split()[0] for line in calls.read_text().splitlines() if line.startswith("scripts/")]
    assert scripts == ["scripts/check_memory_cuda.py", "scripts/check_times_cuda.py"]
    assert done.stdout.count("exit code 0") == 2 - code
    assert ("wrong" in done.stderr) == bool(code)
