"""Steps split into parts that add up, and the memory curve, worked out by hand."""

import pytest
from hypothesis import given, settings
from support.profile_strategies import traces
from support.profile_traces import annotation, complete, kernel, launch, memory, operator, write_trace

import inception_lab as il

PARTS = ["kernel", "copy", "memset", "runtime", "data_loader", "operator", "other"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traces")


def overview(tmp_path, events):
    rows = il.read_profile(write_trace(tmp_path / "trace.json", events)).rows["overview"]
    return {
        row["step"]: [round(1e6 * row["duration_ms"])]
        + [round(1e6 * row[f"{part}_part_ms"]) for part in PARTS]
        for row in rows
    }


STEP = [
    annotation("ProfilerStep#3", 0, 100),
    annotation("enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", 2, 12),
    operator("aten::to", 5, 10),
    operator("aten::conv2d", 20, 60),
    operator("aten::convolution", 25, 55),
    launch(1, 30, length=5),
    kernel(1, 40, 50),
    kernel(1, 45, 57, stream=8),
    complete("gpu_memcpy", "Memcpy HtoD", 56, 70, (0, 7), correlation=1, device=0),
    complete("gpu_memset", "Memset", 68, 75, (0, 7), correlation=1, device=0),
]


def test_a_moment_counts_to_the_first_part_that_goes_on(tmp_path):
    # kernels 40 to 57, the copy from 57 on, the memset from 70 on; the operator has 20 to 30 and 35 to 40
    expected = [100_000, 17_000, 13_000, 5_000, 5_000, 10_000, 15_000, 35_000]
    assert overview(tmp_path, STEP) == {"ProfilerStep#3": expected}


def test_a_step_lasts_until_its_kernels_are_over_and_the_next_begins_there(tmp_path):
    events = [
        annotation("ProfilerStep#1", 0, 100), launch(1, 10), kernel(1, 90, 130),
        annotation("ProfilerStep#2", 100, 180), launch(2, 110), kernel(2, 130, 150),
    ]  # fmt: skip
    durations = {step: duration for step, (duration, *_) in overview(tmp_path, events).items()}
    assert durations == {"ProfilerStep#1": 130_000, "ProfilerStep#2": 50_000}


def test_work_from_before_the_first_step_delays_it(tmp_path):
    events = [kernel(9, 0, 30), annotation("ProfilerStep#1", 10, 100), launch(1, 20), kernel(1, 40, 60)]
    assert overview(tmp_path, events)["ProfilerStep#1"][:2] == [70_000, 20_000]


def test_without_steps_the_whole_trace_is_one(tmp_path):
    events = [operator("aten::add", 10, 20), operator("aten::mul", 40, 50)]
    assert overview(tmp_path, events) == {"(trace)": [40_000, 0, 0, 0, 0, 0, 20_000, 20_000]}
    assert overview(tmp_path, []) == {}


@settings(deadline=None)
@given(traces)
def test_parts_add_up_to_the_step_and_none_is_negative(folder, events):
    steps = [annotation("ProfilerStep#1", 0, 30), annotation("ProfilerStep#2", 30, 60)]
    for duration, *parts in overview(folder, [*steps, *events]).values():
        assert sum(parts) == duration
        assert min(parts) >= 0


def test_the_memory_curve(tmp_path):
    events = [
        operator("aten::empty", 10, 20),
        memory(12, allocated=512, number=512),
        memory(15, allocated=4096, number=4096, device=(1, 0), reserved=2**21),
        memory(18, allocated=0, number=-512),
        memory(19, allocated=7, number=7, device=(20, 1), reserved=9),
    ]
    events.append({key: value for key, value in events[1].items() if key != "cat"} | {"ts": 20.5})  # old ones
    table = il.read_profile(write_trace(tmp_path / "trace.json", events)).memory
    assert table["time_ms"].tolist() == [0.002, 0.005, 0.008, 0.009, 0.0105]
    assert table["device"].tolist() == ["cpu", "cuda:0", "cpu", "device type 20:1", "cpu"]
    assert table["allocated_bytes"].tolist() == [512, 4096, 0, 7, 512]
    assert table["reserved_bytes"].fillna(-1).tolist() == [-1, 2**21, -1, 9, -1]


@pytest.mark.parametrize("arguments", [{}, {"Total Allocated": "1"}, None])
def test_memory_events_that_tell_no_total_are_left_out(tmp_path, arguments):
    event = memory(12, allocated=512, number=512) | {"args": arguments}
    assert il.read_profile(write_trace(tmp_path / "trace.json", [event])).memory.empty
