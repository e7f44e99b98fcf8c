"""Layers side by side in order of execution, a column each, with the names of their modules below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from pandas import DataFrame

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.fitting import distinct, text_width
from inception_lab.report.plots.style import FAINT, INK, MUTED, SMALL

MOST_LINES = 120


@dataclass(frozen=True)
class Run:
    """Neighbouring layers of one module.

    Attributes:
        module: Its path.
        start: The first layer's column.
        end: The column after the last layer's.
    """

    module: str
    start: int
    end: int

    @property
    def middle(self) -> float:
        """Between its first and its last layer."""
        return (self.start + self.end) / 2


@dataclass(frozen=True)
class Mark:
    """The name of a module below its layers.

    Attributes:
        name: Cut to what fits.
        middle: Of its layers.
        room: Width of its layers, in inches.
    """

    name: str
    middle: float
    room: float


def modules_of(branches: DataFrame) -> frozenset[str]:
    """The modules that layers stand in."""
    return frozenset(map(str, branches["module"]))


def module_of(layer: str, modules: frozenset[str]) -> str:
    """The innermost of the modules that a layer stands in."""
    parts = layer.split(".")
    paths = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return next((path for path in paths if path in modules), parts[0])


def runs_of(modules: Sequence[str]) -> list[Run]:
    """The layers by module.

    Args:
        modules: The module of each layer.
    """
    runs, start = [], 0
    for module, layers in groupby(modules):
        end = start + len(list(layers))
        runs.append(Run(module, start, end))
        start = end
    return runs


def marks_of(runs: Sequence[Run], pitch: float) -> list[Mark]:
    """Names of the modules, those with most layers first, as far as they keep apart.

    Args:
        runs: The layers by module.
        pitch: Width of a column, in inches.
    """
    short = distinct([run.module for run in runs], 1.6, SMALL)
    marks: list[Mark] = []
    for name, run in sorted(zip(short, runs, strict=True), key=lambda p: p[1].start - p[1].end):
        # names may have to stand on end: then a line of text needs this much
        if all(abs(run.middle - other.middle) * pitch >= 0.135 for other in marks):
            marks.append(Mark(name, run.middle, (run.end - run.start) * pitch))
    return marks


def names_height(marks: Sequence[Mark]) -> float:
    """Room for the names, in inches."""
    return 0.14 if _fit_level(marks) else max(text_width(mark.name, SMALL) for mark in marks)


def name_modules(canvas: Canvas, marks: Sequence[Mark], left: float, pitch: float, top: float) -> None:
    """Write the names below their layers."""
    angle = 0 if _fit_level(marks) else 90
    for mark in marks:
        x = left + pitch * mark.middle
        canvas.text(x, top + 0.06, mark.name, rotation=angle, ha="center", va="top", size=SMALL)


def _fit_level(marks: Sequence[Mark]) -> bool:
    """True where every name fits below its layers without turning it."""
    return all(text_width(mark.name, SMALL) + 0.05 <= mark.room for mark in marks)


def panel(canvas: Canvas, runs: Sequence[Run], box: Box) -> Axes:
    """Axes with a column per layer and a line wherever a module ends."""
    axes = canvas.axes(box)
    axes.set_xlim(0, runs[-1].end)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT)
    if len(runs) <= MOST_LINES:
        ends = [run.start for run in runs[1:]]
        # x counts layers, y goes over the whole panel whatever its scale
        whole = axes.get_xaxis_transform()
        axes.vlines(ends, 0, 1, color="#c4c4c4", lw=0.6, zorder=0.5, transform=whole)
    axes.tick_params("y", labelcolor=MUTED)
    axes.spines["bottom"].set_color(INK)
    return axes
