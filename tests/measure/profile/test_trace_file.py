"""Trace files in pieces: what is read, and one clear line about what is damaged."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profile_traces import kernel, write_trace

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile import trace_file
from inception_lab.measure.profile.trace_file import EVENTS, members

GOOD = json.dumps({"a": [1, {"b": "]}"}], EVENTS: [kernel(1, 1, 2), kernel(2, 3, 4.5)], "z": None})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip


@pytest.fixture
def tiny_chunks(monkeypatch):
    """Windows that end within every value."""
    monkeypatch.setattr(trace_file, "CHUNK", 3)


@settings(deadline=None)
@given(
    header=st.dictionaries(st.text().filter(lambda name: name != EVENTS), json_values, max_size=3),
    events=st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=4),
    chunk=st.integers(1, 9),
    indent=st.sampled_from([None, 0, 2]),
)
def test_every_member_is_read_whatever_the_window(tmp_path_factory, header, events, chunk, indent):
    path = tmp_path_factory.mktemp("trace") / "trace.json"
    path.write_text(json.dumps({**header, EVENTS: events}, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace_file, "CHUNK", chunk)
        pairs = list(members(path))
    assert dict(pair for pair in pairs if pair[0] != EVENTS) == header
    assert [value for name, value in pairs if name == EVENTS] == events


@pytest.mark.usefixtures("tiny_chunks")
@pytest.mark.parametrize("cut", range(len(GOOD)))
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, cut):
    path = tmp_path / "trace.json"
    path.write_text(GOOD[:cut])
    with pytest.raises(
        InceptionLabError, match=r"trace\.json: is (truncated|not a torch|not JSON)"
    ) as caught:
        il.read_profile(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [3, 12, 40, -8, -1])
def test_a_truncated_gzip_stream_is_refused(tmp_path, cut):
    path = tmp_path / "trace.json.gz"
    path.write_bytes(gzip.compress(GOOD.encode())[:cut])
    with pytest.raises(InceptionLabError, match="is truncated"):
        il.read_profile(path)


def test_a_damaged_gzip_stream_is_refused(tmp_path):
    path = tmp_path / "trace.json.gz"
    packed = bytearray(gzip.compress(GOOD.encode()))
    packed[len(packed) // 2] ^= 0xFF
    path.write_bytes(packed)
    with pytest.raises(InceptionLabError, match=r"cannot be read|is "):
        il.read_profile(path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "not an object with traceEvents"),
        ("[]", "not an object with traceEvents"),
        ("PNG", "not an object with traceEvents"),
        ("{}", "it has no traceEvents"),
        ('{"schemaVersion": 1}', "it has no traceEvents"),
        ('{"traceEvents": 3}', "traceEvents is not a list"),
        ('{"traceEvents": [3]}', "an event is not an object"),
        ('{"traceEvents": [{} {}]}', "is not JSON (after 1 events)"),
        ('{"traceEvents": [{},]}', "is truncated or not JSON"),
        ('{"traceEvents": []} {}', "more text follows its end"),
        ('{"traceEvents" []}', "is not JSON"),
        ('{"a": ' + "[" * 100_000 + ', "traceEvents": []}', "beyond all bounds"),
        ('{"a": ' + "9" * 5000 + ', "traceEvents": []}', "beyond all bounds"),
        ('{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1}]}', "has no valid 'dur': None"),
        ('{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": NaN, "dur": 1}]}', "has no valid 'ts'"),
        ('{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1e99, "dur": 1}]}', "has no valid 'ts'"),
        ('{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1, "dur": -2}]}', "a negative duration"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path, text, fault):
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(InceptionLabError) as caught:
        il.read_profile(path)
    assert fault in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert caught.value.exit_code == 2


def test_a_value_without_end_is_refused_before_the_file_is_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(trace_file, "CHUNK", 64)
    monkeypatch.setattr(trace_file, "LONGEST_VALUE", 1000)
    path = tmp_path / "trace.json"
    path.write_text('{"traceEvents": [{"name": ' + "[1, " * 10_000)
    with pytest.raises(InceptionLabError, match="is truncated or not JSON"):
        il.read_profile(path)


@pytest.mark.parametrize("place", ["", "missing.json"])
def test_what_cannot_be_opened_is_refused(tmp_path, place):
    with pytest.raises(InceptionLabError, match="cannot be read"):
        il.read_profile(tmp_path / place)


def test_packed_or_bare_is_told_from_the_content(tmp_path):
    events = [kernel(1, 1, 2)]
    packed = write_trace(tmp_path / "a.json.gz", events).rename(tmp_path / "packed.json")
    bare = write_trace(tmp_path / "b.json", events).rename(tmp_path / "bare.gz")
    assert il.read_profile(packed).totals == il.read_profile(str(bare)).totals != {}


def test_names_that_are_not_utf8_and_control_characters_are_read(tmp_path):
    path = Path(tmp_path / "trace.json")
    path.write_bytes(
        b'\xef\xbb\xbf{"traceEvents": [{"ph": "X", "cat": "kernel", "ts": 1, "dur": 2, "name": "\xff\t"}]}'
    )
    assert il.read_profile(path).totals["kernel_ms"] == 0.002


READ = """
import sys, tracemalloc
import inception_lab as il
from inception_lab.measure.profile.profile import read_profile
tracemalloc.start()
profile = read_profile(sys.argv[1])
print(profile.totals["kernels"], tracemalloc.get_traced_memory()[1])
"""
"""Reads a trace and prints its kernels and the peak in bytes, in a process of its own: in a long one Python's
table of interned strings doubles at some moment, which is megabytes that are nobody's."""


def test_memory_holds_what_attribution_needs_and_not_the_file(tmp_path):
    function = {"ph": "X", "cat": "python_function", "name": "a.py(1): f", "ts": 1, "dur": 2}
    function["args"] = {"note": "x" * 950}
    path = write_trace(tmp_path / "trace.json", [function] * 12_000 + [kernel(1, 1, 2)])
    assert path.stat().st_size > 12e6
    kernels, peak = map(int, subprocess.check_output([sys.executable, "-c", READ, str(path)]).split())
    assert kernels == 1
    assert peak < 6e6
