"""A real pass or training step recorded by torch.profiler, as files that others open and as tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function, schedule

from inception_lab.arguments import checked
from inception_lab.errors import MODEL_FAILED, InceptionLabError
from inception_lab.files import path_from, written_together
from inception_lab.ir.trace import Mode
from inception_lab.measure.profile.profile import COLUMNS, Profile, read_profile
from inception_lab.measure.profile.ranges import run_with_ranges
from inception_lab.measure.profile.tensorboard import SUFFIX, worker_name, write_copy
from inception_lab.measure.real_runs import (
    device_of,
    failure_named,
    operation_threads,
    prepared_on,
    quiet_profiler,
)
from inception_lab.measure.room import refuse_without_room
from inception_lab.measure.timing.context import run_context
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.measure.timing.rounds import Progress, renew
from inception_lab.record import SCHEMA, Row
from inception_lab.running import torch_internals
from inception_lab.running.exclusion import one_run_at_a_time
from inception_lab.running.inputs import Inputs, with_arguments
from inception_lab.running.losses import Loss
from inception_lab.running.optimizers import MakeOptimizer, NamedOptimizer
from inception_lab.running.request import Request, request_of
from inception_lab.running.step import Step

TRACE_SUFFIX = ".trace.json.gz"
TENSORBOARD = "tensorboard"
"""The folder for `tensorboard --logdir`, within that of a profile."""

SUMMARY = "summary.json"
TABLES = ("layers", "operators", "kernels", "memory", "overview")
"""The tables that are written as CSV; those of `layers` are followed by the unattributed ones."""

BETWEEN_STEPS = "inception_lab.between steps"
"""The range in which gradients are dropped and modules are put back as they were."""

_ACTIVITIES = {
    "cpu": [ProfilerActivity.CPU],
    "cuda": [ProfilerActivity.CPU, ProfilerActivity.CUDA],
}


@dataclass(frozen=True)
class Plan:
    """The steps of a session.

    Attributes:
        wait: Steps before the profiler is told of anything.
        warm_up: Steps with the profiler at work whose events are thrown away.
        active: Steps that are recorded.
    """

    wait: int
    warm_up: int
    active: int

    def __post_init__(self) -> None:
        for name, least in (("wait", 0), ("warm_up", 1), ("active", 1)):
            count = getattr(self, name)
            if type(count) is not int or count < least:
                raise InceptionLabError(f"{name}={count!r} steps", hint=f"use {name}={least} or more")

    @property
    def steps(self) -> int:
        """All of them."""
        return self.wait + self.warm_up + self.active


@checked
def record_profile(
    model: nn.Module,
    inputs: Inputs,
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    folder: str | Path,
    mode: Mode = "eval",
    loss: Loss | None = None,
    optimizer: str | NamedOptimizer | MakeOptimizer | None = None,
    autocast: torch.dtype | None = None,
    device: str = "cpu",
    threads: int | None = None,
    wait: int = 1,
    warm_up: int = 1,
    active: int = 3,
    name: str = "",
    progress: Progress | None = None,
) -> Profile:
    """Run what `trace` would trace for real, on copies, under torch.profiler, and write what it recorded.

    Every call of a module is a range with its full path, every phase one around them, and every step one
    around these. Steps begin as those of `layer_times` do, from the same random numbers and without
    gradients. The profiler loses kernels at the beginning of a session, the more of them the longer the GPU
    was idle (pytorch#192021, with CUDA before 13.1), so that a session opens with steps whose events are
    thrown away. Recording takes time of its own: for times, see `layer_times`. The model is left as it was
    found. On CUDA this has never run yet.

    The folder gets, at once or not at all: the trace `NAME.trace.json.gz`, for Perfetto and chrome://tracing;
    its `tensorboard_copy` `tensorboard/NAME.pt.trace.json.gz`, for `tensorboard --logdir FOLDER/tensorboard`;
    the tables `layers.csv` (with the unattributed rows), `operators.csv`, `kernels.csv`, `memory.csv` and
    `overview.csv`; and `summary.json`, the context and the totals. Other files in it stay.

    Args:
        model: Any module that has data.
        inputs: As for `trace`.
        args: As for `trace`.
        kwargs: As for `trace`.
        folder: The place of the files; missing folders are made.
        mode: `eval` or `train`.
        loss: A function of the model's outputs that gives a scalar, in place of the default.
        optimizer: As for `trace`; train mode only.
        autocast: The dtype in which autocast runs the model, none by default.
        device: `cpu` or `cuda`.
        threads: PyTorch's threads within an operation; as they are by default, and restored.
        wait: Steps before the profiler is told of anything.
        warm_up: Steps with the profiler at work whose events are thrown away, 1 or more.
        active: Steps that are recorded.
        name: Name of the model, in the result and in names of files; its class by default.
        progress: Told after each step the part of the work that is done, from 0 to 1.

    Returns:
        What `read_profile` gives for the trace, with the facts about the run in its context.

    Raises:
        InceptionLabError: An option is not known, the folder cannot be written or another profiler runs (exit
            code 2), or the model raised, has no data or names a range as torch.profiler cannot write it (3).

    Example:
        >>> import tempfile
        >>> net = nn.Sequential(nn.Linear(8, 8), nn.ReLU())
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     profile = record_profile(net, (4, 8), folder=folder, name="net", active=2)
        ...     sorted(path.name for path in Path(folder).iterdir())[-4:]
        ['operators.csv', 'overview.csv', 'summary.json', 'tensorboard']
        >>> sorted(profile.layers["layer"]), len(profile.overview)
        (['(model)', '0', '1'], 2)
    """
    plan = Plan(wait, warm_up, active)
    _check_no_profiler()
    place = device_of(device, _ACTIVITIES, "profiles are not recorded")
    inputs = with_arguments(inputs, args, kwargs)
    request = request_of(
        model, inputs, mode=mode, loss=loss, optimizer=optimizer, autocast=autocast, name=name
    )
    refuse_without_room([request], place)
    # before the run, so that a folder that cannot be written costs no time
    with written_together(path_from(folder)) as new:
        path = new / (worker_name(request.name) + TRACE_SUFFIX)
        with one_run_at_a_time, operation_threads(threads):
            context = _record(request, place, plan, path, progress)
        result = _with_context(_read_recording(path, request.name), context)
        _write_files(new, path, result)
    return result


def _record(
    request: Request, device: torch.device, plan: Plan, path: Path, progress: Progress | None
) -> dict[str, Any]:
    """Write the trace of a session, and return the facts about it."""
    with failure_named(request.name), prepared_on(request, device) as step:
        state = ModuleState(step.model.modules.values())
        with quiet_profiler(), _session(device, plan) as session:
            for number in range(plan.steps):
                run_with_ranges(step)
                _end_step(step, state, device)
                session.step()
                if progress is not None:
                    progress((number + 1) / plan.steps)
        context = run_context(step, plan.active, plan.wait + plan.warm_up)
    # a disk that is full is no failure of the model
    session.export_chrome_trace(str(path))
    return context


def _check_no_profiler() -> None:
    # PyTorch has one at a time: the end of a second one ends the first, whose user would never know
    if torch_internals.profiler_enabled():
        raise InceptionLabError("another profiler runs", hint="record outside its with block")


def _read_recording(path: Path, name: str) -> Profile:
    """The profile of a trace that was just written."""
    try:
        return read_profile(path)
    except InceptionLabError as error:
        raise InceptionLabError(
            f"torch.profiler wrote a trace that {str(error).removeprefix(f'{path}: ').partition(';')[0]}",
            where=name,
            hint="name no record_function with a quotation mark",  # written as they are, which is no JSON
            exit_code=MODEL_FAILED,
        ) from error


def _session(device: torch.device, plan: Plan) -> profile:
    """The profiler, which holds the events of the active steps afterwards."""
    return profile(
        activities=_ACTIVITIES[device.type],
        schedule=schedule(wait=plan.wait, warmup=plan.warm_up, active=plan.active, repeat=1),
        record_shapes=True,
        profile_memory=True,
    )


def _end_step(step: Step, state: ModuleState, device: torch.device) -> None:
    """Wait for the GPU, and make ready for the next step.

    It belongs to the end of a step: what is freed before a recording begins is not in it.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    with record_function(BETWEEN_STEPS):
        renew(step, state)
        if device.type == "cuda":
            torch.cuda.manual_seed(0)  # of the current device; `renew` knows the CPU's generator alone


def _with_context(result: Profile, context: dict[str, Any]) -> Profile:
    return replace(result, context={**context, **result.context})


def _write_files(folder: Path, trace: Path, result: Profile) -> None:
    copy = folder / TENSORBOARD / (trace.name.removesuffix(TRACE_SUFFIX) + SUFFIX)
    copy.parent.mkdir()
    write_copy(trace, copy)
    for name in TABLES:
        columns, rows = list(COLUMNS[name]), result.rows[name]
        if name == "layers":
            columns += [column for column in COLUMNS["unattributed"] if column not in columns]
            rows = [*rows, *result.rows["unattributed"]]
        _write_table(folder / f"{name}.csv", columns, rows)
    summary = {"schema": SCHEMA, **result.context, "totals": dict(result.totals)}
    (folder / SUMMARY).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
