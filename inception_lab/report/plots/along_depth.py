"""Cost along depth: what each layer costs, and how the costs add up from input to output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, fitted, key_lines, new_canvas
from inception_lab.report.plots.columns import module_of, modules_of, panel, runs_of
from inception_lab.report.plots.fitting import shorten, text_width
from inception_lab.report.plots.module_names import Names, longest_name, names_below, notes_below
from inception_lab.report.plots.placing import Rect, along_line, place_beside
from inception_lab.report.plots.style import MACS, MARGIN, MUTED, PARAMS, SMALL
from inception_lab.report.plots.wording import context_line, round_steps, share_text, tick_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import step_macs
from inception_lab.report.text import label_within

COLOURS = {"macs": MACS, "training_macs": MACS, "params": PARAMS}
_THICK: dict[str, Any] = {"color": MACS, "lw": 3.4, "ls": "-"}
_DISC: dict[str, Any] = {"marker": "o", "ms": 9.5, "color": MACS}
LINES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "macs": _THICK,
        "training_macs": _THICK,
        "params": {"color": PARAMS, "lw": 1.8, "ls": (0, (5, 3))},
    }
)
"""A thick line, and a dashed one in front of it: both are seen where they run together."""
HALVES: Mapping[str, dict[str, Any]] = MappingProxyType(
    {"macs": _DISC, "training_macs": _DISC, "params": {"marker": "D", "ms": 6, "color": PARAMS}}
)
"""The marks of both halves, the smaller one in front."""
_LEFT, _RIGHT, _SUMS, _EACH = 0.72, 0.3, 2.0, 1.15
_TOP_SHARE = 1.02


@dataclass(frozen=True)
class Layer:
    """A layer that has MACs or parameters.

    Attributes:
        name: Its path.
        module: The module that it stands in.
        costs: The MACs of the run, which may be a step, and its own parameters, by metric.
    """

    name: str
    module: str
    costs: Mapping[str, int]


def layers_with_cost(contents: ReportContents) -> list[Layer]:
    """The layers with MACs or parameters, in order of execution."""
    modules, metrics = modules_of(contents.branches), (step_macs(contents.record), "params")
    return [
        Layer(row["layer"], module_of(row["layer"], modules), {metric: row[metric] for metric in metrics})
        for row in contents.record.layers
        if any(row[metric] for metric in metrics)
    ]


def has_content(contents: ReportContents) -> bool:
    """True where any layer has a cost."""
    return bool(layers_with_cost(contents))


def caption(contents: ReportContents) -> str:
    """The layers at which half of each cost is reached, in one sentence."""
    layers = layers_with_cost(contents)
    halves = [_half_text(layers, metric) for metric in _costs(layers)]
    return f"Half of the {'; half of the '.join(halves)}."


def _half_text(layers: Sequence[Layer], metric: str) -> str:
    at = _halfway(layers, metric)
    return f"{label_within(metric)} is reached in {layers[at].name}, layer {at + 1} of {len(layers)}"


def _costs(layers: Sequence[Layer]) -> list[str]:
    """The metrics that any layer has a cost in."""
    return [metric for metric in layers[0].costs if _sums(layers, metric)[-1]]


def _sums(layers: Sequence[Layer], metric: str) -> list[int]:
    """The cost of the layers up to each, itself included."""
    return list(accumulate(layer.costs[metric] for layer in layers))


def _halfway(layers: Sequence[Layer], metric: str) -> int:
    """The number of the layer at which half of the cost is reached."""
    sums = _sums(layers, metric)
    return next(number for number, value in enumerate(sums) if 2 * value >= sums[-1])


def _title(layers: Sequence[Layer]) -> str:
    costs = _costs(layers)
    at = {metric: share_text(_halfway(layers, metric) + 1, len(layers)) for metric in costs}
    if len(set(at.values())) == 1:
        return f"Half of the {' and '.join(map(label_within, costs))} after {at[costs[0]]} of the layers"
    macs, params = costs
    first = f"Half of the {label_within(macs)} after {at[macs]} of the layers"
    return f"{first}, half of the parameters after {at[params]}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Sums of both costs, a column per layer; below them, but on a slide, MACs and parameters of each."""
    layers = layers_with_cost(contents)
    room = size.width - _LEFT - _RIGHT
    names = names_below(runs_of([layer.module for layer in layers]), room / len(layers), longest_name(size))
    notes = notes_below(size, names, _axis_text(len(layers)))
    heading = _title(layers), f"Cost along depth · {context_line(contents.record)}"
    each = () if size.is_slide else tuple(layers[0].costs)
    # a panel's heading takes 0.4 above it, and 0.1 more the first one's
    top = 0.3 + 0.2 * _key_lines(size, layers)
    fixed = top + (0.4 + _EACH) * len(each) + names.height + 0.22 + 0.2 * len(notes)
    (sums,) = fitted(size, heading, fixed, _SUMS)
    canvas = new_canvas(size, *heading, fixed + sums)
    _draw_sums(canvas, layers, names, Box(_LEFT, top, room, sums))
    end = top + sums
    for metric in each:
        _draw_costs(canvas, layers, names, metric, Box(_LEFT, end + 0.4, room, _EACH))
        end += 0.4 + _EACH
    names.draw(canvas, _LEFT, end)
    for line, note in enumerate(notes):
        canvas.text(_LEFT, end + names.height + 0.3 + 0.2 * line, note, color=MUTED, size=SMALL)
    return canvas.figure


