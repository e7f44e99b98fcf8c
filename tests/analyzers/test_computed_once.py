"""Each analysis of one trace runs once, whoever asks for it and how often."""

import sys
from collections import Counter
from contextlib import contextmanager
from inspect import unwrap

import pytest

import inception_lab as il
from inception_lab.analyzers import cost, reductions
from inception_lab.analyzers.memory import by_module, cpu_workspaces, cuda_allocator, devices, peak, table
from inception_lab.analyzers.memory import timeline as timeline_module
from inception_lab.ir import structure

ANALYSES = {
    "on_device": devices.on_device,
    "timeline": timeline_module.memory_timeline,
    "live bytes": timeline_module.live_bytes,
    "peak": peak._peak,
    "allocator peak": peak.allocator_peak,
    "workspaces": cpu_workspaces.convolution_workspaces,
    "by module": by_module.memory_by_module,
    "saved": table.saved_by_layer,
    "reserved": cuda_allocator.reserved_memory,
    "layer costs": cost.layer_costs,
    "module costs": cost.module_costs,
    "branch costs": cost.branch_costs,
    "reductions": reductions.reduction_saving,
    "layer calls": structure.layer_calls,
    "places": structure.places,
    "weighted products": structure.weighted_products,
    "depth": structure.weighted_depth,
}
NAMES = {unwrap(function).__code__: name for name, function in ANALYSES.items()}


@contextmanager
def computations():
    """Count how often the body of each analysis runs, by name."""
    counts = Counter()

    def count(frame, event, _):
        if event == "call" and frame.f_code in NAMES:
            counts[NAMES[frame.f_code]] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(before)


@pytest.fixture
def trace():
    model = il.create_model("googlenet", device="meta")
    return il.trace(model, (2, 3, 224, 224), mode="train", optimizer="momentum")


def test_a_report_computes_its_memory_once(trace):
    with computations() as counts:
        for _ in range(2):
            il.summarise(trace)
            il.peak_memory(trace)
            il.memory_timeline(trace)
            il.memory_by_module(trace)
            il.reserved_memory(trace)
    assert counts == {
        "layer costs": 1, "depth": 1, "layer calls": 1, "saved": 1, "timeline": 1, "peak": 1, "by module": 1,
        "reserved": 1, "weighted products": 1, "live bytes": 1,
        "on_device": 2,  # for cpu and for cuda
    }  # fmt: skip


def test_costs_are_computed_once(trace):
    with computations() as counts:
        for _ in range(2):
            il.summarise(trace, [cost.COST])
            il.layer_costs(trace)
            il.module_costs(trace, depth=1)
            il.module_costs(trace)
            il.branch_costs(trace)
            il.reduction_saving(trace)
    names = ("layer costs", "module costs", "branch costs", "reductions", "layer calls", "places", "depth")
    assert counts == dict.fromkeys([*names, "weighted products"], 1)


def test_each_device_has_results_of_its_own(trace):
    with computations() as counts:
        for device in ("cpu", "cuda", "cpu", "cuda"):
            il.peak_memory(trace, device)
            il.memory_timeline(trace, device=device)
    assert counts == {"on_device": 2, "timeline": 2, "live bytes": 2, "peak": 2}
    assert il.peak_memory(trace).peak_bytes < il.peak_memory(trace, "cuda").peak_bytes


def test_workspaces_are_computed_once_for_each_processor(trace):
    processors = [cpu_workspaces.Processor(block, threads=1) for block in (8, 16, 8)]
    with computations() as counts:
        for processor in processors:
            peak.allocator_peak(trace, processor)
    assert counts == {"on_device": 1, "live bytes": 1, "workspaces": 2, "allocator peak": 2}


TABLES = [
    il.layer_costs, il.module_costs, il.branch_costs, il.reduction_saving, il.memory_timeline,
    il.memory_by_module, lambda trace: il.peak_memory(trace).tensors,
]  # fmt: skip


@pytest.mark.parametrize("analysis", TABLES)
def test_a_table_that_is_changed_is_changed_for_its_reader_alone(trace, analysis):
    changed, before = analysis(trace), analysis(trace).copy()
    changed.iloc[:, -1] = 0
    changed["mine"] = 1
    assert analysis(trace).equals(before)


def test_a_peak_that_is_changed_is_changed_for_its_reader_alone(trace):
    before = dict(il.peak_memory(trace).by_kind)
    il.peak_memory(trace).by_kind["saved"] = 0
    assert il.peak_memory(trace).by_kind == before
