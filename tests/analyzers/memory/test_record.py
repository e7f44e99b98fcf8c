"""The whole answer of the memory command from Python: its parts beside the functions that compute them."""

import pytest
import torch
from torch import nn

import inception_lab as il


def step_of():
    net = nn.Sequential(nn.Linear(64, 64), nn.Dropout(), nn.Linear(64, 10))
    return il.trace(net, (16, 64), mode="train", loss=torch.sum, optimizer="adam")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_totals_and_peak_are_those_of_the_device(device):
    step = step_of()
    data, peak = il.memory_record(step, device).to_dict(), il.peak_memory(step, device)
    assert data["device"] == device
    assert data["totals"]["train_peak_bytes"] == data["peak"]["bytes"] == peak.peak_bytes
    summary = il.summarise(step).to_dict()
    assert {**data["totals"], "saved_bytes": 0, "train_peak_bytes": 0} == {
        **summary["totals"], "saved_bytes": 0, "train_peak_bytes": 0
    }  # fmt: skip
    assert all(data[name] == summary[name] for name in summary if name not in ("totals", "layers"))
    assert sum(row["bytes"] for row in data["layers"]) == sum(data["peak"]["by_kind"].values())
    assert ("reserved_bytes" in data["peak"]) is (device == "cuda")
    assert ("512 bytes" in data.get("note", "")) is (device == "cuda")


def test_rows_by_module_are_those_of_the_table():
    step = step_of()
    record = il.memory_record(step, "cuda", depth=1)
    assert list(record.rows) == il.memory_by_module(step, 1, "cuda").to_dict("records")
    assert list(record.to_dict())[-1] == "modules"
    assert "layers" not in record.to_dict()


def test_a_further_answer_stands_before_the_rows_and_leaves_the_record_alone():
    record = il.memory_record(step_of())
    longer = record.with_answer("fits", {"batch_size": 3}, "one note").with_answer("measured", {}, "and two")
    assert list(longer.to_dict())[-3:] == ["fits", "measured", "layers"]
    assert longer.to_dict()["note"] == "one note; and two"
    assert not {"fits", "measured", "note"} & record.to_dict().keys()


def test_mistakes():
    with pytest.raises(il.InceptionLabError, match="no memory rules for device 'tpu'"):
        il.memory_record(step_of(), "tpu")
    with pytest.raises(il.InceptionLabError, match="depth"):
        il.memory_record(step_of(), depth=0)