def _axis_text(count: int) -> str:
    layers = "layer" if count == 1 else "layers"
    return f"{count} {layers} with MACs or parameters, in order of execution, by module"


def _draw_sums(canvas: Canvas, layers: Sequence[Layer], names: Names, box: Box) -> None:
    """Both costs added up, as parts of their totals, with a mark at half of each."""
    axes = panel(canvas, names.count, box, names.edges)
    axes.set_ylim(0, _TOP_SHARE)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    curves = {metric: _curve(layers, metric) for metric in _costs(layers)}
    for metric, curve in curves.items():
        axes.plot(range(len(curve)), curve, zorder=2, **LINES[metric])
        at = _halfway(layers, metric) + 1
        axes.plot([at], [curve[at]], mec="white", clip_on=False, zorder=3, **HALVES[metric])
    _name_curves(axes, layers, curves, box)
    _draw_key(canvas, layers)


_HEADING = "Added up, half passed at the mark"


def _key(layers: Sequence[Layer]) -> list[tuple[str, str]]:
    """The costs with their totals, and their colours."""
    totals = {metric: _sums(layers, metric)[-1] for metric in _costs(layers)}
    return [
        (f"{METRICS[metric].label}, {format_quantity(total)} in all", COLOURS[metric])
        for metric, total in totals.items()
    ]


def _key_lines(size: PlotSize, layers: Sequence[Layer]) -> int:
    """The number of lines that heading and key take: one where both fit into it."""
    key = _key(layers)
    end = _beside_heading() + sum(0.4 + text_width(text) for text, _ in key)
    return 1 if end <= size.width else 1 + len(key_lines(size, key, _LEFT))


def _beside_heading() -> float:
    return _LEFT + text_width(_HEADING, weight="bold") + 0.3


def _draw_key(canvas: Canvas, layers: Sequence[Layer]) -> None:
    """The heading of the sums, and the key behind or below it."""
    canvas.text(_LEFT, 0.4, _HEADING, weight="bold")
    is_beside = _key_lines(canvas.size, layers) == 1
    canvas.key(_beside_heading() if is_beside else _LEFT, 0.4 if is_beside else 0.6, _key(layers))


def _curve(layers: Sequence[Layer], metric: str) -> list[float]:
    """The parts of a total, from zero before the first layer on: a sum stands where its layer ends."""
    sums = [0, *_sums(layers, metric)]
    return [value / sums[-1] for value in sums]


def _name_curves(
    axes: Axes, layers: Sequence[Layer], curves: Mapping[str, Sequence[float]], box: Box
) -> None:
    """The name of each curve beside its half, where no curve passes."""
    across, up = box.width / len(layers), box.height / _TOP_SHARE
    lines = [[(n * across, share * up) for n, share in enumerate(curve)] for curve in curves.values()]
    obstacles = [square for line in lines for square in along_line(line, 0.04)]
    bounds = Rect(0.05, 0.05, box.width - 0.05, box.height - 0.05)
    for metric, curve in curves.items():
        at, text = _halfway(layers, metric) + 1, METRICS[metric].label
        size = text_width(text, weight="bold"), 0.15
        place = place_beside((at * across, curve[at] * up), 0.1, size, bounds, obstacles)
        obstacles.append(place)
        style: dict[str, Any] = {"color": COLOURS[metric], "weight": "bold", "va": "bottom"}
        axes.text(place.left / across, place.bottom / up, text, **style)


def _draw_costs(canvas: Canvas, layers: Sequence[Layer], names: Names, metric: str, box: Box) -> None:
    """One cost of each layer."""
    values = [layer.costs[metric] for layer in layers]
    axes = panel(canvas, names.count, box, names.edges)
    pitch = 72 * box.width / len(values)
    middles = [number + 0.5 for number in range(len(values))]
    # gaps between the columns as long as these stay wider than about a pixel each
    axes.vlines(middles, 0, values, color=COLOURS[metric], lw=min(pitch * (0.8 if pitch > 3 else 1), 40))
    steps = round_steps(max(values), 4)
    axes.set_ylim(0, 1.03 * max(values) or 1)
    axes.set_yticks(steps, map(tick_text, steps))
    most = values.index(max(values))
    text = f"{METRICS[metric].label} of each layer"
    canvas.text(box.left, box.top - 0.1, text, weight="bold")
    note = f"most: {layers[most].name}, {format_quantity(values[most])}" if values[most] else "none"
    at = box.left + text_width(text, weight="bold") + 0.12
    canvas.text(at, box.top - 0.1, shorten(note, canvas.size.width - at - MARGIN), color=MUTED)
