"""A trace that torch.profiler records here, beside torch's own table of it."""

import gzip

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il


def record(path, *, with_stack):
    """Profile a forward and a backward pass, and write the trace."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(5))
    inputs = torch.randn(2, 3, 16, 16)
    model(inputs)
    with profile(activities=[ProfilerActivity.CPU], with_stack=with_stack) as recorder:
        model(inputs).sum().backward()
    recorder.export_chrome_trace(str(path))
    return recorder


def test_operators_are_those_of_torchs_own_table(tmp_path):
    recorder = record(tmp_path / "trace.json", with_stack=False)
    operators = il.read_profile(tmp_path / "trace.json").operators.set_index("operator")
    theirs = {row.key: row for row in recorder.key_averages() if not row.is_user_annotation}
    assert set(operators.index) == set(theirs)
    for name, row in theirs.items():
        # torch counts an operator that calls itself once
        assert operators.calls[name] >= row.count
        # starts and durations are rounded to the nanosecond, each for itself
        ours = 1000 * operators.self_host_ms[name]
        assert ours == pytest.approx(row.self_cpu_time_total, abs=0.02 * row.count)


def test_modules_are_found_and_packing_makes_no_difference(tmp_path):
    path, packed = tmp_path / "trace.json", tmp_path / "trace.json.gz"
    record(path, with_stack=True)
    packed.write_bytes(gzip.compress(path.read_bytes()))
    bare = il.read_profile(path)
    assert bare.context["layers_from"] == "nn.Module events"
    assert bare.rows == il.read_profile(packed).rows
    assert bare.totals["kernels"] == 0
