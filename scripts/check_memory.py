"""Compare the predicted peak memory of the whole zoo with real runs on the CPU.

Each model makes one inference pass at batch 1, and training steps at batch 2 and 8, with its auxiliary
heads too where it has some. Predicted is the peak of the trace on meta tensors, and that with what
convolutions hold within themselves on this processor; tracked is the peak of the storages alive in a real
run; the allocator's is the peak of its own events in another real run.

Usage: python scripts/check_memory.py [--models MODEL ...] [--side N] [--limit-gib G] [-o DIR]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch

import inception_lab as il
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.ir.trace import Mode
from inception_lab.measure.prediction import PredictedMemory, predicted_on_cpu
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Heading, Table, document
from shared import REPORTS, add_output, context_line, write_csv, write_text


class Run(NamedTuple):
    """One run of a model."""

    mode: Mode
    batch: int
    optimizer: str | None


RUNS = (
    Run("eval", 1, None),
    Run("train", 2, "momentum"),
    Run("train", 2, "adamw"),
    Run("train", 8, "momentum"),
)
HEADS = "aux_logits"


class Target(NamedTuple):
    """The accuracy that a prediction must reach.

    Attributes:
        name: In words.
        column: The error, as a column of the table.
        modes: For which it holds.
        most: The largest error, absolute, in the column's unit.
    """

    name: str
    column: str
    modes: tuple[str, ...]
    most: float


TARGETS = (
    Target("train: equal to the storages tracked, to the byte", "tracked_error", ("train",), 0),
    Target("eval: within 1 KiB of the storages tracked", "tracked_error", ("eval",), 1024),
    Target("the allocator's own peak within 0.5%", "allocator_percent", ("eval", "train"), 0.5),
)
COLUMNS = (
    "model", "heads", "input", "mode", "batch", "optimizer", "predicted_bytes", "tracked_bytes",
    "tracked_error", "tracked_percent", "predicted_allocator_bytes", "allocator_bytes", "allocator_error",
    "allocator_percent", "at", "operation", "seconds", "note",
)  # fmt: skip
INTRODUCTION = (
    "The peak of an inference pass or a training step as computed from the trace on meta tensors, beside "
    "two real runs on the CPU: the storages alive after each operation, tracked by a dispatch mode that "
    "knows nothing of the trace, and the allocator's own events, which show what is alive within operations "
    "too. That is predicted by rules about oneDNN's convolutions and this processor's registers. Errors are "
    "predicted less measured. Every number is in [memory.csv](memory.csv)."
)
RULES = (
    "Without these rules predictions would miss. Those of the CPU are confirmed by the runs above and, in "
    "half precision, by tests. Those of CUDA agree with the operations that PyTorch itself chooses for fake "
    "CUDA tensors in a forward pass (tests/analyzers/memory/test_devices.py, under a PyTorch built with "
    "CUDA); no GPU has confirmed them. Blocks of 512 bytes, foreach optimizers and the segments of the "
    "caching allocator come on top there."
)


def cases(names: Sequence[str]) -> Iterator[tuple[str, bool, Run]]:
    """Every run of every model, without and with heads."""
    for name in names:
        option = get_card(name).options.get(HEADS)
        # False before True: the net as it is used, then with its heads
        for heads in sorted({bool(option.default), True}) if option else [False]:
            for run in RUNS:
                yield name, heads, run


def check(name: str, heads: bool, run: Run, side: int | None, limit: float) -> dict[str, object]:
    """One row: predict, and run for real unless that takes more than so many GiB."""
    card = get_card(name)
    options: dict[str, Any] = {HEADS: heads} if HEADS in card.options else {}
    model = il.create_model(name, **options)
    channels, *sides = card.input_size
    shape = (run.batch, channels, *(side or s for s in sides))
    row: dict[str, object] = {"model": name, "heads": heads, "input": "x".join(map(str, shape[1:]))}
    row |= run._asdict()
    start = time.perf_counter()
    trace = il.trace_for_device(model, shape, mode=run.mode, optimizer=run.optimizer)
    peak, prediction = il.peak_memory(trace), predicted_on_cpu(trace)
    row |= predicted_columns(prediction) | {"at": peak.layer, "operation": peak.operation}
    weights = sum(4 * p.numel() for p in model.parameters())
    if (need := (weights + prediction.allocator_bytes) / 2**30) > limit:
        return row | {"note": f"not run: about {need:.1f} GiB"}
    comparison = il.compare_memory(model, shape, mode=run.mode, optimizer=run.optimizer)
    return row | measured_columns(comparison) | {"seconds": time.perf_counter() - start, "note": ""}


def predicted_columns(prediction: PredictedMemory) -> dict[str, object]:
    """The predicted peaks."""
    return {
        "predicted_bytes": prediction.tracked_bytes,
        "predicted_allocator_bytes": prediction.allocator_bytes,
    }


def measured_columns(comparison: il.MemoryComparison) -> dict[str, object]:
    """The peaks of real runs, and the errors of the prediction in bytes and in percent."""
    columns: dict[str, object] = {}
    for figure in ("tracked", "allocator"):
        size, error = getattr(comparison.measurement, f"{figure}_bytes"), comparison.errors[f"{figure}_bytes"]
        columns |= {f"{figure}_bytes": size, f"{figure}_error": error}
        columns[f"{figure}_percent"] = 100 * error / size
    return columns


def reaches(rows: pd.DataFrame, target: Target) -> pd.Series:
    """True for the rows that reach a target, of those that it is about."""
    about = rows[rows["mode"].isin(target.modes) & rows[target.column].notna()]
    return about[target.column].abs() <= target.most


def page(rows: pd.DataFrame) -> str:
    """Return the verdicts in Markdown, and all rows."""
    return document(
        "Predicted peak memory beside real runs",
        [
            INTRODUCTION,
            targets_table(rows),
            runs_table(rows),
            Heading("Where devices differ from meta tensors"),
            RULES,
            rules_table(),
            context_line(f"{torch.get_num_threads()} thread"),
        ],
    )


def targets_table(rows: pd.DataFrame) -> Table:
    """Each target, how many runs reach it, and the worst."""
    body = [_target_cells(rows, target) for target in TARGETS]
    return Table(("target", "runs", "reached", "worst", "by"), body)


def _target_cells(rows: pd.DataFrame, target: Target) -> tuple[str, ...]:
    verdicts = reaches(rows, target)
    if not len(verdicts):
        return (target.name, "0", "0", "", "")
    worst = rows.loc[rows.loc[verdicts.index, target.column].abs().idxmax()]
    numbers = (str(len(verdicts)), str(int(verdicts.sum())), f"{worst[target.column]:.6g}")
    return (target.name, *numbers, _run_name(worst))


def _run_name(row: pd.Series) -> str:
    heads = " with heads" if row["heads"] else ""
    step = f"train, {row['optimizer']}" if row["mode"] == "train" else "eval"
    return f"{row['model']}{heads}, batch {row['batch']}, {step}"


def runs_table(rows: pd.DataFrame) -> Table:
    """Every run: predictions, their errors, and the place of the peak."""
    errors = ("tracked error, bytes", "allocator error, bytes", "%")
    header = ("run", "predicted MiB", *errors, "peak at", "note")
    return Table(header, [_run_cells(row) for _, row in rows.iterrows()])


def _run_cells(row: pd.Series) -> tuple[str, ...]:
    formats = {"tracked_error": ",.0f", "allocator_error": ",.0f", "allocator_percent": ",.6g"}
    errors = ("" if pd.isna(row[name]) else format(row[name], form) for name, form in formats.items())
    return (_run_name(row), f"{row['predicted_bytes'] / 2**20:,.1f}", *errors, row["at"], row["note"])


def rules_table() -> Table:
    """The rules of each device, with where PyTorch decides them."""
    body = [(name, rule.what, rule.source) for name, device in DEVICES.items() for rule in device.rules]
    return Table(("device", "rule", "where PyTorch decides it"), body)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare predicted peak memory with real runs.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(CARDS), help="default: the whole zoo")
    add("--side", type=int, metavar="N", help="side of the input; default: each model's own")
    add("--limit-gib", type=float, default=6.0, metavar="G", help="do not run what needs more; default: 6")
    add_output(parser, REPORTS / "memory")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write memory.csv and README.md; returns 1 where a prediction misses a target."""
    options = parse(arguments)
    torch.set_num_threads(1)
    records = []
    for name, heads, run in cases(options.models):
        records.append(check(name, heads, run, options.side, options.limit_gib))
        print(records[-1], file=sys.stderr, flush=True)
    rows = pd.DataFrame(records, columns=list(COLUMNS))
    write_csv(options.output, "memory.csv", rows, "%.6g")
    write_text(options.output, "README.md", page(rows))
    return 0 if all(reaches(rows, target).all() for target in TARGETS) else 1


if __name__ == "__main__":
    sys.exit(main())
