"""Time `inception-lab check` of the whole zoo from a cold start, beside an import of torch.

Fresh processes take turns; CPU time of each, user and system, on one thread. Exits with 1 where a check takes
more than five seconds beyond the import.

Usage: python scripts/bench_check.py [--rounds N] [-o DIR]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from inception_lab.measure.hardware import device_name
from inception_lab.report.document import Table, document
from shared import REPORTS, ROOT, add_output, write_text

MOST_SECONDS = 5.0
COMMANDS = {
    "import torch": ["-c", "import torch"],
    "check of the zoo": ["-m", "inception_lab", "check", "--config", str(ROOT / "pyproject.toml")],
}
HEADER = ("Process", "Median (s)", "Fastest (s)", "Slowest (s)")
INTRODUCTION = """\
Written by `python scripts/bench_check.py --rounds {rounds}`. Every budget in this project's own
pyproject.toml, its zoo, judged against the lock from a cold start. CPU seconds of fresh processes that take
turns, one thread."""


class Times(NamedTuple):
    """CPU seconds of one command in every round."""

    name: str
    seconds: tuple[float, ...]


def cpu_seconds(arguments: Sequence[str]) -> float:
    """Return the CPU time of one process of Python, of its children too.

    Raises:
        subprocess.CalledProcessError: It failed.
    """
    with subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, env=_environment()
    ) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, arguments)
    return usage.ru_utime + usage.ru_stime


def _environment() -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}


def measure(rounds: int) -> list[Times]:
    """Run every command in each round, after one round that fills the caches."""
    for arguments in COMMANDS.values():
        cpu_seconds(arguments)
    table = [[cpu_seconds(arguments) for arguments in COMMANDS.values()] for _ in range(rounds)]
    return [Times(name, column) for name, column in zip(COMMANDS, zip(*table, strict=True), strict=True)]


def seconds_beyond(times: Sequence[Times]) -> float:
    """Return the median, over the rounds, of what a check takes beyond the import in the same round."""
    imports, checks = times
    return median(check - base for base, check in zip(imports.seconds, checks.seconds, strict=True))


def page(times: Sequence[Times], rounds: int) -> str:
    """Return the result as Markdown."""
    import torch

    rows = [
        (name, *(f"{value:.2f}" for value in (median(seconds), min(seconds), max(seconds))))
        for name, seconds in times
    ]
    verdict = (
        f"A check takes {seconds_beyond(times):.2f} s beyond an import of torch, the median of all rounds; "
        f"the limit is {MOST_SECONDS:.0f} s."
    )
    context = (
        f"torch {torch.__version__.partition('+')[0]}, Python {platform.python_version()}, "
        f"{device_name('cpu')}, one thread."
    )
    title = "A check of the whole zoo from a cold start"
    return document(title, [INTRODUCTION.format(rounds=rounds), Table(HEADER, rows), verdict, context])


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="A check of the zoo from a cold start, beside import torch.")
    parser.add_argument("--rounds", type=int, default=7)
    add_output(parser, REPORTS / "benchmarks")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; returns 1 where a check is slower than its limit."""
    options = parse(arguments)
    times = measure(options.rounds)
    text = page(times, options.rounds)
    write_text(options.output, "check.md", text)
    print(text)
    return int(seconds_beyond(times) > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
