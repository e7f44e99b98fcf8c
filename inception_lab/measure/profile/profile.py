"""A profile: time of GPU and CPU layer by layer, from a trace of torch.profiler."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab import __version__
from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from
from inception_lab.measure.profile import overview, tables
from inception_lab.measure.profile.attribution import NO_CORRELATION, NO_LAUNCH, attribute
from inception_lab.measure.profile.events import KERNEL_LAUNCH, Events
from inception_lab.measure.profile.trace_file import EVENTS, members
from inception_lab.record import SCHEMA, Row

if TYPE_CHECKING:
    from pandas import DataFrame

_LAYERS_FROM = {"layer": "ranges of inception_lab", "module": "nn.Module events", "operator": "operators"}
COLUMNS = {
    "layers": ("layer", "phase", "device_ms", "share", "kernels", "self_host_ms"),
    "unattributed": ("reason", "launched_by", "phase", "device_ms", "share", "kernels", "self_host_ms"),
    "routes": ("route", "device_ms", "kernels"),
    "operators": ("operator", "calls", "self_host_ms", "device_ms", "kernels"),
    "kernels": ("kernel", "device_ms", "kernels"),
    "memory": ("time_ms", "device", "allocated_bytes", "reserved_bytes"),
    "overview": overview.COLUMNS,
}
"""The tables of a profile and their columns."""


_DEVICES, _PROCESS_GROUP = "deviceProperties", "distributedInfo"
_HEADER = (_DEVICES, _PROCESS_GROUP)
"""The members of a trace beside its events that are read."""


@dataclass(frozen=True)
class Profile:
    """The time of GPU kernels and of the CPU by layer, and what belongs to none.

    Times are milliseconds with six decimals, which is to the nanosecond. Every kernel is in one row of
    `layers` or of `unattributed`, so that their `device_ms` add up to `kernel_ms`; copies and memsets are in
    `busy_ms` and `span_ms` alone. So is every moment of the CPU that a range of the trace covers: it belongs
    to the innermost range of its thread, and `self_host_ms` of both tables adds up to `host_ms`. All are sums
    over the steps that were recorded.

    Attributes:
        context: `tool`, the `file`, `layers_from` (ranges of this project, `nn.Module` events or operators),
            `devices` by name and `rank` where the trace tells them, `complete`: no launch is missing and no
            kernel; `lost_kernels`, the number of launches whose kernel is, where there are some.
        totals: `kernels`, `kernel_ms`, `busy_ms` (the union over streams of kernels, copies and memsets),
            `span_ms` (from the first start of these to the last end), `idle_share` in percent, `host_ms`
            (the time that ranges cover on threads of the CPU, those of several threads added up).
        rows: Tables by name, as plain data; each also as a DataFrame.
    """

    context: Mapping[str, Any]
    totals: Mapping[str, float]
    rows: Mapping[str, Sequence[Row]]

    @property
    def layers(self) -> DataFrame:
        """A row per layer and phase, the longest first.

        `layer`, `phase`, `device_ms`, `share` of the kernel time (percent), `kernels`, and `self_host_ms`:
        time of the CPU in the layer itself, the layers within it apart, its backward operators with it.
        """
        return self._frame("layers")

    @property
    def unattributed(self) -> DataFrame:
        """Kernels and time of no layer: `reason`, `launched_by`, `phase`, then the columns of `layers`.

        `launched_by` is the outermost operator; where there is none, the launching call or the range itself.
        """
        return self._frame("unattributed")

    @property
    def routes(self) -> DataFrame:
        """Routes of kernels to a layer, or reasons why they have none: `route`, `device_ms`, `kernels`."""
        return self._frame("routes")

    @property
    def operators(self) -> DataFrame:
        """`operator`, `calls`, `self_host_ms`, and the kernels launched by itself: `device_ms`, `kernels`."""
        return self._frame("operators")

    @property
    def kernels(self) -> DataFrame:
        """`kernel` by name, `device_ms`, `kernels`: how many of this name ran."""
        return self._frame("kernels")

    @property
    def memory(self) -> DataFrame:
        """The memory curve, a row for each block handed out or taken back; needs `profile_memory`.

        `time_ms` since the first event of the trace, `device`, `allocated_bytes`, and on a GPU
        `reserved_bytes`. The CPU's allocator counts from the beginning of the recording.
        """
        return self._frame("memory")

    @property
    def overview(self) -> DataFrame:
        """A row per `step`: its `duration_ms`, and the parts that add up to it.

        `kernel_part_ms`, `copy_part_ms`, `memset_part_ms`, `runtime_part_ms`, `data_loader_part_ms`,
        `operator_part_ms`, `other_part_ms`. A moment counts to the first of these that is going on; the
        step lasts until its last work on a GPU is over.
        """
        return self._frame("overview")

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as the JSON that other programs read: context, totals and tables."""
        rows = {name: [dict(row) for row in table] for name, table in self.rows.items()}
        return {"schema": SCHEMA, **self.context, "totals": dict(self.totals), **rows}

    def to_json(self) -> str:
        """Return the profile as JSON text, the same bytes every time."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def _frame(self, name: str) -> DataFrame:
        from pandas import DataFrame

        return DataFrame(tables.frame_columns(self.rows[name], COLUMNS[name]))


@checked
def read_profile(path: str | Path) -> Profile:
    """Read a trace of torch.profiler and give each GPU kernel and each moment of the CPU to a layer.

    A kernel belongs to the call of the runtime or driver with its correlation, and that to the innermost
    layer around it on its thread: a range that this project recorded, where the trace has some, else an
    `nn.Module` event (recorded by `with_stack`), else an operator. A backward operator belongs to the layer
    of the forward operator that a flow leads from. Time of the CPU goes the same ways. What belongs to no
    layer is in `unattributed`, with its reason.

    Args:
        path: A trace as `export_chrome_trace` or `tensorboard_trace_handler` writes it, from any machine:
            JSON, bare or packed with gzip. It is read in pieces.

    Returns:
        The profile; without GPU events its device times are zeros, and layers have their time on the CPU.

    Raises:
        InceptionLabError: The file cannot be read, is damaged, or is not a trace (exit code 2).

    Example:
        >>> import json, tempfile
        >>> launch = {"ph": "X", "cat": "cuda_runtime", "name": "cudaLaunchKernel", "pid": 1, "tid": 1}
        >>> kernel = {"ph": "X", "cat": "kernel", "name": "gemm", "pid": 0, "tid": 7}
        >>> relu = {"ph": "X", "cat": "cpu_op", "name": "aten::relu", "pid": 1, "tid": 1, "ts": 0, "dur": 9}
        >>> events = [
        ...     relu,
        ...     launch | {"ts": 2, "dur": 1, "args": {"correlation": 5}},
        ...     kernel | {"ts": 4, "dur": 1.5, "args": {"correlation": 5}},
        ... ]
        >>> with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        ...     json.dump({"traceEvents": events}, file)
        ...     file.flush()
        ...     profile = read_profile(file.name)
        >>> print(profile.layers)
                layer    phase  device_ms  share  kernels  self_host_ms
        0  aten::relu  forward     0.0015  100.0        1         0.009
    """
    path = path_from(path)
    return _profile(read_events(path), path.name)


def read_events(path: Path) -> Events:
    """Return the events of a trace that attribution needs.

    Args:
        path: As for `read_profile`.

    Raises:
        InceptionLabError: As of `read_profile`.
    """
    events = Events()
    for name, value in members(path):
        try:
            if name == EVENTS:
                events.add(value)
            elif name in _HEADER:
                events.header[name] = value
        except InceptionLabError as error:
            raise InceptionLabError(error.what, where=str(path), hint=error.hint) from error
    return events


def _profile(events: Events, file_name: str) -> Profile:
    attribution = attribute(events)
    kernels = [
        (owner, item)
        for owner, item in zip(attribution.owners, events.work, strict=True)
        if item.kind == "kernel"
    ]
    lost = _lost_kernels(events)
    context = {
        "tool": f"inception_lab {__version__}",
        "file": file_name,
        "layers_from": _LAYERS_FROM[attribution.layer_kind],
        **_device_facts(events),
        "complete": not (lost or any(owner.route in (NO_LAUNCH, NO_CORRELATION) for owner, _ in kernels)),
        **({"lost_kernels": lost} if lost else {}),
    }
    host = tables.host_times(attribution.range_owners, attribution.nesting.own_times)
    rows = {
        "layers": tables.layer_rows(kernels, host),
        "unattributed": tables.unattributed_rows(kernels, host),
        "routes": tables.route_rows(kernels),
        "operators": tables.operator_rows(kernels, attribution.nesting),
        "kernels": tables.kernel_rows(kernels),
        "memory": tables.memory_rows(events.memory, _first_time(events)),
        "overview": overview.overview_rows(events, attribution),
    }
    return Profile(context, tables.totals(events.work, host), rows)


def _lost_kernels(events: Events) -> int:
    """Count the launches whose kernel is not in the trace; the profiler loses some (pytorch#192021)."""
    done = {item.correlation for item in events.work}
    return sum(
        launch.correlation not in done and KERNEL_LAUNCH.fullmatch(launch.name) is not None
        for launch in events.launches
    )


def _first_time(events: Events) -> int:
    return min(
        chain(
            (item.start for item in events.ranges),
            (item.start for item in events.launches),
            (item.start for item in events.work),
            (state.time for state in events.memory),
        ),
        default=0,
    )


def _device_facts(events: Events) -> dict[str, Any]:
    """Names of the devices that worked, and the rank of the process, where the trace tells them."""
    facts: dict[str, Any] = {}
    used_devices = {item.device for item in events.work}
    properties = events.header.get(_DEVICES)
    devices = [item for item in properties if isinstance(item, dict)] if isinstance(properties, list) else []
    numbered = [item for item in devices if type(item.get("id")) is int and "name" in item]
    names = [str(item["name"]) for item in numbered if item["id"] in used_devices]
    if names:
        facts["devices"] = names
    process_group = events.header.get(_PROCESS_GROUP)
    if isinstance(process_group, dict) and type(process_group.get("rank")) is int:
        facts["rank"] = process_group["rank"]
    return facts
