"""Copies for TensorBoard beside our tables, by the plugin's own loader; and what differs in them."""

import gzip
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profile_traces import (
    LAYER,
    annotation,
    complete,
    cuda_like,
    flow,
    kernel,
    memory,
    module,
    operator,
    write_late,
    write_trace,
)
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError


def views(trace, folder):
    """What the plugin makes of the copy of a trace: its data, and the views that it draws."""
    data = pytest.importorskip("torch_tb_profiler.profiler.data")
    from torch_tb_profiler.profiler.run_generator import RunGenerator

    copy = il.tensorboard_copy(trace, folder)
    loaded = data.RunProfileData.parse("worker", None, str(copy), str(folder))
    return loaded, RunGenerator("worker", None, loaded).generate_run_profile()


def copied(tmp_path, events, **header):
    copy = il.tensorboard_copy(write_trace(tmp_path / "trace.json", events, **header), tmp_path)
    return json.loads(gzip.decompress(copy.read_bytes()))


@pytest.fixture
def made(tmp_path):
    trace = write_late(tmp_path / "made.json", cuda_like())
    return il.read_profile(trace), *views(trace, tmp_path / "logs")


def test_a_plain_trace_is_shown_wrongly(tmp_path):
    """Else there would be no need for a copy."""
    data = pytest.importorskip("torch_tb_profiler.profiler.data")
    logging.getLogger("pytorch_profiler").setLevel(logging.CRITICAL)
    trace = write_late(tmp_path / "made.json", cuda_like())
    loaded = data.RunProfileData.parse("worker", None, str(trace), str(tmp_path))
    assert sum(row.self_device_duration for row in loaded.op_list_groupby_name) == 0
    assert loaded.steps_names != ["2", "3"]


def test_kernels(made):
    ours, loaded, run = made
    kernels = ours.kernels.set_index("kernel")
    theirs = loaded.kernel_stat
    assert theirs["count"].to_dict() == kernels.kernels.to_dict() == {"k0": 4, "k1": 4, "k2": 2}
    assert (theirs["sum"] / 1000).to_dict() == pytest.approx(kernels.device_ms.to_dict(), abs=1e-9)
    assert sum(value for _, value in run.kernel_pie["total"]["rows"]) == pytest.approx(
        1000 * ours.totals["kernel_ms"]
    )
    by_operator = {(row.name, row.op_name): row.calls for row in loaded.kernel_list_groupby_name_op}
    assert by_operator == {
        ("k0", "aten::cudnn_convolution"): 2, ("k1", "aten::cudnn_convolution"): 2, ("k2", "aten::relu"): 2,
        ("k0", "ConvolutionBackward0"): 2, ("k1", "aten::add_"): 2,
    }  # fmt: skip


def test_operators(made):
    ours, loaded, _ = made
    table = ours.operators.set_index("operator")
    assert {row.name: row.calls for row in loaded.op_list_groupby_name} == table.calls.to_dict()
    device = {row.name: row.self_device_duration / 1000 for row in loaded.op_list_groupby_name}
    copies = {"aten::to": 2 * 0.02025}  # which are no kernels
    expected = {name: time + copies.get(name, 0) for name, time in table.device_ms.items()}
    assert device == pytest.approx(expected, abs=1e-8)
    assert device["aten::cudnn_convolution"] == pytest.approx(2 * (0.020457 + 0.021457))


def overview_rows(run):
    names = [column["name"] for column in run.overview["steps"]["columns"] if "name" in column]
    return [dict(zip(names, [row[0], *row[1::2]], strict=True)) for row in run.overview["steps"]["rows"]]


NAMES = {
    "Kernel": "kernel_part_ms", "Memcpy": "copy_part_ms", "Memset": "memset_part_ms",
    "Runtime": "runtime_part_ms", "DataLoader": "data_loader_part_ms", "CPU Exec": "operator_part_ms",
    "Other": "other_part_ms",
}  # fmt: skip


def agree(ours, run):
    """Assert that the plugin's overview is ours, to its rounding of times to a nanosecond."""
    rows = overview_rows(run)
    assert [f"ProfilerStep#{row.pop('Step')}" for row in rows] == ours.overview["step"].tolist()
    for theirs, row in zip(rows, ours.rows["overview"], strict=True):
        expected = {name: 1000 * row[NAMES[name]] for name in theirs}
        # a nanosecond for each end of each of a few thousand ranges, which mostly cancel
        assert theirs == pytest.approx(expected, abs=0.1)


def test_overview(made):
    ours, _, run = made
    agree(ours, run)
    assert [row["Kernel"] > 50 for row in overview_rows(run)] == [True, True]


def module_rows(stats):
    for row in stats or ():
        yield row
        yield from module_rows(row.children)


