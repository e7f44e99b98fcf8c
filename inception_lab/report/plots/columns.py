"""Layers side by side in order of execution, a column each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from matplotlib.axes import Axes
from pandas import DataFrame

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.style import FAINT, INK, MUTED


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


def panel(canvas: Canvas, count: int, box: Box, edges: Sequence[float] = ()) -> Axes:
    """Axes with a column for each of `count` layers, and a line at each of the edges."""
    axes = canvas.axes(box)
    axes.set_xlim(0, count)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT)
    # x counts layers, y goes over the whole panel whatever its scale
    whole = axes.get_xaxis_transform()
    axes.vlines(edges, 0, 1, color="#c4c4c4", lw=0.6, zorder=0.5, transform=whole)
    axes.tick_params("y", labelcolor=MUTED)
    axes.spines["bottom"].set_color(INK)
    return axes
