"""Operators and kernels beside the tables of TensorBoard's plugin, of a trace that it reads rightly."""

import random

import pytest
from support.profile_traces import annotation, kernel, launch, operator, write_trace

import inception_lab as il

data = pytest.importorskip("torch_tb_profiler.profiler.data")

# the plugin knows launches by this category alone
OLD_CATEGORIES = {"cuda_runtime": "Runtime", "kernel": "Kernel", "cpu_op": "Operator"}
FACTS = {
    "grid": [1, 1, 1], "block": [1, 1, 1], "registers per thread": 1, "shared memory": 0,
    "est. achieved occupancy %": 50, "blocks per SM": 1.0,
}  # fmt: skip


def old_trace(layers):
    """Operators within operators, each with kernels on two streams that overlap."""
    rng = random.Random(7)
    events = [annotation("ProfilerStep#1", 0, 100 * layers + 100)]
    for number in range(layers):
        start = 100 * number
        events += [
            operator(f"aten::outer_{number % 3}", start, start + 90, **{"External id": 3 * number + 1}),
            operator(f"aten::inner_{number % 5}", start + 10, start + 50, **{"External id": 3 * number + 2}),
        ]
        for part, external in ((1, 2), (2, 2), (3, 1)):
            correlation = 3 * number + part
            at = start + 15 * part + 10
            ran = rng.uniform(1, 60)
            events += [
                launch(correlation, at),
                kernel(correlation, at + 5, at + 5 + ran, name=f"k{part}", stream=6 + part),
            ]
            for event in events[-2:]:
                event["args"] |= {"External id": 3 * number + external, **FACTS}
    return [event | {"cat": OLD_CATEGORIES.get(event["cat"], event["cat"])} for event in events]


def test_operators_and_kernels_are_those_of_the_plugin(tmp_path):
    events = old_trace(layers=40)
    device = {"id": 0, "name": "GPU", "computeMajor": 8, "computeMinor": 0, "numSms": 1}
    header = {"schemaVersion": 1, "deviceProperties": [device]}
    theirs = data.RunProfileData.from_json("worker", 0, {**header, "traceEvents": [dict(e) for e in events]})
    ours = il.read_profile(write_trace(tmp_path / "trace.json", events, **header))

    operators = ours.operators.set_index("operator")
    assert len(theirs.op_list_groupby_name) == len(operators) == 8
    for row in theirs.op_list_groupby_name:
        assert row.calls == operators.calls[row.name]
        assert row.self_device_duration / 1000 == pytest.approx(operators.device_ms[row.name])
    kernels = ours.kernels.set_index("kernel")
    sums = theirs.kernel_stat.groupby("name")[["count", "sum"]].sum()
    assert sums["count"].to_dict() == kernels.kernels.to_dict()
    assert (sums["sum"] / 1000).to_dict() == pytest.approx(kernels.device_ms.to_dict())