def test_modules(made):
    ours, _, run = made
    rows = {row.name: row for row in module_rows(run.module_stats)}
    assert [row.name for row in run.module_stats] == ["(model)"]
    assert [row.name for row in rows["(model)"].children] == ["conv", "relu"]
    assert {name: row.occurences for name, row in rows.items()} == {"(model)": 2, "conv": 2, "relu": 2}
    device = {
        row["layer"]: 1000 * row["device_ms"] for row in ours.rows["layers"] if row["phase"] == "forward"
    }
    for name in ("conv", "relu"):  # the plugin's modules have no backward
        assert rows[name].device_duration == pytest.approx(device[name])
    assert rows["conv"].host_duration == pytest.approx(2 * 90, abs=0.01)
    assert rows["(model)"].host_duration == pytest.approx(2 * 297, abs=0.01)


def test_memory(made):
    ours, loaded, run = made
    curves = run.get_memory_curve(time_metric="us", memory_metric="B", patch_for_step_plot=False)["rows"]
    ours = ours.memory
    for name, device in (("CPU", "cpu"), ("GPU0", "cuda:0")):
        table = ours[ours["device"] == device]
        times, allocated, _ = zip(*curves[name], strict=True)
        assert list(allocated) == table["allocated_bytes"].tolist()
        since = [time - times[0] for time in times]
        expected = [1000 * (time - table["time_ms"].iloc[0]) for time in table["time_ms"]]
        assert since == pytest.approx(expected, abs=0.002)
    assert loaded.memory_snapshot.get_peak_memory()[1, 0] == 8192


def test_under_the_old_name_of_flows_the_plugin_would_fail(tmp_path):
    """Why flows keep their category: it takes for granted that every module has a backward operator."""
    data = pytest.importorskip("torch_tb_profiler.profiler.data")
    copy = copied(tmp_path, cuda_like())
    for event in copy["traceEvents"]:
        event["cat"] = "forward_backward" if event.get("cat") == "fwdbwd" else event.get("cat")
    with pytest.raises(TypeError):
        data.RunProfileData.from_json("worker", None, copy)


def test_the_plugin_has_nothing_to_complain_of(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="pytorch_profiler"):
        views(write_late(tmp_path / "made.json", cuda_like()), tmp_path / "logs")
    assert caplog.records == []


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        return self.head(self.head(self.block(x))).mean((2, 3))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A training step recorded here, the plugin's data and its views."""
    folder = tmp_path_factory.mktemp("profile")
    ours = il.record_profile(Net(), (2, 3, 8, 8), folder=folder, mode="train", optimizer="adam", name="net")
    return ours, *views(folder / "net.trace.json.gz", folder / "again")


def test_operators_of_a_recorded_step(recorded):
    ours, loaded, _ = recorded
    table = ours.operators.set_index("operator")
    theirs = {row.name: row for row in loaded.op_list_groupby_name}
    assert theirs.keys() == set(table.index)
    for name, row in theirs.items():
        # an operator that calls itself alone counts once there, as in torch's own tables
        assert table.calls[name] / 2 <= row.calls <= table.calls[name]
        assert row.self_host_duration == pytest.approx(1000 * table.self_host_ms[name], abs=0.01 * row.calls)


def test_overview_and_modules_of_a_recorded_step(recorded):
    ours, _, run = recorded
    agree(ours, run)
    assert [view.name for view in run.views] == ["overall", "operator", "trace", "memory", "module"]
    rows = {row.name: row for row in module_rows(run.module_stats)}
    assert {name: row.occurences for name, row in rows.items()} == {
        "(model)": 3, "block": 3, "block.0": 3, "block.1": 3, "block.2": 3, "head": 6, "(loss)": 3,
        "(optimizer)": 3,
    }  # fmt: skip
    assert [row.name for row in rows["block"].children] == ["block.0", "block.1", "block.2"]
    forward = {
        row["layer"]: 1000 * row["self_host_ms"] for row in ours.rows["layers"] if row["phase"] == "forward"
    }
    for name in ("(model)", "block", "block.1", "head"):
        row = rows[name]
        own = row.host_duration - sum(child.host_duration for child in row.children)
        assert own == pytest.approx(forward[name], abs=0.1)


def test_memory_of_a_recorded_step(recorded):
    ours, loaded, run = recorded
    peak = loaded.memory_snapshot.get_peak_memory()[0, -1]
    assert peak == ours.memory["allocated_bytes"].max() > 0
    statistics = run.get_memory_stats(memory_metric="B")["rows"]["CPU"]
    assert sum(row[3] for row in statistics if row[0] == "aten::empty") > 0


spans = st.tuples(st.integers(0, 3000), st.integers(0, 3000)).map(sorted)


@settings(deadline=None, max_examples=50)
@given(st.lists(spans, min_size=1, max_size=12))
def test_no_operator_is_lost_whatever_the_digits(tmp_path_factory, intervals):
    """Nested, adjacent and equal ranges at times that a double does not hold; overlapping ones are cut."""
    folder = tmp_path_factory.mktemp("copy")
    intervals = [[0, 4000], *intervals]
    events = [
        operator(f"op{number}", start / 1000, end / 1000) for number, (start, end) in enumerate(intervals)
    ]
    loaded, _ = views(write_late(folder / "trace.json", events), folder)
    assert {row.name for row in loaded.op_list_groupby_name} == {event["name"] for event in events}
    nested = all(
        a[1] <= b[0] or b[1] <= a[0] or (a[0] <= b[0] and b[1] <= a[1]) or (b[0] <= a[0] and a[1] <= b[1])
        for a in intervals
        for b in intervals
    )
    if nested:
        durations = {row.name: row.host_duration for row in loaded.op_list_groupby_name}
        expected = {event["name"]: event["dur"] for event in events}
        assert durations == pytest.approx(expected, abs=0.0011)


