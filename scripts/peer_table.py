"""Print the table of the README that sets this project beside its peers, from files in reports/benchmarks/.

Each file was written by the script that its page names. Only GoogLeNet is in the table; the pages have more.

Usage: python scripts/peer_table.py
"""

from __future__ import annotations

import csv
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1] / "reports" / "benchmarks"
MODEL = "googlenet"
HEADER = "| beside | its answer for GoogLeNet | its time / ours |\n| :--- | :--- | ---: |"


def rows_of(name: str) -> list[dict[str, str]]:
    """The rows of a benchmark about the model."""
    with (BENCHMARKS / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["model"] == MODEL]


def count_rows() -> list[str]:
    """MACs beside other counters, at batch 1; on meta tensors too where they run there."""
    rows = {row["contender"]: row for row in rows_of("peers") if row["batch"] == "1"}
    return [_count_row(name, rows) for name in ("fvcore", "torchinfo")]


def _count_row(name: str, rows: dict[str, dict[str, str]]) -> str:
    more = int(rows[name]["macs"]) - int(rows["inception_lab"]["macs"])
    answer = f"{more:,} more MACs: {rows[name]['counts']}" if more else "the same MACs"
    ratios = [f"{float(ratio):.1f}" for row in (name, f"{name} on meta")
              if (ratio := rows[row]["over_inception_lab_median"])]  # fmt: skip
    return line(name, "peers", answer, ", on meta ".join(ratios))


def field_row() -> str:
    """Receptive fields beside TorchLens."""
    (row,) = rows_of("torchlens")
    ours, theirs = (_counts(row[key]) for key in ("ours", "theirs"))
    bounds, exact = theirs.get("upper_bound", "0"), theirs.get("exact", "0")
    answer = f"{exact} of {row['modules']} fields exact, {bounds} bounds; here {ours['exact']} exact"
    ratio = float(row["their_seconds"]) / float(row["our_seconds"])
    return line("TorchLens", "torchlens", answer, f"{ratio:.1f}")


def _counts(statuses: str) -> dict[str, str]:
    """The numbers in a text such as `136 upper_bound, 2 exact`, by status."""
    return dict(part.split(" ", 1)[::-1] for part in statuses.split(", "))


def peak_row() -> str:
    """The peak of a training step beside MemTracker."""
    (row,) = rows_of("memtracker")
    ours, theirs = (abs(int(row[key]) - int(row["measured_bytes"])) for key in ("our_bytes", "their_bytes"))
    answer = f"{theirs:,} bytes off the measured peak; here {ours:,}"
    return line("MemTracker", "memtracker", answer, f"{float(row['ratio']):.1f}")


def line(peer: str, page: str, answer: str, ratio: str) -> str:
    """A row in Markdown, with a link to the whole benchmark."""
    return f"| [{peer}](reports/benchmarks/{page}.md) | {answer} | {ratio} |"


def main() -> None:
    """Print the table."""
    print("\n".join([HEADER, *count_rows(), field_row(), peak_row()]))


if __name__ == "__main__":
    main()
