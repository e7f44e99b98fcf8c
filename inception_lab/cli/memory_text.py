"""The answer of `inception-lab memory` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.text import heading, render

LARGEST = 10
"""Tensors in the table for a terminal."""

LABELS = {"saved": METRICS["saved_bytes"].label}


def memory_text(answer: Mapping[str, Any], form: str) -> str:
    """The peak in words and the table of what is alive then; as CSV the table alone.

    Args:
        answer: As `--format json` writes it.
        form: A name from `report.text.FORMATS`.
    """
    rows: Sequence[Row] = answer.get("layers") or answer.get("modules") or []
    if form == "csv":
        return render(rows, columns_of(rows), form)
    largest = rows[:LARGEST] if "layers" in answer else rows
    parts = [_lines(answer), render(largest, columns_of(largest), form) if largest else ""]
    rest = len(rows) - len(largest)
    return "\n".join(filter(None, parts)) + (f"and {rest} smaller ones, see --format csv\n" if rest else "")


def _lines(answer: Mapping[str, Any]) -> str:
    lines = [*_peak_lines(answer)]
    if "fits" in answer:
        lines.append(_fits_line(answer["fits"]))
    lines += _measurement_lines(answer.get("measured", {}))
    if "note" in answer:
        lines.append(f"Note              {answer['note']}")
    return "\n".join(lines) + "\n"


def _peak_lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The peak and where it is, its parts by kind, and what an allocator reserves."""
    peak = answer["peak"]
    place = f" in {peak['layer']} ({peak['operation']}, {peak['phase']})" if peak["layer"] else ""
    batch = [size for shape in answer["input_shapes"] for size in shape][:1]
    label = f"Peak, batch {batch[0]:,}" if "fits" in answer and batch else "Peak"
    yield _line(label, peak["bytes"]) + place
    yield from (
        _line(LABELS.get(kind) or heading(kind), size) for kind, size in peak["by_kind"].items() if size
    )
    if "reserved_bytes" in peak:
        yield _line("Reserved", peak["reserved_bytes"])


def _fits_line(fits: Row) -> str:
    if not fits["batch_size"]:
        return "Fits              not even one"
    one_more = f"{fits['batch_size'] + 1:,} would"
    fitting, beyond = f"{fits['peak_bytes']:,} bytes", f"{one_more} take {fits['one_more_bytes']:,}"
    if "reserved_bytes" in fits:
        fitting, beyond = f"{fitting} ({fits['reserved_bytes']:,} reserved)", f"{one_more} run out of it"
    return f"Fits              batch size {fits['batch_size']:,} in {fitting}; {beyond}"


def _measurement_lines(comparison: Row) -> Iterator[str]:
    """A line per figure that was measured, with the error of its prediction, and per workspace."""
    for error in (name for name in comparison if name.endswith("_error_bytes")):
        figure = error.removesuffix("_error_bytes")
        line = _line(heading(figure), comparison[f"{figure}_bytes"])
        yield f"{line}, predicted {comparison[error]:+,} bytes"
    for name, size in comparison.get("workspaces", {}).items():
        yield f"{_line(heading(name), size)} of workspaces"


def _line(label: str, size: int) -> str:
    return f"{label:<17} {size:>18,}   {format_quantity(size, 'bytes')}"
