"""Ranges of torch.profiler around every phase of a step and every call of a module, by full path."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from torch.profiler import record_function

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Phase
from inception_lab.measure.profile.events import PHASE_RANGE, layer_range
from inception_lab.measure.real_runs import calls_reported
from inception_lab.running.step import Step, StepResult
from inception_lab.tracing.calls import FAILED_IN

Function = TypeVar("Function", bound=Callable[..., Any])


class StepRanges:
    """An observer that encloses phases and module calls of one step in ranges of torch.profiler.

    A trace then has `inception_lab.phase: forward` and so on, and within them `inception_lab.layer: PATH` for
    each call, on whatever thread it is made. Without a profiler that runs nothing is recorded.
    """

    def __init__(self) -> None:
        self._phase = ExitStack()

    @contextmanager
    def phases(self) -> Iterator[None]:
        """The ranges of the phases, from the forward on; the last one ends also where the model raises."""
        self.begin("forward")
        try:
            yield
        finally:
            self._phase.close()

    def begin(self, phase: Phase) -> None:
        """End the range of the last phase and begin the next one."""
        self._phase.close()
        self._phase.enter_context(record_function(PHASE_RANGE + phase))

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function, each of its calls within a range."""
        del kind
        name = layer_range(path or ROOT)

        def call_within_range(*args: Any, **kwargs: Any) -> Any:
            try:
                with record_function(name):
                    return function(*args, **kwargs)
            except Exception as error:
                error.__dict__.setdefault(FAILED_IN, path)
                raise

        return call_within_range  # type: ignore[return-value]


def run_with_ranges(step: Step) -> StepResult:
    """Run a step once with its phases and module calls as ranges for the profiler that runs."""
    ranges = StepRanges()
    with calls_reported(step, ranges), ranges.phases():
        return step.run(ranges)
