"""Compare the predicted peak memory of the whole zoo with real runs on a CUDA device.

Predicted is the peak of the trace on meta tensors by the rules for CUDA, and what the caching allocator
reserves for it, followed block by block. Measured are `torch.cuda.max_memory_allocated` and
`max_memory_reserved`. The workspaces of cuBLAS, which PyTorch keeps in the same memory, have a column of
their own and are added to the prediction; those of convolutions have one too and are not. With `--steps`,
every model then trains with the allocator capped at what it is predicted to reserve, and the steps that ran
out of memory are counted.

Usage: python scripts/check_memory_cuda.py [--models MODEL ...] [--batch N] [--steps N] ...
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

import inception_lab as il
from inception_lab.analyzers.memory.cuda_allocator import reserved_memory
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.peak import peak_memory
from inception_lab.measure.hardware import device_name
from inception_lab.measure.memory import Prepared, measure_memory, prepared
from inception_lab.models.cards import CARDS, get_card
from inception_lab.running.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.tracing.tracer import Request

DEFAULT_OUTPUT = Path(__file__).parents[1] / "reports" / "memory"
DEVICE = "cuda"
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


def checked(name: str, mode: str, batch: int, optimizer: str | None, steps: int) -> dict[str, object]:
    """One row of the table."""
    model, shape = il.create_model(name), (batch, *get_card(name).input_size)
    stepped = optimizer_of(optimizer, **DEVICES[DEVICE].optimizer_options) if optimizer else None
    trace = il.trace(model, shape, mode=mode, optimizer=stepped)
    found = measure_memory(model, shape, mode=mode, optimizer=optimizer, device=DEVICE)
    cublas = found.workspaces["cublas"]
    predicted, reserved = peak_memory(trace, DEVICE).peak_bytes + cublas, reserved_memory(trace) + cublas
    row: dict[str, object] = {"model": name, "mode": mode, "batch": batch, "optimizer": optimizer}
    row |= {
        "predicted_bytes": predicted,
        "allocated_bytes": found.allocator_bytes,
        "error_percent": 100 * (predicted / found.allocator_bytes - 1),
        "predicted_reserved_bytes": reserved,
        "reserved_bytes": found.reserved_bytes,
        "tracked_bytes": found.tracked_bytes,
        "cublas_bytes": cublas,
        "convolution_bytes": found.workspaces["convolution"],
    }
    if mode == "train" and steps:
        asked = Request(model, shape, "train", None, name, optimizer_of(optimizer))
        row |= {"steps": steps, "out_of_memory": failures(asked, reserved, steps)}
    return row


def failures(asked: Request, cap: int, steps: int) -> int:
    """How many steps of a training loop run out of memory when no more than `cap` bytes may be reserved."""
    device = torch.device(DEVICE)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(cap / torch.cuda.get_device_properties(device).total_memory)
    try:
        with prepared(asked, device) as step:
            return sum(not fits(step) for _ in range(steps))
    except torch.cuda.OutOfMemoryError:  # on the way to a steady state
        return steps
    finally:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction(1.0)


def fits(step: Prepared) -> bool:
    """Whether one more step runs through; its gradients are gone afterwards."""
    try:
        step.run()
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        for parameter in step.loan.parameters.values():
            parameter.grad = None
    return True


def verdicts(rows: pd.DataFrame) -> str:
    """How many runs reach what a prediction is for."""
    errors = rows["error_percent"].abs()
    lines = [
        f"Within {WITHIN_PERCENT:g}% of what was allocated: {int((errors <= WITHIN_PERCENT).sum())} of "
        f"{len(rows)} runs; the worst {errors.max():.2f}%."
    ]
    if steps := int(rows["steps"].sum()):
        failed = int(rows["out_of_memory"].sum())
        lines.append(f"Out of memory with the allocator capped at the prediction: {failed} of {steps} steps.")
    return " ".join(lines)


def page(rows: pd.DataFrame) -> str:
    """All rows in Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    for _, row in rows.iterrows():
        sizes = [f"{row[f'{size}_bytes'] / 2**20:,.1f}" for size in SIZES]
        failed = "" if pd.isna(row["steps"]) else f"{row['out_of_memory']:.0f} of {row['steps']:.0f}"
        optimizer = "" if pd.isna(row["optimizer"]) else row["optimizer"]
        run = [row["model"], row["mode"], str(row["batch"]), optimizer]
        lines.append("| " + " | ".join([*run, f"{row['error_percent']:+.2f}", *sizes, failed]) + " |")
    where = f"{device_name(DEVICE)}, torch {torch.__version__}, CUDA {torch.version.cuda}."
    title = "# Predicted peak memory beside a CUDA device's"
    return "\n\n".join([title, verdicts(rows), "\n".join(lines), where]) + "\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare predicted peak memory with a CUDA device's.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(CARDS), help="default: the whole zoo")
    add("--batch", type=int, default=32, metavar="N", help="of the training step; default: 32")
    add("--optimizer", choices=sorted(OPTIMIZERS), default="momentum", help="default: momentum")
    add("--steps", type=int, default=0, metavar="N", help="steps with a capped allocator; default: 0")
    add("-o", "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/memory")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write cuda.csv and cuda.md; returns 1 where a prediction misses, 2 where there is no CUDA device."""
    options = parse(arguments)
    if not torch.cuda.is_available():
        print("this machine has no CUDA device", file=sys.stderr)
        return 2
    found = []
    for name in options.models:
        found.append(checked(name, "eval", 1, None, 0))
        found.append(checked(name, "train", options.batch, options.optimizer, options.steps))
        print(found[-1], file=sys.stderr, flush=True)
    rows = pd.DataFrame(found, columns=list(COLUMNS))
    options.output.mkdir(parents=True, exist_ok=True)
    rows.to_csv(options.output / "cuda.csv", index=False, float_format="%.6g", lineterminator="\n")
    (options.output / "cuda.md").write_text(page(rows), encoding="utf-8")
    return 0 if (rows["error_percent"].abs() <= WITHIN_PERCENT).all() and _few_failures(rows) else 1


def _few_failures(rows: pd.DataFrame) -> bool:
    return bool(rows["out_of_memory"].sum() <= MOST_FAILURES * rows["steps"].sum())


if __name__ == "__main__":
    sys.exit(main())
