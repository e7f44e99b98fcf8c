"""Rounds of prepared steps, with the clock at every call and without it in turns, within a time budget."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import NamedTuple

import torch

from inception_lab.measure.hardware import count_page_faults
from inception_lab.measure.real_runs import failure_named
from inception_lab.measure.timing.clock import CallClock, Elapsed, RoundTimes, run_clocked, run_plain
from inception_lab.measure.timing.module_state import ModuleState
from inception_lab.running.step import Step

FEWEST, MOST = 6, 1000
"""Rounds that are made however long they take, which an interval of 95% needs; and the most."""

WARM_UP = 0.1
"""Part of the time budget for rounds that do not count; one is always made."""

Progress = Callable[[float], None]
"""Told the part of the time budget that is spent, from 0 to 1."""


@dataclass
class Samples:
    """The rounds of one step.

    Attributes:
        clocked: With a clock at every call.
        plain: Those beside them, without one.
        page_faults: Pages of memory that the system gave to the process in each of the latter.
    """

    clocked: list[RoundTimes] = field(default_factory=list)
    plain: list[Elapsed] = field(default_factory=list)
    page_faults: list[int] = field(default_factory=list)


class Rounds(NamedTuple):
    """The rounds of several steps.

    Attributes:
        samples: Of each step; the rounds at one place were made one after the other.
        warm_up: Rounds before, which do not count.
    """

    samples: Sequence[Samples]
    warm_up: int


def measure_rounds(steps: Sequence[Step], seconds: float, progress: Progress | None = None) -> Rounds:
    """Run steps in turns until a time budget is spent.

    In each round every step runs once with the clock and once without; every other round has the reverse
    order, so that a machine that becomes slower or faster favours none of them.

    Args:
        steps: Prepared, all of them at once.
        seconds: The time budget for all, warm-up included.
        progress: Told how far it is after each round.
    """
    runners = [_Runner(step, ModuleState(step.model.modules.values())) for step in steps]
    samples = [Samples() for _ in steps]
    warm_up = 0
    for number, counts in enumerate(paced(seconds, progress)):
        _make_round(runners, samples if counts else [Samples() for _ in steps], number)
        warm_up += not counts
    return Rounds(samples, warm_up)


def paced(seconds: float, progress: Progress | None = None) -> Iterator[bool]:
    """Yield once for each round until a time budget is spent: False to warm up, then True where it counts.

    Args:
        seconds: The time budget, warm-up included but for its first round, which may have to compile.
        progress: Told how far it is after each round that counts.
    """
    yield False
    began = monotonic()

    def spent() -> float:
        return (monotonic() - began) / seconds if seconds else 1.0

    warm_up = 1
    while spent() < WARM_UP and warm_up < MOST:
        yield False
        warm_up += 1
    count = 0
    while count < FEWEST or (spent() < 1 and count < MOST):
        yield True
        count += 1
        if progress is not None:
            progress(min(1.0, count / FEWEST, max(spent(), count / MOST)))


def _make_round(runners: Sequence[_Runner], samples: Sequence[Samples], number: int) -> None:
    runs = [
        partial(run, sample)
        for runner, sample in zip(runners, samples, strict=True)
        for run in (runner.add_clocked, runner.add_plain)
    ]
    for run in reversed(runs) if number % 2 else runs:
        run()


@dataclass(frozen=True)
class _Runner:
    """Makes the rounds of a step, each of which begins as every other one.

    Attributes:
        step: Prepared.
        state: State that its modules keep, as it was before the first round.
    """

    step: Step
    state: ModuleState

    def add_clocked(self, samples: Samples) -> None:
        """Run the step with a clock at every call."""
        clock = CallClock()
        with fresh(self.step, self.state):
            run_clocked(self.step, clock)
        samples.clocked.append(clock.times())

    def add_plain(self, samples: Samples) -> None:
        """Run the step without clocks."""
        with fresh(self.step, self.state):
            before = count_page_faults()
            elapsed, _ = run_plain(self.step)
            samples.page_faults.append(count_page_faults() - before)
        samples.plain.append(elapsed)


@contextmanager
def fresh(step: Step, state: ModuleState) -> Iterator[None]:
    """A round as `renew` begins it, and whatever the model raises in one line."""
    renew(step, state)
    with failure_named(step.request.name):
        yield


def renew(step: Step, state: ModuleState) -> None:
    """Drop gradients, what modules kept of the last round, and its garbage; begin random numbers anew.

    Args:
        step: Prepared.
        state: State of its modules before the first round.
    """
    for tensor in (*step.model.parameters.values(), *step.arguments.tensors.values()):
        tensor.grad = None
    state.restore()
    # Automatic collection is off; the young generation is enough for cycles of the last round.
    gc.collect(0)
    torch.default_generator.manual_seed(0)