def test_what_else_is_changed(tmp_path):
    loader = "enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__"
    events = [
        annotation(loader, 0, 10), annotation("mine", 0, 10),
        operator("aten::add", 2, 8, **{"External id": 4}),
        complete("hip_runtime", "hipLaunchKernel", 3, 4, correlation=7, **{"External id": 99}),
        kernel(7, 5, 6), memory(3, allocated=1, number=1, device=(12, 0)),
        complete("gpu_user_annotation", "mine", 5, 6, (0, 7)), *flow(1, 2, 5),
        {"ph": "X", "pid": 1, "tid": 1, "ts": 1}, {"ph": "M", "name": "process_name", "pid": 1},
    ]  # fmt: skip
    del events[4]["args"]["device"]
    copy = copied(tmp_path, events, baseTimeNanoseconds=10**18, rate=0.5)
    assert list(copy)[-1] == "traceEvents"
    assert copy["baseTimeNanoseconds"] == 10**18 - 10**9  # times count from a second before the first
    assert copy["rate"] == 0.5
    assert [event.get("cat") for event in copy["traceEvents"]] == [
        "cpu_op", "user_annotation", "cpu_op", "Runtime", "kernel", "cpu_instant_event", "gpu_annotation",
        "fwdbwd", "fwdbwd", "", None,
    ]  # fmt: skip
    call, work, state = copy["traceEvents"][3:6]
    assert call["args"]["External id"] == work["args"]["External id"] == 4  # of the operator around the call
    assert work["args"]["device"] == 0
    assert state["args"]["Device Type"] == 1
    assert [event["ts"] for event in copy["traceEvents"][:3]] == [1e6, 1e6, 1e6 + 2]
    assert copy["traceEvents"][-2]["dur"] == 0


def test_modules_of_with_stack_stay_the_modules(tmp_path):
    events = [module("Net_0", 0, 9), annotation(LAYER + "net", 1, 8)]
    assert len(copied(tmp_path, events)["traceEvents"]) == 2


def test_a_layer_in_two_places_is_one_module(tmp_path):
    events = [
        annotation(LAYER + name, start, end)
        for name, start, end in [
            ("a", 0, 9),
            ("shared", 1, 2),
            ("shared", 3, 4),
            ("b", 10, 19),
            ("shared", 11, 12),
        ]
    ]
    modules = [e["args"] for e in copied(tmp_path, events)["traceEvents"] if e["cat"] == "python_function"]
    ids = [(m["Python id"], m["Python parent id"], m["Python module id"]) for m in modules]
    a, first, second, b, other = ids
    assert first == second == (first[0], a[0], first[2])
    assert other == (other[0], b[0], first[2])
    assert len({a[0], b[0], first[0], other[0]}) == 4
    assert a[1] is b[1] is None


@pytest.mark.parametrize(
    ("name", "copy"),
    [
        ("x.json", "x"), ("x.json.gz", "x"), ("x.pt.trace.json.gz", "x"), ("x.trace.json", "x"),
        ("torchvision.models:resnet50.json", "torchvision_models_resnet50"),
        ("host_1.170000.json", "host_1_170000"), ("ä.json", "trace"),
    ],
)  # fmt: skip
def test_the_name_of_the_copy(tmp_path, name, copy):
    path = il.tensorboard_copy(write_trace(tmp_path / name, [operator("a", 0, 1)]), tmp_path / "logs")
    assert path == tmp_path / "logs" / f"{copy}.pt.trace.json.gz"
    assert path.exists()


@pytest.mark.parametrize(
    "event", [{"ph": "X", "cat": "kernel"}, {"ph": "X", "cat": "?"}, {"ph": "i", "ts": "?"}]
)
def test_a_damaged_trace_is_refused_and_nothing_is_written(tmp_path, event):
    path = write_trace(tmp_path / "bad.json", [operator("a", 0, 1), event])
    with pytest.raises(InceptionLabError, match=r"bad.json: event '' has no valid"):
        il.tensorboard_copy(path, tmp_path / "logs")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.json"]


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=12), st.sampled_from([True, None, 1.5, 10**20, [0.25, "1.5"]]))
def test_arguments_and_names_are_kept(tmp_path_factory, name, value):
    folder = tmp_path_factory.mktemp("copy")
    event = operator(name, 0, 1, given=value, nested={"deep": [value]}, **{"External id": 3})
    (copy,) = copied(folder, [event])["traceEvents"]
    assert copy["args"] == event["args"]
    assert copy["name"] == name
