"""Each kernel of a trace in one row: the traps of real traces, worked out by hand."""

import pytest
from support.profile_traces import (
    AUTOGRAD,
    annotation,
    flow,
    kernel,
    launch,
    module,
    operator,
    write_trace,
)

import inception_lab as il
from inception_lab.errors import InceptionLabError


def read(tmp_path, events, **header):
    return il.read_profile(write_trace(tmp_path / "trace.json", events, **header))


def layers(profile):
    """Nanoseconds and number of kernels by layer and phase, of those that have some."""
    return {
        (row["layer"], row["phase"]): (round(1e6 * row["device_ms"]), row["kernels"])
        for row in profile.rows["layers"]
        if row["kernels"]
    }


def reasons(profile):
    return {
        (row["reason"], row["launched_by"]): (round(1e6 * row["device_ms"]), row["kernels"])
        for row in profile.rows["unattributed"]
        if row["kernels"]
    }


FORWARD = [
    module("Net_0", 0, 50),
    module("Conv2d_0", 1, 20),
    operator("aten::conv2d", 2, 18),
    operator("aten::cudnn_convolution", 3, 17),
    launch(1, 5),
    launch(2, 8, category="cuda_driver"),
    module("ReLU_0", 21, 30),
    operator("aten::relu", 22, 29),
    launch(3, 25),
    kernel(1, 10, 14.5),
    kernel(2, 15, 16.25, name="gemm2"),
    kernel(3, 27, 29),
]


def test_a_kernel_belongs_to_the_innermost_module_around_its_launch(tmp_path):
    profile = read(tmp_path, FORWARD)
    assert layers(profile) == {("Conv2d_0", "forward"): (5750, 2), ("ReLU_0", "forward"): (2000, 1)}
    assert reasons(profile) == {}
    assert profile.totals == {
        "kernels": 3, "kernel_ms": 0.00775, "busy_ms": 0.00775, "span_ms": 0.019,
        "idle_share": pytest.approx(100 * (19 - 7.75) / 19), "host_ms": 0.05,
    }  # fmt: skip
    assert profile.context["complete"]
    assert profile.context["layers_from"] == "nn.Module events"


def test_tables_of_operators_and_kernels(tmp_path):
    profile = read(tmp_path, FORWARD)
    operators = profile.operators.set_index("operator")
    assert operators.loc["aten::cudnn_convolution"].tolist() == [1, 0.014, 0.00575, 2]
    assert operators.loc["aten::conv2d"].tolist() == [1, 0.002, 0, 0]  # 16 less the 14 of its child
    assert profile.kernels.to_dict("records") == [
        {"kernel": "gemm", "device_ms": 0.0065, "kernels": 2},
        {"kernel": "gemm2", "device_ms": 0.00125, "kernels": 1},
    ]


def test_layers_come_longest_first_with_their_shares(tmp_path):
    table = read(tmp_path, FORWARD).layers
    assert list(table.columns) == ["layer", "phase", "device_ms", "share", "kernels", "self_host_ms"]
    assert table["layer"].tolist() == ["Conv2d_0", "ReLU_0", "Net_0"]
    assert table["share"].tolist() == pytest.approx([100 * 5.75 / 7.75, 100 * 2 / 7.75, 0])


def test_without_modules_operators_are_the_layers(tmp_path):
    events = [event for event in FORWARD if event["cat"] != "python_function"]
    profile = read(tmp_path, events)
    assert layers(profile) == {
        ("aten::cudnn_convolution", "forward"): (5750, 2),
        ("aten::relu", "forward"): (2000, 1),
    }
    assert profile.context["layers_from"] == "operators"


def test_ranges_of_this_project_go_before_modules(tmp_path):
    profile = read(tmp_path, [*FORWARD, annotation("inception_lab.layer: inception3a.branch1.conv", 1, 20)])
    assert layers(profile) == {("inception3a.branch1.conv", "forward"): (5750, 2)}
    assert reasons(profile) == {("launched outside every layer", "aten::relu"): (2000, 1)}


@pytest.mark.parametrize("phase", ["forward", "loss", "backward", "optimizer"])
def test_ranges_of_this_project_tell_the_phase(tmp_path, phase):
    profile = read(tmp_path, [annotation(f"inception_lab.phase: {phase}", 0, 60), *FORWARD])
    assert {row["phase"] for row in profile.rows["layers"]} == {phase}


