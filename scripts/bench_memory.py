"""Time one prediction of peak memory beside the trace of a training step that it needs anyway.

A prediction is a trace with the optimizer's step, and its analysis; the step that it is compared with ends
with the backward pass. CPU time of one thread, rounds interleaved, the median of each round's ratio.

Usage: python scripts/bench_memory.py [--models MODEL ...] [--rounds N] [-o DIR]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

import pandas as pd
import torch

import inception_lab as il
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.measure.hardware import device_name
from inception_lab.models.cards import get_card
from inception_lab.running.optimizers import OPTIMIZERS

DEFAULT_OUTPUT = Path(__file__).parents[1] / "reports" / "benchmarks"
MODELS = ("googlenet", "googlenet_bn", "inception_v3", "inception_resnet_v2", "xception", "vgg16")
BATCHES = (1, 512)
MOST = 3.0
"""Times the trace of a step without an optimizer that a prediction may take."""


def seconds(run: Callable[[], object]) -> float:
    """CPU time of this thread."""
    began = time.thread_time()
    run()
    return time.thread_time() - began


def rows(model_name: str, rounds: int) -> Iterator[dict[str, object]]:
    """A row per batch size and optimizer."""
    model = il.create_model(model_name, device="meta")
    for batch in BATCHES:
        shape = (batch, *get_card(model_name).input_size)

        def step(shape: tuple[int, ...] = shape) -> object:
            return il.trace(model, shape, mode="train")

        for optimizer in OPTIMIZERS:

            def prediction(shape: tuple[int, ...] = shape, optimizer: str = optimizer) -> object:
                return peak_memory(il.trace(model, shape, mode="train", optimizer=optimizer))

            step(), prediction()  # to warm up
            times = [(seconds(step), seconds(prediction)) for _ in range(rounds)]
            yield {
                "model": model_name,
                "batch": batch,
                "optimizer": optimizer,
                "step_ms": 1e3 * median(first for first, _ in times),
                "prediction_ms": 1e3 * median(second for _, second in times),
                "ratio": median(second / first for first, second in times),
            }


def page(found: pd.DataFrame, rounds: int) -> str:
    """The verdict and the table in Markdown."""
    reached = int((found["ratio"] <= MOST).sum())
    lines = [
        "# One prediction of peak memory beside the trace of a training step",
        f"Written by `python scripts/bench_memory.py --rounds {rounds}`. A prediction is a trace with the "
        "optimizer's step, and its analysis; the step beside it ends with the backward pass. CPU time of one "
        f"thread, medians of {rounds} interleaved rounds. At most {MOST:g} times as long: {reached} of "
        f"{len(found)}, the longest {found['ratio'].max():.2f}.",
        "\n".join(
            [
                "| Model | Batch | Optimizer | Step (ms) | Prediction (ms) | Ratio |",
                "| --- | --- | --- | --- | --- | --- |",
                *(
                    f"| {row.model} | {row.batch} | {row.optimizer} | {row.step_ms:.1f} | "
                    f"{row.prediction_ms:.1f} | {row.ratio:.2f} |"
                    for row in found.itertuples()
                ),
            ]
        ),
        f"{device_name('cpu')}, one thread, Python {platform.python_version()}, torch {torch.__version__}.",
    ]
    return "\n\n".join(lines) + "\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Time predictions of peak memory.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(MODELS), help=f"default: {' '.join(MODELS)}")
    add("--rounds", type=int, default=9, metavar="N", help="default: 9")
    add(
        "-o", "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/benchmarks"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write memory.csv and memory.md; returns 1 where a prediction takes too long."""
    options = parse(arguments)
    torch.set_num_threads(1)
    found = pd.DataFrame([row for name in options.models for row in rows(name, options.rounds)])
    options.output.mkdir(parents=True, exist_ok=True)
    found.to_csv(options.output / "memory.csv", index=False, float_format="%.4g", lineterminator="\n")
    (options.output / "memory.md").write_text(page(found, options.rounds), encoding="utf-8")
    return 0 if (found["ratio"] <= MOST).all() else 1


if __name__ == "__main__":
    sys.exit(main())
