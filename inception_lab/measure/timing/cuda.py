"""Time of steps on a GPU: rounds by events, profiled steps, and replays from a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from inception_lab.measure.profile.profile import read_events
from inception_lab.measure.timing.context import run_context
from inception_lab.measure.timing.cuda_device import Cuda, Gpu
from inception_lab.measure.timing.cuda_profile import (
    PROFILED_STEPS,
    StepWork,
    record_steps,
    steps_of,
)
from inception_lab.measure.timing.cuda_results import CudaTimes
from inception_lab.measure.timing.cuda_rounds import (
    CudaRunner,
    PhaseTimes,
    Replay,
    measure_cuda_rounds,
    replay_step,
)
from inception_lab.measure.timing.cuda_table import cuda_table
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.measure.timing.results import Measurement, milliseconds_of
from inception_lab.measure.timing.rounds import Progress
from inception_lab.running.step import Step

ROUNDS, REPLAYS = 0.7, 0.1
"""Parts of the time budget for rounds and for replays; profiled steps have a number of their own."""


def measure_on_cuda(
    steps: Sequence[Step],
    seconds: float,
    progress: Progress | None = None,
    make_gpu: Callable[[], Gpu] = Cuda,
) -> Sequence[Measurement]:
    """Time prepared steps whose rounds take turns on the current GPU.

    Args:
        steps: Prepared, all of them at once.
        seconds: Time budget for all.
        progress: Told how far it is after each round.
        make_gpu: Takes hold of the GPU.
    """
    gpu = make_gpu()
    runners = [CudaRunner(step, ModuleState(step.model.modules.values()), gpu) for step in steps]
    rounds = measure_cuda_rounds(runners, ROUNDS * seconds, _part_of(progress))
    profiles = [_profile(runner) for runner in runners]
    # captures come last: one that fails may leave the device in disorder
    replays = [replay_step(runner, REPLAYS * seconds / len(steps)) for runner in runners]
    if progress is not None:
        progress(1.0)
    return [
        Measurement(_times(runner, times, rounds.warm_up, profile, replay), _step_times(times))
        for runner, times, profile, replay in zip(runners, rounds.times, profiles, replays, strict=True)
    ]


def _part_of(progress: Progress | None) -> Progress | None:
    return None if progress is None else lambda part: progress(ROUNDS * part)


class _Profile(NamedTuple):
    """The profiled steps of one step.

    Attributes:
        times: Nanoseconds of each, by events.
        works: Work of the GPU in each.
    """

    times: Sequence[int]
    works: Sequence[StepWork]


def _profile(runner: CudaRunner) -> _Profile:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        recording = record_steps(runner, path)
        return _Profile(recording.times, steps_of(read_events(path), recording.kinds))


def _times(
    runner: CudaRunner, rounds: Sequence[PhaseTimes], warm_up: int, profile: _Profile, replay: Replay
) -> CudaTimes:
    step, step_times = runner.step, _step_times(rounds)
    layers = cuda_table(rounds, profile.works, step.layers, step.request.training)
    spread = milliseconds_of(step_times)
    # the rows add up to the lower median in whole nanoseconds, so that it is the sum of theirs
    spread = spread._replace(median=round(sum(layers["self_ms"]), 6))
    return CudaTimes(
        context=run_context(step, len(rounds), warm_up)
        | {"profiled_steps": PROFILED_STEPS, "l2_flushed": runner.gpu.cold_cache},
        layers=layers,
        step=spread,
        plain=spread,
        profiled_step=milliseconds_of(profile.times),
        counts=[work.counts for work in profile.works],
        replay=milliseconds_of(replay.times) if replay.times else None,
        reason=replay.reason,
    )


def _step_times(rounds: Sequence[PhaseTimes]) -> list[int]:
    return [sum(times.values()) for times in rounds]
