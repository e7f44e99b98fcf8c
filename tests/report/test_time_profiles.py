"""Times as files for viewers of profiles, against their formats and the times themselves."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
import torch
from torch import nn

import inception_lab as il
from inception_lab.record import Record
from inception_lab.report.time_profiles import Event, chrome_trace, speedscope_profile, time_events

MS = 1_000_000
CONTEXT = {"model": "net", "input_shapes": [[1, 3]], "mode": "eval", "machine": "Made", "threads": 1}


def _times(*layers: tuple[str, float], **phases: tuple[float, ...]) -> Record:
    """Times of layers by path, in all and in phases."""
    rows: list[dict[str, Any]] = [{"layer": path, "self_ms": ms} for path, ms in layers]
    for phase, parts in phases.items():
        for row, part in zip(rows, parts, strict=True):
            row[f"{phase}_ms"] = part
    return Record(CONTEXT, {"step_ms": 1}, (), (), tuple(rows))


def _shown(times: Record) -> list[str]:
    """Events as text, such as `+a 0` for the begin of a frame."""
    return [f"{'+' if e.is_begin else '-'}{e.name} {e.at / MS:g}" for e in time_events(times)]


def _lengths(times: Record) -> dict[str, float]:
    """Milliseconds that each frame is open, all times together; frames have to nest."""
    lengths: dict[str, float] = {}
    stack: list[Event] = []
    for event in time_events(times):
        if event.is_begin:
            stack.append(event)
        else:
            begin = stack.pop()
            assert begin.name == event.name
            lengths[event.name] = lengths.get(event.name, 0) + (event.at - begin.at) / MS
    assert stack == []
    return lengths


def test_frames_are_modules_within_modules() -> None:
    times = _times(("(model)", 1), ("mix", 2), ("mix.a", 3), ("mix.b", 4), ("fc", 5), ("(outside)", 6))
    assert _shown(times) == [
        "+(model) 0", "+mix 1", "+mix.a 3", "-mix.a 6", "+mix.b 6", "-mix.b 10", "-mix 10", "+fc 10",
        "-fc 15", "-(model) 15", "+(outside) 15", "-(outside) 21",
    ]  # fmt: skip


def test_each_call_of_a_module_has_a_frame() -> None:
    assert _shown(_times(("a", 1), ("relu", 2), ("relu", 3)))[3:7] == [
        "+relu 1",
        "-relu 3",
        "+relu 3",
        "-relu 6",
    ]


def test_the_backward_pass_goes_the_other_way() -> None:
    times = _times(
        ("(model)", 4), ("a", 5), ("b", 6), ("(loss)", 1), forward=(1, 2, 3, 0), loss=(0, 0, 0, 1),
        backward=(3, 3, 3, 0),
    )  # fmt: skip
    assert _shown(times) == [
        "+forward 0", "+(model) 0", "+a 1", "-a 3", "+b 3", "-b 6", "-(model) 6", "-forward 6",
        "+loss 6", "+(loss) 6", "-(loss) 7", "-loss 7",
        "+backward 7", "+(model) 7", "+b 7", "-b 10", "+a 10", "-a 13", "-(model) 16", "-backward 16",
    ]  # fmt: skip


def test_no_time_and_less_than_none_have_no_frame() -> None:
    assert _shown(_times(("a", 1), ("b", 0), ("(gaps)", -0.5))) == [
        "+(model) 0",
        "+a 0",
        "-a 1",
        "-(model) 1",
    ]


def test_nothing_takes_no_time() -> None:
    profile = json.loads(speedscope_profile(_times()))["profiles"][0]
    assert (profile["events"], profile["endValue"]) == ([], 0)


@pytest.fixture(scope="module", params=["eval", "train"])
def measured(request: pytest.FixtureRequest) -> Record:
    block = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
    model = nn.Sequential(block, block, nn.Linear(8, 4))
    return il.layer_times(model, (4, 8), mode=request.param, seconds=0).to_record()


def test_frames_take_what_layers_take(measured: Record) -> None:
    lengths = _lengths(measured)
    for row in measured.layers:
        inside = sum(
            other["self_ms"]
            for other in measured.layers
            if other["layer"] == row["layer"] or other["layer"].startswith(f"{row['layer']}.")
        )
        if inside and not row["layer"].startswith("("):
            assert lengths[row["layer"]] == pytest.approx(inside, abs=1e-6), row["layer"]


def test_a_profile_for_speedscope_keeps_to_its_schema(measured: Record) -> None:
    data = json.loads(speedscope_profile(measured))
    assert data["$schema"] == "https://www.speedscope.app/file-format-schema.json"
    (profile,) = data["profiles"]
    assert data["activeProfileIndex"] == 0
    assert set(profile) == {"type", "name", "unit", "startValue", "endValue", "events"}
    assert (profile["type"], profile["unit"], profile["startValue"]) == ("evented", "milliseconds", 0)
    frames = data["shared"]["frames"]
    assert all(set(frame) == {"name"} and isinstance(frame["name"], str) for frame in frames)
    times = [event["at"] for event in profile["events"]]
    assert times == sorted(times)
    stack = []
    for event in profile["events"]:
        assert set(event) == {"type", "frame", "at"}
        assert 0 <= event["frame"] < len(frames)
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert (event["type"], event["frame"]) == ("C", stack.pop())
    assert stack == []


def test_a_profile_for_speedscope_is_as_long_as_the_step(measured: Record) -> None:
    (profile,) = json.loads(speedscope_profile(measured))["profiles"]
    assert profile["endValue"] == profile["events"][-1]["at"] == measured.totals["step_ms"]


def test_a_trace_for_perfetto_has_the_same_frames(measured: Record) -> None:
    data = json.loads(gzip.decompress(chrome_trace(measured)))
    name, *events = data["traceEvents"]
    assert (name["ph"], name["name"]) == ("M", "process_name")
    assert all((event["pid"], event["tid"]) == (1, 1) for event in events)
    shown = [(event["ph"] == "B", event["name"], round(event["ts"] * 1000)) for event in events]
    assert shown == [tuple(event) for event in time_events(measured)]
    assert events[-1]["ts"] / 1000 == pytest.approx(measured.totals["step_ms"], abs=1e-9)
    assert data["otherData"]["machine"] == measured.context["machine"]


def test_files_have_the_same_bytes_every_time(measured: Record) -> None:
    assert chrome_trace(measured) == chrome_trace(measured)
    assert torch.get_num_threads() == measured.context["threads"]
