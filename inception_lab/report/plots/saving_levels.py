"""Reduction saving by level: what remains of a branch's saving in its module, in all modules, in the net."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, first_fitting, text_width
from inception_lab.report.plots.pairs import macs_name, saving_of
from inception_lab.report.plots.saving import best_branch, title_without_saving
from inception_lab.report.plots.style import INK, MACS, MARGIN, MUTED, PARAMS, TEXT
from inception_lab.report.plots.wording import change_text, context_line, ratio_text
from inception_lab.report.sizes import PAGE, PlotSize

_PITCH, _TOP = 0.3, 0.45
_ENDS, _RATIO = 1.2, 0.62
"""Room for the numbers without and with, and for the ratio behind the longest bar."""
Level = tuple[float, int, int]
"""A ratio, and the numbers without reductions and with them."""


def has_content(contents: ReportContents) -> bool:
    """True where a reduction changes the cost of anything."""
    return contents.has_saving


def caption(contents: ReportContents) -> str:
    """The ratios of MACs and of weights from the best branch to the net, in one sentence."""
    levels = saving_of(contents).levels()
    parts = [f"{p.name} {ratio_text(p.ratio)} and {ratio_text(p.weights_ratio)}" for p in levels]
    return f"Times fewer {macs_name(contents)} and weights with reductions than without: {', '.join(parts)}."


def _title(contents: ReportContents) -> str:
    saving = saving_of(contents)
    if not_saved := title_without_saving(contents):
        return not_saved
    there, here = ratio_text(saving.best.ratio), ratio_text(saving.net.ratio)
    return (
        f"Of {there} fewer {macs_name(contents)} in {best_branch(contents)}, {here} remain in the whole net"
    )


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Two panels, MACs and weights, with a bar per level: how many times fewer."""
    levels = saving_of(contents).levels()
    macs = [(pair.ratio, pair.naive, pair.reduced) for pair in levels]
    weights = [(pair.weights_ratio, pair.naive_weights, pair.reduced_weights) for pair in levels]
    labels = distinct([pair.name for pair in levels], 0.28 * size.width)
    subtitle = f"Without and with reductions, from one branch to the net · {context_line(contents.record)}"
    title = _title(contents)
    panel = min(_TOP + _PITCH * len(levels) + 0.1, room_below(size, title, subtitle) / 2)
    canvas = new_canvas(size, title, subtitle, 2 * panel)
    most = max(ratio for ratio, _, _ in (*macs, *weights))
    panels = (macs_name(contents), macs, MACS), ("weights", weights, PARAMS)
    for number, (quantity, bars, colour) in enumerate(panels):
        left = MARGIN + 0.12 + max(map(text_width, labels))
        box = Box(left, number * panel + _TOP, size.width - MARGIN - _ENDS - left, panel - _TOP - 0.1)
        axes = canvas.axes(box._replace(width=box.width - _RATIO))
        _draw_bars(axes, bars, colour, most)
        axes.set_yticks(range(len(bars)), labels)
        _write_numbers(canvas, quantity, bars, box)
    return canvas.figure


def _draw_bars(axes: Axes, bars: Sequence[Level], colour: str, most: float) -> None:
    for row, (ratio, _, _) in enumerate(bars):
        axes.barh([row], [ratio], 0.68, color=colour)
        place: dict[str, Any] = {"xytext": (5, 0), "textcoords": "offset points", "va": "center_baseline"}
        axes.annotate(ratio_text(ratio), (ratio, row), weight="bold", **place)
    axes.set_xlim(0, most)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xticks([])
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)


def _write_numbers(canvas: Canvas, quantity: str, bars: Sequence[Level], box: Box) -> None:
    """The numbers behind the ratios, at the right edge."""
    right, pitch = box.left + box.width + _ENDS, box.height / len(bars)
    sides = change_text("without", "with")
    headings = f"Times fewer {quantity}", f"Fewer {quantity}"
    heading = first_fitting(headings, right - box.left - text_width(sides) - 0.1)
    canvas.text(box.left, box.top - 0.1, heading, weight="bold")
    canvas.text(right, box.top - 0.1, sides, ha="right", color=MUTED)
    for row, (_, naive, reduced) in enumerate(bars):
        ends = change_text(format_quantity(naive), format_quantity(reduced))
        # a baseline so far below the middle of the row centres the digits
        canvas.text(right, box.top + pitch * (row + 0.5) + 0.045, ends, ha="right", color=MUTED)
