"""Bytes kept for the backward pass on each device: by hand, and against the timeline."""

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.table import memory_totals, saved_by_layer

ROWS, WIDTH = 16, 64
ELEMENTS = ROWS * WIDTH


def step(*layers, shape=(ROWS, WIDTH), **options):
    return il.trace(nn.Sequential(*layers), shape, mode="train", **{"loss": torch.sum} | options)


def saved_by_name(trace, *options):
    table = saved_by_layer(trace, *options)
    return {layer: size for layer, size in zip(table["layer"], table["saved_bytes"], strict=True) if size}


def test_a_dropout_mask_has_four_bytes_an_element_on_the_cpu_and_one_on_cuda():
    """Beside the mask, ReLU keeps its output; the loss is a sum, which keeps nothing."""
    trace = step(nn.Linear(WIDTH, WIDTH), nn.Dropout(), nn.ReLU())
    assert saved_by_name(trace) == {"1": 4 * ELEMENTS, "2": 4 * ELEMENTS}
    assert saved_by_name(trace, "cuda") == {"1": ELEMENTS, "2": 4 * ELEMENTS}
    assert memory_totals(trace)["saved_bytes"] == 8 * ELEMENTS
    assert memory_totals(trace, "cuda")["saved_bytes"] == 5 * ELEMENTS


def test_a_small_mask_takes_a_block_on_cuda():
    trace = step(nn.Linear(4, 3), nn.Dropout(), shape=(2, 4))
    assert saved_by_name(trace) == {"1": 2 * 3 * 4}
    assert saved_by_name(trace, "cuda") == {"1": 512}
    assert saved_by_name(trace, "cuda", 1) == {"1": 2 * 3}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("optimizer", [None, "momentum", "adamw"])
def test_totals_are_those_of_the_rows_and_of_the_peak(device, optimizer):
    model = il.create_model("googlenet", device="meta", aux_logits=True)
    trace = il.trace(model, (2, 3, 224, 224), mode="train", optimizer=optimizer)
    totals = memory_totals(trace, device)
    assert totals["saved_bytes"] == saved_by_layer(trace, device)["saved_bytes"].sum()
    assert totals["train_peak_bytes"] == il.peak_memory(trace, device).peak_bytes
    # all of it is alive at once, when the backward pass begins
    assert totals["saved_bytes"] == il.memory_timeline(trace, device)["saved"].max()


def test_the_record_has_those_of_the_cpu():
    trace = step(nn.Linear(WIDTH, WIDTH), nn.Dropout())
    record = il.summarise(trace)
    assert record.totals["saved_bytes"] == memory_totals(trace, "cpu")["saved_bytes"] == 4 * ELEMENTS
    assert record.frame()["saved_bytes"].tolist() == saved_by_layer(trace)["saved_bytes"].tolist()


@pytest.mark.parametrize("device", DEVICES)
def test_inference_keeps_nothing(device):
    trace = il.trace(nn.Linear(WIDTH, WIDTH), (ROWS, WIDTH))
    assert list(saved_by_layer(trace, device)) == ["layer", "call"]
    assert memory_totals(trace, device) == {"peak_bytes": il.peak_memory(trace, device).peak_bytes}


@pytest.mark.parametrize("function", [saved_by_layer, memory_totals])
def test_an_unknown_device_is_refused(function):
    with pytest.raises(il.InceptionLabError, match="did you mean cuda"):
        function(step(nn.Linear(WIDTH, WIDTH)), "cud")
