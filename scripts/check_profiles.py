"""Read real traces of torch.profiler and check that every kernel is in exactly one row.

Per trace: kernels, their time, busy time and span in microseconds, the share of kernel time whose launch is
in the trace, the share launched within a layer and that led to one by the backward of its operator, seconds
and peak memory of reading it in a process of its own; and the views of TensorBoard's plugin, made by its own
loader from a copy, that show something else.

Usage: python scripts/check_profiles.py FOLDER
       python scripts/check_profiles.py --synthetic MB
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from inception_lab.measure.profile.attribution import BY_FLOW, NO_CORRELATION, NO_LAUNCH, WITHIN
from inception_lab.measure.profile.profile import Profile, read_profile
from inception_lab.report.text import render
from tensorboard_views import INSTALL, disagreements, plugin_is_there, views_of_copy

ROW_FLAG, VIEWS_FLAG = "--row", "--views"
NONE = "none"
KIBIBYTES = 1024 if sys.platform == "darwin" else 1
"""Units of the peak memory that the system tells in one KiB."""

COLUMNS = (
    "trace", "MB", "kernels", "kernel_us", "busy_us", "span_us", "linked_percent", "within_percent",
    "by_flow_percent", "layers_from", "closes", "seconds", "peak_MiB", "differing_views", "fault",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the traces of a folder, or one of a given size; 1 where one cannot be read or does not close."""
    parser = argparse.ArgumentParser(description="Read real traces of torch.profiler and check their sums.")
    parser.add_argument("folder", nargs="?", type=Path, help="traces, .json or .json.gz")
    parser.add_argument("--synthetic", type=int, metavar="MB", help="read a made trace of this size instead")
    parser.add_argument(ROW_FLAG, type=Path, help=argparse.SUPPRESS)
    parser.add_argument(VIEWS_FLAG, action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.row:
        row = check(options.row)  # before the plugin takes memory
        views = {"differing_views": differing_views(options.row)} if options.views else {}
        print(json.dumps(row | views))
        return 0
    if options.synthetic:
        rows = [synthetic_row(options.synthetic)]
    elif options.folder:
        if not plugin_is_there():
            parser.exit(2, f"check_profiles: TensorBoard's plugin is missing; {INSTALL}\n")
        paths = sorted(p for p in options.folder.iterdir() if p.name.endswith((".json", ".json.gz")))
        rows = [row_of(path, VIEWS_FLAG) for path in paths]
    else:
        parser.error("name a folder, or --synthetic MB")
    print(render(rows, COLUMNS, "table"), end="")
    fine = [row["closes"] and row.get("differing_views", NONE) == NONE for row in rows]
    return 0 if rows and all(fine) else 1


def row_of(path: Path, *flags: str) -> dict[str, Any]:
    """Read a trace in a process of its own, which has nothing else in memory."""
    command = [sys.executable, __file__, ROW_FLAG, str(path), *flags]
    reading = subprocess.run(command, capture_output=True, text=True, check=False)
    if reading.returncode:
        return {"trace": path.name, "closes": False, "fault": reading.stderr.strip().splitlines()[-1]}
    row: dict[str, Any] = json.loads(reading.stdout)
    return row


def check(path: Path) -> dict[str, Any]:
    """Read a trace and return its row of the table."""
    start = time.perf_counter()
    profile = read_profile(path)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES / 1024
    totals = profile.totals
    return {
        "trace": path.name,
        "MB": path.stat().st_size / 1e6,
        "kernels": totals["kernels"],
        **{f"{name}_us": f"{1000 * totals[f'{name}_ms']:,.3f}" for name in ("kernel", "busy", "span")},
        "linked_percent": 100 - route_percent(profile, NO_LAUNCH, NO_CORRELATION),
        "within_percent": route_percent(profile, WITHIN),
        "by_flow_percent": route_percent(profile, BY_FLOW),
        "layers_from": profile.context["layers_from"],
        "closes": closes(profile),
        "seconds": seconds,
        "peak_MiB": peak,
    }


def differing_views(path: Path) -> str:
    """The names of the views that TensorBoard shows otherwise; `none` where there are none."""
    return ", ".join(disagreements(read_profile(path), views_of_copy(path))) or NONE


def route_percent(profile: Profile, *routes: str) -> float:
    """The share of the kernel time that took one of some routes to a layer, or to none."""
    times = [row["device_ms"] for row in profile.rows["routes"] if row["route"] in routes]
    return 100 * float(sum(times)) / (profile.totals["kernel_ms"] or 1)


def closes(profile: Profile) -> bool:
    """True where rows of layers and unattributed ones add up to the totals, to the nanosecond."""
    rows = [*profile.rows["layers"], *profile.rows["unattributed"]]
    time_of_rows = sum(round(1e6 * row["device_ms"]) for row in rows)
    kernels_of_rows = sum(row["kernels"] for row in rows)
    whole = (round(1e6 * profile.totals["kernel_ms"]), profile.totals["kernels"])
    return (time_of_rows, kernels_of_rows) == whole


def synthetic_row(megabytes: int) -> dict[str, Any]:
    """Write a trace of a size, read it, and return its row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"synthetic_{megabytes}MB.json"
        with path.open("w") as file:
            file.write('{"schemaVersion": 1, "traceEvents": [{"ph": "M", "name": "process_name"}')
            for number, event in enumerate(synthetic_events()):
                # the size is looked at between layers, so that every kernel has its launch
                if number % EVENTS_PER_LAYER == 0 and file.tell() >= megabytes * 1e6:
                    break
                file.write(",\n  " + json.dumps(event))
            file.write("]}\n")
        return row_of(path)


EVENTS_PER_LAYER = 13


def synthetic_events() -> Iterator[dict[str, Any]]:
    """Yield events of layer after layer without end, as `with_stack` and `record_shapes` record them."""
    number = 0
    while True:
        yield from _layer_events(number)
        number += 1


def _layer_events(number: int) -> Iterator[dict[str, Any]]:
    start = 3_545_057_397_403 + 100 * number
    shapes = {"Input Dims": [[64, 256, 56, 56], [64, 256, 1, 1], [64]], "Input type": ["float"] * 3}
    layer = f"nn.Module: Conv2d_{number % 60}"
    yield _event("python_function", layer, start, 90, {"Python id": number, "Python module id": number % 60})
    for depth in range(4):
        yield _event("python_function", f"torch/nn/modules/conv.py({depth}): forward", start + depth, 80, {})
    for depth, name in enumerate(("aten::conv2d", "aten::convolution", "aten::cudnn_convolution")):
        operator = {"External id": 3 * number + depth, "Sequence number": number, **shapes}
        yield _event("cpu_op", name, start + 10 + depth, 60 - 2 * depth, operator)
    launch = {"External id": 3 * number + 2, "cbid": 211, "correlation": number + 1}
    yield _event("cuda_runtime", "cudaLaunchKernel", start + 20, 5, launch)
    for phase, thread, at in (("s", 1, start + 20), ("f", 7, start + 40)):
        flow = {"ph": phase, "id": number + 1, "pid": 1, "tid": thread, "ts": at}
        yield flow | {"cat": "ac2g", "name": "ac2g"}
    memory = {"Total Allocated": 1_000_000 + number, "Bytes": 4096, "Device Id": 0, "Device Type": 1}
    yield _event("cpu_instant_event", "[memory]", start + 22, 0, memory) | {"ph": "i"}
    kernel = {"device": 0, "stream": 7, "correlation": number + 1, "grid": [1568, 1, 4], "block": [256, 1, 1]}
    yield _event("kernel", f"void implicit_convolve_sgemm<{number % 9}>", start + 40, 30, kernel)


def _event(category: str, name: str, start: int, duration: int, args: dict[str, Any]) -> dict[str, Any]:
    times = {"ts": start + 0.125, "dur": duration + 0.5}
    return {"ph": "X", "cat": category, "name": name, "pid": 1, "tid": 1, **times, "args": args}


if __name__ == "__main__":
    sys.exit(main())
