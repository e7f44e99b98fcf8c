"""The events of a trace that attribution needs, as small tuples; all others are dropped as they are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from sys import intern
from typing import Any, Literal, NamedTuple
from urllib.parse import quote, unquote

from inception_lab.errors import InceptionLabError

LAYER_RANGE = "inception_lab.layer: "
"""Prefix of the ranges that this project records: the full path of a module follows, see `layer_range`."""

PHASE_RANGE = "inception_lab.phase: "
"""Prefix of the ranges that this project records around a phase: forward, loss, backward or optimizer."""

MODULE_PREFIX = "nn.Module: "
OPTIMIZER_PREFIX = "Optimizer."
"""Prefix of the ranges in which torch's optimizers make their steps."""

STEP_PREFIX = "ProfilerStep#"
"""Prefix of the ranges that `profile.step` of torch.profiler records."""

MEMORY = "[memory]"
"""Name of the events that the allocators record."""

NANOSECONDS = 1000
"""In the microsecond that is the unit of a trace."""

_AS_THEY_ARE = "".join(map(chr, range(32, 127))).translate({ord(char): None for char in '"%\\'})
"""Characters that torch.profiler writes into a trace as they are."""

RangeKind = Literal["layer", "module", "operator", "annotation"]
WorkKind = Literal["kernel", "copy", "memset"]

_WORK: Mapping[str, WorkKind] = {
    "kernel": "kernel", "gpu_memcpy": "copy", "memcpy": "copy", "gpu_memset": "memset", "memset": "memset"
}  # fmt: skip
# runtime and Runtime, cuda_runtime, cuda_driver, hip_runtime, xpu_driver
_LAUNCH = re.compile(r"(?:\w+_)?(?:runtime|driver)")
# c10::DeviceType
_DEVICE_KINDS: Mapping[int | None, str] = {0: "cpu", 1: "cuda", 6: "hip", 12: "xpu"}
KERNEL_LAUNCH = re.compile(r"(?:cuda|cu|hip)\w*Launch\w*Kernel\w*")
"""Names of calls of the runtime or driver that launch one kernel."""

_OPERATORS = ("cpu_op", "operator")
_FLOWS = ("fwdbwd", "forward_backward")
_MOST_MICROSECONDS = 2**63 // NANOSECONDS


def layer_range(path: str) -> str:
    """Return the name of the range of a module's call.

    torch.profiler drops a range whose name has a letter outside ASCII, and writes no valid JSON where it has
    a quotation mark; so such characters are percent-encoded, see RFC 3986.

    Example:
        >>> layer_range("blocks.0"), layer_range('a "b"')
        ('inception_lab.layer: blocks.0', 'inception_lab.layer: a %22b%22')
    """
    return LAYER_RANGE + quote(path, safe=_AS_THEY_ARE, errors="surrogatepass")


def layer_of(name: str) -> str:
    """Return the path of the module whose range has this name.

    Example:
        >>> layer_of(layer_range('a "b"'))
        'a "b"'
    """
    return unquote(name.removeprefix(LAYER_RANGE), errors="backslashreplace")


class Range(NamedTuple):
    """A range of time on a thread of the CPU: an operator, a module call, an annotation.

    Attributes:
        thread: The process and thread.
        start: In nanoseconds, as are all times here.
        end: As recorded; a child may end later than its parent by rounding.
        kind: By its recorder.
        number: Ascends in the order of starts; tells a parent from its child where both cover the same time.
        name: A module's without its prefix.
    """

    thread: str
    start: int
    end: int
    kind: RangeKind
    number: int
    name: str


class Launch(NamedTuple):
    """A call of the runtime or the driver, which may have launched work."""

    thread: str
    start: int
    end: int
    name: str
    correlation: int


class Work(NamedTuple):
    """A kernel, copy or memset on a GPU; correlation 0 where the trace does not give one."""

    start: int
    end: int
    kind: WorkKind
    name: str
    correlation: int
    device: int | None


class MemoryState(NamedTuple):
    """The state of an allocator after it has handed out a block or taken one back.

    Attributes:
        time: Of the event.
        device: Such as `cpu` or `cuda:0`.
        allocated: Bytes in use.
        reserved: Bytes that the allocator holds; 0 where it does not tell, as on the CPU.
    """

    time: int
    device: str
    allocated: int
    reserved: int


class FlowEnd(NamedTuple):
    """One end of an arrow from a forward operator to its backward operator."""

    thread: str
    time: int
    flow: str


@dataclass(frozen=True)
class Events:
    """The events of a trace, in the order of the file.

    Attributes:
        header: Members of the trace beside its events, those that are needed.
        ranges: On threads of the CPU.
        launches: Calls of the runtime or driver that have a correlation.
        work: Everything that ran on GPUs.
        forward_ends: Starts of flows, in forward operators.
        backward_ends: Ends of flows, in backward operators.
        memory: States of the allocators.
    """

    header: dict[str, Any] = field(default_factory=dict)
    ranges: list[Range] = field(default_factory=list)
    launches: list[Launch] = field(default_factory=list)
    work: list[Work] = field(default_factory=list)
    forward_ends: list[FlowEnd] = field(default_factory=list)
    backward_ends: list[FlowEnd] = field(default_factory=list)
    memory: list[MemoryState] = field(default_factory=list)

    def add(self, event: Mapping[str, Any]) -> None:
        """Keep what attribution needs of an event of the trace.

        Raises:
            InceptionLabError: It is of a kind that is needed, and has no time or duration.
        """
        phase, category = event.get("ph"), event.get("cat")
        if phase == "i" and event.get("name") == MEMORY:  # in old traces without a category
            _add_memory(self, event)
        if type(category) is not str:
            return
        role = role_of(category)
        if phase == "X" and role in _ADDERS:
            _ADDERS[role](self, event, category.lower())
        elif role == "flow" and phase in ("s", "f"):
            ends = self.forward_ends if phase == "s" else self.backward_ends
            flow = f"{event.get('pid')} {event.get('id')}"
            ends.append(FlowEnd(_thread(event), nanoseconds(event, "ts"), flow))


