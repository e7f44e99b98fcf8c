"""The answer of `inception-lab time --roofline` as text."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from inception_lab.cli.time_text import answer_text, context_facts, longest_text, total_facts
from inception_lab.metrics import format_quantity
from inception_lab.record import Row
from inception_lab.report.tables import columns_of, rows_of
from inception_lab.report.terminal import page
from inception_lab.report.text import render, subject_text
from inception_lab.report.view import SHARE, View

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

_IMPORTANCE = (
    SHARE, "bound", "roof_share", "macs_share", "gflops_per_s", "intensity", "kernels", "launches", "note"
)  # fmt: skip
"""Columns that stay longest."""


def roofline_text(roofline: Roofline, depth: int | None, view: View) -> str:
    """The layers or modules of a model beside what the machine allows, the longest first.

    Args:
        roofline: Of the model.
        depth: Levels below the model at which modules have rows, None for layers.
        view: Of the table; `csv` has the rows in order of execution.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return json.dumps(roofline.to_dict(depth), indent=2)
    rows: Sequence[Row] = rows_of(roofline.layers if depth is None else roofline.by_module(depth))
    if view.form == "csv":
        return render(rows, columns_of(rows), view.form)
    columns = _LAYER_COLUMNS if depth is None else _MODULE_COLUMNS
    has_notes = any(row["note"] for row in rows)
    visible_rows = [
        {name: row[name] for name in columns if name in row and (name != "note" or has_notes)} for row in rows
    ]
    facts = [_bound_fact(rows), *_ceiling_facts(roofline.ceilings), *total_facts(roofline)]
    answer = answer_text([*facts, *context_facts(roofline.times)], view)
    table = longest_text(visible_rows, view, _IMPORTANCE)
    return page(subject_text(roofline.times.context), table, answer, view.prose_screen)


def _bound_fact(rows: Sequence[Row]) -> tuple[str, str]:
    """The share of the time by what bounds it, the largest first."""
    shares: dict[str, float] = defaultdict(float)
    for row in rows:
        shares[row["bound"]] += row["share"]
    parts = [f"{bound} {shares[bound]:.1f} %" for bound in sorted(shares, key=lambda bound: -shares[bound])]
    return "Time by bound", ", ".join(parts)


def _ceiling_facts(ceilings: Ceilings) -> Iterator[tuple[str, str]]:
    copy = format_quantity(ceilings.copy_bytes, "bytes")
    yield "Compute ceiling", f"{ceilings.flops_per_s / 1e9:,.1f} GFLOP/s, {ceilings.fastest_product}"
    yield "Memory ceiling", f"{ceilings.bytes_per_s / 1e9:,.1f} GB/s, a copy of {copy}"
    operation = format_quantity(1e3 * ceilings.operation_s, "milliseconds")
    product = format_quantity(1e3 * ceilings.product_s, "milliseconds")
    yield "Launch ceiling", f"{operation} an operation, {product} a convolution"
