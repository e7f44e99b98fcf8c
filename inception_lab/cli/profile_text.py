"""The answer of `inception-lab profile` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_lab.measure.profile.profile import Profile
from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.terminal import facts_text, page
from inception_lab.report.text import input_text, render, step_text, subject_text
from inception_lab.report.view import ROW_SUMS, SHARE, Layout, View, table_text

LAYER_COLUMNS = ("layer", "phase", "device_ms", "share", "kernels")
REASON_COLUMNS = ("reason", "launched_by")
HOST_COLUMN = "self_host_ms"
HOST_LAYER_COLUMNS = ("layer", "phase", HOST_COLUMN)
OPERATOR_COLUMNS = ("operator", "calls", HOST_COLUMN)
LONGEST = 30
"""Rows in the table for a terminal."""

_IMPORTANCE = ("reason", SHARE, "calls", "kernels", "launched_by", "phase")
"""Columns that stay longest."""

NO_GPU_EVENTS = "No GPU events in this trace; its operators by their own time on the CPU:"
NO_GPU_LAYERS = "No GPU events in this trace; its layers by their own time on the CPU:"


def profile_text(profile: Profile, view: View) -> str:
    """The layers of a profile by their time on the GPU, or on the CPU where it has no other, and its totals.

    Args:
        profile: Read or recorded.
        view: Of the table; `csv` has all rows and columns.

    Raises:
        InceptionLabError: The view has a column or a metric that the table has not.
    """
    if view.form == "json":
        return profile.to_json()
    rows: list[Row] = [*profile.rows["layers"], *profile.rows["unattributed"]]
    reasons = REASON_COLUMNS * bool(profile.rows["unattributed"])
    if view.form == "csv":
        return render(rows, (*LAYER_COLUMNS, *reasons, HOST_COLUMN), view.form)
    facts = facts_text(_facts(profile), 16, view.prose_screen)
    return page(_subject(profile.context), _table(profile, rows, reasons, view), facts, view.prose_screen)


def _subject(context: Mapping[str, Any]) -> str:
    """The model of a recording, or the file that was read."""
    return subject_text(context) if "model" in context else str(context["file"])


def _table(profile: Profile, rows: Sequence[Row], reasons: Sequence[str], view: View) -> str:
    if profile.totals["span_ms"]:
        kernel_rows = [row for row in rows if row["kernels"]]
        layout = Layout((*LAYER_COLUMNS, *reasons), "device_ms", _IMPORTANCE, ROW_SUMS)
        return table_text(kernel_rows, layout, view)
    if profile.context["layers_from"] == "operators":
        operators = profile.rows["operators"]
        return f"{NO_GPU_EVENTS}\n\n{_host_table(operators, OPERATOR_COLUMNS, view)}"
    return f"{NO_GPU_LAYERS}\n\n{_host_table(rows, (*HOST_LAYER_COLUMNS, *reasons), view)}"


def _host_table(rows: Sequence[Row], columns: Sequence[str], view: View) -> str:
    """The longest rows on the CPU, and how much the others make up."""
    # a page has all of them, the longest first
    most = len(rows) if view.form == "markdown" else LONGEST
    return table_text(rows, Layout(columns, HOST_COLUMN, _IMPORTANCE, ROW_SUMS, most=most), view)


def _quantity(value: float, unit: Unit) -> str:
    if unit == "milliseconds":
        return f"{value:,.3f} ms"
    return f"{value:,}" if unit == "count" else format_quantity(value, unit)


def _facts(profile: Profile) -> Iterator[tuple[str, str]]:
    """A line per total, then what the figures come from."""
    for name, value in profile.totals.items():
        metric = METRICS[name]
        yield metric.label, f"{_quantity(value, metric.unit):>18}   {metric.meaning}"
    context = profile.context
    yield "Layers", context["layers_from"]
    yield from _run(context)
    if "devices" in context:
        yield "Device", ", ".join(context["devices"])
    if "lost_kernels" in context:
        yield "INCOMPLETE", f"kernels launched but not in the trace: {context['lost_kernels']}"
    elif not context["complete"]:
        yield "INCOMPLETE", "the trace does not hold the launch of every kernel"


def _run(context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Lines of the run and the machine, of a profile that this tool recorded."""
    if "machine" not in context:
        return
    threads = f"{context['threads']} thread{'s' * (context['threads'] != 1)}"
    step = f"{input_text(context)}, {step_text(context)}"
    yield "Run", f"{step}, {context['dtype']}, {context['memory_format']}"
    yield "Machine", f"{context['machine']}, {threads}, torch {context['torch']}"
    yield "Steps", f"{context['rounds']}, after {context['warm_up_rounds']} that are not recorded"
