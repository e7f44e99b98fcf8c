"""Compare the predicted peak memory of the whole zoo with real runs on a CUDA device.

Predicted is the peak of the trace on meta tensors by the rules for CUDA, and what the caching allocator
reserves for it, followed block by block. Measured are `torch.cuda.max_memory_allocated` and
`max_memory_reserved`. The workspaces of cuBLAS, which PyTorch keeps in the same memory, have a column of
their own and are added to the prediction; those of convolutions have one too and are not. With `--steps`,
every model then trains with the allocator capped at what it is predicted to reserve, and the steps that ran
out of memory are counted.

Usage: python scripts/check_memory_cuda.py [--models MODEL ...] [--batch N] [--optimizer NAME] [--steps N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, Final

import pandas as pd
import torch

import inception_lab as il
from inception_lab.ir.trace import Mode
from inception_lab.measure.hardware import device_name
from inception_lab.measure.real_runs import prepared_on
from inception_lab.models.cards import CARDS, get_card
from inception_lab.report.document import Table, document
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.running.request import Request
from inception_lab.running.step import Step
from shared import REPORTS, add_output, write_csv, write_text

DEVICE: Final = "cuda"
WITHIN_PERCENT = 2.0
MOST_FAILURES = 0.01
"""Of all steps."""
COLUMNS = (
    "model", "mode", "batch", "optimizer", "predicted_bytes", "allocated_bytes", "error_percent",
    "predicted_reserved_bytes", "reserved_bytes", "tracked_bytes", "cublas_bytes", "convolution_bytes",
    "steps", "out_of_memory",
)  # fmt: skip

HEADER = (
    "model", "mode", "batch", "optimizer", "error %", "predicted MiB", "allocated MiB",
    "predicted reserved MiB", "reserved MiB", "cuBLAS MiB", "convolution MiB", "out of memory",
)  # fmt: skip
SIZES = ("predicted", "allocated", "predicted_reserved", "reserved", "cublas", "convolution")


def check(name: str, mode: Mode, batch: int, optimizer: str | None, steps: int) -> dict[str, object]:
    """One row of the table."""
    model, shape = il.create_model(name), (batch, *get_card(name).input_size)
    figures = columns(il.compare_memory(model, shape, mode=mode, optimizer=optimizer, device=DEVICE))
    row = {"model": name, "mode": mode, "batch": batch, "optimizer": optimizer} | figures
    if optimizer and steps:
        request = Request(model, shape, "train", optimizer=optimizer_of(optimizer), name=name)
        cap = figures["predicted_reserved_bytes"]
        row |= {"steps": steps, "out_of_memory": failures(request, cap, steps)}
    return row


def columns(comparison: il.MemoryComparison) -> dict[str, Any]:
    """The predicted and the measured peaks."""
    prediction, memory = comparison.prediction, comparison.measurement
    return {
        "predicted_bytes": prediction.allocator_bytes,
        "allocated_bytes": memory.allocator_bytes,
        "error_percent": 100 * comparison.errors["allocator_bytes"] / memory.allocator_bytes,
        "predicted_reserved_bytes": prediction.reserved_bytes,
        "reserved_bytes": memory.reserved_bytes,
        "tracked_bytes": memory.tracked_bytes,
        "cublas_bytes": memory.workspaces["cublas"],
        "convolution_bytes": memory.workspaces["convolution"],
    }


def failures(request: Request, cap: int, steps: int) -> int:
    """Count the steps of a training loop that run out of memory when at most `cap` bytes may be reserved."""
    device = torch.device(DEVICE)
    # segments that the allocator keeps from earlier runs count against the cap
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(cap / torch.cuda.get_device_properties(device).total_memory)
    try:
        with prepared_on(request, device) as step:
            return sum(not fits(step) for _ in range(steps))
    except torch.cuda.OutOfMemoryError:  # on the way to a steady state
        return steps
    finally:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1.0)


def fits(step: Step) -> bool:
    """True where one more step runs through; its gradients are gone afterwards."""
    try:
        step.run()
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        # the next step must allocate its gradients anew, as a loop with zero_grad does
        for parameter in step.model.parameters.values():
            parameter.grad = None
    return True


def verdicts(rows: pd.DataFrame) -> str:
    """Sentences on how many runs reach what a prediction is for."""
    errors = rows["error_percent"].abs()
    lines = [
        f"Within {WITHIN_PERCENT:g}% of what was allocated: {int((errors <= WITHIN_PERCENT).sum())} of "
        f"{len(rows)} runs; the worst {errors.max():.2f}%."
    ]
    if steps := int(rows["steps"].sum()):
        failure_count = int(rows["out_of_memory"].sum())
        lines.append(
            f"Out of memory with the allocator capped at the prediction: {failure_count} of {steps} steps."
        )
    return " ".join(lines)


def page(rows: pd.DataFrame) -> str:
    """Return all rows in Markdown."""
    context = f"{device_name(DEVICE)}, torch {torch.__version__}, CUDA {torch.version.cuda}."
    table = Table(HEADER, [_cells(row) for _, row in rows.iterrows()])
    return document("Predicted peak memory beside a CUDA device's", [verdicts(rows), table, context])


def _cells(row: pd.Series) -> tuple[str, ...]:
    sizes = [f"{row[f'{size}_bytes'] / 2**20:,.1f}" for size in SIZES]
    failure_text = "" if pd.isna(row["steps"]) else f"{row['out_of_memory']:.0f} of {row['steps']:.0f}"
    optimizer = "" if pd.isna(row["optimizer"]) else row["optimizer"]
    run = (row["model"], row["mode"], str(row["batch"]), optimizer)
    return (*run, f"{row['error_percent']:+.2f}", *sizes, failure_text)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare predicted peak memory with a CUDA device's.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(CARDS), help="default: the whole zoo")
    add("--batch", type=int, default=32, metavar="N", help="of the training step; default: 32")
    add("--optimizer", choices=sorted(OPTIMIZERS), default="momentum", help="default: momentum")
    add("--steps", type=int, default=0, metavar="N", help="steps with a capped allocator; default: 0")
    add_output(parser, REPORTS / "memory")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write cuda.csv and cuda.md; returns 1 where a prediction misses, 2 where there is no CUDA device."""
    options = parse(arguments)
    if not torch.cuda.is_available():
        print("this machine has no CUDA device", file=sys.stderr)
        return 2
    records = []
    for name in options.models:
        records.append(check(name, "eval", 1, None, 0))
        records.append(check(name, "train", options.batch, options.optimizer, options.steps))
        print(records[-1], file=sys.stderr, flush=True)
    rows = pd.DataFrame(records, columns=list(COLUMNS))
    write_csv(options.output, "cuda.csv", rows, "%.6g")
    write_text(options.output, "cuda.md", page(rows))
    return 0 if (rows["error_percent"].abs() <= WITHIN_PERCENT).all() and _few_failures(rows) else 1


def _few_failures(rows: pd.DataFrame) -> bool:
    return bool(rows["out_of_memory"].sum() <= MOST_FAILURES * rows["steps"].sum())


if __name__ == "__main__":
    sys.exit(main())
