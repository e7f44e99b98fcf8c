"""Compare the predicted peak memory of the whole zoo with real runs on a CUDA device.

Predicted is the peak of the trace on meta tensors, each storage rounded up to the allocator's blocks;
measured is `torch.cuda.max_memory_allocated`, the reserved bytes and workspaces beside it. With `--steps`,
every model then trains with the allocator capped at the prediction plus what cuBLAS keeps, and the steps that
ran out of memory are counted. The cap is on reserved bytes, not on allocated ones.

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
from inception_lab.allocation.devices import DEVICES
from inception_lab.analyzers.memory import peak_memory
from inception_lab.measure.devices import device_name
from inception_lab.measure.memory import measure_memory, prepared
from inception_lab.models.cards import CARDS, get_card
from inception_lab.optimizers import OPTIMIZERS, optimizer_of
from inception_lab.tracing import Request

DEFAULT_OUTPUT = Path(__file__).parents[1] / "reports" / "memory"
DEVICE = "cuda"
COLUMNS = (
    "model", "mode", "batch", "optimizer", "predicted_bytes", "allocated_bytes", "error_percent",
    "reserved_bytes", "tracked_bytes", "cublas_bytes", "convolution_bytes", "steps", "out_of_memory",
)  # fmt: skip

HEADER = (
    "model", "mode", "batch", "optimizer", "error %", "predicted MiB", "allocated MiB", "reserved MiB",
    "cuBLAS MiB", "convolution MiB", "out of memory",
)  # fmt: skip
SIZES = ("predicted", "allocated", "reserved", "cublas", "convolution")


def checked(name: str, mode: str, batch: int, optimizer: str | None, steps: int) -> dict[str, object]:
    """One row of the table."""
    model, shape = il.create_model(name), (batch, *get_card(name).input_size)
    stepped = optimizer_of(optimizer, **DEVICES[DEVICE].optimizer_options) if optimizer else None
    trace = il.trace(model, shape, mode=mode, optimizer=stepped)
    predicted = peak_memory(trace, DEVICE).peak_bytes
    found = measure_memory(model, shape, mode=mode, optimizer=optimizer, device=DEVICE)
    cublas = found.workspaces["cublas"]
    row: dict[str, object] = {"model": name, "mode": mode, "batch": batch, "optimizer": optimizer}
    row |= {
        "predicted_bytes": predicted,
        "allocated_bytes": found.allocator_bytes,
        "error_percent": 100 * (predicted / found.allocator_bytes - 1),
        "reserved_bytes": found.reserved_bytes,
        "tracked_bytes": found.tracked_bytes,
        "cublas_bytes": cublas,
        "convolution_bytes": found.workspaces["convolution"],
    }
    if mode == "train" and steps:
        asked = Request(model, shape, "train", None, name, optimizer_of(optimizer))
        row |= {"steps": steps, "out_of_memory": failures(asked, predicted + cublas, steps)}
    return row


def failures(asked: Request, cap: int, steps: int) -> int:
    """How many steps run out of memory when the allocator may reserve no more than `cap` bytes."""
    device = torch.device(DEVICE)
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(cap / torch.cuda.get_device_properties(device).total_memory)
    failed = 0
    try:
        for _ in range(steps):
            try:
                with prepared(asked, device) as step:
                    step.run()
            except torch.cuda.OutOfMemoryError:
                failed += 1
                torch.cuda.empty_cache()
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    return failed


def page(rows: pd.DataFrame) -> str:
    """All rows in Markdown."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    for _, row in rows.iterrows():
        sizes = [f"{row[f'{size}_bytes'] / 2**20:,.1f}" for size in SIZES]
        failed = "" if pd.isna(row["steps"]) else f"{row['out_of_memory']:.0f} of {row['steps']:.0f}"
        run = [row["model"], row["mode"], str(row["batch"]), row["optimizer"] or ""]
        lines.append("| " + " | ".join([*run, f"{row['error_percent']:+.2f}", *sizes, failed]) + " |")
    where = f"{device_name(DEVICE)}, torch {torch.__version__}, CUDA {torch.version.cuda}."
    return "\n\n".join(["# Predicted peak memory beside a CUDA device's", "\n".join(lines), where]) + "\n"


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
    """Write cuda.csv and cuda.md; returns 2 where there is no CUDA device."""
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
    return 0


if __name__ == "__main__":
    sys.exit(main())
