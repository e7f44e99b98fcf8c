"""Times and ceilings made by hand, for tables whose arithmetic is to be checked."""

import dataclasses

import pandas as pd

from inception_lab.ir.structure import layer_name
from inception_lab.measure.roofline.limits import Ceilings
from inception_lab.measure.timing.results import CpuTimes
from inception_lab.measure.timing.statistics import Interval, Spread

CEILINGS = Ceilings(
    machine="Made", device="cpu", torch="2.13.0", threads=1, dtype="float32", tf32=False,
    precision="ieee, ieee", seconds=1.0, flops_per_s=1e9, fastest_product="made", bytes_per_s=1e8,
    copy_bytes=2**26, cache_bytes=1000, operation_s=2e-6, product_s=5e-6,
)  # fmt: skip
"""1 ms for a million FLOPs, 1 ms for 100,000 bytes; 2 and 5 microseconds for an operation."""


def times_of(trace, milliseconds, phases=None):
    """Times of the step of a trace.

    Args:
        trace: Of any mode.
        milliseconds: Of layers by path; 0 for all others.
        phases: Milliseconds of layers by path in each phase but the forward, which has the rest; only of a
            training step.
    """
    calls = [call for call in trace.calls if call.executed]
    rows = [(layer_name(call), call.number, call.type) for call in calls] + [("(outside)", 0, "")]
    own = [float(milliseconds.get(layer, 0)) for layer, *_ in rows]
    layers = pd.DataFrame(rows, columns=["layer", "call", "type"]).assign(
        executed=True, self_ms=own, share=[100 * ms / (sum(own) or 1) for ms in own], self_cpu_ms=own
    )
    if trace.context.mode == "train":
        layers["forward_ms"] = own
        for phase in ("loss", "backward"):
            part = [float((phases or {}).get(phase, {}).get(layer, 0)) for layer in layers["layer"]]
            layers[f"{phase}_ms"] = part
            layers["forward_ms"] -= part
    context = {name: getattr(trace.context, name) for name in ("mode", "dtype")}
    context["input_shapes"] = [list(shape) for shape in trace.context.input_shapes]
    context |= {name: getattr(CEILINGS, name) for name in ("machine", "device", "threads", "torch")}
    total = Spread(sum(own), sum(own), sum(own))
    one = Interval(1.0, 1.0, 1.0, 1.0)
    return CpuTimes(context | {"model": "Net", "rounds": 9}, layers, total, total, sum(own), one, one, 1.0, 0)


def changed(times, **facts):
    """The same times with other facts in their context."""
    return dataclasses.replace(times, context=dict(times.context) | facts)
