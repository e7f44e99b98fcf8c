"""Workspaces of a convolution, beside the allocator's events in the same one run for real."""

import os
import subprocess
import sys
from itertools import accumulate

import pytest
import torch
from support.zoo import small_image
from torch import nn
from torch.profiler import ProfilerActivity, profile

import inception_lab as il
from inception_lab.analyzers.memory.cpu_workspaces import Processor, convolution_workspaces
from inception_lab.analyzers.memory.peak import allocator_peak
from inception_lab.measure.hardware import this_processor
from inception_lab.measure.memory import measure_memory

KNOWN = pytest.mark.skipif(this_processor() is None, reason="no rule for the kernels of this processor")


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setenv("KINETO_LOG_LEVEL", "99")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def within(trace, op):
    """The most that a real run of an operation holds beyond what it leaves, by the allocator's events."""
    read = [trace.values[value] for value in op.reads]
    tensors = [torch.empty_strided(v.shape, v.strides, dtype=getattr(torch, v.dtype)).zero_() for v in read]
    run = getattr(torch.ops.aten, op.name.split(".")[1])
    run(*tensors, **dict(op.args))
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as events:
        outputs = run(*tensors, **dict(op.args))
    memory_events = [e for e in events.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(memory_events, key=lambda e: e.start_ns())]
    assert outputs is not None  # alive until here, so that what it leaves is not freed
    return max(accumulate(changes)) - sum(changes)


def convolutions(trace):
    return [op for op in trace.ops if op.base_name in ("convolution", "convolution_backward")]


def channels(model):
    return next(m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d))


class Joined(nn.Module):
    """The gradients of what is joined are parts of one tensor, so that their elements are scattered."""

    def __init__(self):
        super().__init__()
        self.one, self.other = nn.Conv2d(32, 48, 3, padding=1), nn.Conv2d(32, 16, 1)

    def forward(self, x):
        return torch.cat([self.one(x), self.other(x)], 1)


def conv(*args, **kwargs):
    return nn.Conv2d(*args, **kwargs)


EXACT = {
    "dense": (conv(32, 64, 3, padding=1), 28),
    "no bias": (conv(32, 64, 3, padding=1, bias=False), 28),
    "blocks not full": (conv(24, 40, 5, padding=2), 28),
    "blocks of neither size full": (conv(20, 36, 3), 28),
    "asymmetric": (conv(32, 64, (1, 7), padding=(0, 3)), 17),
    "strided": (conv(32, 48, 3, stride=2, padding=1), 56),
    "1x1": (conv(32, 64, 1), 28),
    "strided 1x1 that ends early": (conv(64, 48, 1, stride=2), 37),
    "image": (conv(3, 40, 7, stride=2, padding=3), 64),
    "wide kernel of an image": (conv(3, 64, 11, stride=4), 67),
    "grouped": (conv(64, 64, 3, padding=1, groups=4), 28),
    "depthwise": (conv(40, 40, 3, padding=1, groups=40), 28),
    "blocks of a depthwise one not full": (conv(20, 20, 3, padding=1, groups=20), 28),
    "strided depthwise": (conv(64, 64, 3, stride=2, padding=1, groups=64), 28),
    "after another": (nn.Sequential(conv(3, 32, 3), nn.ReLU(), conv(32, 64, 3), conv(64, 32, 1)), 32),
    "strided after another": (nn.Sequential(conv(3, 32, 3), conv(32, 48, 3, stride=2)), 58),
    "strided 1x1": (nn.Sequential(conv(3, 64, 3), conv(64, 128, 1, stride=2)), 58),
    "depthwise after another": (nn.Sequential(conv(3, 20, 3), conv(20, 20, 3, stride=2, groups=20)), 34),
    "frozen after another": (nn.Sequential(conv(3, 32, 3), conv(32, 64, 3).requires_grad_(False)), 32),
    "joined": (nn.Sequential(conv(3, 32, 3), Joined()), 32),
}  # fmt: skip


@KNOWN
@pytest.mark.parametrize("batch", [1, 2, 16])
@pytest.mark.parametrize("name", EXACT)
def test_convolutions_hold_what_is_predicted(name, batch):
    model, side = EXACT[name]
    trace = il.trace(model, (batch, channels(model), side, side), mode="train")
    predicted = convolution_workspaces(trace, this_processor())
    assert predicted == {op.id: within(trace, op) for op in convolutions(trace)}


