"""Trace every classification architecture that is installed, and write down the outcome for each.

The nets of torchvision and timm are built without weights at their own input size; this project's zoo and
the hostile nets of its tests come with them. Rows are written as they come, so that an interrupted sweep
goes on with --resume.

Usage: python scripts/sweep_zoo.py [--package timm ...] [--only 'vit_*'] [--limit N] [--resume] [-o DIR]
"""

from __future__ import annotations

import argparse
import csv
import gc
import sys
import warnings
from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path

import torch

import inception_lab as il
from shared import REPORTS, ROOT, add_output, write_text

sys.path.append(str(ROOT / "tests"))  # the hostile nets, and how to run them, are those of the tests
from sweep.nets import SOURCES, Subject, subjects
from sweep.outcome import REFUSED, Row, one_line, trace_row
from sweep.page import page


def measure(subject: Subject) -> Row:
    """Build one net and trace it, on its devices one after the other until that succeeds."""
    place, reasons = (subject.package, subject.name), []
    for device in subject.devices:
        try:
            with torch.device(device):
                model, inputs = subject.make()
            return trace_row(*place, model.eval(), inputs)
        except Exception as error:  # whatever a model of another package raises is a result
            if subject.must_fail and isinstance(error, il.InceptionLabError):
                return Row(*place, traced=REFUSED, reason=f"as its test demands: {one_line(error)}")
            reasons.append(f"built on {device}: {one_line(error)}")
    return Row(*place, reason="; ".join(reasons))


def add_rows(options: argparse.Namespace, file: Path) -> dict[str, str]:
    """Measure each net that has no row yet, and add its row to the file at once.

    Returns:
        The packages that could not be imported, and why.
    """
    missing: dict[str, str] = {}
    names = {(row.package, row.name) for row in read(file)}
    nets = subjects(options.package, options.only, missing)
    pending = (net for net in nets if (net.package, net.name) not in names)
    for subject in islice(pending, options.limit):
        row = measure(subject)
        gc.collect()  # a net is a cycle of modules, and the next one may need its memory
        print(f"{row.package} {row.name}: {row.traced} {row.counts} {row.reason}", file=sys.stderr)
        with file.open("a", encoding="utf-8", newline="") as lines:
            csv.writer(lines, lineterminator="\n").writerow(asdict(row).values())
    return missing


def read(file: Path) -> list[Row]:
    """Return the rows of a file."""
    with file.open(encoding="utf-8", newline="") as lines:
        return [Row(**row) for row in csv.DictReader(lines)]


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments; ends the program with exit code 2 where they are wrong."""
    parser = argparse.ArgumentParser(description="Trace every classification architecture that is installed.")
    add = parser.add_argument
    add("--package", nargs="+", choices=SOURCES, default=list(SOURCES), help="default: all")
    add("--only", default="*", metavar="PATTERN", help="names to take, such as 'vit_*'")
    add("--limit", type=int, metavar="N", help="stop after N nets")
    add("--resume", action="store_true", help="keep the rows that are there")
    add_output(parser, REPORTS / "coverage")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Sweep and write coverage.csv and README.md; returns 0 whatever is found."""
    options = parse(arguments)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    file = options.output / "coverage.csv"
    if not options.resume or not file.exists():
        header = ",".join(field.name for field in fields(Row))
        write_text(options.output, file.name, f"{header}\n")
    missing = add_rows(options, file)
    text = page(read(file), missing)
    write_text(options.output, "README.md", text)
    print(text.partition("\n## ")[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
