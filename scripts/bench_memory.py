"""Time one prediction of peak memory beside the trace of a training step that it needs anyway.

A prediction is a trace with the optimizer's step, and its analysis; the step that it is compared with ends
with the backward pass. CPU time of one thread, rounds interleaved, the median of each round's ratio.

Usage: python scripts/bench_memory.py [--models MODEL ...] [--rounds N] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

import pandas as pd
import torch
from torch import nn

import inception_lab as il
from inception_lab.models.cards import get_card
from inception_lab.report.document import Table, document
from inception_lab.running.optimizers import OPTIMIZERS
from shared import REPORTS, add_output, context_line, time_run, write_csv, write_text

MODELS = ("googlenet", "googlenet_bn", "inception_v3", "inception_resnet_v2", "xception", "vgg16")
BATCHES = (1, 512)
MOST = 3.0
"""Times the trace of a step without an optimizer that a prediction may take."""


def rows(model_name: str, rounds: int) -> Iterator[dict[str, object]]:
    """A row per batch size and optimizer."""
    model = il.create_model(model_name, device="meta")
    for batch in BATCHES:
        shape = (batch, *get_card(model_name).input_size)
        for optimizer in OPTIMIZERS:
            case = {"model": model_name, "batch": batch, "optimizer": optimizer}
            yield case | race(model, shape, optimizer, rounds)


def race(model: nn.Module, shape: tuple[int, ...], optimizer: str, rounds: int) -> dict[str, object]:
    """Medians of the step, of the prediction, and of their ratio within each round."""
    step = partial(il.trace, model, shape, mode="train")
    prediction = partial(predict, model, shape, optimizer)
    step(), prediction()  # to warm up
    times = [(time_run(step)[0], time_run(prediction)[0]) for _ in range(rounds)]
    return {
        "step_ms": 1e3 * median(first for first, _ in times),
        "prediction_ms": 1e3 * median(second for _, second in times),
        "ratio": median(second / first for first, second in times),
    }


def predict(model: nn.Module, shape: tuple[int, ...], optimizer: str) -> object:
    """Predict the peak of a training step."""
    return il.peak_memory(il.trace(model, shape, mode="train", optimizer=optimizer))


def page(table: pd.DataFrame, rounds: int) -> str:
    """Return the verdict and the table in Markdown."""
    quick = int((table["ratio"] <= MOST).sum())
    introduction = (
        f"Written by `python scripts/bench_memory.py --rounds {rounds}`. A prediction is a trace with the "
        "optimizer's step, and its analysis; the step beside it ends with the backward pass. CPU time of one "
        f"thread, medians of {rounds} interleaved rounds. At most {MOST:g} times as long: {quick} of "
        f"{len(table)}, the longest {table['ratio'].max():.2f}."
    )
    columns = {"model": "{}", "batch": "{}", "optimizer": "{}",
               "step_ms": "{:.1f}", "prediction_ms": "{:.1f}", "ratio": "{:.2f}"}  # fmt: skip
    body = [[form.format(row[name]) for name, form in columns.items()] for row in table.to_dict("records")]
    header = ("Model", "Batch", "Optimizer", "Step (ms)", "Prediction (ms)", "Ratio")
    return document(
        "One prediction of peak memory beside the trace of a training step",
        [introduction, Table(header, body), context_line("one thread")],
    )


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Time predictions of peak memory.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(MODELS), help=f"default: {' '.join(MODELS)}")
    add("--rounds", type=int, default=9, metavar="N", help="default: 9")
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write memory.csv and memory.md; returns 1 where a prediction takes too long."""
    options = parse(arguments)
    torch.set_num_threads(1)
    table = pd.DataFrame([row for name in options.models for row in rows(name, options.rounds)])
    write_csv(options.output, "memory.csv", table, "%.4g")
    write_text(options.output, "memory.md", page(table, options.rounds))
    return 0 if (table["ratio"] <= MOST).all() else 1


if __name__ == "__main__":
    sys.exit(main())
