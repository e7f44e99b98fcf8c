"""Variants of GoogLeNet a second, where their time goes, and what memory the processes hold on the way.

Costs, receptive field and inference peak of each, by processes of this machine. Exits with 1 where the rate
is below 50 a second, or where memory grows by more than a tenth after the first tenth of the variants.

Usage: python scripts/bench_sweep.py [--variants N] [--jobs N] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import psutil

import inception_lab as il
from inception_lab.budgets.traced import TracedFigures
from inception_lab.report.document import Heading, Table, document
from inception_lab.sweeps.figures import answer
from inception_lab.sweeps.question import Question
from inception_lab.sweeps.worker import prepare_process
from shared import REPORTS, add_output, context_line, time_run, write_text

LEAST_RATE = 50
MOST_GROWTH = 0.1
STAGED = 40
"""Variants whose stages are timed; as many others are timed as a whole."""
WHOLE = "all, as a sweep calls it"
GLANCES = 20
"""Times that memory is looked at."""
SIZES: Mapping[str, Any] = {
    "width": {"distribution": "uniform", "min": 0.5, "max": 1.0},
    "reduction_3x3": {"distribution": "loguniform", "min": 0.1, "max": 0.6},
    "reduction_5x5": {"distribution": "loguniform", "min": 0.02, "max": 0.2},
    "reduction_pool": {"distribution": "loguniform", "min": 0.05, "max": 0.25},
    "input_size": [160, 192, 224, 256],
}
STAGES = ("module_3", "module_4", "module_5")
KINDS: Mapping[str, Any] = {stage: ["reduced", "3x3", "stacked", "asymmetric"] for stage in STAGES}
JUDGED = "width, reductions and input"
SPACES: Mapping[str, Mapping[str, Any]] = {JUDGED: SIZES, "kinds of modules too": {**SIZES, **KINDS}}
"""What varies of the nine modules, in each of the sweeps; the first one is judged."""

INTRODUCTION = """\
Written by `python scripts/bench_sweep.py --variants {variants}`. Variants of GoogLeNet, no two alike; of each
its parameters, MACs, receptive field and the peak of an inference, with no store. The rate is by the clock
from the first variant that is finished to the last: the start of the processes, {start:.1f} s, comes once."""
STAGES_TEXT = """\
CPU time of one thread in a process that is made ready as those of a sweep are, medians of {staged} other
variants in {judged}, stage by stage; the whole, as a sweep calls it, is timed of as many others, in turns."""


@dataclass
class Watch:
    """What is seen while a sweep runs.

    Attributes:
        every: Variants between two looks at the memory.
        began: Time at which the sweep was called.
        moments: Variants that were finished, and when.
        memory: Variants that were finished, and bytes that all its processes held.
    """

    every: int
    began: float = field(default_factory=time.monotonic)
    moments: list[tuple[int, float]] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)

    def look(self, done: int, _: int) -> None:
        """Note the time, and now and then the memory."""
        self.moments.append((done, time.monotonic()))
        if done % self.every == 0:
            own = psutil.Process()
            processes = [own, *own.children(recursive=True)]
            self.memory.append((done, sum(each.memory_info().rss for each in processes)))

    @property
    def start(self) -> float:
        """Seconds to the first variant."""
        return self.moments[0][1] - self.began

    @property
    def rate(self) -> float:
        """Variants a second from the first to the last."""
        (first, begin), (last, end) = self.moments[0], self.moments[-1]
        return (last - first) / (end - begin)

    @property
    def growth(self) -> float:
        """Part by which the memory has grown from a tenth of the way to the end."""
        after_a_tenth = next(held for done, held in self.memory if done >= self.moments[-1][0] / 10)
        return self.memory[-1][1] / after_a_tenth - 1


def space_of(name: str, variants: int, seed: int) -> il.Space:
    """So many variants of a space."""
    metrics = ["params", "macs", "receptive_field", "peak_bytes"]
    keys = {"model": "googlenet", "metrics": metrics, "sample": variants, "seed": seed}
    return il.read_space({**keys, "parameters": SPACES[name]})


def swept(name: str, variants: int, jobs: int) -> tuple[Watch, int]:
    """Run a sweep; returns what was seen, and the number of variants that are complete."""
    watch = Watch(max(variants // GLANCES, 1))
    table = il.sweep(space_of(name, variants, seed=0), jobs=jobs, progress=watch.look)
    return watch, int((table["status"] == "complete").sum())


def stages(space: il.Space) -> dict[str, float]:
    """CPU milliseconds of each stage of a variant, and of all by the function that a sweep calls."""
    prepare_process()
    seconds: dict[str, list[float]] = {}
    question = space.question
    for number, parameters in enumerate(space.variants()):
        # one after the other of the same variant would find what is kept from the first
        staged = number % 2 == 0
        spent = _stages_of(question, parameters) if staged else _whole_of(question, parameters)
        for name, value in list(spent):
            # the first ones fill caches and import modules
            if number >= STAGED // 2:
                seconds.setdefault(name, []).append(value)
    return {name: 1e3 * median(values) for name, values in seconds.items()}


def _whole_of(question: Question, parameters: Any) -> Iterator[tuple[str, float]]:
    yield WHOLE, time_run(partial(answer, question, parameters))[0]


def _stages_of(question: Question, parameters: Any) -> Iterator[tuple[str, float]]:
    request = question.request(parameters, "eval")
    spent, model = time_run(lambda: il.create_model(request.spec, device="meta", **request.kwargs))
    yield "build on meta", spent
    side = request.kwargs.get("input_size", 224)
    spent, trace = time_run(lambda: il.trace(model, (1, 3, side, side)))
    yield "trace", spent
    figures = TracedFigures(trace)
    analyses: dict[str, Callable[[], Any]] = {
        "parameters and MACs": lambda: (figures.total("params"), figures.total("macs")),
        "receptive field": lambda: (figures.widest_feature_field, figures.field_doubts),
        "inference peak": lambda: figures.total("peak_bytes"),
    }
    for name, analysis in analyses.items():
        yield name, time_run(analysis)[0]


Sweeps = Mapping[str, tuple[Watch, int]]
"""What was seen of each sweep, and its variants that are complete."""


def page(sweeps: Sweeps, by_stage: dict[str, float], options: argparse.Namespace) -> str:
    """Return the result as Markdown."""
    watch = sweeps[JUDGED][0]
    rates = [
        (name, f"{seen.moments[-1][0]:,}", f"{complete:,}", f"{seen.rate:.1f}")
        for name, (seen, complete) in sweeps.items()
    ]
    verdict = (
        f"**{watch.rate:.1f} variants a second** by {options.jobs} processes where {JUDGED} vary; the least "
        f"that it must reach is {LEAST_RATE}."
    )
    stages_text = STAGES_TEXT.format(staged=STAGED - STAGED // 4, judged=JUDGED)
    rows = [(name, f"{value:.1f}", f"{value / by_stage[WHOLE]:.0%}") for name, value in by_stage.items()]
    held = [(f"{done:,}", f"{size / 2**20:,.0f}") for done, size in watch.memory]
    return document(
        "A sweep: its rate, its time and its memory",
        [
            INTRODUCTION.format(variants=options.variants, start=watch.start),
            verdict,
            Table(("What varies", "Variants", "Complete", "Variants a second"), rates),
            Heading("Where the time goes"),
            stages_text,
            Table(("Stage", "CPU (ms)", "Of the whole"), rows),
            Heading("Memory"),
            f"Resident memory of all processes; from a tenth of the way on it grows by {watch.growth:.1%}.",
            Table(("Variants", "MiB"), held),
            context_line(f"{options.jobs} processes of one thread"),
        ],
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--others", type=int, default=1000, help="variants of the sweep that is not judged")
    parser.add_argument("--jobs", type=int, default=2)
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 1 where a limit is not kept."""
    options = parse(arguments)
    by_stage = stages(space_of(JUDGED, 2 * STAGED, seed=1))
    counts = {JUDGED: options.variants}
    sweeps = {name: swept(name, counts.get(name, options.others), options.jobs) for name in SPACES}
    text = page(sweeps, by_stage, options)
    write_text(options.output, "sweep.md", text)
    print(text)
    watch = sweeps[JUDGED][0]
    return int(watch.rate < LEAST_RATE or watch.growth > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
