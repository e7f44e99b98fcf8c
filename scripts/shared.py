"""CPU time, context and files, shared by the scripts of this folder."""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from inception_lab.measure.hardware import device_name

if TYPE_CHECKING:  # pandas is imported by the scripts that use it: one of them times its import
    import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
Result = TypeVar("Result")


def time_run(run: Callable[[], Result]) -> tuple[float, Result]:
    """CPU seconds of this thread for one run, and its result."""
    start = time.thread_time()
    result = run()
    return time.thread_time() - start, result


def context_line(threads: str) -> str:
    """Processor and versions as a sentence, without a trace of whose machine it is."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{device_name('cpu')}, {threads}, {versions}."


def threads_text(count: int) -> str:
    """A number of threads in words."""
    return f"{count} thread{'s' * (count != 1)}"


def add_output(parser: argparse.ArgumentParser, default: Path) -> None:
    """Add the option `--output DIR`, which is shown relative to the repository."""
    shown_default = f"default: {default.relative_to(ROOT)}"
    parser.add_argument("-o", "--output", type=Path, default=default, metavar="DIR", help=shown_default)


def write_text(folder: Path, name: str, text: str) -> None:
    """Write a file of text into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="\n")


def write_csv(folder: Path, name: str, table: pd.DataFrame, float_format: str) -> None:
    """Write a table as CSV into a folder, its numbers rounded by a format such as `%.4g`."""
    write_text(folder, name, table.to_csv(index=False, float_format=float_format, lineterminator="\n"))
