"""Compare the predicted peak memory of the whole zoo with real runs on the CPU.

Each model makes one inference pass at batch 1, and training steps at batch 2 and 8, with its auxiliary
heads too where it has some. Predicted is the peak of the trace on meta tensors, and that with what
convolutions hold within themselves on this processor; tracked is the peak of the storages alive in a real
run; the allocator's is the peak of its own events in another real run.

Usage: python scripts/check_memory.py [--models MODEL ...] [--side N] [--limit-gib G] [-o DIR]
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch

import inception_lab as il
from inception_lab.analyzers.memory.devices import DEVICES
from inception_lab.analyzers.memory.peak import allocator_peak, peak_memory
from inception_lab.ir.trace import Mode
from inception_lab.measure.hardware import device_name, this_processor
from inception_lab.measure.memory import measure_memory
from inception_lab.models.cards import CARDS, get_card

DEFAULT_OUTPUT = Path(__file__).parents[1] / "reports" / "memory"


class Run(NamedTuple):
    """What is run of each model."""

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
    """What a prediction must reach.

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


def checked(name: str, heads: bool, run: Run, side: int | None, limit: float) -> dict[str, object]:
    """One row: predict, and run for real unless that takes too much memory."""
    card = get_card(name)
    model = il.create_model(name, **({HEADS: heads} if HEADS in card.options else {}))
    channels, *sides = card.input_size
    shape = (run.batch, channels, *(side or s for s in sides))
    written = "x".join(map(str, shape[1:]))
    row: dict[str, object] = {"model": name, "heads": heads, "input": written} | run._asdict()
    started = time.perf_counter()
    trace = il.trace(model, shape, mode=run.mode, optimizer=run.optimizer)
    peak, processor = peak_memory(trace), this_processor()
    predicted = {"tracked": peak.peak_bytes}
    predicted["allocator"] = allocator_peak(trace, processor) if processor else peak.peak_bytes
    row |= {"predicted_bytes": predicted["tracked"], "predicted_allocator_bytes": predicted["allocator"]}
    row |= {"at": peak.layer, "operation": peak.operation}
    weights = sum(4 * p.numel() for p in model.parameters())
    if (needed := (weights + predicted["allocator"]) / 2**30) > limit:
        return row | {"note": f"not run: about {needed:.1f} GiB"}
    found = measure_memory(model, shape, mode=run.mode, optimizer=run.optimizer)
    row |= {"tracked_bytes": found.tracked_bytes, "allocator_bytes": found.allocator_bytes}
    for kind, size in predicted.items():
        error = size - int(row[f"{kind}_bytes"])
        row |= {f"{kind}_error": error, f"{kind}_percent": 100 * error / (size - error)}
    return row | {"seconds": time.perf_counter() - started, "note": ""}


def cases(names: Sequence[str]) -> Iterator[tuple[str, bool, Run]]:
    """Every run of every model, without and with heads."""
    for name in names:
        option = get_card(name).options.get(HEADS)
        for heads in sorted({bool(option.default), True}) if option else [False]:
            for run in RUNS:
                yield name, heads, run


def met(rows: pd.DataFrame, target: Target) -> pd.Series:
    """Which of the rows that a target is about reach it."""
    about = rows[rows["mode"].isin(target.modes) & rows[target.column].notna()]
    return about[target.column].abs() <= target.most


def page(rows: pd.DataFrame) -> str:
    """The verdicts in Markdown, and all rows."""
    parts = [
        "# Predicted peak memory beside real runs",
        INTRODUCTION,
        _verdicts(rows),
        _table(rows),
        "## Where devices differ from meta tensors",
        RULES,
        _rules(),
        _context(),
    ]
    return "\n\n".join(parts) + "\n"


INTRODUCTION = (
    "The peak of an inference pass or a training step as computed from the trace on meta tensors, beside "
    "two real runs on the CPU: the storages alive after each operation, tracked by a dispatch mode that "
    "knows nothing of the trace, and the allocator's own events, which show what is alive within operations "
    "too. That is predicted by rules about oneDNN's convolutions and this processor's registers. Errors are "
    "predicted less measured. Every number is in [memory.csv](memory.csv)."
)


def _verdicts(rows: pd.DataFrame) -> str:
    lines = ["| target | runs | reached | worst | by |", "|---|---|---|---|---|"]
    for target in TARGETS:
        reached = met(rows, target)
        worst = rows.loc[rows.loc[reached.index, target.column].abs().idxmax()] if len(reached) else None
        told = ("", "") if worst is None else (f"{worst[target.column]:.6g}", _run_name(worst))
        lines.append(
            "| " + " | ".join([target.name, str(len(reached)), str(int(reached.sum())), *told]) + " |"
        )
    return "\n".join(lines)


def _run_name(row: pd.Series) -> str:
    heads = " with heads" if row["heads"] else ""
    step = f"train, {row['optimizer']}" if row["mode"] == "train" else "eval"
    return f"{row['model']}{heads}, batch {row['batch']}, {step}"


def _table(rows: pd.DataFrame) -> str:
    header = [
        "run",
        "predicted MiB",
        "tracked error, bytes",
        "allocator error, bytes",
        "%",
        "peak at",
        "note",
    ]
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    for _, row in rows.iterrows():
        numbers = ("tracked_error", "allocator_error", "allocator_percent")
        told = [
            "" if pd.isna(row[n]) else f"{row[n]:,.6g}" if n.endswith("percent") else f"{row[n]:,.0f}"
            for n in numbers
        ]
        cells = [_run_name(row), f"{row['predicted_bytes'] / 2**20:,.1f}", *told, row["at"], row["note"]]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


RULES = (
    "Without these rules predictions would miss. Those of the CPU are confirmed by the runs above and, in "
    "half precision, by tests. Those of CUDA agree with the operations that PyTorch itself chooses for fake "
    "CUDA tensors in a forward pass (tests/analyzers/memory/test_devices.py, under a PyTorch built with "
    "CUDA); no GPU has confirmed them. Blocks of 512 bytes, foreach optimizers and the segments of the "
    "caching allocator come on top there."
)


def _rules() -> str:
    lines = ["| device | rule | where PyTorch decides it |", "|---|---|---|"]
    for name, device in DEVICES.items():
        lines += [f"| {name} | {rule.what} | {rule.source} |" for rule in device.rules]
    return "\n".join(lines)


def _context() -> str:
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{device_name('cpu')}, {torch.get_num_threads()} thread, {versions}."


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Compare predicted peak memory with real runs.")
    add = parser.add_argument
    add("--models", nargs="*", metavar="MODEL", default=list(CARDS), help="default: the whole zoo")
    add("--side", type=int, metavar="N", help="side of the input; default: each model's own")
    add("--limit-gib", type=float, default=6.0, metavar="G", help="do not run what needs more; default: 6")
    add("-o", "--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR", help="default: reports/memory")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write memory.csv and README.md; returns 1 where a prediction misses a target."""
    options = parse(arguments)
    torch.set_num_threads(1)
    found = []
    for name, heads, run in cases(options.models):
        found.append(checked(name, heads, run, options.side, options.limit_gib))
        print(found[-1], file=sys.stderr, flush=True)
    rows = pd.DataFrame(found, columns=list(COLUMNS))
    options.output.mkdir(parents=True, exist_ok=True)
    rows.to_csv(options.output / "memory.csv", index=False, float_format="%.6g", lineterminator="\n")
    (options.output / "README.md").write_text(page(rows), encoding="utf-8")
    return 0 if all(met(rows, target).all() for target in TARGETS) else 1


if __name__ == "__main__":
    sys.exit(main())
