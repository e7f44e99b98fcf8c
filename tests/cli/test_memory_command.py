"""`inception-lab memory` as a user types it."""

import csv
import io
import json
import sys

import pytest
import torch
from support.typed import typed

import inception_lab as il
from inception_lab.measure.hardware import this_processor

SMALL = ("--input-size", "3x64x64")


def run(capsys, *arguments):
    return typed(capsys, "memory", *arguments)


def test_the_peak_and_what_makes_it_up(capsys):
    code, out, _ = run(capsys, "googlenet")
    assert code == 0
    assert "38,230,112   36.5 MiB in norm2" in out
    assert "27,994,208" in out


def test_json_has_the_context_and_totals_of_the_summary(capsys):
    _, out, _ = run(
        capsys, "googlenet", *SMALL, "--mode", "train", "--optimizer", "adamw", "--format", "json"
    )
    data = json.loads(out)
    model = il.create_model("googlenet", device="meta")
    step = il.trace(model, (1, 3, 64, 64), mode="train", optimizer="adamw", name="googlenet")
    assert (data["optimizer"], data["loss"], data["schema"]) == ("adamw", "cross_entropy", 1)
    assert data["totals"] == il.summarise(step).to_dict()["totals"]
    assert data["peak"]["bytes"] == data["totals"]["train_peak_bytes"] == il.peak_memory(step).peak_bytes
    assert sum(data["peak"]["by_kind"].values()) == data["peak"]["bytes"]
    assert sum(row["bytes"] for row in data["layers"]) == data["peak"]["bytes"]
    assert data == il.memory_record(step).to_dict()


def test_by_module_adds_up(capsys):
    arguments = (*SMALL, "--mode", "train", "--optimizer", "momentum", "--by", "module", "--format", "json")
    _, out, _ = run(capsys, "googlenet", *arguments)
    data = json.loads(out)
    assert sum(row["bytes"] for row in data["modules"]) == data["peak"]["bytes"]
    by_module = {row["module"]: row for row in data["modules"]}
    fc = 1024 * 1000 + 1000
    assert by_module["fc"]["parameters"] == by_module["fc"]["optimizer_state"] == 4 * fc
    assert by_module["(inputs)"]["inputs"] == 4 * 3 * 64 * 64


def test_csv_is_a_bare_table(capsys):
    _, out, _ = run(capsys, "googlenet", *SMALL, "--format", "csv")
    assert list(next(csv.DictReader(io.StringIO(out)))) == ["layer", "shape", "dtype", "kind", "bytes"]


def test_the_largest_batch_fits_and_one_more_does_not(capsys):
    arguments = (*SMALL, "--mode", "train", "--optimizer", "sgd")
    _, out, _ = run(
        capsys, "googlenet_bn", *arguments, "--batch-size", "2", "--fits", "100MiB", "--format", "json"
    )
    fits = json.loads(out)["fits"]
    model = il.create_model("googlenet_bn", device="meta")

    def peak(batch):
        step = il.trace(model, (batch, 3, 64, 64), mode="train", optimizer="sgd")
        return il.peak_memory(step).peak_bytes

    assert peak(fits["batch_size"]) == fits["peak_bytes"] <= 100 * 2**20 < fits["one_more_bytes"]
    assert fits["one_more_bytes"] == peak(fits["batch_size"] + 1)


def test_measured_beside_predicted(capsys):
    arguments = (*SMALL, "--mode", "train", "--batch-size", "2", "--measure", "--format", "json")
    _, out, _ = run(capsys, "googlenet", *arguments)
    measured = json.loads(out)["measured"]
    assert measured["tracked_error_bytes"] == 0
    assert measured["tracked_bytes"] == measured["predicted_bytes"]
    predicted = measured["predicted_allocator_bytes"]
    assert predicted - measured["allocator_bytes"] == measured["allocator_error_bytes"]
    if this_processor():
        assert abs(measured["allocator_error_bytes"]) <= measured["allocator_bytes"] / 200
    _, out, _ = run(capsys, "googlenet", *arguments[:-2])
    assert "Allocator" in out


