"""Forwards that run a second time, for what the first run has not shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeVar

from inception_lab.ir.structure import ROOT
from inception_lab.ir.trace import Phase, Trace
from inception_lab.running.step import Step
from inception_lab.tracing.backends import CPU, Backend, recorder_of
from inception_lab.tracing.choices import CHANCE, DrawingLayers, choice_notes, choosing_layers, reads_numbers
from inception_lab.tracing.contents import with_python_data
from inception_lab.tracing.dispatch import KernelExecutor
from inception_lab.tracing.python_data import WatchPythonData
from inception_lab.tracing.recorder import Recorder
from inception_lab.tracing.storages import Owners

Function = TypeVar("Function", bound=Callable[..., Any])


class _ForwardOver(Exception):  # noqa: N818 - no fault, but the end of a run that is not to go on
    """Raised where the forward of a training step is over."""


class _ForwardAlone:
    def begin(self, phase: Phase) -> None:
        """End the run."""
        raise _ForwardOver(phase)

    def reporting(self, function: Function, path: str, kind: str) -> Function:
        """The function itself."""
        del path, kind
        return function


def choices(backend: Backend, step: Step, recorder: Recorder, existing: Owners) -> Iterator[str]:
    """Notes on the layers that went a way of several."""
    drawn = step.model.generators.drawn()
    # elsewhere inputs have no data to choose by, but the numbers that a forward makes on the CPU do
    has_data = backend.name == CPU.name
    inputs = [storage for storage, (kind, _) in existing.items() if has_data and kind == "input"]
    if has_data or reads_numbers(recorder):
        yield from choice_notes(choosing_layers(recorder, inputs))
    if drawn:
        layers, drawn_again = _drawing_layers(backend, step, drawn)
        unknown_layers = {f"{CHANCE} of {name}": [ROOT] for name in drawn_again}
        yield from choice_notes(unknown_layers | layers)


def _drawing_layers(
    backend: Backend, step: Step, drawn: tuple[str, ...]
) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """The layers that draw from Python's and numpy's generators, as the forward runs once more.

    Returns:
        The layers, and the libraries from which numbers came: not those from which only a library drew
        that the first run imported.
    """
    # an executor that counts is to count the first run alone
    recorder = recorder_of(backend._replace(executor=KernelExecutor()), step, "")
    recorder.storages.adopt_all(step.tensors)
    step.model.generators.seed()
    drawing = DrawingLayers()
    drawing.watch(step.model.modules)
    try:
        with backend.placement.mode, recorder, suppress(_ForwardOver):
            step.run(_ForwardAlone())
        drawn = step.model.generators.drawn()
    except Exception:  # it may do something else the second time; what was seen so far holds
        pass
    finally:
        recorder.release()
    return drawing.layers, drawn


ELSEWHERE = "work in another thread"
"""The name of what was not seen, among the operations that are not counted."""


def with_python_data_again(backend: Backend, step: Step, trace: Trace, unseen: Set[int]) -> Trace:
    """The trace with the contents of Python's data that was on meta when it was first met.

    Args:
        backend: Of the trace.
        step: Prepared anew.
        trace: Of the first run.
        unseen: The storages that no operation made which was seen; those of Python's data are not
            work of another thread.

    Its forward runs once more for that. It may fail, or go another way, as it is watched now; then such
    contents are not known.
    """
    recorder = recorder_of(backend, step, "")
    recorder.storages.adopt_all(step.tensors)
    recorder.calls.watch(step.model.modules, step.model.gates)
    step.model.generators.seed()  # so that it goes the same way
    watch = WatchPythonData(recorder.storages)
    try:
        with backend.placement.mode, recorder, watch, suppress(_ForwardOver):
            step.run(_ForwardAlone())
        names = [operation.name for operation, *_ in recorder.ops]
        data, made = watch.by_storage(), watch.storages()
    except Exception:
        return trace
    finally:
        recorder.release()
    # ids of storages are those of the first run where the same operations ran
    if names != [op.name for op in trace.ops if op.phase == "forward"]:
        return trace
    trace = replace(trace, contents=with_python_data(trace.contents, data))
    return _with_unseen(trace, len(unseen - made))


def _with_unseen(trace: Trace, count: int) -> Trace:
    """The trace with another number of tensors that are of other threads."""
    others = {name: runs for name, runs in trace.context.uncounted_ops.items() if name != ELSEWHERE}
    uncounted = {**others, **({ELSEWHERE: count} if count else {})}
    return replace(trace, context=replace(trace.context, uncounted_ops=uncounted))
