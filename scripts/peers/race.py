"""The race itself: warm CPU time of all contenders, in turns."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import TypeVar

import inception_lab as il
from peers.contenders import CONTENDERS, REAL_FORWARD, Run, Shape
from peers.options import Options
from peers.results import Case, Timing
from shared import time_run

Item = TypeVar("Item")


def race(model: str, options: Options) -> dict[Case, Timing]:
    """Time all contenders at all batch sizes in turns, after a warm-up of each."""
    cases = [Case(model, batch, name) for batch in options.batch_sizes for name in CONTENDERS]
    image_seconds = _forward_seconds(options.shape(model, 1), model)
    entrants = {case: _entrant(case, image_seconds, options) for case in cases}
    runs = {case: entrant for case, entrant in entrants.items() if not isinstance(entrant, Timing)}
    seconds = _round_seconds({case: run for case, (run, _) in runs.items()}, options.rounds)
    return {
        case: entrant if isinstance(entrant, Timing) else Timing(tuple(seconds[case]), entrant[1])
        for case, entrant in entrants.items()
    }


def operation_count(model: str, options: Options) -> int:
    """Count the operations that one forward at batch size 1 dispatches."""
    return len(il.trace(il.create_model(model, device="meta").eval(), options.shape(model, 1)).ops)


def turns(cases: Sequence[Item], rounds: int) -> Iterator[Item]:
    """Every case once a round, each round begun by another one and every second round backwards."""
    # a case may suffer from the one before it, which emptied the processor's caches, and from its place in
    # the round; turning and reversing the order spreads both over all cases
    for number in range(rounds):
        first = number % max(len(cases), 1)
        order = [*cases[first:], *cases[:first]]
        yield from reversed(order) if number % 2 else order


def _round_seconds(runs: dict[Case, Run], rounds: int) -> dict[Case, list[float]]:
    seconds: dict[Case, list[float]] = {case: [] for case in runs}
    for case in turns(list(runs), rounds):
        gc.collect()
        runs[case]()  # the contender before filled the processor's caches: this run is not timed
        seconds[case].append(time_run(runs[case])[0])
    return seconds


def _entrant(case: Case, image_seconds: float, options: Options) -> tuple[Run, int | None] | Timing:
    """The run of a case, warmed up, and the MACs that it counted; a timing that says why it cannot run."""
    if why_not := _infeasible(case, image_seconds, options.longest):
        return Timing(why_not=why_not)
    contender = CONTENDERS[case.contender]
    try:
        run = contender.ready(case.model, options.shape(case.model, case.batch))
        result = run()
        return run, contender.macs(result) if contender.macs else None
    except Exception as error:  # a peer may fail in any way, and that is a result
        return Timing(why_not=f"not run: {type(error).__name__} on {contender.image} tensors")


def _forward_seconds(shape: Shape, model: str) -> float:
    run = CONTENDERS[REAL_FORWARD].ready(model, shape)
    # the first one allocates and chooses kernels
    return min(time_run(run)[0] for _ in range(2))


def _infeasible(case: Case, image_seconds: float, longest: float) -> str:
    """The reason why this case would take too long, empty where it would not."""
    seconds = image_seconds * case.batch
    if case.batch == 1 or not CONTENDERS[case.contender].computes or seconds <= longest:
        return ""
    return f"not run: needs a real forward (about {seconds:.0f} s a run)"
