"""Small traces in the format of torch.profiler, written event by event."""

from __future__ import annotations

import gzip
import json
from typing import Any

Event = dict[str, Any]

MAIN = (100, 100)
AUTOGRAD = (100, 101)


def complete(category: str, name: str, start: float, end: float, thread=MAIN, **args: Any) -> Event:
    """An event with a duration, in microseconds."""
    pid, tid = thread
    times = {"ts": start, "dur": round(end - start, 3)}
    return {"ph": "X", "cat": category, "name": name, "pid": pid, "tid": tid, **times, "args": args}


def operator(name: str, start: float, end: float, thread=MAIN, **args: Any) -> Event:
    return complete("cpu_op", name, start, end, thread, **args)


def module(name: str, start: float, end: float, thread=MAIN) -> Event:
    return complete("python_function", f"nn.Module: {name}", start, end, thread)


def annotation(name: str, start: float, end: float, thread=MAIN) -> Event:
    return complete("user_annotation", name, start, end, thread)


def launch(correlation: int, start: float, thread=MAIN, *, category="cuda_runtime", length=1.0) -> Event:
    return complete(
        category, "cudaLaunchKernel", start, start + length, thread, correlation=correlation, cbid=211
    )


def kernel(correlation: int, start: float, end: float, *, name="gemm", stream=7, category="kernel") -> Event:
    return complete(category, name, start, end, (0, stream), correlation=correlation, device=0, stream=stream)


def flow(number: int, forward: float, backward: float, *, name="fwdbwd") -> list[Event]:
    """An arrow from a forward operator on the main thread to a backward one on autograd's."""
    return [
        {"ph": "s", "id": number, "pid": 100, "tid": 100, "ts": forward, "cat": name, "name": name},
        {"ph": "f", "id": number, "pid": 100, "tid": 101, "ts": backward, "cat": name, "name": name,
         "bp": "e"},
    ]  # fmt: skip


def write_trace(path, events: list[Event], **header: Any):
    """Write a trace; packed where the file's name says so."""
    text = json.dumps({"schemaVersion": 1, **header, "traceEvents": events, "traceName": "made.json"})
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", encoding="utf-8") as file:
        file.write(text)
    return path


def memory(time: float, *, allocated: int, number: int, device=(0, -1), reserved=0, thread=MAIN) -> Event:
    """An event of an allocator: so many bytes handed out, or taken back where the number is negative."""
    kind, index = device
    arguments = {
        "Total Allocated": allocated,
        "Total Reserved": reserved,
        "Bytes": number,
        "Addr": round(1000 * time),
    }
    return {
        "ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", "pid": thread[0],
        "tid": thread[1], "ts": time, "args": arguments | {"Device Type": kind, "Device Id": index},
    }  # fmt: skip


LAYER = "inception_lab.layer: "


def cuda_like(steps=2):
    """Training steps as CUDA records them today, with everything that the plugin takes wrongly."""
    events = []
    for step in range(steps):
        at, number = 1000 * step, 100 * step
        events += [
            annotation(f"ProfilerStep#{step + 2}", at, at + 900),
            complete("gpu_user_annotation", f"ProfilerStep#{step + 2}", at + 30, at + 800, (0, 7)),
            annotation("inception_lab.phase: forward", at + 1, at + 300),
            annotation(LAYER + "(model)", at + 2, at + 299),
            annotation(LAYER + "conv", at + 10, at + 100),
            operator("aten::conv2d", at + 11, at + 99, **{"External id": number + 50}),
            operator("aten::cudnn_convolution", at + 12, at + 98.5, **{"External id": number + 51}),
            annotation(LAYER + "relu", at + 120, at + 150),
            operator("aten::relu", at + 121, at + 149, **{"External id": number + 52}),
            operator("aten::to", at + 200, at + 290, **{"External id": number + 53}),
            annotation("inception_lab.phase: backward", at + 300, at + 700),
            *flow(number + 1, at + 12, at + 402),
        ]
        node = "autograd::engine::evaluate_function: ConvolutionBackward0"
        events += [
            operator(node, at + 400, at + 500, AUTOGRAD, **{"External id": number + 60}),
            operator("ConvolutionBackward0", at + 402, at + 450, AUTOGRAD, **{"External id": number + 61}),
            operator("aten::add_", at + 460, at + 490, AUTOGRAD, **{"External id": number + 62}),
        ]
        for part, (external, start, thread, category) in enumerate(
            [
                (51, 20, None, "cuda_runtime"), (51, 40, None, "cuda_driver"),
                (52, 125, None, "cuda_runtime"), (61, 410, AUTOGRAD, "cuda_runtime"),
                (62, 465, AUTOGRAD, "cuda_runtime"),
            ]
        ):  # fmt: skip
            where = {} if thread is None else {"thread": thread}
            correlation = number + part + 1
            begin = at + start + 15 + 30.123 * part
            call = launch(correlation, at + start, category=category, **where)
            work = kernel(correlation, begin, begin + 20.457 + part, name=f"k{part % 3}", stream=7 + part % 2)
            for event in (call, work):
                event["args"]["External id"] = number + external
            events += [call, work]
        copy = launch(number + 9, at + 210)
        sync = complete("cuda_runtime", "cudaDeviceSynchronize", at + 800, at + 890, correlation=number + 10)
        copy["args"]["External id"] = number + 53
        events += [copy, sync, complete(
            "gpu_memcpy", "Memcpy HtoD", at + 220, at + 240.25, (0, 7), correlation=number + 9, device=0
        )]  # fmt: skip
        events += [
            memory(at + 13, allocated=4096 * (step + 1), number=4096, device=(1, 0), reserved=2**21),
            memory(at + 470, allocated=512, number=512, thread=AUTOGRAD),
        ]
    return events


BASE = 8_780_202_971_748
"""Microseconds since a machine began: a double of it is off by a nanosecond."""


def write_late(path, events, digits=3):
    """Write events at a time of today, in decimals as Kineto does."""
    late = [event | {"ts": f"@{event['ts']:.{digits}f}@"} for event in events]
    text = write_trace(path, late, deviceProperties=[{"id": 0, "name": "GPU"}]).read_text()
    for event in late:
        whole, _, fraction = event["ts"].strip("@").partition(".")
        text = text.replace(f'"{event["ts"]}"', f"{int(whole) + BASE}.{fraction}", 1)
    path.write_text(text)
    return path
