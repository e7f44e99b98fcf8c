"""The influence of parameters on metrics as a map: a row per parameter, a column per metric."""

from __future__ import annotations

from math import isnan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inception_lab.metrics import Metric, format_quantity
from inception_lab.report.plots.canvas import LINE, Canvas, new_canvas
from inception_lab.report.plots.fitting import headline
from inception_lab.report.plots.influence_cells import Cell, Influence
from inception_lab.report.plots.influence_layout import Layout, layout_of
from inception_lab.report.plots.style import INK, MACS, MARGIN, MUTED, SMALL
from inception_lab.report.plots.wording import change_text, metric_words, share_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.variants.columns import REST

COLOURS = LinearSegmentedColormap.from_list("influence", ["#f1f4f7", "#a9c3d9", MACS, "#173a56"])
"""From nearly white to dark blue in even steps."""
_DARK = 60
"""Percent from which on a cell has white letters."""
_GAP = 0.03


def has_content(subject: Influence) -> bool:
    """True where there is a parameter."""
    return bool(subject.parameters)


def caption(subject: Influence) -> str:
    """The parameter that moves each metric most, in one sentence."""
    parts = [f"{metric_words(metric)} {_leader_text(subject, metric)}" for metric in subject.metrics]
    return f"The parameter that alone explains most of the variance of each metric: {', '.join(parts)}."


def _leader_text(subject: Influence, metric: Metric) -> str:
    name = subject.leader(metric)
    return f"{name} ({share_text(subject.share(name, metric), 100)})" if name else "none"


def _title(subject: Influence) -> str:
    """The largest share of all."""
    metric = max(subject.metrics, key=lambda metric: subject.share(subject.leader(metric), metric))
    if not (name := subject.leader(metric)):
        return "No parameter alone moves a metric"
    share = share_text(subject.share(name, metric), 100)
    return f"{headline(name)} alone explains {share} of the variance of {metric_words(metric)}"


def _subtitle(subject: Influence) -> str:
    rows, columns = len(subject.parameters), len(subject.metrics)
    counts = [f"{rows} parameter{'s' * (rows > 1)}", f"{columns} metric{'s' * (columns > 1)}"]
    return f"Variance that each explains alone \N{MIDDLE DOT} {', '.join(counts)}"


def draw(subject: Influence, size: PlotSize = PAGE) -> Figure:
    """A cell for each parameter and metric, the darker the more the one moves the other."""
    heading = _title(subject), _subtitle(subject)
    layout = layout_of(subject, size, heading)
    canvas = new_canvas(size, *heading, layout.height)
    _write_columns(canvas, layout)
    _write_rows(canvas, layout)
    _draw_cells(canvas.axes(layout.box), layout)
    canvas.lines(MARGIN, layout.foot, layout.notes, color=MUTED, size=SMALL)
    return canvas.figure


def _write_columns(canvas: Canvas, layout: Layout) -> None:
    """The names of the columns, whose last lines stand above the cells."""
    # a turned line begins where it ends, above the cells
    side = "bottom" if layout.columns.is_upright else "baseline"
    style: dict[str, Any] = {"weight": "bold", "ha": "center", "va": side}
    for number, lines in enumerate(layout.columns.headings):
        middle = layout.box.left + layout.columns.width * (number + 0.5)
        for above, line in enumerate(reversed(lines)):
            canvas.text(
                middle,
                layout.box.top - 0.07 - LINE * above,
                line,
                rotation=90 * layout.columns.is_upright,
                **style,
            )


def _write_rows(canvas: Canvas, layout: Layout) -> None:
    pitch = layout.box.height / len(layout.names)
    for number, name in enumerate(layout.names):
        colour = INK if number < len(layout.subject.parameters) else MUTED
        middle = layout.box.top + pitch * (number + 0.5)
        canvas.text(layout.box.left - 0.1, middle + 0.045, name, ha="right", color=colour)


def _draw_cells(axes: Axes, layout: Layout) -> None:
    """The cells, each 1 wide and high in units of the axes, and the row of the rest below."""
    subject, rows = layout.subject, len(layout.names)
    axes.set_xlim(0, len(subject.metrics))
    axes.set_ylim(rows, 0)
    axes.set_axis_off()
    gaps = _GAP / layout.columns.width, _GAP * rows / layout.box.height
    for x, metric in enumerate(subject.metrics):
        for y, name in enumerate(subject.parameters):
            cell, weight = subject.cell(name, metric), "bold" if name == subject.leader(metric) else "normal"
            _draw_ground(axes, (x, y), gaps, cell)
            _write_cell(axes, (x, y), cell, _means_text(cell, metric) * layout.has_means, weight)
        if subject.has_rest:
            _write(axes, x, rows - 0.5, _text(subject.cell(REST, metric)), color=MUTED)


def _draw_ground(axes: Axes, corner: tuple[int, int], gaps: tuple[float, float], cell: Cell) -> None:
    (x, y), (across, upwards) = corner, gaps
    colour = "white" if isnan(cell.share) else COLOURS(min(cell.share / 100, 1.0))
    place = x + across / 2, y + upwards / 2
    axes.add_patch(Rectangle(place, 1 - across, 1 - upwards, facecolor=colour, lw=0, gid="cell"))


def _write_cell(axes: Axes, corner: tuple[int, int], cell: Cell, means: str, weight: str) -> None:
    """The share in the middle of the cell, or above the two means."""
    (x, y), colour = corner, "white" if cell.share > _DARK else INK
    _write(axes, x, y + (0.34 if means else 0.5), _text(cell), weight=weight, color=colour)
    if means:
        _write(axes, x, y + 0.72, means, size=SMALL - 1, color=colour)


def _write(axes: Axes, column: int, middle: float, text: str, **style: Any) -> None:
    axes.text(column + 0.5, middle, text, ha="center", va="center_baseline", **style)


def _text(cell: Cell) -> str:
    """The share, as short as a narrow cell needs it."""
    if isnan(cell.share):
        return "\N{EN DASH}"
    return share_text(cell.share, 100).replace("under ", "<").replace("over ", ">")


def _means_text(cell: Cell, metric: Metric) -> str:
    """The two means, where they are known."""
    if isnan(cell.low) or isnan(cell.high):
        return ""
    return change_text(format_quantity(cell.low, metric.unit), format_quantity(cell.high, metric.unit))
