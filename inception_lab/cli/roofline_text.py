"""The answer of `inception-lab time --roofline` as text."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inception_lab.cli.time_text import context_lines, longest_lines, total_lines
from inception_lab.metrics import format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of, rows_of
from inception_lab.report.text import render

if TYPE_CHECKING:
    from inception_lab.measure.roofline.limits import Ceilings
    from inception_lab.measure.roofline.result import Roofline

_LAYER_COLUMNS = (
    "layer", "call", "type", "self_ms", "share", "intensity", "gflops_per_s", "attainable_gflops_per_s",
    "roof_share", "bound", "note",
)  # fmt: skip
_MODULE_COLUMNS = (
    "module", "self_ms", "share", "macs_share", "launches", "kernels", "compulsory_bytes", "roof_share",
    "bound", "critical_path_ms", "side_by_side_gain", "note",
)  # fmt: skip
"""Columns of the table for people; CSV and JSON have them all."""


def roofline_text(roofline: Roofline, depth: int | None, form: str) -> str:
    """The layers or modules of a model beside what the machine allows, the longest first.

    Args:
        roofline: Of the model.
        depth: Levels below the model at which modules have rows, None for layers.
        form: `json`, or a name from `report.text.FORMATS`; `csv` has the rows in order of execution.
    """
    if form == "json":
        return json.dumps(roofline.to_dict(depth), indent=2)
    rows: Sequence[Row] = rows_of(roofline.layers if depth is None else roofline.by_module(depth))
    if form == "csv":
        return render(rows, columns_of(rows), form)
    columns = _LAYER_COLUMNS if depth is None else _MODULE_COLUMNS
    has_notes = any(row["note"] for row in rows)
    visible_rows = [
        {name: row[name] for name in columns if name in row and (name != "note" or has_notes)} for row in rows
    ]
    lines = [*longest_lines(visible_rows, form), *_bound_lines(rows), *_ceiling_lines(roofline.ceilings)]
    return "\n".join([*lines, *total_lines(roofline), *context_lines(roofline.times)]) + "\n"


def _bound_lines(rows: Sequence[Row]) -> Iterator[str]:
    """The share of the time by what bounds it, the largest first."""
    shares: dict[str, float] = defaultdict(float)
    for row in rows:
        shares[row["bound"]] += row["share"]
    parts = [f"{bound} {shares[bound]:.1f} %" for bound in sorted(shares, key=lambda bound: -shares[bound])]
    yield f"{'Time by bound':<20} {', '.join(parts)}"


def _ceiling_lines(ceilings: Ceilings) -> Iterator[str]:
    copy = format_quantity(ceilings.copy_bytes, "bytes")
    yield f"{'Compute ceiling':<20} {ceilings.flops_per_s / 1e9:,.1f} GFLOP/s, {ceilings.fastest_product}"
    yield f"{'Memory ceiling':<20} {ceilings.bytes_per_s / 1e9:,.1f} GB/s, a copy of {copy}"
    operation = format_quantity(1e3 * ceilings.operation_s, "milliseconds")
    product = format_quantity(1e3 * ceilings.product_s, "milliseconds")
    yield f"{'Launch ceiling':<20} {operation} an operation, {product} a convolution"
