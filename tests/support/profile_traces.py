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
    arguments = {"Total Allocated": allocated, "Total Reserved": reserved, "Bytes": number, "Addr": 1}
    return {
        "ph": "i", "cat": "cpu_instant_event", "s": "t", "name": "[memory]", "pid": thread[0],
        "tid": thread[1], "ts": time, "args": arguments | {"Device Type": kind, "Device Id": index},
    }  # fmt: skip
