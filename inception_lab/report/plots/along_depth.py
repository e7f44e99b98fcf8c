"""Cost along depth: what each layer costs, and how the costs add up from input to output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas
from inception_lab.report.plots.columns import (
    Run,
    marks_of,
    module_of,
    modules_of,
    name_modules,
    names_height,
    panel,
    runs_of,
)
from inception_lab.report.plots.fitting import shorten, text_width
from inception_lab.report.plots.style import MACS, MARGIN, MUTED, PARAMS, SMALL
from inception_lab.report.plots.wording import context_line, round_steps, share_text, tick_text
from inception_lab.report.sizes import PAGE, PlotSize

COLOURS = {"macs": MACS, "params": PARAMS}
_LEFT, _RIGHT, _SUMS, _EACH = 0.72, 0.3, 2.0, 1.15


@dataclass(frozen=True)
class Layer:
    """A layer that has MACs or parameters.

    Attributes:
        name: Its path.
        module: The module that it stands in.
        macs: Of one forward.
        params: Its own parameters.
    """

    name: str
    module: str
    macs: int
    params: int


def layers_with_cost(contents: ReportContents) -> list[Layer]:
    """The layers with MACs or parameters, in order of execution."""
    modules = modules_of(contents.branches)
    return [
        Layer(row["layer"], module_of(row["layer"], modules), row["macs"], row["params"])
        for row in contents.record.layers
        if row["macs"] or row["params"]
    ]


def has_content(contents: ReportContents) -> bool:
    """True where any layer has a cost."""
    return bool(layers_with_cost(contents))


def caption(contents: ReportContents) -> str:
    """The layers at which half of each cost is reached, in one sentence."""
    layers = layers_with_cost(contents)
    halves = [_half_text(layers, metric) for metric in COLOURS if _sums(layers, metric)[-1]]
    return f"Half of the {'; half of the '.join(halves)}."


def _half_text(layers: Sequence[Layer], metric: str) -> str:
    at = _halfway(layers, metric)
    return f"{_plural(metric)} is reached in {layers[at].name}, layer {at + 1} of {len(layers)}"


def _sums(layers: Sequence[Layer], metric: str) -> list[int]:
    """The cost of the layers up to each, itself included."""
    return list(accumulate(getattr(layer, metric) for layer in layers))


def _halfway(layers: Sequence[Layer], metric: str) -> int:
    """The number of the layer at which half of the cost is reached."""
    sums = _sums(layers, metric)
    return next(number for number, value in enumerate(sums) if 2 * value >= sums[-1])


def _title(layers: Sequence[Layer]) -> str:
    costs = [metric for metric in COLOURS if _sums(layers, metric)[-1]]
    at = {metric: share_text(_halfway(layers, metric) + 1, len(layers)) for metric in costs}
    if len(set(at.values())) == 1:
        return f"Half of the {' and '.join(map(_plural, costs))} after {at[costs[0]]} of the layers"
    return f"Half of the MACs after {at['macs']} of the layers, half of the parameters after {at['params']}"


def _plural(metric: str) -> str:
    return {"macs": "MACs", "params": "parameters"}[metric]


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Three panels above one another: sums, MACs and parameters, a column per layer."""
    layers = layers_with_cost(contents)
    runs = runs_of([layer.module for layer in layers])
    pitch = _room(size) / len(layers)
    marks = marks_of(runs, pitch)
    room = names_height(marks)
    # 0.4 between panels, for their headings; the names of modules stand below the last one
    tops = (0.5, 0.5 + _SUMS + 0.4, 0.5 + _SUMS + _EACH + 0.8)
    end = tops[2] + _EACH
    subtitle = f"Cost along depth · {context_line(contents.record)}"
    canvas = new_canvas(size, _title(layers), subtitle, end + room + 0.4)
    _draw_sums(canvas, layers, runs, tops[0])
    for top, metric in zip(tops[1:], COLOURS, strict=True):
        _draw_costs(canvas, layers, runs, metric, top)
    name_modules(canvas, marks, _LEFT, pitch, end)
    canvas.text(_LEFT, end + room + 0.3, _axis_text(len(layers)), color=MUTED, size=SMALL)
    return canvas.figure


def _room(size: PlotSize) -> float:
    """Width of the panels, in inches."""
    return size.width - _LEFT - _RIGHT


def _axis_text(count: int) -> str:
    layers = "layer" if count == 1 else "layers"
    return f"{count} {layers} with MACs or parameters, in order of execution, by module"


def _draw_sums(canvas: Canvas, layers: Sequence[Layer], runs: Sequence[Run], top: float) -> None:
    """Both costs added up, as parts of their totals, with a dot at half of each."""
    axes = panel(canvas, runs, Box(_LEFT, top, _room(canvas.size), _SUMS))
    entries = []
    for (metric, colour), width in zip(COLOURS.items(), (2.6, 1.7), strict=True):
        # from zero before the first layer on, so that a sum stands where its layer ends
        sums = [0, *_sums(layers, metric)]
        if sums[-1]:
            axes.plot(range(len(sums)), [value / sums[-1] for value in sums], color=colour, lw=width)
            at = _halfway(layers, metric) + 1
            axes.plot(
                [at], [sums[at] / sums[-1]], "o", color=colour, ms=6, mec="white", clip_on=False, zorder=3
            )
            entries.append((f"{METRICS[metric].label}, {format_quantity(sums[-1])} in all", colour))
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    canvas.text(_LEFT, top - 0.1, "Added up, half passed at the dot", weight="bold")
    canvas.key(_LEFT + 2.5, top - 0.1, entries)


def _draw_costs(
    canvas: Canvas, layers: Sequence[Layer], runs: Sequence[Run], metric: str, top: float
) -> None:
    """One cost of each layer."""
    values = [getattr(layer, metric) for layer in layers]
    axes = panel(canvas, runs, Box(_LEFT, top, _room(canvas.size), _EACH))
    pitch = 72 * _room(canvas.size) / len(values)
    middles = [number + 0.5 for number in range(len(values))]
    # gaps between the columns as long as these stay wider than about a pixel each
    axes.vlines(middles, 0, values, color=COLOURS[metric], lw=pitch * (0.8 if pitch > 3 else 1))
    steps = round_steps(max(values), 4)
    axes.set_ylim(0, 1.03 * max(values) or 1)
    axes.set_yticks(steps, map(tick_text, steps))
    most = values.index(max(values))
    text = f"{METRICS[metric].label} of each layer"
    canvas.text(_LEFT, top - 0.1, text, weight="bold")
    note = f"most: {layers[most].name}, {format_quantity(values[most])}" if values[most] else "none"
    at = _LEFT + text_width(text, weight="bold") + 0.12
    canvas.text(at, top - 0.1, shorten(note, canvas.size.width - at - MARGIN), color=MUTED)