FORWARD = {
    **EXACT,
    "padded 1x1": (conv(64, 64, 1, padding=1), 28),
    "wide padded kernel of an image": (conv(3, 32, 7, stride=4, padding=2), 67),
    "large depthwise": (conv(64, 64, 5, padding=2, groups=64), 28),
}


@KNOWN
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", FORWARD)
def test_inference(name, threads):
    model, side = FORWARD[name]
    torch.set_num_threads(threads)
    trace = il.trace(model, (2, channels(model), side, side))
    predicted = convolution_workspaces(trace, this_processor())
    assert predicted == {op.id: within(trace, op) for op in convolutions(trace)}


@KNOWN
def test_avx2(request):
    """The same table where oneDNN is kept to AVX2."""
    if os.environ.get("ONEDNN_MAX_CPU_ISA"):
        pytest.skip("the instruction set is chosen already")
    tests = [f"{request.path}::test_convolutions_hold_what_is_predicted[{name}-2]" for name in EXACT]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        capture_output=True,
        text=True,
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"},
    )
    assert f"{len(EXACT)} passed" in done.stdout, done.stdout


def test_processor_by_the_environment(monkeypatch):
    def block(capability, limit):
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
        processor = this_processor()
        assert processor is None or processor.threads == torch.get_num_threads()
        return processor and processor.block

    assert block("AVX512", "") == block("AVX512", "default") == 16
    assert block("AVX512", "avx2_vnni") == block("AVX2", "") == 8
    assert block("AVX512", "SSE41") is None
    assert block("DEFAULT", "") is block("SVE256", "") is None


UNKNOWN = {
    "dilated": (conv(32, 32, 3, dilation=2), (2, 32, 28, 28)),
    "transposed": (nn.ConvTranspose2d(32, 32, 3), (2, 32, 28, 28)),
    "double": (conv(32, 32, 3).double(), (2, 32, 28, 28)),
    "channels last": (conv(32, 32, 3).to(memory_format=torch.channels_last), (2, 32, 28, 28)),
    "part of a block": (conv(4, 32, 3), (2, 4, 28, 28)),
    "groups of parts": (conv(32, 32, 3, groups=8), (2, 32, 28, 28)),
    "padding wider than the output": (conv(32, 32, 7, padding=3), (2, 32, 2, 2)),
    "all of the source": (conv(32, 64, 7), (2, 32, 7, 7)),
    "along one axis": (nn.Conv1d(32, 32, 3), (2, 32, 28)),
    "along three axes": (nn.Conv3d(32, 32, 3), (2, 32, 8, 8, 8)),
}


NO_GRADIENT = {
    "strided groups": nn.Sequential(conv(3, 64, 3), conv(64, 64, 3, stride=2, groups=4)),
    "depthwise with gaps": nn.Sequential(conv(3, 32, 3), conv(32, 32, 3, stride=4, groups=32)),
    "large depthwise": nn.Sequential(conv(3, 32, 3), conv(32, 32, 5, groups=32)),
}


@pytest.mark.parametrize("name", NO_GRADIENT)
def test_gradients_that_have_no_rule_are_left_out(name):
    trace = il.trace(NO_GRADIENT[name], (2, 3, 32, 32), mode="train")
    first, second, _, of_first = (op.id for op in convolutions(trace))
    assert convolution_workspaces(trace, Processor(16, 1)).keys() == {first, second, of_first}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_rule_is_left_out(name):
    model, shape = UNKNOWN[name]
    trace = il.trace(model, shape, mode="train")
    assert convolutions(trace)
    assert convolution_workspaces(trace, Processor(16, 1)) == {}


def test_columns_by_hand():
    trace = il.trace(conv(4, 8, 3), (1, 4, 6, 6))
    assert convolution_workspaces(trace, Processor(8, 1)) == {0: 4 * (4 * 3 * 3) * (4 * 4)}


@KNOWN
@pytest.mark.parametrize(
    ("name", "mode", "inputs"),
    [
        ("nin", "train", (2, 3, 128, 128)),
        ("googlenet_keras", "eval", small_image("googlenet_keras", 2)),
        ("inception_v2", "train", small_image("inception_v2", 2)),
    ],
)
def test_peak_of_the_allocator(name, mode, inputs):
    model = il.create_model(name, num_classes=10)
    trace = il.trace(model, inputs, mode=mode)
    measurement = measure_memory(model, inputs, mode=mode).allocator_bytes
    assert allocator_peak(trace, this_processor()) == pytest.approx(measurement, rel=1e-4)
    assert il.peak_memory(trace).peak_bytes < 0.985 * measurement
