"""The layout of the map of influence: rows and columns that there is room for, their names, and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from inception_lab.report.plots.canvas import LINE, Box, room_below
from inception_lab.report.plots.fitting import distinct, shorten, text_width, wrap
from inception_lab.report.plots.influence_cells import Influence
from inception_lab.report.plots.style import MARGIN, SMALL
from inception_lab.report.sizes import PlotSize

REST_NAME = "combinations, rest"
_ROW, _MEANS_ROW, _TALLEST, _LOWEST, _TALL = 0.3, 0.46, 0.62, 0.24, 0.36
"""Inches of a row: with a share alone and with two means; on a slide at most, at least, and with means."""
_WIDEST, _NARROWEST, _WIDE = 1.5, 0.45, 1.05
"""Inches of a column: at most, at least, and of one with two means."""
_FOOT, _NOTES = 0.28, 2
"""Inches from the cells to the notes, and lines of notes to keep room for."""


class Columns(NamedTuple):
    """The names of the columns in lines, or turned upright where columns are narrow, and their inches."""

    headings: Sequence[Sequence[str]]
    is_upright: bool
    width: float
    height: float


class Layout(NamedTuple):
    """All that is drawn: rows and columns with their names, cells in a box, notes and their place."""

    subject: Influence
    names: Sequence[str]
    columns: Columns
    box: Box
    has_means: bool
    notes: Sequence[str]

    @property
    def foot(self) -> float:
        """Inches down to the first note."""
        return self.box.top + self.box.height + _FOOT

    @property
    def height(self) -> float:
        """Inches down to the end."""
        return self.foot + LINE * len(self.notes)


def layout_of(whole: Influence, size: PlotSize, heading: tuple[str, str]) -> Layout:
    """Lay out as many rows and columns as there is room for, the most influential ones and the first."""
    names = distinct(whole.parameters, 0.28 * size.width)
    left = MARGIN + max(map(text_width, [*names, *[REST_NAME] * whole.has_rest])) + 0.14
    metrics = whole.metrics[: int((size.width - MARGIN - left) / _NARROWEST)]
    columns = _columns(replace(whole, metrics=metrics), size.width - MARGIN - left)
    room = room_below(size, *heading) - columns.height - _FOOT - _NOTES * LINE
    count = min(len(names), int(room / _LOWEST) - whole.has_rest) if size.is_slide else len(names)
    subject = Influence(whole.parameters[:count], metrics, whole.cells)
    rows = count + whole.has_rest
    pitch = min(room / rows, _TALLEST) if size.is_slide else (_MEANS_ROW if columns.width > _WIDE else _ROW)
    box = Box(left, columns.height, columns.width * len(metrics), pitch * rows)
    has_means = columns.width > _WIDE and pitch > _TALL
    notes = wrap("; ".join(_notes(whole, subject, has_means)), size.width - 2 * MARGIN, SMALL)
    return Layout(subject, [*names[:count], *[REST_NAME] * whole.has_rest], columns, box, has_means, notes)


def _columns(subject: Influence, room: float) -> Columns:
    width = min(room / len(subject.metrics), _WIDEST)
    labels = [metric.label for metric in subject.metrics]
    words = [word for label in labels for word in label.split()]
    if max(text_width(word, weight="bold") for word in words) < width - 0.08:
        headings = [wrap(label, width - 0.08, weight="bold") for label in labels]
        return Columns(headings, False, width, 0.16 + LINE * max(map(len, headings)))
    labels = [shorten(label, 1.4) for label in labels]
    return Columns(
        [[label] for label in labels], True, width, 0.2 + max(text_width(x, weight="bold") for x in labels)
    )


def _notes(whole: Influence, subject: Influence, has_means: bool) -> list[str]:
    means = "arrow: its mean at the lowest and the highest value, of words the least and the largest mean"
    parts = ["bold: the most of a metric", *[means] * has_means]
    parts += [f"{REST_NAME}: what no parameter explains alone"] * whole.has_rest
    for noun, most, fewer in (
        ("parameters of less influence", whole.parameters, subject.parameters),
        ("further metrics", whole.metrics, subject.metrics),
    ):
        parts += [f"{len(most) - len(fewer)} {noun} left out"] * (len(fewer) < len(most))
    return parts
