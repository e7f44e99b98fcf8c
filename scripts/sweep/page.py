"""The page of a sweep: how many nets were traced, and every difference with its reason."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata

import torch

from inception_lab.measure.hardware import device_name
from inception_lab.report.document import Heading, Table, document
from sweep.nets import DECLARED_OPERATORS
from sweep.outcome import EQUAL, EXPLAINED, FAILED, FOR_REAL, META, REFUSED, UNEXPLAINED, Row

MOST_NAMES = 20
INTRODUCTION = (
    "Each net is built without weights, traced once in eval mode at its default input size with a batch of "
    "1, and run once more under PyTorch's own `FlopCounterMode`, on meta tensors both, or for real on the "
    "CPU where a net needs data. It is shown attention as matrix products, and neither the encoder's fast "
    "path nor fused recurrent layers, in which it counts nothing. Every net has a row in "
    "[coverage.csv](coverage.csv)."
)
DECLARATION = (
    "torchvision's compiled operators do not load beside this build of torch; `nms` and `qnms` were declared "
    "without a kernel. No classifier uses them."
)


def page(rows: Sequence[Row], missing: Mapping[str, str]) -> str:
    """Return the summary in Markdown, with the packages that could not be imported and why."""
    traced_rows = [row for row in rows if row.traced in (META, FOR_REAL)]
    return document(
        "Coverage",
        [
            INTRODUCTION,
            summary(rows),
            *(f"`{name}` cannot be imported and was left out: {why}." for name, why in missing.items()),
            DECLARATION if DECLARED_OPERATORS else "",
            Heading("Counts that differ from FlopCounterMode's"),
            by_reason([row for row in traced_rows if row.counts in (EXPLAINED, UNEXPLAINED)]),
            Heading("Not compared"),
            by_reason([row for row in traced_rows if not row.counts]),
            Heading("Not traced on meta"),
            by_reason([row for row in rows if row.traced != META]),
            Heading("Operations without a formula"),
            uncounted_operations(rows),
            Heading("Context"),
            Table(("context", ""), list(context(rows).items())),
        ],
    )


def summary(rows: Sequence[Row]) -> Table:
    """Nets of each package by their outcome, and by the agreement of their counts."""
    header = ("package", "nets", "traced on meta", "for real", "refused, rightly", "failed",
              "equal to FlopCounterMode", "difference explained", "unexplained", "partial counts", "trace, s",
              "FlopCounterMode, s")  # fmt: skip
    packages = dict.fromkeys(row.package for row in rows)
    return Table(header, [_summary_cells(p, [r for r in rows if r.package == p]) for p in packages])


def _summary_cells(package: str, rows: Sequence[Row]) -> tuple[str, ...]:
    outcomes, counts = Counter(row.traced for row in rows), Counter(row.counts for row in rows)
    numbers = [len(rows), *(outcomes[key] for key in (META, FOR_REAL, REFUSED, FAILED))]
    numbers += [counts[key] for key in (EQUAL, EXPLAINED, UNEXPLAINED)]
    numbers += [sum(bool(row.uncounted_ops) for row in rows)]
    seconds = (sum(float(getattr(row, name) or 0) for row in rows) for name in ("trace_s", "torch_s"))
    return (package, *map(str, numbers), *(f"{total:.1f}" for total in seconds))


def by_reason(rows: Sequence[Row]) -> Table | str:
    """The nets that share an outcome and its reason."""
    return group_table("outcome", ((f"{row.traced}: {row.reason}", row) for row in rows))


def uncounted_operations(rows: Sequence[Row]) -> Table | str:
    """Each operation that no formula knows, with the nets that run it."""
    return group_table("operation", _operation_rows(rows))


def _operation_rows(rows: Sequence[Row]) -> Iterator[tuple[str, Row]]:
    for row in rows:
        for entry in filter(None, row.uncounted_ops.split("; ")):
            yield f"`{entry.rpartition(' ')[0]}`", row


def group_table(title: str, pairs: Iterable[tuple[str, Row]]) -> Table | str:
    """A table of what nets have in common, the most frequent first, with some of their names."""
    groups: dict[str, list[str]] = {}
    for key, row in pairs:
        groups.setdefault(key, []).append(f"{row.package} {row.name}")
    by_size = sorted(groups.items(), key=lambda group: -len(group[1]))
    return Table((title, "nets", "which"), [_group_cells(*group) for group in by_size]) if groups else "None."


def _group_cells(key: str, nets: Sequence[str]) -> tuple[str, ...]:
    more = ", ..." if len(nets) > MOST_NAMES else ""
    return (key, str(len(nets)), ", ".join(nets[:MOST_NAMES]) + more)


def context(rows: Sequence[Row]) -> dict[str, str]:
    """Return what the numbers depend on, without what would tell whose machine it was."""
    present = {row.package for row in rows}
    packages = ["inception_lab", *(name for name in ("torchvision", "timm") if name in present)]
    return {
        "CPU": device_name("cpu"),
        "threads": str(torch.get_num_threads()),
        "seconds": "of CPU time",
        "Python": platform.python_version(),
        "torch": torch.__version__,
        **{name: metadata.version(name) for name in packages},
    }
