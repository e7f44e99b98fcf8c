"""TensorBoard itself, on this machine's own address: every view of a recording and of a trace as of CUDA."""

import gzip
import json
import socket
import subprocess
import sys
import time
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from support.profile_traces import cuda_like, write_late
from torch import nn

import inception_lab as il

TIMEOUT = 180
"""Seconds for TensorBoard to start and to load both runs."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, route, **parameters):
    """The answer of the plugin to a request, as its page makes them."""
    address = f"http://127.0.0.1:{port}/data/plugin/pytorch_profiler/{route}?{urlencode(parameters)}"
    with urlopen(address, timeout=30) as response:
        body = response.read()
        return json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A function that asks TensorBoard, and the profiles that it shows."""
    pytest.importorskip("torch_tb_profiler")
    folder = tmp_path_factory.mktemp("logs")
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    cpu = il.record_profile(
        model, (2, 3, 8, 8), folder=folder / "cpu", mode="train", optimizer="sgd", name="net"
    )
    trace = write_late(folder / "made.json", cuda_like())
    il.tensorboard_copy(trace, folder / "cuda")
    profiles = {"cpu/tensorboard": ("net", cpu), "cuda": ("made", il.read_profile(trace))}
    port = free_port()
    words = ["--logdir", str(folder), "--host", "127.0.0.1", "--port", str(port), "--load_fast=false"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *words], stdout=log, stderr=log)
    try:
        wait_for_runs(port, process, profiles.keys(), folder / "log")

        def ask(run, route, **parameters):
            return get(port, route, run=run, worker=profiles[run][0], span="default", **parameters)

        yield ask, {run: profile for run, (_, profile) in profiles.items()}
    finally:
        process.terminate()
        process.wait(30)


def wait_for_runs(port, process, names, log):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        try:
            if set(get(port, "runs")["runs"]) >= set(names):
                return
        except OSError:
            pass  # it does not listen yet
        time.sleep(0.3)
    pytest.fail(f"no runs within {TIMEOUT} seconds: {log.read_text()}")


RUNS = ("cpu/tensorboard", "cuda")


def test_views(server):
    ask, _ = server
    assert ask("cpu/tensorboard", "views") == ["Overview", "Operator", "Trace", "Memory", "Module"]
    assert ask("cuda", "views") == ["Overview", "Operator", "Kernel", "Trace", "Memory", "Module"]


@pytest.mark.parametrize("run", RUNS)
def test_overview(server, run):
    ask, profiles = server
    data, table = ask(run, "overview"), profiles[run].overview
    (total,) = data["performance"]
    assert total["value"] == pytest.approx(1000 * table["duration_ms"].mean(), abs=1)
    parts = {part["name"]: part["value"] for part in total["children"]}
    assert parts["CPU Exec"] == pytest.approx(1000 * table["operator_part_ms"].mean(), abs=1)
    assert parts["Other"] == pytest.approx(1000 * table["other_part_ms"].mean(), abs=1)
    if run == "cuda":
        assert parts["Kernel"] == pytest.approx(1000 * table["kernel_part_ms"].mean(), abs=1) != 0
    assert {"title": "Device Type", "value": "GPU" if run == "cuda" else "CPU"} in data["environments"]


@pytest.mark.parametrize("run", RUNS)
def test_operators(server, run):
    ask, profiles = server
    rows = {row["name"]: row for row in ask(run, "operation/table", group_by="Operation")["data"]}
    table = profiles[run].operators.set_index("operator")
    assert rows.keys() == set(table.index)
    name = "aten::cudnn_convolution" if run == "cuda" else "aten::mkldnn_convolution"
    assert rows[name]["calls"] == table.calls[name]
    if run == "cuda":
        assert rows[name]["device_self_duration"] == round(1000 * table.device_ms[name]) > 0
    else:
        assert rows[name]["host_self_duration"] == pytest.approx(1000 * table.self_host_ms[name], abs=1)
    assert ask(run, "operation", group_by="Operation")["host_self_time"]["rows"]


def test_kernels(server):
    ask, profiles = server
    table = profiles["cuda"].kernels.set_index("kernel")
    rows = {row[0]: row for row in ask("cuda", "kernel/table", group_by="Kernel")["data"]["rows"]}
    assert {name: row[2] for name, row in rows.items()} == table.kernels.to_dict()
    assert dict(ask("cuda", "kernel")["total"]["rows"]) == pytest.approx((1000 * table.device_ms).to_dict())


@pytest.mark.parametrize("run", RUNS)
def test_modules(server, run):
    ask, profiles = server
    rows = {row["name"]: row for row in ask(run, "module")["data"]}
    ranges = {row["layer"] for row in profiles[run].rows["layers"] if row["layer"][0] != "("}
    assert {child["name"] for child in rows["(model)"]["children"]} == ranges
    assert rows["(model)"]["occurences"] == len(profiles[run].overview)


@pytest.mark.parametrize(
    ("run", "name", "device"), [("cpu/tensorboard", "CPU", "cpu"), ("cuda", "GPU0", "cuda:0")]
)
def test_memory(server, run, name, device):
    ask, profiles = server
    curve = ask(run, "memory_curve", time_metric="ms", memory_metric="B")
    assert curve["metadata"]["default_device"] == name
    table = profiles[run].memory
    table = table[table["device"] == device]
    assert max(row[1] for row in curve["rows"][name]) == table["allocated_bytes"].max() > 0
    assert ask(run, "memory", memory_metric="B")["rows"][name]
    assert ask(run, "memory_events")["rows"][name]


@pytest.mark.parametrize("run", RUNS)
def test_trace(server, run):
    ask, profiles = server
    events = ask(run, "trace")["traceEvents"]
    steps = [event for event in events if event["name"].startswith("ProfilerStep#")]
    assert len([step for step in steps if step["cat"] == "user_annotation"]) == len(profiles[run].overview)
    counters = {event["name"] for event in events if event["ph"] == "C"}
    assert counters == ({"GPU 0 Utilization"} if run == "cuda" else set())  # the plugin's own, added
