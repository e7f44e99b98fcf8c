"""`inception-lab time` as a user types it."""

import csv
import io
import json
import re
from decimal import Decimal

import pytest
import torch
from support.typed import typed

import inception_lab
from inception_lab.cli.time_text import LONGEST
from inception_lab.measure.timing.clock import OUTSIDE

SMALL = ("--input-size", "3x64x64", "--seconds", "0")


def run(capsys, *arguments):
    return typed(capsys, "time", *arguments)


def test_the_longest_layers_and_the_step(capsys):
    code, out, err = run(capsys, "nin", *SMALL, "--wide")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "nin, input 1x3x64x64, eval"
    heads = ["Layer", "Type", "Own time (ms)", "Share (%)", "Own CPU time (ms)"]
    assert re.split("  +", lines[2]) == heads
    end = next(place for place, line in enumerate(lines) if line.startswith("and "))
    own = [float(line.split()[-3].replace(",", "")) for line in lines[4:end]]
    assert own == sorted(own, reverse=True)
    assert len(own) == LONGEST
    for word in (
        "Step ",
        "Step without clocks",
        "Cost of measuring",
        "Interquartile range",
        "1x3x64x64, eval",
    ):
        assert word in out


def test_json_adds_up_in_every_digit(capsys):
    _, out, _ = run(capsys, "nin", *SMALL, "--mode", "train", "--optimizer", "momentum", "--batch-size", "2",
                    "--threads", "1", "--format", "json")  # fmt: skip
    data = json.loads(out, parse_float=Decimal)
    assert sum(Decimal(row["self_ms"]) for row in data["layers"]) == data["totals"]["step_ms"]
    assert (data["model"], data["mode"], data["optimizer"], data["threads"]) == (
        "nin",
        "train",
        "momentum",
        1,
    )
    assert data["input_shapes"] == [[2, 3, 64, 64]]
    assert data["layers"][-1]["layer"] == OUTSIDE.path
    assert {"(loss)", "(backward)", "(optimizer)"} <= {row["layer"] for row in data["layers"]}


def test_by_depth_modules_have_rows(capsys):
    _, out, _ = run(capsys, "nin", *SMALL, "--depth", "1", "--format", "json")
    data = json.loads(out, parse_float=Decimal)
    assert "layers" not in data
    assert sum(Decimal(row["self_ms"]) for row in data["modules"]) == data["totals"]["step_ms"]
    assert {"mlpconv1", "(model)", "(outside)"} <= {row["module"] for row in data["modules"]}


def test_phases_are_in_milliseconds_as_all_times(capsys):
    _, out, _ = run(capsys, "nin", *SMALL, "--mode", "train", "--wide")
    _, _, header, _, row, *_ = out.splitlines()
    assert header.split("  ")[-3:] == ["Forward (ms)", "Loss (ms)", "Backward (ms)"]
    assert all(len(figure.partition(".")[2]) == 3 for figure in row.split()[-3:])


def test_csv_is_a_bare_table_in_order_of_execution(capsys, tmp_path):
    path = tmp_path / "times.csv"
    run(capsys, "nin", *SMALL, "--format", "csv", "-o", str(path))
    rows = list(csv.DictReader(io.StringIO(path.read_text())))
    assert list(rows[0]) == [
        "layer",
        "call",
        "type",
        "executed",
        "self_ms",
        "share",
        "self_iqr_ms",
        "self_cpu_ms",
    ]
    assert rows[0]["layer"] == "(model)"
    assert float(rows[0]["self_ms"]) > 0


def test_dtype_memory_format_and_autocast(capsys):
    _, out, _ = run(
        capsys, "nin", *SMALL, "--dtype", "bfloat16", "--channels-last", "--format", "json"
    )  # fmt: skip
    data = json.loads(out)
    assert (data["dtype"], data["memory_format"]) == ("bfloat16", "channels_last")
    _, out, _ = run(capsys, "nin", *SMALL, "--autocast", "bfloat16", "--format", "json")
    assert json.loads(out)["autocast"] == "bfloat16"


def test_several_models_have_ratios(capsys):
    _, out, _ = run(capsys, "nin", "alexnet", *SMALL, "--format", "json")
    data = json.loads(out)
    assert [model["model"] for model in data["models"]] == ["nin", "alexnet"]
    (ratio,) = data["ratios"]
    assert (ratio["model"], ratio["baseline"]) == ("alexnet", "nin")
    assert ratio["ratio_low"] <= ratio["ratio"] <= ratio["ratio_high"]
    for form in ("table", "markdown", "csv"):
        _, out, _ = run(capsys, "nin", "nin(num_classes=10)", *SMALL, "--format", form, "--wide")
        assert out.count("nin") >= 2
        assert "nin(num\\_classes=10)" in out.replace("num_", "num\\_")
        assert ("ratio_low" if form == "csv" else "Ratio low") in out


