"""A GPU as timing needs it: events, a cold cache, a profiler, graphs. Every call of torch.cuda is here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.profiler import ProfilerActivity, profile

from inception_lab.measure.real_runs import quiet_profiler

TIMES_THE_CACHE = 2
"""Size of what is written to flush the L2 cache, in sizes of that cache."""


class TimingEvent(Protocol):
    """A moment in a stream of the GPU."""

    def record(self) -> None:
        """Mark the moment at which all work so far is done."""

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds from this moment to that of another event, both passed."""


class Graph(Protocol):
    """Captured work."""

    def replay(self) -> None:
        """Launch all of it at once."""


class Gpu(Protocol):
    """A GPU; a test has one whose clock it turns by hand.

    Attributes:
        cold_cache: True where its L2 cache can be flushed.
    """

    cold_cache: bool

    def event(self) -> TimingEvent:
        """Return an event to be recorded."""

    def settle(self) -> None:
        """Seed its generator, flush its L2 cache, and wait until it is idle."""

    def synchronize(self) -> None:
        """Wait until it is idle."""

    def recording(self, path: Path) -> AbstractContextManager[None]:
        """Have torch.profiler record what runs within, and write its trace to a file."""

    def side_stream(self) -> AbstractContextManager[None]:
        """Launch what runs within into another stream, as needed before a capture."""

    def capture(self) -> AbstractContextManager[Graph]:
        """Capture what would be launched within; nothing runs."""


class Cuda:
    """The current CUDA device."""

    def __init__(self) -> None:
        cache = torch.cuda.get_device_properties(torch.cuda.current_device()).L2_cache_size
        self.cold_cache = cache > 0
        self._filler = torch.empty(TIMES_THE_CACHE * cache, dtype=torch.uint8, device="cuda")

    def event(self) -> TimingEvent:
        """Return an event with a clock."""
        return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def settle(self) -> None:
        """Seed the generator of this device, write more than its L2 cache holds, and wait."""
        torch.cuda.manual_seed(0)
        self._filler.zero_()
        torch.cuda.synchronize()

    def synchronize(self) -> None:
        """Wait for all streams."""
        torch.cuda.synchronize()

    @contextmanager
    def recording(self, path: Path) -> Iterator[None]:
        """Record operators, calls of the runtime and driver, and kernels."""
        activities = [ProfilerActivity.CPU, ProfilerActivity.CUDA]
        with quiet_profiler(), profile(activities=activities) as session:
            yield
            torch.cuda.synchronize()
        session.export_chrome_trace(str(path))

    @contextmanager
    def side_stream(self) -> Iterator[None]:
        """A stream that waits for the current one, which waits for it afterwards."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            yield
        current.wait_stream(stream)

    @contextmanager
    def capture(self) -> Iterator[Graph]:
        """Capture into a graph, on a stream of its own and with a memory pool of its own."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            yield graph
