"""A profile: time of the GPU layer by layer, from a trace of torch.profiler."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inception_lab import __version__
from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile import tables
from inception_lab.measure.profile.attribution import NO_CORRELATION, NO_LAUNCH, attribute
from inception_lab.measure.profile.events import Events
from inception_lab.measure.profile.trace_file import EVENTS, members
from inception_lab.record import SCHEMA, Row

if TYPE_CHECKING:
    from pandas import DataFrame

_LAYERS_FROM = {"layer": "ranges of inception_lab", "module": "nn.Module events", "operator": "operators"}
_COLUMNS = {
    "layers": ("layer", "phase", "device_ms", "share", "kernels"),
    "unattributed": ("reason", "launched_by", "phase", "device_ms", "share", "kernels"),
    "routes": ("route", "device_ms", "kernels"),
    "operators": ("operator", "calls", "self_host_ms", "device_ms", "kernels"),
    "kernels": ("kernel", "device_ms", "kernels"),
}
"""The tables of a profile and their columns."""


_DEVICES, _PROCESS_GROUP = "deviceProperties", "distributedInfo"
_HEADER = (_DEVICES, _PROCESS_GROUP)
"""The members of a trace beside its events that are read."""


@dataclass(frozen=True)
class Profile:
    """The time of GPU kernels by layer, and what belongs to none.

    Times are milliseconds with six decimals, which is to the nanosecond. Every kernel is in one row of
    `layers` or of `unattributed`, so that their `device_ms` add up to `kernel_ms`; copies and memsets are in
    `busy_ms` and `span_ms` alone.

    Attributes:
        context: `tool`, the `file`, `layers_from` (ranges of this project, `nn.Module` events or operators),
            `devices` by name and `rank` where the trace tells them, `complete`: no launch is missing.
        totals: `kernels`, `kernel_ms`, `busy_ms` (the union over streams of kernels, copies and memsets),
            `span_ms` (from the first start of these to the last end), `idle_share` in percent.
        rows: Tables by name, as plain data; each also as a DataFrame.
    """

    context: Mapping[str, Any]
    totals: Mapping[str, float]
    rows: Mapping[str, Sequence[Row]]

    @property
    def layers(self) -> DataFrame:
        """`layer`, `phase`, `device_ms`, `share` of the kernel time (percent), `kernels`; longest first."""
        return self._frame("layers")

    @property
    def unattributed(self) -> DataFrame:
        """Kernels of no layer: `reason`, `launched_by`, `phase`, `device_ms`, `share`, `kernels`."""
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

    def to_dict(self) -> dict[str, Any]:
        """Return the profile as the JSON that other programs read: context, totals and tables."""
        rows = {name: [dict(row) for row in table] for name, table in self.rows.items()}
        return {"schema": SCHEMA, **self.context, "totals": dict(self.totals), **rows}

    def to_json(self) -> str:
        """Return the profile as JSON text, the same bytes every time."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    def _frame(self, name: str) -> DataFrame:
        from pandas import DataFrame

        return DataFrame(tables.frame_columns(self.rows[name], _COLUMNS[name]))


def read_profile(path: str | Path) -> Profile:
    """Read a trace of torch.profiler and give each GPU kernel to the layer that launched it.

    A kernel belongs to the call of the runtime or driver with its correlation, and that to the innermost
    layer around it on its thread: a range that this project recorded, where the trace has some, else an
    `nn.Module` event (recorded by `with_stack`), else an operator. A backward operator belongs to the layer
    of the forward operator that a flow leads from. A kernel that belongs to no layer is in `unattributed`,
    with its reason.

    Args:
        path: A trace as `export_chrome_trace` or `tensorboard_trace_handler` writes it, from any machine:
            JSON, bare or packed with gzip. It is read in pieces.

    Returns:
        The profile; all zeros where the trace has no GPU events, with its operators' time on the CPU.

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
                layer    phase  device_ms  share  kernels
        0  aten::relu  forward     0.0015  100.0        1
    """
    path = Path(path)
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
    context = {
        "tool": f"inception_lab {__version__}",
        "file": file_name,
        "layers_from": _LAYERS_FROM[attribution.layer_kind],
        **_device_facts(events),
        "complete": not any(owner.route in (NO_LAUNCH, NO_CORRELATION) for owner, _ in kernels),
    }
    rows = {
        "layers": tables.layer_rows(kernels),
        "unattributed": tables.unattributed_rows(kernels),
        "routes": tables.route_rows(kernels),
        "operators": tables.operator_rows(kernels, attribution.nesting),
        "kernels": tables.kernel_rows(kernels),
    }
    return Profile(context, tables.totals(events.work), rows)


def _device_facts(events: Events) -> dict[str, Any]:
    """Names of the devices that worked, and the rank of the process, where the trace tells them."""
    facts: dict[str, Any] = {}
    used_devices = {item.device for item in events.work}
    properties = events.header.get(_DEVICES)
    devices = [item for item in properties if isinstance(item, dict)] if isinstance(properties, list) else []
    names = [str(item["name"]) for item in devices if item.get("id") in used_devices and "name" in item]
    if names:
        facts["devices"] = names
    process_group = events.header.get(_PROCESS_GROUP)
    if isinstance(process_group, dict) and type(process_group.get("rank")) is int:
        facts["rank"] = process_group["rank"]
    return facts
