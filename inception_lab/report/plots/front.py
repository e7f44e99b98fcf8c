"""The variants of a sweep by two objectives, with their Pareto front; a third objective as colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from inception_lab.metrics import Metric, Unit
from inception_lab.report.plots.canvas import Box, Canvas, fitted, new_canvas
from inception_lab.report.plots.fitting import text_width, wrap
from inception_lab.report.plots.front_key import Entry, draw_key, key_lines
from inception_lab.report.plots.front_panel import Scales, colour_norm, draw_panel
from inception_lab.report.plots.gradient_map import draw_scale, scale_place
from inception_lab.report.plots.quantity_axis import QuantityAxis, axis_of
from inception_lab.report.plots.style import MARGIN, MUTED, SMALL
from inception_lab.report.plots.sweep_figures import SweepFigures, budget_texts
from inception_lab.report.plots.wording import and_text, metric_words, tick_text
from inception_lab.report.sizes import PAGE, PlotSize

_LEFT, _RIGHT, _HEIGHT, _FOOT, _LINE = 0.72, 0.2, 4.6, 0.62, 0.18
_BAR = 1.8
"""Inches of a scale of colours that stands in the line above the panel."""
_PICTURE_DPI = 220
"""Pixels to an inch of the layout of a cloud of many points in an SVG."""


def has_content(subject: SweepFigures) -> bool:
    """True where a variant has a figure for every objective."""
    return len(subject.figures) > 0


def caption(subject: SweepFigures) -> str:
    """The meaning of the front, the reference nets that it beats, and what is not drawn, in one sentence."""
    names, beaten = and_text([metric_words(metric) for metric in subject.metrics]), subject.beaten()
    parts = [
        f"No variant{_within(subject)} is at least as good in {names} as one of the front and better in one"
    ]
    parts += [f"the front dominates {and_text(beaten)}"] * bool(beaten)
    parts += [f"{subject.left_out:,} without complete figures are left out"] * bool(subject.left_out)
    return f"{'; '.join(parts)}."


def _within(subject: SweepFigures) -> str:
    return "" if subject.is_within.all() else " within the budgets"


def _title(subject: SweepFigures) -> str:
    """The number of variants on the front, and its range on the two axes."""
    front = subject.front
    if not len(front):
        return "No variant keeps the budgets"
    ranges = [
        _range_text(metric, front[:, place].min(), front[:, place].max())
        for place, metric in enumerate(subject.metrics[:2])
    ]
    count = f"{len(front):,} variants" if len(front) > 1 else "one variant"
    return f"Front of {count}: {', '.join(ranges)}"


def _range_text(metric: Metric, low: float, high: float) -> str:
    ends = dict.fromkeys(_end_text(end, metric.unit) for end in (low, high))
    return f"{metric_words(metric)} {' to '.join(ends)}"


def _end_text(value: float, unit: Unit) -> str:
    # of a field every pixel tells
    is_small_count = unit == "count" and abs(value) < 10_000 and float(value).is_integer()
    return f"{value:,.0f}" if is_small_count else tick_text(value, unit)


def _subtitle(subject: SweepFigures) -> str:
    count, within = len(subject.figures), int(subject.is_within.sum())
    parts = [f"{count:,} variants" if count > 1 else "1 variant"]
    parts += [f"{within:,} within the budgets"] * (within < count)
    parts += [f"{subject.left_out:,} without complete figures left out"] * bool(subject.left_out)
    return f"Pareto front of a sweep \N{MIDDLE DOT} {', '.join(parts)}"


def _notes(subject: SweepFigures, size: PlotSize) -> list[str]:
    """The budgets, and with three objectives the meaning of the line, in lines."""
    texts = [text for name, bounds in subject.budgets.items() for text in budget_texts(name, bounds)]
    notes = [f"budgets: {', '.join(texts)}"] * bool(texts)
    notes += ["line: the front of the two axes alone"] * (
        len(subject.objectives) > 2 and len(subject.line) > 1
    )
    return wrap("; ".join(notes), size.width - 2 * MARGIN, SMALL) if notes else []


def _scales(subject: SweepFigures) -> Scales:
    """An axis for each of two objectives, with room for the budgets that are near, and one for colours."""
    axes = []
    for place, (name, way) in enumerate([*subject.objectives.items()][:2]):
        figures = [*subject.figures[:, place], *(net.figures[place] for net in subject.references)]
        reach = (max(figures) - min(figures)) / 3
        low, high = min(figures) - reach, max(figures) + reach
        near = [b for b in subject.budgets.get(name, ()) if b is not None and low <= b <= high]
        axes.append(axis_of(subject.metrics[place], way, [*figures, *near], edge=0.05))
    x, y = axes
    return Scales(x, y, _colours(subject))


def _colours(subject: SweepFigures) -> QuantityAxis | None:
    """The scale of the third objective, over the variants that have colours."""
    if len(subject.objectives) < 3 or not subject.is_within.any():
        return None
    figures = subject.figures[subject.is_within, 2]
    return axis_of(subject.metrics[2], [*subject.objectives.values()][2], figures.tolist())


class _Layout(NamedTuple):
    """Marks of the key in lines, inches down to the title of the axis and to the panel, and notes."""

    keys: Sequence[Sequence[Entry]]
    scale: Box | None
    title: float
    top: float
    notes: Sequence[str]


def _layout(subject: SweepFigures, scales: Scales, size: PlotSize) -> _Layout:
    """The scale of colours stands in the line of the axis's title, or above that where there is no room."""
    keys, notes = key_lines(subject, size.width - 2 * MARGIN), _notes(subject, size)
    line = 0.34 + 0.2 * len(keys)
    if scales.colours is None:
        return _Layout(keys, None, line, line + 0.12, notes)
    wide = text_width(scales.colours.title, weight="bold") + 0.2 + _BAR + 0.15
    left = size.width - _RIGHT - wide
    if MARGIN + text_width(scales.y.title, weight="bold") + 0.3 < left:
        return _Layout(keys, Box(left, line, wide, 0.1), line, line + 0.26, notes)
    _, below = scale_place(scales.colours.title, MARGIN, size.width - 2 * MARGIN)
    box = Box(MARGIN, line, size.width - 2 * MARGIN, 0.1)
    return _Layout(keys, box, line + below + 0.36, line + below + 0.48, notes)


