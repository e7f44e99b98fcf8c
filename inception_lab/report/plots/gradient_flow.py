"""Gradient flow: a figure of each module along depth, a line per variant, and what each loss contributes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.report.plots.canvas import LINE, Box, Canvas, fitted, key_lines, new_canvas
from inception_lab.report.plots.columns import panel, runs_of
from inception_lab.report.plots.curves import (
    ZERO_NOTE,
    Curve,
    draw_curves,
    has_zeros,
    is_log,
    name_curves,
    room_behind,
)
from inception_lab.report.plots.fitting import shorten, text_width, wrap
from inception_lab.report.plots.flow_models import (
    FIGURES,
    Depth,
    FlowsPlot,
    HeadMark,
    curves_of,
    depth_of,
    head_marks,
    models_with_heads,
)
from inception_lab.report.plots.flow_shares import blocks_of, draw_shares, terms_of
from inception_lab.report.plots.flow_words import caption, subtitle, title
from inception_lab.report.plots.module_names import Names, longest_name, names_below
from inception_lab.report.plots.style import INK, MUTED, PALETTE, SMALL
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import layers_text

__all__ = ["caption", "draw", "has_content"]

MOST_ROWS = 3
"""Models whose shares are drawn; one on a slide."""
_LEFT, _FLOW, _SHARES, _GAP, _NAME = 0.78, 2.9, 0.95, 0.3, 0.2


def has_content(subject: FlowsPlot) -> bool:
    """True where a model has the figure."""
    return any(curve.is_drawn for curve in curves_of(subject, depth_of(subject)))


@dataclass(frozen=True, eq=False)
class _Layout:
    """The parts of the plot, and the inches that they take.

    Attributes:
        subject: Of the plot.
        size: That it is laid out for.
        depth: The axis of modules.
        curves: The lines, those without a point left out.
        marks: The heads.
        rows: The numbers of the models whose shares are drawn.
        left_out: Those with heads for whose shares there is no row.
    """

    subject: FlowsPlot
    size: PlotSize
    depth: Depth
    curves: Sequence[Curve]
    marks: Sequence[HeadMark]
    rows: Sequence[int]
    left_out: Sequence[int]

    @property
    def width(self) -> float:
        """Of the panels."""
        return self.size.width - _LEFT - room_behind(self.size, self.curves)

    @property
    def names(self) -> Names:
        """The names of the modules below the panels; none where each model has its own."""
        runs = runs_of(self.depth.order)
        if not runs:
            return Names((), 0, self.width, 1)
        return names_below(runs, self.width / self.depth.end, longest_name(self.size))

    @property
    def key(self) -> list[tuple[str, str]]:
        """The terms of the loss and their colours."""
        return list(terms_of(self.subject).items())


def _layout(subject: FlowsPlot, size: PlotSize) -> _Layout:
    depth, heads = depth_of(subject), models_with_heads(subject)
    curves = [curve for curve in curves_of(subject, depth) if curve.is_drawn]
    most = 1 if size.is_slide else MOST_ROWS
    numbers = [number for number in heads if blocks_of(subject, depth, number)]
    return _Layout(subject, size, depth, curves, head_marks(subject, depth), numbers[:most], numbers[most:])


def draw(subject: FlowsPlot, size: PlotSize = PAGE) -> Figure:
    """The figure along depth; below it, for each of a few models with heads, the shares of the losses."""
    layout = _layout(subject, size)
    heading, notes = (title(subject), subtitle(subject)), _notes(layout)
    lines, names = _heading_lines(layout), layout.names
    top = 0.2 + LINE * len(lines) + 0.18 * bool(_marks_named(layout))
    ticks = names.height if layout.depth.order else 0.2
    heads = _shares_head(layout) + _row_head(layout) * len(layout.rows)
    rest = top + heads + ticks + 0.16 + LINE * len(notes)
    flow, *shares = fitted(size, heading, rest, _FLOW, *[_share_height(layout)] * len(layout.rows))
    canvas = new_canvas(size, *heading, rest + flow + sum(shares))
    canvas.lines(_LEFT, 0.28, lines, weight="bold")
    _draw_flow(canvas, layout, Box(_LEFT, top, layout.width, flow))
    end = _draw_rows(canvas, layout, top + flow, shares)
    _draw_foot(canvas, layout, names, end)
    canvas.lines(_LEFT, end + ticks + 0.22, notes, color=MUTED, size=SMALL)
    return canvas.figure


def _heading_lines(layout: _Layout) -> list[str]:
    """The name of the values, and the meaning of line and band."""
    runs = _runs(layout)
    scale = " (log)" * _is_log(layout)
    spread = f", median and quartiles of {runs} runs" if runs > 1 else ""
    text = f"{FIGURES[layout.subject.figure].label}{scale}{spread}"
    return wrap(text, layout.size.width - _LEFT - 0.1, weight="bold")


def _runs(layout: _Layout) -> int:
    return int(layout.subject.context["seeds"] * layout.subject.context["batches"])


def _is_log(layout: _Layout) -> bool:
    return FIGURES[layout.subject.figure].is_log and is_log(layout.curves)


def _draw_flow(canvas: Canvas, layout: _Layout, box: Box) -> None:
    """The lines and the heads."""
    axes = panel(canvas, 1, box)
    axes.set_xlim(0, layout.depth.end)
    draw_curves(axes, layout.curves, box.height, _is_log(layout))
    name_curves(canvas, axes, layout.curves, box)
    _draw_marks(axes, layout)
    for mark, place in _marks_named(layout):
        canvas.text(
            box.left + place, box.top - 0.05, mark.name, ha="center", size=SMALL, color=_ink(layout, mark)
        )


def _draw_marks(axes: Axes, layout: _Layout) -> None:
    """A dashed line where each head branches off."""
    for mark in layout.marks:
        axes.axvline(mark.place, color=_ink(layout, mark), lw=1.1, ls=(0, (4, 3)), zorder=1.8, gid=mark.name)


def _ink(layout: _Layout, mark: HeadMark) -> str:
    """The colour of a head: that of its model where each stands at other places."""
    return INK if layout.depth.order or len(layout.curves) == 1 else PALETTE[mark.number % len(PALETTE)]


def _marks_named(layout: _Layout) -> list[tuple[HeadMark, float]]:
    """The heads and the inches at which their names stand; none where these do not fit."""
    places = [mark.place / layout.depth.end * layout.width for mark in layout.marks]
    halves = [text_width(mark.name, SMALL) / 2 + 0.04 for mark in layout.marks]
    ends = [(place - half, place + half) for place, half in zip(places, halves, strict=True)]
    is_free = all(one[1] <= other[0] for one, other in pairwise(ends))
    is_within = all(start >= -_LEFT and end <= layout.size.width - _LEFT for start, end in ends)
    return list(zip(layout.marks, places, strict=True)) if is_free and is_within else []


def _share_height(layout: _Layout) -> float:
    return _SHARES if len(layout.rows) == 1 else 0.7 * _SHARES


def _row_head(layout: _Layout) -> float:
    """Inches above a row of shares: for the model's name where there are several models."""
    return _NAME if len(layout.subject.models) > 1 else 0.08


