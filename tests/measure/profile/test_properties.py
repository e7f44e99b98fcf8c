"""Properties of a profile over made traces."""

import gzip
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.profile_strategies import hostile_events, traces
from support.profile_traces import kernel, launch, module, write_trace

import inception_lab as il
from inception_lab.errors import InceptionLabError


def kernels_of(events):
    return [event for event in events if event["cat"] == "kernel"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("traces")


module_trees = st.recursive(
    st.integers(1, 3), lambda inner: st.lists(inner, min_size=1, max_size=3).map(tuple), max_leaves=12
)


def layout(tree, start, events, expected):
    """Write a module and what it calls: a number is that many kernels, a tuple a module; returns its end."""
    name, time = f"Module_{start}", start + 1
    for child in (tree,) if isinstance(tree, int) else tree:
        if isinstance(child, tuple):
            time = layout(child, time, events, expected)
            continue
        for _ in range(child):
            correlation = len(events) + 1
            events += [launch(correlation, time), kernel(correlation, time + 1000, time + 1001.5)]
            expected[name] = expected.get(name, 0) + 1
            time += 2
    events.append(module(name, start, time + 1))
    return time + 2


@settings(deadline=None)
@given(module_trees)
def test_kernels_are_those_of_the_modules_that_were_laid_out(folder, tree):
    events, expected = [], {}
    layout(tree, 0, events, expected)
    rows = il.read_profile(write_trace(folder / "trace.json", events)).rows
    assert {row["layer"]: row["kernels"] for row in rows["layers"] if row["kernels"]} == expected
    assert rows["unattributed"] == []


@settings(deadline=None)
@given(traces)
def test_every_kernel_is_in_one_row_and_the_sum_closes(folder, events):
    profile = il.read_profile(write_trace(folder / "trace.json", events))
    rows = [*profile.rows["layers"], *profile.rows["unattributed"]]
    nanoseconds = sum(round(1000 * event["dur"]) for event in kernels_of(events))
    assert sum(row["kernels"] for row in rows) == len(kernels_of(events)) == profile.totals["kernels"]
    assert sum(round(1e6 * row["device_ms"]) for row in rows) == nanoseconds
    assert round(1e6 * profile.totals["kernel_ms"]) == nanoseconds
    for table in ("kernels", "routes"):
        assert sum(round(1e6 * row["device_ms"]) for row in profile.rows[table]) == nanoseconds


@settings(deadline=None)
@given(traces)
def test_busy_time_lies_between_the_longest_piece_of_work_and_the_span(folder, events):
    totals = il.read_profile(write_trace(folder / "trace.json", events)).totals
    pieces = [e["dur"] / 1000 for e in events if e["cat"] in ("kernel", "gpu_memcpy", "gpu_memset")]
    assert max(pieces, default=0) - 1e-9 <= totals["busy_ms"] <= totals["span_ms"]
    assert totals["busy_ms"] <= sum(pieces) + 1e-9
    assert 0 <= totals["idle_share"] <= 100


@settings(deadline=None)
@given(traces, st.randoms(use_true_random=False))
def test_neither_packing_nor_the_order_of_events_makes_a_difference(folder, events, rng: random.Random):
    profile = il.read_profile(write_trace(folder / "trace.json", events)).to_dict()
    shuffled = list(events)
    rng.shuffle(shuffled)
    other = il.read_profile(write_trace(folder / "trace.json.gz", shuffled)).to_dict()
    assert profile | {"file": ""} == other | {"file": ""}


@settings(deadline=None)
@given(traces, st.sampled_from([100.0, 3_545_057_397_403.0, 1_695_835_542_514_261.0]))
def test_the_time_at_which_a_trace_begins_makes_no_difference(folder, events, start):
    """Decimals are added as text is written by Kineto, which a double of today's time does not hold."""
    profile = il.read_profile(write_trace(folder / "a.json", events))
    text = write_trace(folder / "b.json", [e | {"ts": f"@{e['ts']:.3f}@"} for e in events]).read_text()
    for event in events:
        whole, fraction = f"{event['ts']:.3f}".split(".")
        text = text.replace(f'"@{event["ts"]:.3f}@"', f"{int(whole) + int(start)}.{fraction}")
    (folder / "b.json").write_text(text)
    assert il.read_profile(folder / "b.json").rows == profile.rows


@settings(deadline=None)
@given(hostile_events)
def test_hostile_events_are_read_or_refused_in_one_line(folder, events):
    try:
        il.read_profile(write_trace(folder / "trace.json", events))
    except InceptionLabError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most are read, and hypothesis cannot tell which


@settings(deadline=None)
@given(hostile_events)
def test_hostile_events_are_copied_or_refused_in_one_line(folder, events):
    try:
        copy = il.tensorboard_copy(write_trace(folder / "trace.json", events), folder)
    except InceptionLabError as error:
        assert "\n" not in str(error)  # noqa: PT017 - as above
    else:
        assert len(json.loads(gzip.decompress(copy.read_bytes()))["traceEvents"]) >= len(events)
