"""The times of a step as files for viewers of profiles: speedscope, and Perfetto or chrome://tracing.

Both hold medians over many rounds, laid end to end in order of execution: frames are modules within modules,
and each call takes its own time in them. In a training step the backward pass begins with the last layer.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from inception_lab import __version__
from inception_lab.ir.structure import ROOT
from inception_lab.record import Record, Row
from inception_lab.report.text import subject_text

SPEEDSCOPE_FILE, TRACE_FILE = "speedscope.json", "trace.json.gz"
PHASES = ("forward", "loss", "backward", "optimizer")
_SCHEMA = "https://www.speedscope.app/file-format-schema.json"
_NS_PER_MS = 1_000_000


class Event(NamedTuple):
    """The begin or the end of a frame.

    Attributes:
        is_begin: False where the frame ends.
        name: Of the frame: the path of a module, or a phase of a training step.
        at: Nanoseconds since the step began.
    """

    is_begin: bool
    name: str
    at: int


def speedscope_profile(times: Record) -> str:
    """Return times in the file format of speedscope.app, one profile of begins and ends.

    Args:
        times: As of `LayerTimes.to_record`.
    """
    events = list(time_events(times))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(event.name for event in events))}
    profile = {
        "type": "evented",
        "name": subject_text(times.context),
        "unit": "milliseconds",
        "startValue": 0,
        "endValue": events[-1].at / _NS_PER_MS if events else 0,
        "events": [
            {
                "type": "O" if event.is_begin else "C",
                "frame": numbers[event.name],
                "at": event.at / _NS_PER_MS,
            }
            for event in events
        ],
    }
    return _json(
        {
            "$schema": _SCHEMA,
            "exporter": f"inception_lab {__version__}",
            "name": subject_text(times.context),
            "activeProfileIndex": 0,
            "shared": {"frames": [{"name": name} for name in numbers]},
            "profiles": [profile],
        }
    )


def chrome_trace(times: Record) -> bytes:
    """Return times in the format of Chrome's trace events, which Perfetto reads, compressed.

    Args:
        times: As of `LayerTimes.to_record`.
    """
    place = {"pid": 1, "tid": 1}
    name = {"ph": "M", "name": "process_name", "args": {"name": subject_text(times.context)}, **place}
    events = [
        {"ph": "B" if event.is_begin else "E", "name": event.name, "ts": event.at / 1000, **place}
        for event in time_events(times)
    ]
    facts = {key: value for key, value in times.context.items() if isinstance(value, str | int | float)}
    data = {"displayTimeUnit": "ms", "otherData": facts, "traceEvents": [name, *events]}
    return gzip.compress(_json(data).encode(), mtime=0)  # a clock would make the bytes differ


def _json(data: Mapping[str, Any]) -> str:
    return json.dumps(data, separators=(",", ":"))


def time_events(times: Record) -> Iterator[Event]:
    """Begins and ends of frames in order; they nest.

    A time below 0, as the gaps between kernels may have, has no frame.

    Args:
        times: As of `LayerTimes.to_record`.
    """
    clock, stack = 0, list[str]()
    for part in _slices(times.layers):
        common = _common_length(stack, part.frames)
        if part.is_new_call:
            common = min(common, len(part.frames) - 1)
        yield from (Event(False, name, clock) for name in reversed(stack[common:]))
        yield from (Event(True, name, clock) for name in part.frames[common:])
        stack, clock = part.frames, clock + part.nanoseconds
    yield from (Event(False, name, clock) for name in reversed(stack))


class _Slice(NamedTuple):
    """The time of one call in itself, in one phase.

    Attributes:
        frames: The modules around the call from the model on, and its own.
        nanoseconds: Above 0.
        is_new_call: True where it begins with this, False where it may be within calls that ended before it.
    """

    frames: list[str]
    nanoseconds: int
    is_new_call: bool


def _slices(layers: Sequence[Row]) -> Iterator[_Slice]:
    """The times of all calls in order of execution."""
    phases = [phase for phase in PHASES if layers and f"{phase}_ms" in layers[0]]
    for phase in phases or [""]:
        is_backward = phase == "backward"
        for row in reversed(layers) if is_backward else layers:
            nanoseconds = round(row[f"{phase or 'self'}_ms"] * _NS_PER_MS)
            if nanoseconds > 0:
                frames = [*filter(None, [phase]), *_frames(row["layer"])]
                yield _Slice(frames, nanoseconds, is_new_call=not is_backward)


def _frames(path: str) -> list[str]:
    """The modules around a layer from the model on, and itself."""
    if path.startswith("("):  # the model, or what is in no module
        return [path]
    names = path.split(".")
    return [ROOT, *(".".join(names[:depth]) for depth in range(1, len(names) + 1))]


def _common_length(some: Sequence[str], others: Sequence[str]) -> int:
    pairs = enumerate(zip(some, others, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(some), len(others)))
