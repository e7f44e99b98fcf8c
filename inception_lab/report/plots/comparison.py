"""Comparison: all models side by side, a panel per metric."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.record import Record
from inception_lab.report.plots.canvas import Box, new_canvas
from inception_lab.report.plots.fitting import distinct, headline, text_width
from inception_lab.report.plots.style import INK, MARGIN, MUTED, TEXT
from inception_lab.report.plots.wording import leader, ratio_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import PUBLISHED, model_labels
from inception_lab.report.text import shape_text

METRICS_SHOWN = (
    "macs", "training_macs", "params", "other_flops", "peak_bytes", "train_peak_bytes", "weighted_layers"
)  # fmt: skip
BEST, OTHER = "#2f6690", "#9db8cf"
_PITCH, _BAR, _VALUE = 0.25, 0.68, 0.62


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
    return f"{headline(top)} takes {ratio_text(high / low)} the {METRICS[metric].label} of {headline(bottom)}"


def draw(records: Sequence[Record], size: PlotSize = PAGE) -> Figure:
    """A row per model, the dearest first, and a panel per metric; the best of each is dark."""
    models = by_cost(records)
    metrics = common_metrics(records)
    names = distinct(model_labels(models), 2.1)
    rows = _PITCH * len(models)
    canvas = new_canvas(size, _title(records), _subtitle(records), 0.55 + rows + 0.1)
    left = MARGIN + 0.1 + max(map(text_width, names))
    pitch = (size.width - MARGIN - left) / len(metrics)
    for number, metric in enumerate(metrics):
        at = left + number * pitch
        # behind its longest bar each panel keeps room for the bar's value
        axes = canvas.axes(Box(at, 0.5, pitch - _VALUE - 0.12, rows))
        canvas.text(at, 0.4, METRICS[metric].label, weight="bold")
        _draw_bars(axes, [_value(model, metric) for model in models], metric)
        axes.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
    return canvas.figure


def _subtitle(records: Sequence[Record]) -> str:
    """Input and mode as far as all records share them, and a warning of those that are partial."""
    inputs = list(dict.fromkeys(shape_text(r.context["input_shapes"]) for r in records))
    modes = list(dict.fromkeys(str(r.context["mode"]) for r in records))
    shape = f"input {inputs[0]}" if len(inputs) == 1 else f"{len(inputs)} different inputs"
    labels = model_labels(records)
    partial = [label for label, r in zip(labels, records, strict=True) if not r.context["complete"]]
    warning = f", PARTIAL, not every operation is counted: {', '.join(partial)}" if partial else ""
    order = METRICS[common_metrics(records)[0]].label
    star = " · *: a reconstruction" * any("note" in r.context for r in records)
    return f"Models by {order} · {shape}, {' and '.join(modes)} · dark: the lowest{star}{warning}"


def _draw_bars(axes: Axes, values: Sequence[float | None], metric: str) -> None:
    """A bar per model; a model without a value has none."""
    numbers = [value for value in values if value is not None]
    lowest_is_best = METRICS[metric].better == "lower" and min(numbers) < max(numbers)
    best = min(numbers) if lowest_is_best else None
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
    axes.set_xlim(0, max(numbers) or 1)
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
