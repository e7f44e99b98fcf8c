"""Budgets on the axes of the plot of a Pareto front: labelled lines with the forbidden side shaded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from inception_lab.report.plots.canvas import Box
from inception_lab.report.plots.fitting import text_width
from inception_lab.report.plots.placing import Rect
from inception_lab.report.plots.style import SMALL
from inception_lab.report.plots.sweep_figures import Figures, SweepFigures, budget_texts

_COLOUR = "#aa3377"
_TALL, _GAP = 0.13, 0.04


@dataclass(frozen=True)
class _Bound:
    """A bound of a budget.

    Attributes:
        value: The figure.
        text: Its label.
        is_most: True where more is forbidden.
        is_upright: True on the axis below, false on the one at the left.
    """

    value: float
    text: str
    is_most: bool
    is_upright: bool


def draw_budgets(axes: Axes, subject: SweepFigures, box: Box, obstacles: Sequence[Rect]) -> list[Rect]:
    """Draw the bounds that lie on the panel, with labels that cover no obstacle; returns their places."""
    labels: list[Rect] = []
    for bound in _bounds(subject):
        low, high = axes.get_xlim() if bound.is_upright else axes.get_ylim()
        if low < bound.value < high:
            _draw_bound(axes, bound, (bound.value, high) if bound.is_most else (low, bound.value))
            rect = _label_place(axes, bound, box, [*obstacles, *labels])
            place = rect.left / box.width, (rect.bottom + 0.025) / box.height
            axes.text(*place, bound.text, size=SMALL, color=_COLOUR, transform=axes.transAxes, zorder=4)
            labels.append(rect)
    return labels


def _bounds(subject: SweepFigures) -> Iterable[_Bound]:
    """Those on the objectives of the two axes."""
    for name, is_upright in zip(subject.objectives, (True, False), strict=False):
        bounds = subject.budgets.get(name, (None, None))
        texts = iter(budget_texts(name, bounds))
        for is_most, value in zip((False, True), bounds, strict=True):
            if value is not None:
                yield _Bound(value, next(texts), is_most, is_upright)


def _draw_bound(axes: Axes, bound: _Bound, forbidden: tuple[float, float]) -> None:
    span, line = (axes.axvspan, axes.axvline) if bound.is_upright else (axes.axhspan, axes.axhline)
    span(*forbidden, color=_COLOUR, alpha=0.07, lw=0, zorder=0.4)
    line(bound.value, color=_COLOUR, lw=1.1, ls=(0, (5, 2.5)), zorder=2.4)


def _label_place(axes: Axes, bound: _Bound, box: Box, obstacles: Sequence[Rect]) -> Rect:
    """Near the end of the line, on its forbidden side or else on the other one, where it covers nothing."""
    width = text_width(bound.text, SMALL)
    [(x, y)] = inches_of(axes, box, [(bound.value, bound.value)])
    sides = (1, -1) if bound.is_most else (-1, 1)
    if bound.is_upright:
        lefts = [x + _GAP if side > 0 else x - _GAP - width for side in sides]
        tops = [box.height - 0.02 - _TALL * step for step in range(int(box.height / _TALL))]
        places = [Rect(left, top - _TALL, left + width, top) for top in tops for left in lefts]
    else:
        bottoms = [y + _GAP / 2 if side > 0 else y - _GAP / 2 - _TALL for side in sides]
        lefts = [box.width - 0.03 - width - _TALL * step for step in range(int(box.width / _TALL))]
        places = [Rect(left, foot, left + width, foot + _TALL) for left in lefts for foot in bottoms]
    panel = Rect(0, 0, box.width, box.height)
    free = (rect for rect in places if panel.holds(rect) and not any(map(rect.overlaps, obstacles)))
    return next(free, places[0])


def inches_of(axes: Axes, box: Box, points: Sequence[Sequence[float]] | Figures) -> list[tuple[float, float]]:
    """The places of points, in inches from the lower left corner of the panel."""
    if not len(points):
        return []
    parts = (axes.transScale + axes.transLimits).transform(points)
    return [(x * box.width, y * box.height) for x, y in np.asarray(parts).tolist()]
