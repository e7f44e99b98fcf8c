"""The answer of `inception-lab memory` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import heading, render, subject_text
from inception_lab.report.view import ROW_SUMS, SHARE, Layout, View, table_text

LARGEST = 10
"""Tensors in the table for a terminal."""

LABELS = {"saved": METRICS["saved_bytes"].label}
_LABEL_WIDTH = 17


def memory_text(answer: Mapping[str, Any], view: View) -> str:
    """The table of what is alive at the peak, and the peak in words; as CSV the table alone.

    Args:
        answer: As `--format json` writes it.
        view: Of the table, not as JSON.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    rows: Sequence[Row] = answer.get("layers") or answer.get("modules") or []
    columns = columns_of(rows)
    if view.form == "csv":
        return render(rows, columns, view.form)
    table = table_text(rows, _layout(rows, columns), view) if rows else ""
    return page(
        subject_text(answer),
        table,
        facts_text(_facts(answer), _LABEL_WIDTH, view.prose_screen),
        view.prose_screen,
    )


def _layout(rows: Sequence[Row], columns: Sequence[str]) -> Layout:
    """That of a table of tensors, or of modules, where the kinds that make up most stay longest."""
    if "kind" in columns:
        return Layout(columns, "bytes", (SHARE, "kind", "shape"), ROW_SUMS, {"bytes": "bytes"}, LARGEST)
    kinds = columns[1:]
    importance = sorted(kinds, key=lambda kind: -sum(row[kind] for row in rows))
    return Layout(columns, "bytes", ("bytes", SHARE, *importance), ROW_SUMS, dict.fromkeys(kinds, "bytes"))


def _facts(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield from _peak_facts(answer)
    if "fits" in answer:
        yield from _fits_facts(answer["fits"], answer["device"])
    yield from _measurement_facts(answer.get("measured", {}))
    if "note" in answer:
        yield "Note", answer["note"]


def _peak_facts(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The peak and where it is, its parts by kind, and what an allocator reserves."""
    peak = answer["peak"]
    place = f" in {peak['layer']} ({peak['operation']}, {peak['phase']})" if peak["layer"] else ""
    batch = [size for shape in answer["input_shapes"] for size in shape][:1]
    label = f"Peak, batch {batch[0]:,}" if "fits" in answer and batch else "Peak"
    yield label, _bytes_text(peak["bytes"]) + place
    for kind, size in peak["by_kind"].items():
        if size:
            yield LABELS.get(kind) or heading(kind), _bytes_text(size)
    if "reserved_bytes" in peak:
        yield "Reserved", _bytes_text(peak["reserved_bytes"])


def _fits_facts(fits: Row, device: str) -> Iterator[tuple[str, str]]:
    """The batch that was asked about, the largest, and what is left to anything but tensors."""
    if requested := fits.get("requested"):
        verdict = "fits" if requested["fits"] else "does not fit"
        yield f"Batch {requested['batch_size']:,}", f"{verdict}: it takes {_taken(requested)}"
    yield "Fits", _fits_text(fits)
    if "context_bytes" in fits:
        yield _context_fact(fits["context_bytes"], device)


def _context_fact(size: int, device: str) -> tuple[str, str]:
    if device == "cuda":
        return "CUDA context", f"{_bytes_text(size)}, left free for it: see --context"
    return "Left free", f"{_bytes_text(size)}, as of --context"


def _taken(row: Row) -> str:
    reserved = f" ({row['reserved_bytes']:,} reserved)" if "reserved_bytes" in row else ""
    return f"{row['peak_bytes']:,} bytes{reserved}"


def _fits_text(fits: Row) -> str:
    if not fits["batch_size"]:
        return "not even one"
    one_more = f"{fits['batch_size'] + 1:,} would"
    takes = "run out of it" if "reserved_bytes" in fits else f"take {fits['one_more_bytes']:,}"
    return f"batch size {fits['batch_size']:,} in {_taken(fits)}; {one_more} {takes}"


def _measurement_facts(comparison: Row) -> Iterator[tuple[str, str]]:
    """A line per figure that was measured, with the error of its prediction, and per workspace."""
    for error in (name for name in comparison if name.endswith("_error_bytes")):
        figure = error.removesuffix("_error_bytes")
        text = _bytes_text(comparison[f"{figure}_bytes"])
        yield heading(figure), f"{text}, predicted {comparison[error]:+,} bytes"
    for name, size in comparison.get("workspaces", {}).items():
        yield heading(name), f"{_bytes_text(size)} of workspaces"


def _bytes_text(size: int) -> str:
    return f"{size:>18,}   {format_quantity(size, 'bytes')}"
