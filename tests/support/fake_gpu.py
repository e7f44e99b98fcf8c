"""A GPU without hardware: the CPU runs the operations, each innermost one counting as the launch of a kernel.

The trace is a real one of torch.profiler on the CPU, with its ranges, operators and flows; launches and
kernels are put into it afterwards. Events read a clock that nothing but they themselves and tests move.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import torch
from torch.profiler import ProfilerActivity, profile

from inception_lab.measure.profile.attribution import EVALUATE
from inception_lab.measure.real_runs import quiet_profiler
from inception_lab.measure.timing.cuda import measure_on_cuda
from inception_lab.running.request import request_of
from inception_lab.running.stand_ins import cpu_copy, cpu_input
from inception_lab.running.step import Placement, prepared, settled_by_running

CPU = Placement("cpu", cpu_copy, cpu_input)

KERNEL_US = 0.5


class FakeEvent:
    """Moves the clock by a tick and reads it when it is recorded."""

    def __init__(self, gpu):
        self._gpu = gpu

    def record(self):
        self._gpu.now += self._gpu.tick
        self.ns = self._gpu.now

    def elapsed_time(self, end_event):
        return (end_event.ns - self.ns) / 1e6


class FakeGpu:
    """Runs on the CPU.

    Args:
        tick: Nanoseconds by which the clock moves at each event.
        capture_error: What a capture raises.
        edit: Changes the events of the trace before it is written.
    """

    cold_cache = True

    def __init__(self, tick=10**9, capture_error=None, edit=lambda events: events):
        self.now, self.tick, self.capture_error, self.edit = 0, tick, capture_error, edit
        self.log = []

    def event(self):
        return FakeEvent(self)

    def settle(self):
        self.log.append("settle")

    def synchronize(self):
        self.log.append("synchronize")

    @contextmanager
    def recording(self, path: Path) -> Iterator[None]:
        with quiet_profiler(), profile(activities=[ProfilerActivity.CPU]) as session:
            yield
        session.export_chrome_trace(str(path))
        trace = json.loads(path.read_text())
        trace["traceEvents"] = self.edit([*trace["traceEvents"], *gpu_events(trace["traceEvents"])])
        path.write_text(json.dumps(trace))

    def side_stream(self):
        return nullcontext()

    @contextmanager
    def capture(self):
        self.log.append("capture")
        if self.capture_error is not None:
            raise self.capture_error
        yield SimpleNamespace(replay=lambda: self.log.append("replay"))


def gpu_events(events):
    """A launch within each innermost operator, and its kernel right after the one before."""
    operators = [e for e in events if e.get("cat") == "cpu_op" and not e["name"].startswith(EVALUATE)]
    operators = [e for e in operators if e["name"].startswith("aten::")]
    free = 0.0
    for number, event in enumerate(sorted(innermost(operators), key=lambda e: float(e["ts"])), 1):
        start = float(event["ts"])
        arguments = {"correlation": number, "device": 0, "stream": 7}
        common = {"ph": "X", "args": arguments}
        yield common | {"cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": event["pid"],
                        "tid": event["tid"], "ts": start, "dur": 0.001}  # fmt: skip
        free = max(free, start)
        yield common | {"cat": "kernel", "name": event["name"], "pid": 0, "tid": 7, "ts": round(free, 3),
                        "dur": KERNEL_US}  # fmt: skip
        free += KERNEL_US


def innermost(operators):
    """The operators within which no other one begins."""
    by_start = sorted(operators, key=lambda e: (e["pid"], e["tid"], float(e["ts"]), -float(e["dur"])))
    for event, following in zip(by_start, [*by_start[1:], None], strict=True):
        same_thread = following is not None and following["tid"] == event["tid"]
        if not same_thread or float(following["ts"]) >= float(event["ts"]) + float(event["dur"]):
            yield event


def measured_on(gpu, models, inputs, **options):
    """The measurements of models on such a GPU, whose rounds take turns."""
    with torch.random.fork_rng([]), ExitStack() as stack:
        requests = [request_of(model, one, **options) for model, one in zip(models, inputs, strict=True)]
        steps = [stack.enter_context(prepared(request, CPU, settled_by_running)) for request in requests]
        return measure_on_cuda(steps, 0, make_gpu=lambda: gpu)


def times_on(gpu, model, inputs, **options):
    """The times of a model on such a GPU."""
    (measurement,) = measured_on(gpu, [model], [inputs], **options)
    return measurement.times
