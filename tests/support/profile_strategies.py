"""Made traces of every kind, for properties that hold of all."""

from __future__ import annotations

from hypothesis import strategies as st

from support.profile_traces import AUTOGRAD, MAIN, flow, kernel, launch, module, operator

times = st.integers(0, 60_000).map(lambda nanoseconds: nanoseconds / 1000)
intervals = st.tuples(times, times).map(sorted)
threads = st.sampled_from([MAIN, AUTOGRAD])
correlations = st.integers(0, 6)
names = st.sampled_from(["aten::conv2d", "aten::relu", "ConvolutionBackward0", "aten::add_"])

ranges = st.builds(
    lambda name, at, thread: operator(name, *at, thread), names, intervals, threads
) | st.builds(
    lambda number, at, thread: module(f"Conv2d_{number}", *at, thread), st.integers(0, 3), intervals, threads
)
launches = st.builds(launch, correlations, times, threads)
work = st.builds(
    lambda correlation, at, stream, category: kernel(correlation, *at, stream=stream, category=category),
    correlations, intervals, st.integers(7, 8),
    st.sampled_from(["kernel", "kernel", "gpu_memcpy", "gpu_memset"]),
)  # fmt: skip
flows = st.builds(flow, st.integers(1, 3), times, times)
traces = st.builds(
    lambda *parts: [event for part in parts for event in part],
    st.lists(ranges, max_size=8), st.lists(launches, max_size=6), st.lists(work, max_size=8),
    flows, flows,
)  # fmt: skip

hostile_events = st.lists(st.dictionaries(
    st.sampled_from(["ph", "cat", "name", "pid", "tid", "ts", "dur", "id", "args"]),
    st.none() | st.integers(-3, 3) | st.floats()
    | st.sampled_from(["X", "s", "f", "i", "M"])
    | st.sampled_from(["kernel", "cpu_op", "cuda_runtime", "python_function", "fwdbwd"])
    | st.sampled_from(["user_annotation", "[memory]", "inception_lab.layer: a", "ProfilerStep#1"])
    | st.dictionaries(
        st.sampled_from(["correlation", "device", "External id", "Total Allocated", "Device Type"]),
        st.integers(-1, 3) | st.text(), max_size=2,
    ),
), max_size=6)  # fmt: skip
"""Events of which any part may be missing or be anything."""
