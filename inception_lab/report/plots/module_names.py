"""The names of modules below their columns: moved, turned, folded or counted, never dropped in silence."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.columns import Run
from inception_lab.report.plots.fitting import distinct, text_width, wrap
from inception_lab.report.plots.rows import run_name
from inception_lab.report.plots.style import MUTED, SMALL
from inception_lab.report.sizes import PlotSize

FEWEST_FOLDED = 3
"""Neighbours that bear one name but for a number, from which on they may share a label."""
NOTES_LEFT = 0.72
"""Inches from the left at which notes below the names begin."""
_LONGEST, _LINE, _FAR, _BESIDE = 1.6, 0.135, 0.3, 0.1
_NUMBER = re.compile(r"[0-9]+")


def notes_below(size: PlotSize, names: Names, *notes: str) -> list[str]:
    """The lines below the names: notes, of which a slide has none, and the number of names left out."""
    texts = [*(() if size.is_slide else notes), names.note]
    text = "; ".join(filter(None, texts))
    return wrap(text, size.width - NOTES_LEFT - 0.05, SMALL) if text else []


@dataclass(frozen=True)
class Label:
    """A name below the columns that it stands for, in inches from the left end of the panel.

    Attributes:
        text: Cut to what fits.
        start: Left end of its columns.
        end: Right end of its columns.
        place: Middle of the text.
        is_level: False where the text stands on end.
    """

    text: str
    start: float
    end: float
    place: float
    is_level: bool

    @property
    def middle(self) -> float:
        """Of its columns."""
        return (self.start + self.end) / 2

    @property
    def is_aside(self) -> bool:
        """True where it had to be moved from below the middle of its columns."""
        reach = text_width(self.text, SMALL) / 2 if self.is_level else _LINE / 2
        return abs(self.place - self.middle) > reach


@dataclass(frozen=True)
class Names:
    """The names below a panel.

    Attributes:
        labels: From left to right.
        left_out: The number of modules for whose names there is no room.
        pitch: Width of a column, in inches.
        count: The number of columns.
    """

    labels: Sequence[Label]
    left_out: int
    pitch: float
    count: int

    @property
    def edges(self) -> list[float]:
        """The columns at which another name begins."""
        starts = [each.start / self.pitch for each in self.labels]
        ends = [each.end / self.pitch for each in self.labels]
        return sorted({start for start in [*starts, *ends] if 0 < start < self.count})

    @property
    def note(self) -> str:
        """The number of names that are left out; empty where there are none."""
        s = "s" * (self.left_out > 1)
        return f"no room for the name{s} of {self.left_out} more module{s}" if self.left_out else ""

    @property
    def height(self) -> float:
        """Room for the names, in inches."""
        heights = [0.12 if each.is_level else text_width(each.text, SMALL) for each in self.labels]
        return self._lead + max(heights, default=0.0)

    @property
    def _lead(self) -> float:
        """Room for lines between columns and names."""
        return 0.18 if any(each.is_aside for each in self.labels) else 0.06

    def draw(self, canvas: Canvas, left: float, top: float) -> None:
        """Write the names, with a line to each that stands aside and one below the columns of each."""
        width = self.pitch * self.count
        axes = canvas.axes(Box(left, top, width, self.height))
        axes.set_xlim(0, width)
        axes.set_ylim(self.height, 0)
        axes.set_axis_off()
        for label in self.labels:
            # a line below the columns, with a gap to the next ones
            gap = min(0.02, (label.end - label.start) / 4)
            axes.plot([label.start + gap, label.end - gap], [0.045] * 2, color=MUTED, lw=0.6, clip_on=False)
            if label.is_aside:
                ends = [label.middle, label.place], [0.045, self._lead - 0.01]
                axes.plot(*ends, color=MUTED, lw=0.5, clip_on=False)
            style: dict[str, Any] = {"rotation": 0 if label.is_level else 90, "size": SMALL, "clip_on": False}
            axes.text(label.place, self._lead, label.text, ha="center", va="top", **style)


def longest_name(size: PlotSize) -> float:
    """The most inches that a name on end takes in plots of a size."""
    return 0.75 if size.is_slide else _LONGEST


def names_below(runs: Sequence[Run], pitch: float, longest: float) -> Names:
    """The names of modules, as many and as long as their places allow.

    Where names would have to stand far from their columns, equal blocks share a label, then paths are cut to
    their beginnings; where even that is too much, the modules with the fewest columns go without a name.

    Args:
        runs: The columns by module; those without a name have none.
        pitch: Width of a column, in inches.
        longest: Inches from which on a name that stands on end is cut.
    """
    count = runs[-1].end
    for groups in _coarser(runs):
        labels = _placed(_cut_names(groups, pitch, longest), pitch, count * pitch)
        if labels and max(abs(each.place - each.middle) for each in labels) <= _FAR:
            return Names(labels, 0, pitch, count)
    labels = _as_many_as_fit(_cut_names(groups, pitch, longest), pitch, count * pitch)
    return Names(labels, len(groups) - len(labels), pitch, count)


def _cut_names(groups: Sequence[Run], pitch: float, longest: float) -> list[Run]:
    """The modules with names as long as they may be: those that do not fit level no longer than `longest`."""
    names = [run.module for run in groups]
    level, upright = distinct(names, _LONGEST, SMALL), distinct(names, longest, SMALL)
    return [
        Run(long if _level_width(long) <= (run.end - run.start) * pitch else short, run.start, run.end)
        for run, long, short in zip(groups, level, upright, strict=True)
    ]


def _as_many_as_fit(groups: Sequence[Run], pitch: float, width: float) -> list[Label]:
    """The names of the modules with most columns."""
    by_size = sorted(groups, key=lambda run: run.start - run.end)
    # so many fit if all stand on end
    for most in range(min(len(groups), int(width / _LINE) + 1), 0, -1):
        labels = _placed(sorted(by_size[:most], key=lambda run: run.start), pitch, width)
        if labels:
            return labels
    return []


def _coarser(runs: Sequence[Run]) -> Iterator[list[Run]]:
    """The modules as they are, with equal blocks folded, then by ever shorter paths."""
    named = [run for run in runs if run.module]
    yield named
    depths = [run.module.count(".") + 1 for run in named]
    for depth in range(max(depths, default=1), 0, -1):
        yield folded([Run(_cut(run.module, depth), run.start, run.end) for run in named])


def _cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])


def folded(runs: Sequence[Run]) -> list[Run]:
    """Neighbours of one name as one run, and blocks that differ in one number as one run too.

    Example:
        >>> [run.module for run in folded([Run(f"block{n}", n, n + 1) for n in range(20)])]
        ['block0–19 ×20']
        >>> [run.module for run in folded([Run("a", 0, 1), Run("a", 1, 3), Run("b2", 3, 4)])]
        ['a', 'b2']
    """
    groups: list[list[Run]] = []
    step: _Step | None = None
    for run in _joined(runs):
        to_this = _step(groups[-1][-1], run) if groups else None
        if to_this and (to_this == step or len(groups[-1]) == 1):
            groups[-1].append(run)
        else:
            groups.append([run])
        step = to_this
    return [part for group in groups for part in _fold(group)]


def _fold(group: Sequence[Run]) -> list[Run]:
    if len(group) < FEWEST_FOLDED:
        return list(group)
    return [Run(run_name([run.module for run in group]), group[0].start, group[-1].end)]


def _joined(runs: Sequence[Run]) -> list[Run]:
    """Neighbours of one name as one run."""
    whole: list[Run] = []
    for run in runs:
        if whole and (whole[-1].module, whole[-1].end) == (run.module, run.start):
            run = Run(run.module, whole.pop().start, run.end)
        whole.append(run)
    return whole


class _Step(NamedTuple):
    """The way from a name to that of the next block."""

    place: int
    rises: bool


def _step(one: Run, other: Run) -> _Step | None:
    """The one number in which two neighbours' names differ, and its direction; None where there is none."""
    is_beside = one.end == other.start
    if not is_beside or _NUMBER.sub("#", one.module) != _NUMBER.sub("#", other.module):
        return None
    pairs = list(zip(_numbers(one.module), _numbers(other.module), strict=True))
    places = [place for place, (before, after) in enumerate(pairs) if before != after]
    return _Step(places[0], pairs[places[0]][0] < pairs[places[0]][1]) if len(places) == 1 else None