@lru_cache(maxsize=256)
def role_of(category: str) -> str:
    """Return the part that events of a category play; categories of old traces are capitalised."""
    name = category.lower()
    if name in _WORK:
        return "work"
    if _LAUNCH.fullmatch(name):
        return "launch"
    if name in _FLOWS:
        return "flow"
    return "operator" if name in _OPERATORS else name


def _add_memory(events: Events, event: Mapping[str, Any]) -> None:
    arguments = arguments_of(event)
    allocated, reserved = arguments.get("Total Allocated"), arguments.get("Total Reserved")
    if type(allocated) is int:  # not in traces before PyTorch 1.11
        device = _device_name(*(_integer_or_none(arguments.get(key)) for key in ("Device Type", "Device Id")))
        reserved = reserved if type(reserved) is int else 0
        events.memory.append(MemoryState(nanoseconds(event, "ts"), device, allocated, reserved))


@lru_cache(maxsize=256, typed=True)
def _device_name(kind: int | None, number: int | None) -> str:
    name = _DEVICE_KINDS.get(kind, f"device type {kind}")
    return f"{name}:{number}" if number is not None and number >= 0 else name


def _add_work(events: Events, event: Mapping[str, Any], category: str) -> None:
    start, duration = nanoseconds(event, "ts"), nanoseconds(event, "dur")
    if duration < 0:
        raise InceptionLabError(f"event {_name(event)!r} has a negative duration", hint="record it again")
    arguments = arguments_of(event)
    device = arguments.get("device")
    events.work.append(
        Work(
            start,
            start + duration,
            _WORK[category],
            _name(event),
            integer(arguments.get("correlation")),
            _integer_or_none(device),
        )
    )


def _add_launch(events: Events, event: Mapping[str, Any], category: str) -> None:
    del category
    correlation = integer(arguments_of(event).get("correlation"))
    if correlation:
        events.launches.append(Launch(_thread(event), *_interval(event), _name(event), correlation))


def _add_operator(events: Events, event: Mapping[str, Any], category: str) -> None:
    del category
    # before they had a category of their own, annotations were recorded as operators
    name = _name(event)
    is_annotation = name.startswith((OPTIMIZER_PREFIX, STEP_PREFIX))
    _add_range(events, event, "annotation" if is_annotation else "operator", name)


def _add_annotation(events: Events, event: Mapping[str, Any], category: str) -> None:
    del category
    name = _name(event)
    if name.startswith(LAYER_RANGE):
        _add_range(events, event, "layer", layer_of(name))
    else:
        _add_range(events, event, "annotation", name)


def _add_module(events: Events, event: Mapping[str, Any], category: str) -> None:
    del category
    name = _name(event)
    if name.startswith(MODULE_PREFIX):  # all other functions of Python are dropped
        _add_range(events, event, "module", name.removeprefix(MODULE_PREFIX))


_ADDERS = {
    "work": _add_work,
    "launch": _add_launch,
    "operator": _add_operator,
    "user_annotation": _add_annotation,
    "python_function": _add_module,
}
"""The functions that keep what is needed of complete events, by the part that these play."""


def _add_range(events: Events, event: Mapping[str, Any], kind: RangeKind, name: str) -> None:
    arguments = arguments_of(event)
    number = integer(arguments.get("External id", arguments.get("Python id")))
    events.ranges.append(Range(_thread(event), *_interval(event), kind, number, intern(name)))


def _interval(event: Mapping[str, Any]) -> tuple[int, int]:
    start = nanoseconds(event, "ts")
    # an unfinished range of the CPU is recorded with -1
    return start, start + max(nanoseconds(event, "dur"), 0)


def nanoseconds(event: Mapping[str, Any], key: str) -> int:
    """Return a time of an event as whole nanoseconds, exactly as its digits say.

    Raises:
        InceptionLabError: It has none.
    """
    value = event.get(key)
    if type(value) is int and abs(value) < _MOST_MICROSECONDS:
        return value * NANOSECONDS
    if isinstance(value, str):
        whole, _, fraction = value.partition(".")
        if len(fraction) == 3 and whole.isdecimal() and fraction.isdecimal():
            return int(whole + fraction)
        try:
            microseconds = Decimal(value)
            if abs(microseconds) < _MOST_MICROSECONDS:
                return int((microseconds * NANOSECONDS).to_integral_value())
        except InvalidOperation:
            pass
    raise InceptionLabError(f"event {_name(event)!r} has no valid {key!r}: {value!r}", hint="record it again")


def integer(value: object) -> int:
    """Return an id as a number; 0 for none."""
    if type(value) is str and value.isdecimal():
        return int(value)
    return value if type(value) is int and value > 0 else 0


def _integer_or_none(value: object) -> int | None:
    return value if type(value) is int else None


def _name(event: Mapping[str, Any]) -> str:
    return intern(str(event.get("name", "")))


def _thread(event: Mapping[str, Any]) -> str:
    return intern(f"{event.get('pid')} {event.get('tid')}")


def arguments_of(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of an event; none where they are not an object."""
    arguments = event.get("args")
    return arguments if isinstance(arguments, dict) else {}
