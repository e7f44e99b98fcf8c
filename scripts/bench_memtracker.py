"""Compare predicted peaks of training steps with PyTorch's MemTracker, and both with a real run.

MemTracker (torch.distributed._tools) follows the storages of steps that run under FakeTensorMode. It is shown
two steps with the optimizer, the first of which makes the optimizer's state; a prediction here is a trace and
its analysis. Measured are the storages alive in a real step. CPU time of one thread, the median of rounds
that take turns, after one to warm up.

Usage: python scripts/bench_memtracker.py [--models MODEL ...] [--batch N] [--rounds N] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Hashable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

import pandas as pd
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn.functional import cross_entropy

import inception_lab as il
from inception_lab.models.cards import get_card
from inception_lab.report.document import Table, document
from shared import REPORTS, add_output, context_line, time_run, write_csv, write_text

MODELS = ("googlenet", "googlenet_bn", "inception_v3", "vgg16")
OPTIMIZER = "momentum"


def their_peak(name: str, shape: tuple[int, ...]) -> int:
    """The peak of a training step by MemTracker, in bytes."""
    with FakeTensorMode():
        model = il.create_model(name).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        images, classes = torch.empty(shape), torch.zeros(shape[0], dtype=torch.int64)
        tracker = MemTracker()
        tracker.track_external(model, optimizer, images, classes)
        for step in range(2):
            with tracker:
                torch.autograd.backward(cross_entropy(model(images), classes))
                optimizer.step()
                optimizer.zero_grad()
            if step == 0:
                tracker.reset_mod_stats()
        return int(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])


def our_peak(name: str, shape: tuple[int, ...]) -> int:
    """The same by a trace, in bytes."""
    model = il.create_model(name, device="meta")
    trace = il.trace_for_device(model, shape, mode="train", optimizer=OPTIMIZER)
    return il.peak_memory(trace).peak_bytes


def row(name: str, batch: int, rounds: int) -> dict[str, object]:
    """Both predictions of a model, their times, and the peak of a real step."""
    shape = (batch, *get_card(name).input_size)
    ours, theirs = partial(our_peak, name, shape), partial(their_peak, name, shape)
    our_bytes, their_bytes = ours(), theirs()
    times = [(time_run(ours)[0], time_run(theirs)[0]) for _ in range(rounds)]
    comparison = il.compare_memory(il.create_model(name), shape, mode="train", optimizer=OPTIMIZER)
    return {
        "model": name,
        "batch": batch,
        "measured_bytes": comparison.measurement.tracked_bytes,
        "our_bytes": our_bytes,
        "their_bytes": their_bytes,
        "our_ms": 1e3 * median(first for first, _ in times),
        "their_ms": 1e3 * median(second for _, second in times),
        "ratio": median(second / first for first, second in times),
    }


def page(table: pd.DataFrame, rounds: int) -> str:
    """Return the table in Markdown."""
    introduction = (
        f"Written by `python scripts/bench_memtracker.py --rounds {rounds}`. Peaks of a training step with "
        f"{OPTIMIZER}: measured as the storages alive in a real step, predicted from a trace, and by "
        "PyTorch's MemTracker on fake tensors, model and optimizer built in the time of each. CPU time of "
        f"one thread, medians of {rounds} rounds that take turns."
    )
    header = ("Model", "Batch", "Measured (bytes)", "Ours, error", "MemTracker, error", "Ours (ms)",
              "MemTracker (ms)", "Ratio")  # fmt: skip
    body = [_cells(record) for record in table.to_dict("records")]
    title = "Peak memory: this project beside MemTracker"
    return document(title, [introduction, Table(header, body), context_line("one thread")])


def _cells(record: Mapping[Hashable, Any]) -> tuple[str, ...]:
    measured = record["measured_bytes"]
    errors = [f"{record[key] - measured:+,d}" for key in ("our_bytes", "their_bytes")]
    times = [f"{record[key]:.0f}" for key in ("our_ms", "their_ms", "ratio")]
    return (str(record["model"]), str(record["batch"]), f"{measured:,d}", *errors, *times)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Predicted peaks beside MemTracker's and a real run.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(MODELS), help=f"default: {' '.join(MODELS)}")
    add("--batch", type=int, default=8, metavar="N", help="default: 8")
    add("--rounds", type=int, default=5, metavar="N", help="default: 5")
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write memtracker.csv and memtracker.md; returns 1 where our peak is not the measured one."""
    options = parse(arguments)
    torch.set_num_threads(1)
    table = pd.DataFrame([row(name, options.batch, options.rounds) for name in options.models])
    write_csv(options.output, "memtracker.csv", table, "%.4g")
    write_text(options.output, "memtracker.md", page(table, options.rounds))
    return int((table["our_bytes"] != table["measured_bytes"]).any())


if __name__ == "__main__":
    sys.exit(main())