@pytest.mark.parametrize(
    ("runtime", "driver"),
    [("Runtime", "Driver"), ("hip_runtime", "hip_driver"), ("HIP_Runtime", "xpu_driver")],
)
@pytest.mark.parametrize(
    ("kernel_category", "operator_category"), [("Kernel", "Operator"), ("kernel", "cpu_op")]
)
def test_categories_of_other_versions_and_vendors(
    tmp_path, runtime, driver, kernel_category, operator_category
):
    names = {
        "cuda_runtime": runtime,
        "cuda_driver": driver,
        "kernel": kernel_category,
        "cpu_op": operator_category,
    }
    renamed = [event | {"cat": names.get(event["cat"], event["cat"])} for event in FORWARD]
    assert layers(read(tmp_path, renamed)) == layers(read(tmp_path, FORWARD))


BACKWARD = [
    *flow(1, 3, 102),
    operator("autograd::engine::evaluate_function: ConvolutionBackward0", 100, 120, AUTOGRAD),
    operator("ConvolutionBackward0", 102, 115, AUTOGRAD),
    operator("aten::convolution_backward", 103, 114, AUTOGRAD),
    launch(4, 105, AUTOGRAD),
    operator("aten::add_", 116, 119, AUTOGRAD),
    launch(5, 117, AUTOGRAD),
    operator("autograd::engine::evaluate_function: torch::autograd::AccumulateGrad", 121, 130, AUTOGRAD),
    operator("torch::autograd::AccumulateGrad", 122, 129, AUTOGRAD),
    launch(6, 125, AUTOGRAD),
    kernel(4, 110, 117),
    kernel(5, 120, 121),
    kernel(6, 130, 132.5),
]


@pytest.mark.parametrize("name", ["fwdbwd", "forward_backward"])
def test_a_backward_kernel_belongs_to_the_module_of_its_forward_operator(tmp_path, name):
    renamed = [
        event | ({"cat": name, "name": name} if event["cat"] == "fwdbwd" else {}) for event in BACKWARD
    ]
    profile = read(tmp_path, FORWARD + renamed)
    assert layers(profile)["Conv2d_0", "backward"] == (7000, 1)
    assert layers(profile)["Conv2d_0", "forward"] == (5750, 2)
    # sums of gradients and their accumulation are no module's, and each names what launched it
    assert reasons(profile) == {
        ("launched outside every module", "aten::add_"): (1000, 1),
        ("launched outside every module", "torch::autograd::AccumulateGrad"): (2500, 1),
    }
    assert {row["phase"] for row in profile.rows["unattributed"]} == {"backward"}


def test_without_modules_a_backward_kernel_belongs_to_its_forward_operator(tmp_path):
    events = [event for event in FORWARD + BACKWARD if event["cat"] != "python_function"]
    profile = read(tmp_path, events)
    assert layers(profile)["aten::cudnn_convolution", "backward"] == (7000, 1)
    assert layers(profile)["torch::autograd::AccumulateGrad", "backward"] == (2500, 1)


def test_a_flow_id_that_comes_twice_leads_from_the_latest_forward(tmp_path):
    later = [event | {"ts": event["ts"] + 100} for event in flow(1, 0, 0) if event["ph"] == "s"]
    earlier = [event | {"ts": 23} for event in flow(1, 0, 0) if event["ph"] == "s"]
    # of the starts at 3, 23 and 100, the one at 100 lies in no module, and the one at 23 in ReLU_0
    profile = read(tmp_path, [*FORWARD, *BACKWARD, *earlier])
    assert layers(profile)["ReLU_0", "backward"] == (7000, 1)
    profile = read(tmp_path, [*FORWARD, *BACKWARD, *earlier, *later, operator("aten::x", 100, 101)])
    assert ("launched outside every module", "ConvolutionBackward0") in reasons(profile)


def test_a_module_that_runs_again_within_the_backward_pass_keeps_its_kernels(tmp_path):
    events = [
        module("Conv2d_0", 0, 20),
        operator("aten::conv2d", 2, 18),
        *flow(1, 2, 102),
        operator("CheckpointFunctionBackward", 102, 130, AUTOGRAD),
        module("ReLU_0", 105, 115, AUTOGRAD),
        operator("aten::relu", 106, 114, AUTOGRAD),
        launch(1, 108, AUTOGRAD),
        kernel(1, 109, 112),
    ]
    assert layers(read(tmp_path, events)) == {("ReLU_0", "backward"): (3000, 1)}


