"""The strip of strides: pixels between the fields of neighbours, a column per layer."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log2, nan

from inception_lab.report.plots.canvas import Box, Canvas
from inception_lab.report.plots.columns import panel
from inception_lab.report.plots.field_layers import AxisGroups, Layer
from inception_lab.report.plots.field_panel import MARKERS
from inception_lab.report.plots.module_names import Names
from inception_lab.report.plots.style import INK, MUTED
from inception_lab.report.plots.wording import alike

LINES = ((INK, "-"), (MARKERS[1][1], (0, (4, 2))), (MARKERS[2][1], (0, (1, 1.5))))
"""Colour and dashes of each group of axes whose strides differ."""


def draw_strides(canvas: Canvas, layers: Sequence[Layer], names: Names, box: Box) -> None:
    """A step line per group of axes on a scale of powers of two, broken where a layer has no stride."""
    axes = panel(canvas, names.count, box, names.edges)
    for (_, axis), (colour, dashes) in zip(stride_groups(layers), LINES, strict=False):
        values = strides_along(layers, axis)
        edges = range(len(values) + 1)
        axes.stairs(values, edges, baseline=None, color=colour, ls=dashes, lw=1.4, zorder=2)
    low, high = _limits([stride for layer in layers for stride in layer.stride or ()])
    axes.set_yscale("log", base=2)
    axes.set_ylim(2.0 ** (low - 0.4), 2.0 ** (high + 0.4))
    # a number takes up this much of the axis
    steps = even_steps(low, high, int(box.height / 0.14))
    axes.set_yticks([2.0**step for step in steps], [f"{2.0**step:g}" for step in steps])
    axes.set_yticks([], minor=True)
    axes.tick_params("y", labelcolor=MUTED)


def even_steps(low: int, high: int, most: int) -> range:
    """Whole numbers at even distances with both ends, at most so many but for the ends.

    Example:
        >>> list(even_steps(1, 5, 6)), list(even_steps(1, 5, 4)), list(even_steps(1, 5, 1))
        ([1, 2, 3, 4, 5], [1, 3, 5], [1, 5])
    """
    span = high - low
    fits = (step for step in range(1, span) if span % step == 0 and span // step < most)
    return range(low, high + 1, next(fits, max(span, 1)))


def stride_groups(layers: Sequence[Layer]) -> AxisGroups:
    """The axes by the strides that layers have along them."""
    count = max(len(layer.stride or ()) for layer in layers)
    return alike([tuple([layer.stride and layer.stride[axis] for layer in layers]) for axis in range(count)])


def strides_along(layers: Sequence[Layer], axis: int) -> list[float]:
    """The stride of each layer; none where it has none, or one of 0 as behind a broadcast."""
    return [(layer.stride[axis] or nan) if layer.stride else nan for layer in layers]


def _limits(strides: Sequence[float]) -> tuple[int, int]:
    """The powers of two around all strides."""
    positive = [stride for stride in strides if stride > 0] or [1.0]
    return floor(log2(min(positive))), ceil(log2(max(positive)))
