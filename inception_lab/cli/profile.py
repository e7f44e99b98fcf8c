"""`inception-lab profile`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from inception_lab.cli.options import emit, format_options
from inception_lab.errors import InceptionLabError
from inception_lab.measure.profile.profile import Profile, read_profile
from inception_lab.metrics import METRICS, Unit, format_quantity
from inception_lab.record import Row
from inception_lab.report.text import render

LAYER_COLUMNS = ("layer", "phase", "device_ms", "share", "kernels")
REASON_COLUMNS = ("reason", "launched_by")
HOST_COLUMN = "self_host_ms"
HOST_LAYER_COLUMNS = ("layer", "phase", HOST_COLUMN)
OPERATOR_COLUMNS = ("operator", "calls", HOST_COLUMN)
MOST_OPERATORS = 30
NO_GPU_EVENTS = "No GPU events in this trace; its operators by their own time on the CPU:"
NO_GPU_LAYERS = "No GPU events in this trace; its layers by their own time on the CPU:"


@click.command()
@click.option("--read", "file", type=click.Path(path_type=Path), metavar="FILE", help="The trace.")
@format_options
def command(file: Path | None, form: str, output: Path | None) -> None:
    """GPU time by layer, from a trace that torch.profiler recorded on any machine.

    FILE is JSON, bare or packed with gzip, as export_chrome_trace and tensorboard_trace_handler write it.
    Layers are nn.Module events, which are recorded with with_stack, else operators. Kernels that belong to
    no layer have rows with the reason, so that all rows add up to the kernel time.
    """
    if file is None:
        raise InceptionLabError("no trace to read", hint="add --read FILE; recording one is not built yet")
    profile = read_profile(file)
    emit(profile.to_json() if form == "json" else _text(profile, form), output)


def _text(profile: Profile, form: str) -> str:
    rows: list[Row] = [*profile.rows["layers"], *profile.rows["unattributed"]]
    reasons = REASON_COLUMNS * bool(profile.rows["unattributed"])
    if form == "csv":
        return render(rows, (*LAYER_COLUMNS, *reasons, HOST_COLUMN), form)
    if profile.totals["span_ms"]:
        table = render([row for row in rows if row["kernels"]], LAYER_COLUMNS + reasons, form)
    elif profile.context["layers_from"] == "operators":
        operators = render(_by_host_time(profile.rows["operators"])[:MOST_OPERATORS], OPERATOR_COLUMNS, form)
        table = f"{NO_GPU_EVENTS}\n\n{operators}"
    else:
        layers = render(_by_host_time(rows), (*HOST_LAYER_COLUMNS, *reasons), form)
        table = f"{NO_GPU_LAYERS}\n\n{layers}"
    return f"{table.rstrip()}\n\n{_totals(profile)}"


def _by_host_time(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row["self_host_ms"])


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
    if "devices" in context:
        lines.append(f"{'Device':<16} {', '.join(context['devices'])}")
    if not context["complete"]:
        lines.append("INCOMPLETE       the trace does not hold the launch of every kernel")
    return "\n".join(lines) + "\n"