_SHARES_TEXT = "Share of each loss in the gradient of the weights"


def _shares_head(layout: _Layout) -> float:
    """Inches for the heading of the shares and their key."""
    return _GAP + 0.2 * (_key_lines(layout)) if layout.rows else 0.0


def _key_left(layout: _Layout) -> float:
    """The place of the key: behind the heading where there is room for all of it."""
    behind = _LEFT + text_width(_SHARES_TEXT, weight="bold") + 0.3
    lines = key_lines(layout.size, layout.key, behind)
    return behind if len(lines) == 1 and behind + 1 < layout.size.width else _LEFT


def _key_lines(layout: _Layout) -> int:
    at = _key_left(layout)
    return len(key_lines(layout.size, layout.key, at)) if at == _LEFT else 0


def _draw_rows(canvas: Canvas, layout: _Layout, top: float, heights: Sequence[float]) -> float:
    """The shares of each model, and their end in inches."""
    if not layout.rows:
        return top
    canvas.text(_LEFT, top + 0.22, _SHARES_TEXT, weight="bold")
    is_behind = _key_left(layout) > _LEFT
    canvas.key(_key_left(layout), top + (0.22 if is_behind else 0.42), layout.key)
    end = top + _shares_head(layout)
    for number, height in zip(layout.rows, heights, strict=True):
        end += _row_head(layout)
        if len(layout.subject.models) > 1:
            name = shorten(layout.subject.models[number].name, layout.width, SMALL)
            canvas.text(_LEFT, end - 0.05, name, size=SMALL)
        blocks, box = blocks_of(layout.subject, layout.depth, number), Box(_LEFT, end, layout.width, height)
        axes = draw_shares(canvas, blocks, terms_of(layout.subject), layout.depth.end, box)
        _draw_marks(axes, layout)
        end += height
    return end


def _draw_foot(canvas: Canvas, layout: _Layout, names: Names, end: float) -> None:
    """The names of the modules, or the parts of the depth of models with different ones."""
    if layout.depth.order:
        names.draw(canvas, _LEFT, end)
        return
    for part in (0, 0.25, 0.5, 0.75, 1):
        style: dict[str, Any] = {"ha": "center", "color": MUTED, "size": SMALL}
        canvas.text(_LEFT + part * layout.width, end + 0.16, f"{100 * part:.0f} %", **style)


def _notes(layout: _Layout) -> list[str]:
    """The lines below: what the axis is, what marks mean, and what is not drawn."""
    order, models = layout.depth.order, layout.subject.models
    count = f"{len(order)} module{'s' * (len(order) != 1)} in order of execution"
    axis = count if order else "depth: each model's own modules in order of execution, evenly spaced"
    without = [model.name for model, line in zip(models, layout.depth.lines, strict=True) if not line]
    parts = [
        axis,
        "dashed: an auxiliary head branches off" if layout.marks else "",
        "shares: medians, scaled to add up to 100 %" if layout.rows and _runs(layout) > 1 else "",
        ZERO_NOTE if _is_log(layout) and has_zeros(layout.curves) else "",
        layout.names.note,
        f"no such figure: {layers_text(without)}" if without else "",
        f"no room for the shares of {layers_text([models[n].name for n in layout.left_out])}"
        if layout.left_out
        else "",
    ]
    return wrap("; ".join(filter(None, parts)), layout.size.width - _LEFT - 0.1, SMALL)