def test_a_processor_without_rules_is_said(capsys, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    _, out, _ = run(capsys, "nin", *SMALL, "--measure", "--format", "json")
    data = json.loads(out)
    assert "no rule for this processor" in data["note"]
    assert data["measured"]["predicted_allocator_bytes"] == data["measured"]["predicted_bytes"]


def test_what_is_measured_is_what_was_predicted_in_mixed_precision_too(capsys):
    arguments = (*SMALL, "--mode", "train", "--batch-size", "2", "--measure", "--format", "json")
    _, out, _ = run(capsys, "googlenet_bn", *arguments, "--optimizer", "momentum", "--autocast", "bfloat16")
    assert json.loads(out)["measured"]["tracked_error_bytes"] == 0
    _, out, _ = run(capsys, "googlenet_3x3", *SMALL, "--measure", "--dtype", "bfloat16", "--format", "json")
    assert json.loads(out)["measured"]["tracked_error_bytes"] == 0


def test_cuda_is_said_not_to_be_all(capsys):
    arguments = (*SMALL, "--mode", "train", "--optimizer", "adamw", "--device", "cuda", "--format", "json")
    _, out, _ = run(capsys, "googlenet", *arguments)
    data = json.loads(out)
    assert "512 bytes" in data["note"]
    assert data["peak"]["bytes"] % 512 == 0
    assert data["totals"]["train_peak_bytes"] == data["peak"]["bytes"]
    assert all(row["bytes"] % 512 == 0 for row in data["layers"])


def test_what_is_kept_for_the_backward_pass_is_as_the_device_has_it(capsys, tmp_path, monkeypatch):
    """Log-probabilities, targets and their total weight, and dropout's mask: on CUDA of bytes, in blocks."""
    (tmp_path / "dropped_nets.py").write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(nn.Linear(64, 64), nn.Dropout())\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = ("dropped_nets:net", "--input-size", "64", "--batch-size", "16", "--mode", "train")
    saved = {}
    for device in ("cpu", "cuda"):
        _, out, _ = run(capsys, *arguments, "--device", device, "--format", "json")
        saved[device] = json.loads(out)["totals"]["saved_bytes"]
    elements = 16 * 64
    assert saved["cpu"] == 4 * elements + 8 * 16 + 4 + 4 * elements
    assert saved["cuda"] == 4 * elements + 512 + 512 + elements
    sys.modules.pop("dropped_nets")


def test_fused_operations_are_taken_as_the_cpu_has_them(capsys):
    kwargs = ("--kwargs", "input_size=8", "--kwargs", "hidden_size=16")
    arguments = ("torch.nn:LSTM", "--input-size", "10x8", *kwargs, "--measure", "--format", "json")
    _, out, _ = run(capsys, *arguments)
    data = json.loads(out)
    assert data["measured"]["tracked_error_bytes"] == 0
    assert "in inference has no rule: allocator_bytes is a lower bound" in data["note"]
    _, out, _ = run(capsys, *arguments, "--mode", "train")
    data = json.loads(out)
    assert data["measured"]["tracked_error_bytes"] == 0
    assert "note" not in data


def test_on_cuda_a_batch_fits_where_its_allocator_gets_through(capsys):
    arguments = (*SMALL, "--mode", "train", "--device", "cuda", "--fits", "200MiB", "--context", "0")
    _, out, _ = run(capsys, "googlenet", *arguments, "--format", "json")
    data = json.loads(out)
    fits = data["fits"]
    _, out, _ = run(capsys, "googlenet", *arguments, "--format", "json", "--batch-size", "18")
    requested = json.loads(out)["fits"]
    assert requested.pop("requested")["fits"] is True
    assert requested == fits
    assert fits["peak_bytes"] <= fits["reserved_bytes"] <= 200 * 2**20
    assert data["peak"]["reserved_bytes"] >= data["peak"]["bytes"]
    model = il.create_model("googlenet", device="meta")
    more = il.trace(model, (fits["batch_size"] + 1, 3, 64, 64), mode="train")
    with pytest.raises(il.InceptionLabError, match="not enough"):
        il.reserved_memory(more, limit=200 * 2**20)
    _, out, _ = run(capsys, "googlenet", *arguments)
    assert "would run out of it" in out
    assert "Reserved" in out


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ("googlenet --optimizer sgd", 2, "--mode train"),
        ("googlenet --fits nonsense", 2, "40 MiB"),
        ("googlenet --fits=", 2, "40 MiB"),
        ("googlenet --fits 1GiB --format csv", 2, "json"),
        ("googlenet --measure --format csv", 2, "json"),
        ("googlenet --depth 2", 2, "--by module"),
        ("googlenet --optimizer lion --mode train", 2, "adamw"),
        ("googlenet --device tpu", 2, "cuda"),
        ("googlenet --input-size 3x20x20", 3, "31"),
    ],
)
def test_mistakes(capsys, arguments, code, message):
    exit_code, out, err = run(capsys, *arguments.split())
    assert (exit_code, out) == (code, "")
    assert err.count("\n") == 1
    assert message in err


def test_where_not_even_one_fits_the_answer_is_no(capsys):
    code, out, err = run(capsys, "googlenet", *SMALL, "--fits", "1KiB")
    assert code == 1
    assert "not even one" in out
    assert err.endswith("not even one fits into 1KiB\n")
    _, _, err = run(capsys, "googlenet", *SMALL, "--fits", "80")
    assert err.endswith("not even one fits into 80; name a unit, such as 80GiB\n")


def test_a_model_that_runs_for_real_has_a_peak_but_no_largest_batch(capsys, tmp_path, monkeypatch):
    (tmp_path / "asking_nets.py").write_text(
        "from torch import nn\n\n\nclass Asking(nn.Linear):\n"
        "    def forward(self, x):\n        return super().forward(x) if x.sum() > -1 else x\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    arguments = (
        "asking_nets:Asking",
        "--input-size",
        "4",
        "--kwargs",
        "in_features=4",
        "--kwargs",
        "out_features=2",
    )
    code, out, _ = run(capsys, *arguments)
    assert code == 0
    assert "ran for real" in out
    code, _, err = run(capsys, *arguments, "--fits", "1MiB")
    assert (code, "runs for real" in err) == (2, True)
