"""Time of the CPU by layer: each moment in one row, worked out by hand."""

import pytest
from hypothesis import given, settings
from support.profile_strategies import traces
from support.profile_traces import AUTOGRAD, annotation, flow, module, operator, write_trace

import inception_lab as il


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traces")


def host_times(profile):
    """Nanoseconds by layer and phase, or by reason, launcher and phase."""
    tables = (("layers", "layer"), ("unattributed", "reason", "launched_by"))
    return {
        tuple(row[key] for key in (*keys, "phase")): round(1e6 * row["self_host_ms"])
        for name, *keys in tables
        for row in profile.rows[name]
        if row["self_host_ms"]
    }


def layer(path, start, end, thread=(100, 100)):
    return annotation(f"inception_lab.layer: {path}", start, end, thread)


STEP = [
    annotation("ProfilerStep#2", 0, 200),
    annotation("inception_lab.phase: forward", 10, 100),
    layer("(model)", 12, 98),
    layer("block", 20, 60),
    layer("block.conv", 25, 55),
    operator("aten::conv2d", 30, 50),
    operator("aten::convolution", 32, 48),
    operator("aten::cat", 70, 90),
    annotation("inception_lab.phase: backward", 110, 160),
    operator("autograd::engine::evaluate_function: ConvolutionBackward0", 115, 150),
    operator("ConvolutionBackward0", 120, 140),
    operator("aten::add_", 142, 147),
    *flow(1, 32, 120),
]
for event in STEP:  # one thread runs it all, as on the CPU
    event["tid"] = 100


def test_own_time_of_layers_leaves_out_the_layers_within(tmp_path):
    profile = il.read_profile(write_trace(tmp_path / "trace.json", STEP))
    outside = "launched outside every layer"
    node = "ConvolutionBackward0"
    assert host_times(profile) == {
        ("(model)", "forward"): 46_000,  # 86 less the 40 of its block
        ("block", "forward"): 10_000,
        ("block.conv", "forward"): 30_000,
        ("block.conv", "backward"): 20_000,  # by the flow
        (outside, node, "backward"): 10_000,  # 35 less the node and the sum
        (outside, "aten::add_", "backward"): 5_000,
        (outside, "inception_lab.phase: backward", "backward"): 15_000,
        (outside, "inception_lab.phase: forward", "forward"): 4_000,
        (outside, "ProfilerStep", ""): 60_000,
    }
    assert profile.totals["host_ms"] == 0.2


def test_several_threads_add_up(tmp_path):
    events = [module("Net_0", 0, 50), operator("aten::add", 10, 20), operator("aten::mul", 30, 70, AUTOGRAD)]
    profile = il.read_profile(write_trace(tmp_path / "trace.json", events))
    assert host_times(profile) == {
        ("Net_0", "forward"): 50_000,
        ("launched outside every module", "aten::mul", "forward"): 40_000,
    }
    assert profile.totals["host_ms"] == 0.09


def test_a_range_that_ends_a_little_after_its_parent_keeps_its_time(tmp_path):
    events = [module("Net_0", 0, 50), module("Conv2d_0", 10, 50.002), module("ReLU_0", 60, 70)]
    profile = il.read_profile(write_trace(tmp_path / "trace.json", events))
    assert host_times(profile) == {
        ("Net_0", "forward"): 10_000, ("Conv2d_0", "forward"): 40_002, ("ReLU_0", "forward"): 10_000
    }  # fmt: skip


def test_a_flow_that_leads_back_to_its_own_range_does_no_harm(tmp_path):
    events = [operator("aten::relu", 0, 50), *flow(1, 5, 7)]
    events[-1]["tid"] = 100
    profile = il.read_profile(write_trace(tmp_path / "trace.json", events))
    assert host_times(profile) == {("aten::relu", "backward"): 50_000}


@settings(deadline=None)
@given(traces)
def test_all_rows_add_up_to_the_time_that_ranges_cover(folder, events):
    profile = il.read_profile(write_trace(folder / "trace.json", events))
    covered = 0
    for thread in {(event["pid"], event["tid"]) for event in events}:
        moments = {
            moment
            for e in events
            if e["cat"] in ("cpu_op", "python_function") and (e["pid"], e["tid"]) == thread
            for moment in range(round(1000 * e["ts"]), round(1000 * e["ts"]) + round(1000 * e["dur"]))
        }
        covered += len(moments)
    assert sum(host_times(profile).values()) == covered == round(1e6 * profile.totals["host_ms"])
    assert min(host_times(profile).values(), default=0) >= 0


@pytest.mark.parametrize("table", ["layers", "unattributed"])
def test_what_has_neither_time_nor_kernels_has_no_row(tmp_path, table):
    events = [module("Net_0", 5, 5), annotation("idle", 6, 6)]
    assert il.read_profile(write_trace(tmp_path / "trace.json", events)).rows[table] == []
