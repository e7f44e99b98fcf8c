"""Tables of a profile: work on GPUs and time of the CPU, summed up in whole nanoseconds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from inception_lab.measure.profile.attribution import BY_FLOW, WITHIN, Owner
from inception_lab.measure.profile.events import MemoryState, Work
from inception_lab.measure.profile.nesting import Nesting
from inception_lab.record import Row

NANOSECONDS_PER_MS = 1_000_000

OwnedKernel = tuple[Owner, Work]
"""A kernel and its owner."""


HostTimes = Mapping[Owner, int]
"""Nanoseconds that ranges of the CPU spent in themselves, by owner."""


class Sum(NamedTuple):
    """The kernels of one group, and its time on the CPU.

    Attributes:
        key: The values that they have in common.
        time: Times of the kernels added up, in nanoseconds.
        kernels: Their number.
        host_time: Nanoseconds on threads of the CPU.
    """

    key: tuple[str, ...]
    time: int
    kernels: int
    host_time: int = 0

    def columns(self) -> dict[str, float]:
        """Return the two columns that every table of kernels has."""
        return {"device_ms": milliseconds(self.time), "kernels": self.kernels}


def milliseconds(nanoseconds: int) -> float:
    """Return a time in milliseconds; six decimals hold it to the nanosecond."""
    return nanoseconds / NANOSECONDS_PER_MS


def totals(work: Sequence[Work], host: HostTimes) -> dict[str, float]:
    """Return the totals of the work on GPUs and of the ranges of the CPU.

    Returns:
        `kernels` and the sum of their times, `kernel_ms`; `busy_ms`, the union over streams and devices of
        kernels, copies and memsets; `span_ms`, from the first start of these to the last end; `idle_share`,
        the part of the span in which nothing ran, in percent; `host_ms`, the time that ranges cover on
        threads of the CPU, those of several threads added up.
    """
    times = [item.end - item.start for item in work if item.kind == "kernel"]
    busy = _union(work)
    span = max(item.end for item in work) - min(item.start for item in work) if work else 0
    return {
        "kernels": len(times),
        "kernel_ms": milliseconds(sum(times)),
        "busy_ms": milliseconds(busy),
        "span_ms": milliseconds(span),
        "idle_share": 100 * (span - busy) / span if span else 0.0,
        "host_ms": milliseconds(sum(host.values())),
    }


def host_times(owners: Sequence[Owner], own_times: Sequence[int]) -> HostTimes:
    """Sum up the time that ranges of the CPU spent in themselves, by their owner."""
    sums: dict[Owner, int] = defaultdict(int)
    for owner, time in zip(owners, own_times, strict=True):
        sums[owner] += time
    return sums


def layer_rows(kernels: Sequence[OwnedKernel], host: HostTimes) -> list[Row]:
    """Rows of `layer`, `phase`, `device_ms`, `share` of the kernel time, `kernels`, `self_host_ms`."""
    whole = _whole(kernels)
    sums = _sums(
        (((owner.layer, owner.phase), item) for owner, item in kernels if has_layer(owner)),
        (((owner.layer, owner.phase), time) for owner, time in host.items() if has_layer(owner)),
    )
    return [{"layer": group.key[0], "phase": group.key[1]} | _with_share(group, whole) for group in sums]


def unattributed_rows(kernels: Sequence[OwnedKernel], host: HostTimes) -> list[Row]:
    """Rows of `reason`, `launched_by`, `phase`, and the figures that layers have."""

    def key(owner: Owner) -> tuple[str, ...]:
        return owner.route, owner.launched_by, owner.phase

    whole = _whole(kernels)
    sums = _sums(
        ((key(owner), item) for owner, item in kernels if not has_layer(owner)),
        ((key(owner), time) for owner, time in host.items() if not has_layer(owner)),
    )
    names = ("reason", "launched_by", "phase")
    return [dict(zip(names, group.key, strict=True)) | _with_share(group, whole) for group in sums]


def route_rows(kernels: Sequence[OwnedKernel]) -> list[Row]:
    """Rows of `route` to a layer, or reason why there is none, `device_ms`, `kernels`."""
    sums = _sums(((owner.route,), item) for owner, item in kernels)
    return [{"route": group.key[0]} | group.columns() for group in sums]


def kernel_rows(kernels: Sequence[OwnedKernel]) -> list[Row]:
    """Rows of `kernel`, its name, `device_ms`, `kernels`."""
    sums = _sums(((item.name,), item) for _, item in kernels)
    return [{"kernel": group.key[0]} | group.columns() for group in sums]


def operator_rows(kernels: Sequence[OwnedKernel], nesting: Nesting) -> list[Row]:
    """Rows of `operator`, `calls`, `self_host_ms`, `device_ms`, `kernels`, of kernels launched by itself."""
    sums = {
        group.key[0]: group for group in _sums(((o.operator,), item) for o, item in kernels if o.operator)
    }
    calls, own_times = _operator_calls(nesting)
    order = sorted(calls, key=lambda n: (-sums[n].time if n in sums else 0, -own_times[n], n))
    return [
        {"operator": name, "calls": calls[name], "self_host_ms": milliseconds(own_times[name])}
        | sums.get(name, Sum((name,), 0, 0)).columns()
        for name in order
    ]


def memory_rows(states: Sequence[MemoryState], first: int) -> list[Row]:
    """Rows of `time_ms` since the first event, `device`, `allocated_bytes`, `reserved_bytes` where told."""
    by_time = sorted(states, key=itemgetter(0))  # those of one time stay in the order of the file
    return [
        {"time_ms": milliseconds(state.time - first), "device": state.device}
        | {"allocated_bytes": state.allocated}
        | ({"reserved_bytes": state.reserved} if state.device != "cpu" else {})
        for state in by_time
    ]


def has_layer(owner: Owner) -> bool:
    """True where the work belongs to a layer."""
    return owner.route in (WITHIN, BY_FLOW)


def _whole(kernels: Sequence[OwnedKernel]) -> int:
    return sum(item.end - item.start for _, item in kernels)


def _sums(
    items: Iterable[tuple[tuple[str, ...], Work]], host: Iterable[tuple[tuple[str, ...], int]] = ()
) -> list[Sum]:
    """Kernels and host times summed up by key, the longest first, equal ones by key; none of nothing."""
    times: dict[tuple[str, ...], int] = defaultdict(int)
    host_sums: dict[tuple[str, ...], int] = defaultdict(int)
    numbers: Counter[tuple[str, ...]] = Counter()
    for key, item in items:
        times[key] += item.end - item.start
        numbers[key] += 1
    for key, time in host:
        host_sums[key] += time
    keys = [key for key in times.keys() | host_sums.keys() if numbers[key] or host_sums[key]]
    groups = (Sum(key, times[key], numbers[key], host_sums[key]) for key in keys)
    return sorted(groups, key=lambda group: (-group.time, -group.host_time, group.key))


def _with_share(group: Sum, whole: int) -> dict[str, float]:
    columns = group.columns()
    share = 100 * group.time / whole if whole else 0.0
    return {
        "device_ms": columns["device_ms"],
        "share": share,
        "kernels": columns["kernels"],
        "self_host_ms": milliseconds(group.host_time),
    }


def _union(work: Iterable[Work]) -> int:
    """Nanoseconds in which at least one piece of work ran."""
    union, last_end = 0, None
    for start, end in sorted((item.start, item.end) for item in work):
        # time that an earlier piece already covers counts once
        new_start = start if last_end is None else max(start, last_end)
        union += max(end - new_start, 0)
        last_end = max(end, new_start)
    return union


def _operator_calls(nesting: Nesting) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """The calls of each operator, and the time that it spent in itself on the CPU."""
    calls: Counter[str] = Counter()
    own_times: dict[str, int] = defaultdict(int)
    for index, item in enumerate(nesting.ranges):
        if item.kind != "operator":
            continue
        calls[item.name] += 1
        own_times[item.name] += item.end - item.start
        outer = (nesting.ranges[i] for i in nesting.outwards(nesting.parents[index]))
        parent = next((candidate for candidate in outer if candidate.kind == "operator"), None)
        if parent is not None:
            own_times[parent.name] -= max(min(item.end, parent.end) - item.start, 0)
    return calls, own_times


def frame_columns(rows: Sequence[Row], columns: Sequence[str]) -> dict[str, list[Any]]:
    """Return rows as columns, which a table without rows has too."""
    return {name: [row.get(name) for row in rows] for name in columns}