def _numbers(name: str) -> list[int]:
    return [int(digits) for digits in _NUMBER.findall(name)]


def _placed(groups: Sequence[Run], pitch: float, width: float) -> list[Label]:
    """A label for each module: all level, or each as it fits; none where they do not fit side by side."""
    texts = [run.module for run in groups]
    spans = [(run.start * pitch, run.end * pitch) for run in groups]
    all_level = _lay_out(texts, spans, [True] * len(texts), width)
    if all_level and max(abs(each.place - each.middle) for each in all_level) <= _BESIDE:
        return all_level
    fits = [_level_width(text) <= end - start for text, (start, end) in zip(texts, spans, strict=True)]
    # a few short names that lie among many that stand look like a mistake
    level_part = sum((end - start) * fit for (start, end), fit in zip(spans, fits, strict=True))
    return _lay_out(texts, spans, fits if 2 * level_part >= width else [False] * len(texts), width)


def _lay_out(
    texts: Sequence[str], spans: Sequence[tuple[float, float]], level: Sequence[bool], width: float
) -> list[Label]:
    """Labels next to one another, near their columns; none where they need more than the panel's width."""
    widths = [_level_width(text) if flat else _LINE for text, flat in zip(texts, level, strict=True)]
    if sum(widths) > width + 2 * _BESIDE:
        return []
    places = moved_apart([(start + end) / 2 for start, end in spans], widths, -_BESIDE, width + _BESIDE)
    return [
        Label(text, *span, place, flat)
        for text, span, place, flat in zip(texts, spans, places, level, strict=True)
    ]


def _level_width(text: str) -> float:
    return text_width(text, SMALL) + 0.06


def moved_apart(places: Sequence[float], sizes: Sequence[float], low: float, high: float) -> list[float]:
    """Middles of things in a row, moved as little as keeps them from overlapping.

    Args:
        places: The middles, in ascending order.
        sizes: Extent of each.
        low: The lowest end that any may have.
        high: The highest one; all sizes fit between both.

    Returns:
        The middles with the smallest sum of squared distances from `places`.

    Example:
        >>> moved_apart([0.0, 0.0, 5.0], [2.0, 2.0, 2.0], -9, 9)
        [-1.0, 1.0, 5.0]
    """
    # without the extent of all before it each may stand where it will, so long as none overtakes another:
    # isotonic regression, by pooling neighbours that do
    offsets = [0.0, *accumulate((one + other) / 2 for one, other in pairwise(sizes))][: len(sizes)]
    pools: list[tuple[float, int]] = []
    for place, offset in zip(places, offsets, strict=True):
        total, count = place - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, more = pools.pop()
            total, count = total + before, count + more
        pools.append((total, count))
    starts = [total / count for total, count in pools for _ in range(count)]
    ends = (low + sizes[0] / 2, high - sizes[-1] / 2 - offsets[-1]) if sizes else (low, high)
    return [min(max(start, ends[0]), ends[1]) + offset for start, offset in zip(starts, offsets, strict=True)]
