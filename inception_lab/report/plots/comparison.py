"""Comparison: all models side by side, a panel per metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.canvas import Box, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, headline, shorten, text_width
from inception_lab.report.plots.rows import most_rows, row_pitch
from inception_lab.report.plots.style import INK, MARGIN, MUTED, SMALL, TEXT
from inception_lab.report.plots.wording import leader, partial_text, ratio_text, several_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import PUBLISHED, is_reconstruction, model_labels
from inception_lab.report.text import label_within

METRICS_SHOWN = (
    "training_macs", "macs", "params", "other_flops", "peak_bytes", "train_peak_bytes", "weighted_layers"
)  # fmt: skip
BEST, OTHER = "#2f6690", "#9db8cf"
_BAR, _VALUE, _TOP, _NARROWEST = 0.68, 0.62, 0.5, 0.98
_FIRST = ("training_macs", "macs", "params", "peak_bytes", "train_peak_bytes", PUBLISHED, "other_flops")
_NOTE: dict[str, Any] = {"color": MUTED, "size": SMALL}


def common_metrics(records: Sequence[Record]) -> list[str]:
    """The metrics that every record has a total of, and the published error where there is one."""
    common = [name for name in METRICS_SHOWN if all(name in record.totals for record in records)]
    return common + [PUBLISHED] * any(PUBLISHED in record.context for record in records)


def _value(record: Record, metric: str) -> float | None:
    value: float | None = record.totals.get(metric, record.context.get(metric))
    return value


def by_cost(records: Sequence[Record]) -> list[Record]:
    """The records, the dearest first."""
    metrics = common_metrics(records)
    return sorted(records, key=lambda record: [-(_value(record, name) or 0) for name in metrics])


def has_content(records: Sequence[Record]) -> bool:
    """True where there is a metric that all models have."""
    return bool(records) and bool(common_metrics(records))


def caption(records: Sequence[Record]) -> str:
    """The lowest and the highest of each cost with their models, in one sentence."""
    return f"{'; '.join(_range_text(records, name) for name in common_metrics(records)[:3])}."


def _range_text(records: Sequence[Record], metric: str) -> str:
    names, values = model_labels(records), [record.totals[metric] for record in records]
    low = leader(names, [-value for value in values])
    ends = [f"{format_quantity(v, METRICS[metric].unit)}" for v in (min(values), max(values))]
    if min(values) == max(values):
        return f"{METRICS[metric].label}: {ends[0]} in every model"
    return f"{METRICS[metric].label}: from {ends[0]} ({low}) to {ends[1]} ({leader(names, values)})"


def _title(records: Sequence[Record]) -> str:
    metric = common_metrics(records)[0]
    names, values = model_labels(records), [record.totals[metric] for record in records]
    low, high = min(values), max(values)
    if low == high or not low:
        return f"{METRICS[metric].label} of {len(records)} model{'s' * (len(records) > 1)}"
    top, bottom = leader(names, values), leader(names, [-value for value in values])
    return f"{headline(top)} takes {ratio_text(high / low)} the {label_within(metric)} of {headline(bottom)}"


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A row per model, the dearest first, and a panel per metric; the best of each is dark."""
    heading = _title(records), _subtitle(records)
    room = room_below(size, *heading) - _TOP - 0.35
    models = by_cost(records)[: most_rows(room) if size.is_slide else None]
    names = distinct(model_labels(models), min(2.1, size.width / 3.5))
    left = MARGIN + 0.1 + max(map(text_width, names))
    metrics = _shown(common_metrics(records), int((size.width - MARGIN - left) / _NARROWEST))
    note = _left_out(records, len(models), metrics)
    rows = row_pitch(len(models), room) * len(models)
    canvas = new_canvas(size, *heading, _TOP + rows + 0.1 + 0.25 * bool(note))
    pitch = (size.width - MARGIN - left) / len(metrics)
    for number, metric in enumerate(metrics):
        at = left + number * pitch
        # behind its longest bar each panel keeps room for the bar's value
        axes = canvas.axes(Box(at, _TOP, pitch - _VALUE - 0.12, rows))
        canvas.text(at, _TOP - 0.1, METRICS[metric].label, weight="bold")
        values = [_value(model, metric) for model in models]
        _draw_bars(axes, values, metric, _best(records, metric))
        axes.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
    canvas.text(MARGIN, _TOP + rows + 0.25, shorten(note, size.width - 2 * MARGIN, SMALL), **_NOTE)
    return canvas.figure


def _shown(metrics: Sequence[str], most: int) -> list[str]:
    """The metrics that there is room for: where not for all, those that people ask for first."""
    first = sorted(metrics, key=lambda name: (*_FIRST, name).index(name))[: max(most, 1)]
    return [name for name in metrics if name in first]


def _left_out(records: Sequence[Record], models: int, metrics: Sequence[str]) -> str:
    """The models and metrics that have no room, in one line; empty where all have."""
    others = len(records) - models
    names = [METRICS[name].label for name in common_metrics(records) if name not in metrics]
    parts = [f"{others} cheaper model{'s' * (others > 1)}"] if others else []
    return f"left out: {', '.join(parts + names)}" if parts + names else ""


def _subtitle(records: Sequence[Record]) -> str:
    """Inputs and modes, and a warning of those that are partial."""
    order = METRICS[common_metrics(records)[0]].label
    star = " · *: a reconstruction" * any(map(is_reconstruction, records))
    shared, warning = several_text(records), partial_text(records)
    return f"Models by {order} · {shared} · dark: the lowest{star}{warning}"


def _best(records: Sequence[Record], metric: str) -> float | None:
    """The lowest value of all models, drawn or not; None where lower is not better, or all are the same."""
    numbers = [value for record in records if (value := _value(record, metric)) is not None]
    differ = METRICS[metric].better == "lower" and min(numbers) < max(numbers)
    return min(numbers) if differ else None


def _draw_bars(axes: Axes, values: Sequence[float | None], metric: str, best: float | None) -> None:
    """A bar per model; a model without a value has none."""
    for row, value in enumerate(values):
        if value is None:
            continue
        is_best = value == best
        axes.barh(row, value, _BAR, color=BEST if is_best else OTHER)
        axes.annotate(
            format_quantity(value, METRICS[metric].unit),
            (value, row),
            (4, 0),
            textcoords="offset points",
            va="center_baseline",
            size=TEXT,
            weight="bold" if is_best else "normal",
        )
    axes.set_xlim(0, max(filter(None, values), default=1))
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