def test_several_batch_sizes_have_times_per_sample(capsys):
    sizes = ("--batch-size", "2", "--batch-size", "1")
    _, out, _ = run(capsys, "nin", *SMALL, *sizes, "--format", "json")
    data = json.loads(out)
    assert "input_shapes" not in data
    first, second = data["batches"]
    assert (first["batch_size"], second["batch_size"]) == (2, 1)
    assert second["sample_ms"] == second["plain_step_ms"]
    assert "ratio" not in first
    assert second["ratio_low"] <= second["ratio"] <= second["ratio_high"]
    _, out, _ = run(capsys, "nin", *SMALL, *sizes, "--wide")
    assert "Per sample (ms)" in out
    assert "eval, float32, contiguous, eager" in out


def test_models_of_several_types_are_said_to_be(capsys, tmp_path, monkeypatch):
    (tmp_path / "typed_nets.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef narrow():\n"
        "    return nn.Linear(4, 4).to(torch.bfloat16)\n\n\ndef wide():\n    return nn.Linear(4, 4)\n"
    )
    monkeypatch.chdir(tmp_path)
    options = ("--input-size", "4", "--seconds", "0")
    code, out, _ = run(capsys, "typed_nets:narrow", "typed_nets:wide", *options)
    assert code == 0
    assert "dtypes differ" in out


@pytest.fixture
def threads(tmp_path, monkeypatch):
    """Modules `first` and `second` of a net that sets one more thread than there are, and `plain`."""
    net = "import torch\nfrom torch import nn\n\n\ndef net():\n    return nn.Linear(4, 4)\n"
    for name, line in {"first": "+ 1", "second": "+ 1", "plain": ""}.items():
        line = f"torch.set_num_threads(torch.get_num_threads() {line})\n"
        (tmp_path / f"threads_of_{name}.py").write_text(f"{net}\n\n{line}")
    monkeypatch.chdir(tmp_path)
    return torch.get_num_threads()


@pytest.mark.parametrize("order", [("first", "plain"), ("plain", "first"), ("first", "second", "plain")])
def test_models_that_set_different_threads_do_not_take_turns(capsys, threads, order):
    names = [f"threads_of_{name}:net" for name in order]
    code, out, err = run(capsys, *names, "--input-size", "4", "--seconds", "0")
    assert (code, out) == (2, "")
    theirs = {"first": threads + 1, "plain": threads}
    first, last = order[0], order[-1]
    assert err == (
        f"inception-lab: threads is {theirs[first]} of threads_of_{first}:net and {theirs[last]} of "
        f"threads_of_{last}:net; they would run in turns: set the same in both, or run each alone\n"
    )
    assert torch.get_num_threads() == threads


def test_models_run_with_the_threads_that_all_set_or_that_are_given(capsys, threads):
    options = ("--input-size", "4", "--seconds", "0", "--format", "json")
    _, out, _ = run(capsys, "threads_of_first:net", "threads_of_second:net", *options)
    assert [model["threads"] for model in json.loads(out)["models"]] == [threads + 1, threads + 1]
    code, out, _ = run(capsys, "threads_of_first:net", "threads_of_plain:net", "--threads", "1", *options)
    assert code == 0
    assert [model["threads"] for model in json.loads(out)["models"]] == [1, 1]


def test_a_compiled_model_is_said_to_be_one(capsys, monkeypatch):
    monkeypatch.setattr("torch.compile", lambda forward, **_: forward)
    _, out, _ = run(capsys, "nin", *SMALL, "--compile", "--format", "json")
    data = json.loads(out)
    assert data["execution"] == "compiled"
    assert [row["layer"] for row in data["layers"]] == ["(model)", "(outside)"]


def test_a_model_of_ones_own_that_raises(capsys, tmp_path, monkeypatch):
    (tmp_path / "wrong_nets.py").write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(nn.Linear(4, 4), nn.Linear(5, 4))\n"
    )
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, "wrong_nets:net", "--input-size", "4")
    assert (code, out) == (3, "")
    assert len(err.splitlines()) == 1
    assert "wrong_nets:net: cannot run: RuntimeError in 1: " in err
    assert "--traceback shows where" in err


def test_without_a_gpu_nothing_is_built(capsys, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("inception_lab.loading.model.apply_to_several", None)
    code, out, err = run(capsys, "nin", "--device", "cuda")
    assert (code, out) == (2, "")
    assert err == "inception-lab: this machine has no CUDA device; use --device cpu\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nin", "--optimizer", "sgd"], "use --mode train"),
        (["nin", "alexnet", "--depth", "1"], "--depth is of the layers of one model"),
        (["nni"], "did you mean nin"),
        (["nin", "--threads", "0"], "--threads"),
        (["nin", "--seconds", "-1"], "--seconds"),
        ([], "MODEL"),
    ],
)
def test_a_mistake_is_answered_in_one_line(capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize("option", ["-o", "--plot"])
def test_a_file_that_cannot_be_written_costs_no_time(capsys, tmp_path, monkeypatch, option):
    for name in ("layer_times", "measure_roofline"):  # whoever calls one of them fails
        monkeypatch.setattr(inception_lab, name, None)
    folder = tmp_path / "times.png"
    folder.mkdir()
    code, out, err = run(capsys, "nin", *SMALL, option, str(folder))
    assert (code, out) == (2, "")
    assert err == f"inception-lab: {folder}: cannot be written: Is a directory; name another file\n"