def test_a_backward_pass_within_a_module_goes_to_the_forward_modules(tmp_path):
    trainer = module("Trainer_0", 90, 200, AUTOGRAD)
    profile = read(tmp_path, [*FORWARD, *BACKWARD, trainer])
    assert layers(profile)["Conv2d_0", "backward"] == (7000, 1)
    assert layers(profile)["Trainer_0", "backward"] == (3500, 2)


def test_an_optimizer_step_is_a_phase_of_its_own(tmp_path):
    events = [
        *FORWARD,
        annotation("Optimizer.step#SGD.step", 60, 80),
        operator("aten::_foreach_add_", 62, 70),
        launch(9, 65),
        kernel(9, 66, 70),
    ]
    profile = read(tmp_path, events)
    assert reasons(profile) == {("launched outside every module", "aten::_foreach_add_"): (4000, 1)}
    assert set(profile.unattributed["phase"]) == {"optimizer"}


def test_a_kernel_whose_launch_is_not_in_the_trace_is_shown_as_such(tmp_path):
    profile = read(tmp_path, [*FORWARD, kernel(77, 30, 40), kernel(0, 50, 51)])
    assert reasons(profile) == {
        ("launch not in the trace", ""): (10_000, 1),
        ("no correlation in the trace", ""): (1000, 1),
    }
    assert not profile.context["complete"]


def test_kernels_of_a_graph_share_its_one_launch(tmp_path):
    graph = launch(40, 40) | {"name": "cudaGraphLaunch"}
    kernels = [kernel(40, start, start + 1, name=f"k{start}") for start in range(60, 65)]
    profile = read(tmp_path, [*FORWARD, graph, *kernels])
    assert layers(profile)["Net_0", "forward"] == (5000, 5)
    profile = read(tmp_path, [*FORWARD, graph | {"ts": 55}, *kernels])
    assert reasons(profile) == {("launched outside every module", "cudaGraphLaunch"): (5000, 5)}


def test_kernels_that_overlap_on_two_streams_are_busy_once(tmp_path):
    events = [
        launch(1, 0), launch(2, 1), launch(3, 2), launch(4, 3),
        kernel(1, 10, 20), kernel(2, 15, 30, stream=8),
        kernel(3, 40, 44, category="gpu_memcpy"), kernel(4, 43, 45, category="gpu_memset"),
    ]  # fmt: skip
    totals = read(tmp_path, events).totals
    assert (totals["kernel_ms"], totals["busy_ms"], totals["span_ms"]) == (0.025, 0.025, 0.035)
    assert totals["kernels"] == 2


def test_annotations_on_the_gpu_take_no_part(tmp_path):
    # a nanosecond wider than what they wrap, and by themselves the longest on the GPU
    wide = kernel(0, 9.999, 29.001, name="Net", category="gpu_user_annotation")
    profile = read(tmp_path, [*FORWARD, wide])
    assert layers(profile) == layers(read(tmp_path, FORWARD))
    assert profile.totals == read(tmp_path, FORWARD).totals


@pytest.mark.parametrize("name", ["ac2g", "async_cpu_to_gpu"])
def test_flows_from_launches_to_kernels_take_no_part(tmp_path, name):
    # they lead astray: correlation alone counts
    flows = [event | {"tid": 100, "cat": name, "name": name} for event in flow(1, 25, 10) + flow(3, 5, 27)]
    assert layers(read(tmp_path, [*FORWARD, *flows])) == layers(read(tmp_path, FORWARD))


def test_whole_microseconds_count_as_decimals_do(tmp_path):
    whole = [
        operator("aten::a", 0, 10),
        operator("aten::b", 10, 20),
        launch(1, 10, length=2),
        kernel(1, 1_695_835_572_943_613, 1_695_835_572_943_625),
    ]
    assert layers(read(tmp_path, whole)) == {("aten::b", "forward"): (12_000, 1)}


def test_decimals_are_read_exactly(tmp_path):
    """Sums in doubles would lose every nanosecond of these timestamps."""
    path = tmp_path / "trace.json"
    start = "1695835542514261"
    kernels = ",".join(
        f'{{"ph": "X", "cat": "kernel", "name": "k", "ts": {start}.{at:03}, "dur": 0.001}}'
        for at in range(0, 100, 2)
    )
    path.write_text(f'{{"traceEvents": [{kernels}]}}')
    totals = il.read_profile(path).totals
    assert (totals["kernel_ms"], totals["busy_ms"], totals["span_ms"]) == (0.00005, 0.00005, 0.000099)