def draw(subject: SweepFigures, size: PlotSize = PAGE) -> Figure:
    """A point per variant, those of the front larger and joined, between the budgets."""
    heading, scales = (_title(subject), _subtitle(subject)), _scales(subject)
    layout = _layout(subject, scales, size)
    fixed = layout.top + _FOOT + _LINE * len(layout.notes)
    (height,) = fitted(size, heading, fixed, min(_HEIGHT, size.width - 0.8))
    canvas = new_canvas(size, *heading, fixed + height)
    canvas.figure.set_dpi(_PICTURE_DPI)
    _draw_keys(canvas, layout, scales)
    box = Box(_LEFT, layout.top, size.width - _LEFT - _RIGHT, height)
    draw_panel(canvas, subject, scales, box)
    foot = layout.top + height
    canvas.text(MARGIN, layout.title, scales.y.title, weight="bold")
    canvas.text(_LEFT + box.width / 2, foot + 0.4, scales.x.title, weight="bold", ha="center")
    for number, note in enumerate(layout.notes):
        canvas.text(MARGIN, foot + _FOOT + _LINE * number, note, color=MUTED, size=SMALL)
    return canvas.figure


def _draw_keys(canvas: Canvas, layout: _Layout, scales: Scales) -> None:
    draw_key(canvas, layout.keys, Box(MARGIN, 0.14, canvas.size.width - 2 * MARGIN, 0.2))
    if scales.colours and layout.scale:
        draw_scale(
            canvas,
            colour_norm(scales.colours),
            scales.colours.title,
            layout.scale,
            scales.colours.ticks_between,
        )
