"""The answer of `inception-lab profile` as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from inception_lab.measure.profile.profile import Profile
from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.text import input_text, render, step_text

LAYER_COLUMNS = ("layer", "phase", "device_ms", "share", "kernels")
REASON_COLUMNS = ("reason", "launched_by")
HOST_COLUMN = "self_host_ms"
HOST_LAYER_COLUMNS = ("layer", "phase", HOST_COLUMN)
OPERATOR_COLUMNS = ("operator", "calls", HOST_COLUMN)
LONGEST = 30
"""Rows in the table for a terminal."""

NO_GPU_EVENTS = "No GPU events in this trace; its operators by their own time on the CPU:"
NO_GPU_LAYERS = "No GPU events in this trace; its layers by their own time on the CPU:"


def profile_text(profile: Profile, form: str) -> str:
    """The layers of a profile by their time on the GPU, or on the CPU where it has no other, and its totals.

    Args:
        profile: Read or recorded.
        form: `json`, or a name from `report.text.FORMATS`; `csv` has all rows and columns.
    """
    if form == "json":
        return profile.to_json()
    rows: list[Row] = [*profile.rows["layers"], *profile.rows["unattributed"]]
    reasons = REASON_COLUMNS * bool(profile.rows["unattributed"])
    if form == "csv":
        return render(rows, (*LAYER_COLUMNS, *reasons, HOST_COLUMN), form)
    if profile.totals["span_ms"]:
        table = render([row for row in rows if row["kernels"]], LAYER_COLUMNS + reasons, form)
    elif profile.context["layers_from"] == "operators":
        operators = _longest_rows(profile.rows["operators"], OPERATOR_COLUMNS, form, "json")
        table = f"{NO_GPU_EVENTS}\n\n{operators}"
    else:
        layers = _longest_rows(rows, (*HOST_LAYER_COLUMNS, *reasons), form, "csv")
        table = f"{NO_GPU_LAYERS}\n\n{layers}"
    return f"{table.rstrip()}\n\n{_totals(profile)}"


def _longest_rows(rows: Sequence[Row], columns: Sequence[str], form: str, form_of_all: str) -> str:
    """The longest rows on the CPU, how much the others make up, and the form that has them too."""
    by_time = sorted(rows, key=lambda row: -row[HOST_COLUMN])
    longest = by_time[:LONGEST] if form == "table" else by_time
    table = render(longest, columns, form)
    if rest := by_time[len(longest) :]:
        time = sum(row[HOST_COLUMN] for row in rest)
        others = f"and {len(rest)} shorter ones, {time:,.3f} ms together, see --format {form_of_all}"
        return f"{table.rstrip()}\n{others}"
    return table


def _quantity(value: float, unit: Unit) -> str:
    if unit == "milliseconds":
        return f"{value:,.3f} ms"
    return f"{value:,}" if unit == "count" else format_quantity(value, unit)


def _totals(profile: Profile) -> str:
    """A line per total, then what the figures come from."""
    metrics = [METRICS[name] for name in profile.totals]
    lines = [
        f"{metric.label:<16} {_quantity(profile.totals[metric.name], metric.unit):>18}   {metric.meaning}"
        for metric in metrics
    ]
    context = profile.context
    lines.append(f"{'Layers':<16} {context['layers_from']}")
    lines += _run(context)
    if "devices" in context:
        lines.append(f"{'Device':<16} {', '.join(context['devices'])}")
    if "lost_kernels" in context:
        lines.append(f"{'INCOMPLETE':<16} kernels launched but not in the trace: {context['lost_kernels']}")
    elif not context["complete"]:
        lines.append(f"{'INCOMPLETE':<16} the trace does not hold the launch of every kernel")
    return "\n".join(lines) + "\n"


def _run(context: Mapping[str, Any]) -> Iterator[str]:
    """Lines of the run and the machine, of a profile that this tool recorded."""
    if "machine" not in context:
        return
    threads = f"{context['threads']} thread{'s' * (context['threads'] != 1)}"
    step = f"{input_text(context)}, {step_text(context)}"
    yield f"{'Run':<16} {step}, {context['dtype']}, {context['memory_format']}"
    yield f"{'Machine':<16} {context['machine']}, {threads}, torch {context['torch']}"
    yield f"{'Steps':<16} {context['rounds']}, after {context['warm_up_rounds']} that are not recorded"