@pytest.mark.parametrize(
    ("duration", "nanoseconds"), [("1e1", 10_000), ("2.5", 2500), ("0.0004", 0), ("0.0006", 1), ("7", 7000)]
)
def test_durations_in_other_notations(tmp_path, duration, nanoseconds):
    path = tmp_path / "trace.json"
    path.write_text(f'{{"traceEvents": [{{"ph": "X", "cat": "kernel", "ts": 0, "dur": {duration}}}]}}')
    assert il.read_profile(path).totals["kernel_ms"] == nanoseconds / 1e6


def test_of_two_calls_with_one_correlation_the_inner_one_launched(tmp_path):
    events = [
        module("Net_0", 0, 50), launch(1, 5, length=20),
        module("Inner_0", 8, 20), launch(1, 10, category="cuda_driver"),
        kernel(1, 30, 31),
    ]  # fmt: skip
    assert layers(read(tmp_path, events)) == {("Inner_0", "forward"): (1000, 1)}
    assert layers(read(tmp_path, events[::-1])) == {("Inner_0", "forward"): (1000, 1)}


def test_launches_of_other_threads_and_processes_are_not_within_a_range(tmp_path):
    profile = read(tmp_path, [*FORWARD, launch(9, 5, AUTOGRAD), kernel(9, 30, 31)])
    assert reasons(profile) == {("launched outside every module", "cudaLaunchKernel"): (1000, 1)}


def test_a_trace_without_gpu_events_has_zeros_and_its_operators(tmp_path):
    profile = read(tmp_path, [operator("aten::conv2d", 0, 10), operator("aten::add", 2, 5)])
    assert {name for name, value in profile.totals.items() if value} == {"host_ms"}
    assert profile.layers["self_host_ms"].tolist() == [0.007, 0.003]
    assert profile.layers["device_ms"].tolist() == [0, 0]
    assert profile.unattributed.empty
    assert dict(profile.operators[["operator", "self_host_ms"]].to_numpy()) == {
        "aten::conv2d": 0.007,
        "aten::add": 0.003,
    }


def test_launches_whose_kernel_is_lost_are_counted(tmp_path):
    sync = launch(8, 40) | {"name": "cudaStreamSynchronize"}
    driver = launch(9, 42, category="cuda_driver") | {"name": "cuLaunchKernelEx"}
    context = read(tmp_path, [*FORWARD, sync, launch(7, 33), driver]).context
    assert (context["complete"], context["lost_kernels"]) == (False, 2)
    assert "lost_kernels" not in read(tmp_path, FORWARD).context


def test_the_header_tells_devices_and_rank(tmp_path):
    devices = [{"id": 0, "name": "NVIDIA H100"}, {"id": 1, "name": "another"}]
    profile = read(tmp_path, FORWARD, deviceProperties=devices, distributedInfo={"rank": 3})
    assert profile.context["devices"] == ["NVIDIA H100"]
    assert profile.context["rank"] == 3
    assert "devices" not in read(tmp_path, FORWARD, deviceProperties="?", distributedInfo=[]).context
    for number in ([], {}, "0", None):
        damaged = [{"id": number, "name": "GPU"}]
        assert "devices" not in read(tmp_path, FORWARD, deviceProperties=damaged).context


def test_the_json_has_the_fields_that_other_programs_read(tmp_path):
    data = read(tmp_path, [*FORWARD, kernel(77, 30, 40)]).to_dict()
    assert data["schema"] == 1
    assert {"tool", "file", "complete", "totals", "layers", "unattributed"} <= data.keys()
    assert {"kernel_ms", "busy_ms", "span_ms"} <= data["totals"].keys()
    assert all({"device_ms", "kernels", "phase", "layer"} <= row.keys() for row in data["layers"])
    assert all({"reason", "kernels", "device_ms"} <= row.keys() for row in data["unattributed"])


@pytest.mark.parametrize("path", [None, 5, b"x", "a\0b"], ids=repr)
def test_what_is_not_a_path_is_refused(path):
    with pytest.raises(InceptionLabError, match="is not a path"):
        il.read_profile(path)
