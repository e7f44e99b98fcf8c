"""The key of the plot of a Pareto front: its marks with their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.colors import to_rgb, to_rgba

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.fitting import text_width
from inception_lab.report.plots.gradient_map import COLOURS
from inception_lab.report.plots.style import INK, MACS, PARAMS
from inception_lab.report.plots.sweep_figures import SweepFigures

OVER: dict[str, Any] = {"s": 9, "color": to_rgba("#8a8a8a", 0.35), "lw": 0}
REFERENCE: dict[str, Any] = {"s": 34, "marker": "D", "facecolor": "white", "edgecolor": INK, "lw": 1.3}
_PITCH = 0.2


def within_style(count: int, has_colours: bool) -> dict[str, Any]:
    """The marks of variants within the budgets, the lighter the more there are."""
    size = 13 if count < 500 else 9
    if has_colours:
        return {"s": size, "alpha": 0.75, "lw": 0}
    return {"s": size, "color": to_rgba(MACS, 0.65 if count < 500 else 0.35), "lw": 0}


def front_style(count: int, has_colours: bool) -> dict[str, Any]:
    """The marks of the front, smaller where there are many."""
    size = 38 if count < 60 else 22
    if has_colours:
        return {"s": size, "edgecolor": INK, "lw": 0.9}
    return {"s": size, "color": PARAMS, "edgecolor": "white", "lw": 0.7}


class Entry(NamedTuple):
    """A mark of the key, inches from the left, with its name."""

    left: float
    name: str
    style: dict[str, Any]


def key_lines(subject: SweepFigures, width: float) -> list[list[Entry]]:
    """The marks that are drawn, in lines of a width in inches."""
    lines: list[list[Entry]] = [[]]
    left = 0.0
    for name, style in _entries(subject):
        needed = 0.16 + text_width(name)
        if lines[-1] and left + needed > width:
            lines.append([])
            left = 0.0
        lines[-1].append(Entry(left, name, style))
        left += needed + 0.25
    return lines


def _entries(subject: SweepFigures) -> list[tuple[str, dict[str, Any]]]:
    has_colours, within = len(subject.objectives) > 2, int(subject.is_within.sum())
    colour = {"color": COLOURS(0.5)} if has_colours else {}
    over, front = within < len(subject.figures), len(subject.front)
    entries = [
        (front, "Pareto front", front_style(front, has_colours) | colour),
        (
            within > front,
            "within the budgets" if over else "other variants",
            within_style(within, has_colours) | colour,
        ),
        (over, "outside of the budgets", OVER),
        (len(subject.references), "reference nets", REFERENCE),
    ]
    return [(name, style) for count, name, style in entries if count]


def draw_key(canvas: Canvas, lines: Sequence[Sequence[Entry]], box: Box) -> None:
    """Draw the marks with their names, the first line in the box."""
    for number, line in enumerate(lines):
        top = box.top + _PITCH * number
        axes = canvas.axes(box._replace(top=top))
        axes.set_axis_off()
        axes.set_xlim(0, box.width)
        axes.set_ylim(-1, 1)
        for entry in line:
            axes.scatter([entry.left + 0.06], [0], clip_on=False, **_alone(entry.style))
            canvas.text(box.left + entry.left + 0.16, top + box.height / 2 + 0.045, entry.name)


def _alone(style: dict[str, Any]) -> dict[str, Any]:
    """The style of a mark that lies on no others: larger, and not seen through."""
    opaque = {"color": to_rgb(style["color"])} if "color" in style else {}
    return style | opaque | {"s": max(style["s"], 20)}
