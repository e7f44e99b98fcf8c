"""A copy of a trace that TensorBoard's plugin for torch.profiler shows rightly.

torch-tb-profiler 0.4.3 is of 2023. It reads today's traces without a complaint, and wrongly: it knows calls
of CUDA by a category that is gone, takes annotations on the GPU for further steps, and calls without an
operator for those of the first module, and drops an operator that ends a rounding error after its parent.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO, Any

from inception_lab.arguments import checked
from inception_lab.errors import InceptionLabError
from inception_lab.files import path_from, written_together
from inception_lab.measure.profile.events import (
    MEMORY,
    MODULE_PREFIX,
    NANOSECONDS,
    Events,
    Range,
    arguments_of,
    integer,
    layer_of,
    nanoseconds,
    role_of,
)
from inception_lab.measure.profile.nesting import Moment, Nesting, nest
from inception_lab.measure.profile.overview import LOADERS
from inception_lab.measure.profile.trace_file import EVENTS, Number, members

SUFFIX = ".pt.trace.json.gz"
"""The end of the name of a trace that the plugin looks for."""

SPEED = 6
"""The level of gzip; 9 takes several times as long for a few percent."""

_LONGEST = 200
"""Characters of a name; systems take 255, its end included."""

_BASE_TIME = "baseTimeNanoseconds"
_SECOND = 10**9
_FIRST_PYTHON_ID = 2**40
"""Above the ids of functions that `with_stack` records."""

Event = dict[str, Any]


@checked
def tensorboard_copy(trace: str | Path, folder: str | Path) -> Path:
    """Write a copy of a trace into a folder for `tensorboard --logdir`, all of whose views are right.

    It is for torch-tb-profiler 0.4.3, which `pip install "inception_lab[tensorboard]"` brings; writing needs
    none of it. Overview, operators, kernels, memory and trace then agree with `read_profile`; ranges that
    this project recorded are its modules, by full path. These events differ from the original:

    - Calls of CUDA, HIP and the like have the category `Runtime`. Their `External id`, which leads from a
      kernel to its operator, is kept where it is that of an operator around the call; else it becomes that
      of the innermost one, or 0 without one.
    - Annotations on the GPU have a category that the plugin does not know.
    - Times count from about a second before the first event. Those of the CPU are rounded to 1/1024 of a
      microsecond, which doubles add exactly, and a range ends no later than the one that it began in.
    - Flows keep the category `fwdbwd`: with `forward_backward` the plugin would take backward operators out
      of the tree, and fail at a module that has none.

    Args:
        trace: As for `read_profile`; it is read twice, in pieces.
        folder: Missing folders are made. The copy has the name of the trace, and ends in `.pt.trace.json.gz`.

    Returns:
        The copy.

    Raises:
        InceptionLabError: The trace cannot be read or is damaged, or the copy cannot be written (exit 2).

    Example:
        >>> import json, tempfile
        >>> relu = {"ph": "X", "cat": "cpu_op", "name": "aten::relu", "pid": 1, "tid": 1, "ts": 0, "dur": 9}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder) / "relu.json"
        ...     _ = file.write_text(json.dumps({"traceEvents": [relu]}))
        ...     tensorboard_copy(file, folder).name
        'relu.pt.trace.json.gz'
    """
    path, place = path_from(trace), path_from(folder)
    name = worker_name(re.sub(r"(\.pt)?(\.trace)?\.json(\.gz)?$", "", path.name)) + SUFFIX
    with written_together(place) as new:
        write_copy(path, new / name)
    return place / name


def worker_name(text: str) -> str:
    """A name as the plugin takes it, cut where it is long for a file.

    The plugin would read a dot and digits as the number of a recording.

    Example:
        >>> worker_name("torchvision.models:resnet50")
        'torchvision_models_resnet50'
    """
    return re.sub(r"[^\w-]+", "_", text, flags=re.ASCII).strip("_")[:_LONGEST] or "trace"


def write_copy(trace: Path, copy: Path) -> None:
    """Write the copy of a trace to a file.

    Args:
        trace: As for `read_profile`.
        copy: Packed with gzip.

    Raises:
        InceptionLabError: The trace cannot be read or is damaged.
        OSError: The copy cannot be written.
    """
    events, header = Events(), {}
    try:
        for name, value in members(trace, Number):
            if name == EVENTS:
                events.add(value)
            else:
                header[name] = value
        rewriter = _rewriter(events)
        if type(header.get(_BASE_TIME)) is int:
            header[_BASE_TIME] += rewriter.base
        with gzip.open(copy, "wt", compresslevel=SPEED, encoding="utf-8") as file:
            _write(file, header, rewriter.events(trace))
    except InceptionLabError as error:
        raise InceptionLabError(error.what, where=str(trace), hint=error.hint) from error


def _write(file: IO[str], header: Mapping[str, Any], events: Iterator[Event]) -> None:
    """Write a trace with its events last: the plugin puts counters before the last bracket of the file."""
    file.write(json.dumps(_with_numbers(dict(header)))[:-1] + ", " * bool(header) + f'"{EVENTS}": [')
    separator = "\n"
    for event in events:
        file.write(separator + json.dumps(event))
        separator = ",\n"
    file.write("\n]}\n")


def _with_numbers(value: Any) -> Any:
    """A value of JSON with numbers in place of their text."""
    if isinstance(value, Number):
        return float(value)
    if isinstance(value, dict):
        return {key: _with_numbers(item) for key, item in value.items()}
    return [_with_numbers(item) for item in value] if isinstance(value, list) else value


def _rewriter(events: Events) -> _Rewriter:
    moments = [Moment(item.thread, item.start, item.end) for item in events.launches]
    nesting = nest(events.ranges, moments)
    starts = [item.start for items in (events.ranges, events.launches, events.work) for item in items]
    base = (min(starts, default=0) // _SECOND - 1) * _SECOND
    has_modules = any(item.kind == "module" for item in events.ranges)
    modules = {} if has_modules else _modules(nesting)
    return _Rewriter(base, _ends(events.ranges), modules, _external_ids(events, nesting))


def _external_ids(events: Events, nesting: Nesting) -> dict[int, list[int]]:
    """The ids of operators around the calls of each correlation, the innermost first."""
    ids: dict[int, list[int]] = {}
    for launch, innermost in zip(events.launches, nesting.around, strict=True):
        around = (nesting.ranges[index] for index in nesting.outwards(innermost))
        ids[launch.correlation] = [item.number for item in around if item.kind == "operator"]
    return ids


def _ends(ranges: Sequence[Range]) -> list[int]:
    """The end of each range, which is not after that of the range that it began in."""
    ends = [item.end for item in ranges]
    stack: list[int] = []
    thread = None
    order = sorted(range(len(ranges)), key=lambda i: (ranges[i].thread, ranges[i].start, -ranges[i].end))
    for index in order:
        item = ranges[index]
        if item.thread != thread:
            thread = item.thread
            stack.clear()
        # as the plugin itself looks for the range around another one
        while stack and ends[stack[-1]] <= item.start:
            stack.pop()
        if stack:
            ends[index] = min(item.end, ends[stack[-1]])
        stack.append(index)
    return ends


def _modules(nesting: Nesting) -> dict[int, Event]:
    """The arguments of a module event for each range of a layer, by the index of the range.

    All calls of a module in one place of the tree have one id, so that the tree has the module once.
    """
    python_ids: dict[tuple[int | None, str], int] = {}
    module_ids: dict[str, int] = {}
    modules = {}
    for index, item in enumerate(nesting.ranges):
        if item.kind != "layer":
            continue
        names = [nesting.ranges[i].name for i in nesting.outwards(index) if nesting.ranges[i].kind == "layer"]
        parent = python_id = None
        for name in reversed(names):
            parent = python_id
            python_id = python_ids.setdefault((parent, name), _FIRST_PYTHON_ID + len(python_ids))
        module_id = module_ids.setdefault(item.name, len(module_ids))
        modules[index] = {
            "Python id": python_id, "Python parent id": parent, "Python module id": module_id
        }  # fmt: skip
    return modules


@dataclass(frozen=True)
class _Rewriter:
    """Rewrites the events of a trace one by one.

    Attributes:
        base: The time from which the copy counts, in nanoseconds.
        ends: The end of each range in the copy.
        modules: Arguments of the module events that ranges of layers have beside them.
        external_ids: Ids of the operators around the calls of each correlation, the innermost first.
    """

    base: int
    ends: list[int]
    modules: Mapping[int, Event]
    external_ids: Mapping[int, Sequence[int]]

    def events(self, trace: Path) -> Iterator[Event]:
        """Yield the events of the copy in the order of the original."""
        # the same reader decides again which events are ranges, so that numbers agree with the first time
        indices = count()
        for name, event in members(trace, Number):
            if name == EVENTS:
                reader = Events()
                reader.add(event)
                yield from self._copies(event, next(indices) if reader.ranges else None)

    def _copies(self, event: Event, index: int | None) -> Iterator[Event]:
        event = self._with_times(event, index)
        event.setdefault("name", "")
        if event.get("ph") == "X":
            self._change(event, role_of(str(event.setdefault("cat", ""))))
        elif event["name"] == MEMORY:
            _change_memory(event)
        event = _with_numbers(event)
        yield event
        if index is not None and index in self.modules:
            path = layer_of(str(event["name"]))
            yield event | {
                "cat": "python_function", "name": MODULE_PREFIX + path, "args": self.modules[index]
            }  # fmt: skip

    def _change(self, event: Event, role: str) -> None:
        """Change what the plugin takes wrongly, by the part that an event plays."""
        if role == "launch":
            event["cat"] = "Runtime"
            self._change_external_id(event)
        elif role == "work":
            self._change_external_id(event)
            _change_device(event)
        elif role == "gpu_user_annotation":
            # under its own name, the step's annotation is taken for another step
            event["cat"] = "gpu_annotation"
        elif role == "user_annotation" and str(event["name"]).startswith(LOADERS):
            event["cat"] = "cpu_op"  # where the plugin looks for these

    def _change_external_id(self, event: Event) -> None:
        """Let the id be that of an operator around the call: traces of 2023 have other numbers there."""
        arguments = event["args"] = arguments_of(event)
        key = "external id" if "external id" in arguments else "External id"
        around = self.external_ids.get(integer(arguments.get("correlation")), ())
        if integer(arguments.get(key)) not in around:
            # without an id, the plugin gives all of them to its first module, which has none either
            arguments[key] = around[0] if around else 0

    def _with_times(self, event: Event, index: int | None) -> Event:
        """An event with its times in the copy."""
        if event.get("ph") == "M" or (event.get("ph") != "X" and "ts" not in event):
            return event
        start = nanoseconds(event, "ts") - self.base
        if event.get("ph") != "X":
            return event | {"ts": _exact(start)}
        if role_of(str(event.get("cat"))) in _OF_GPU:
            # durations are those of the original, to the digit
            return event | {"ts": start / NANOSECONDS, "dur": nanoseconds(event, "dur") / NANOSECONDS}
        end = start
        with suppress(InceptionLabError):  # the plugin needs a duration where nobody else does
            end += max(nanoseconds(event, "dur"), 0)
        if index is not None:
            end = self.ends[index] - self.base
        return event | {"ts": _exact(start), "dur": _exact(end) - _exact(start)}


def _exact(time: int) -> float:
    """A time in microseconds, rounded to 1/1024: sums and differences of such doubles are exact."""
    return (time * 1024 + NANOSECONDS // 2) // NANOSECONDS / 1024


_OF_GPU = ("work", "gpu_user_annotation")


def _change_device(event: Event) -> None:
    arguments = event["args"]
    if type(arguments.get("device")) is not int:
        arguments["device"] = event["pid"] if type(event.get("pid")) is int else 0


def _change_memory(event: Event) -> None:
    arguments = event.get("args")
    if isinstance(arguments, dict) and arguments.get("Device Type") not in (0, 1):
        event["args"] = arguments | {"Device Type": 1}  # what the plugin draws as a GPU
