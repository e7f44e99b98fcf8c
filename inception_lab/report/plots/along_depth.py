"""Cost along depth: what each layer costs, and how the costs add up from input to output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.report.data import ReportData
from inception_lab.report.plots.sheet import (
    FAINT,
    INK,
    MACS,
    MARGIN,
    MUTED,
    PARAMS,
    SMALL,
    WIDTH,
    Sheet,
    distinct,
    new_sheet,
    shortened,
    text_width,
)
from inception_lab.report.plots.words import context_line, round_steps, share_text, tick_text
from inception_lab.units import METRICS, format_quantity

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


def layers(data: ReportData) -> list[Layer]:
    """The layers with a cost, in order of execution."""
    modules = _modules(data.branches)
    return [
        Layer(row["layer"], _module_of(row["layer"], modules), row["macs"], row["params"])
        for row in data.record.layers
        if row["macs"] or row["params"]
    ]


def _modules(branches: DataFrame) -> frozenset[str]:
    return frozenset(map(str, branches["module"]))


def _module_of(layer: str, modules: frozenset[str]) -> str:
    """The innermost of the modules that a layer stands in."""
    parts = layer.split(".")
    paths = (".".join(parts[:depth]) for depth in range(len(parts), 0, -1))
    return next((path for path in paths if path in modules), parts[0])


def shown(data: ReportData) -> bool:
    """Whether any layer has a cost."""
    return bool(layers(data))


def caption(data: ReportData) -> str:
    """Where along the net half of each cost is reached, in one sentence."""
    found = layers(data)
    halves = [_half_text(found, metric) for metric in COLOURS if _values(found, metric)[-1]]
    return f"Half of the {'; half of the '.join(halves)}."


def _half_text(found: Sequence[Layer], metric: str) -> str:
    at = _halfway(found, metric)
    return f"{_word(metric)} is reached in {found[at].name}, layer {at + 1} of {len(found)}"


def _values(found: Sequence[Layer], metric: str) -> list[int]:
    """Costs added up, from each layer on."""
    return list(accumulate(getattr(layer, metric) for layer in found))


def _halfway(found: Sequence[Layer], metric: str) -> int:
    """The layer at which half of the cost is reached."""
    sums = _values(found, metric)
    return next(number for number, value in enumerate(sums) if 2 * value >= sums[-1])


def _title(found: Sequence[Layer]) -> str:
    costs = [metric for metric in COLOURS if _values(found, metric)[-1]]
    at = {metric: share_text(_halfway(found, metric) + 1, len(found)) for metric in costs}
    if len(set(at.values())) == 1:
        return f"Half of the {' and '.join(map(_word, costs))} after {at[costs[0]]} of the layers"
    return f"Half of the MACs after {at['macs']} of the layers, half of the parameters after {at['params']}"


def _word(metric: str) -> str:
    return {"macs": "MACs", "params": "parameters"}[metric]


def draw(data: ReportData) -> Figure:
    """Three panels above one another: sums, MACs and parameters, a column per layer."""
    found = layers(data)
    runs = _runs(found)
    marks = _marks(runs, (WIDTH - _LEFT - _RIGHT) / len(found))
    room = _names_height(marks)
    tops = (0.5, 0.5 + _SUMS + 0.4, 0.5 + _SUMS + _EACH + 0.8)
    end = tops[2] + _EACH
    subtitle = f"Cost along depth · {context_line(data.record)}"
    sheet = new_sheet(_title(found), subtitle, end + room + 0.4)
    _sums(sheet, found, runs, tops[0])
    for top, metric in zip(tops[1:], COLOURS, strict=True):
        _each(sheet, found, runs, metric, top)
    _name_modules(sheet, marks, len(found), end)
    sheet.text(_LEFT, end + room + 0.3, _axis_text(len(found)), color=MUTED, size=SMALL)
    return sheet.figure


def _axis_text(count: int) -> str:
    layers = "layer" if count == 1 else "layers"
    return f"{count} {layers} with MACs or parameters, in order of execution, by module"


def _runs(found: Sequence[Layer]) -> list[tuple[str, int, int]]:
    """Modules with the first layer of each and the one after its last."""
    runs, start = [], 0
    for module, inside in groupby(found, key=lambda layer: layer.module):
        end = start + len(list(inside))
        runs.append((module, start, end))
        start = end
    return runs


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


def _marks(runs: Sequence[tuple[str, int, int]], pitch: float) -> list[Mark]:
    """Names of the modules, those with most layers first, as far as they keep apart."""
    short = distinct([module for module, _, _ in runs], 1.6, SMALL)
    marks: list[Mark] = []
    for name, (_, start, end) in sorted(zip(short, runs, strict=True), key=lambda p: p[1][1] - p[1][2]):
        middle = (start + end) / 2
        if all(abs(middle - other.middle) * pitch >= 0.135 for other in marks):
            marks.append(Mark(name, middle, (end - start) * pitch))
    return marks


def _level(marks: Sequence[Mark]) -> bool:
    """Whether every name fits below its layers without turning it."""
    return all(text_width(mark.name, SMALL) + 0.05 <= mark.room for mark in marks)


def _names_height(marks: Sequence[Mark]) -> float:
    return 0.14 if _level(marks) else max(text_width(mark.name, SMALL) for mark in marks)


def _name_modules(sheet: Sheet, marks: Sequence[Mark], count: int, top: float) -> None:
    angle = 0 if _level(marks) else 90
    for mark in marks:
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * mark.middle / count
        sheet.text(x, top + 0.06, mark.name, rotation=angle, ha="center", va="top", size=SMALL)


def _sums(sheet: Sheet, found: Sequence[Layer], runs: Sequence[tuple[str, int, int]], top: float) -> None:
    axes = _panel(sheet, len(found), runs, top, _SUMS)
    entries = []
    for (metric, colour), width in zip(COLOURS.items(), (2.6, 1.7), strict=True):
        sums = [0, *_values(found, metric)]
        if sums[-1]:
            axes.plot(range(len(sums)), [value / sums[-1] for value in sums], color=colour, lw=width)
            at = _halfway(found, metric) + 1
            axes.plot(
                [at], [sums[at] / sums[-1]], "o", color=colour, ms=6, mec="white", clip_on=False, zorder=3
            )
            entries.append((f"{METRICS[metric].label}, {format_quantity(sums[-1])} in all", colour))
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    sheet.text(_LEFT, top - 0.1, "Added up, half passed at the dot", weight="bold")
    sheet.key(_LEFT + 2.5, top - 0.1, entries)


def _each(
    sheet: Sheet, found: Sequence[Layer], runs: Sequence[tuple[str, int, int]], metric: str, top: float
) -> None:
    values = [getattr(layer, metric) for layer in found]
    axes = _panel(sheet, len(found), runs, top, _EACH)
    pitch = 72 * (WIDTH - _LEFT - _RIGHT) / len(values)
    middles = [number + 0.5 for number in range(len(values))]
    axes.vlines(middles, 0, values, color=COLOURS[metric], lw=pitch * (0.8 if pitch > 3 else 1))
    steps = round_steps(max(values), 4)
    axes.set_ylim(0, 1.03 * max(values) or 1)
    axes.set_yticks(steps, map(tick_text, steps))
    most = values.index(max(values))
    text = f"{METRICS[metric].label} of each layer"
    sheet.text(_LEFT, top - 0.1, text, weight="bold")
    note = f"most: {found[most].name}, {format_quantity(values[most])}" if values[most] else "none"
    at = _LEFT + text_width(text, weight="bold") + 0.12
    sheet.text(at, top - 0.1, shortened(note, WIDTH - at - MARGIN), color=MUTED)


def _panel(sheet: Sheet, count: int, runs: Sequence[tuple[str, int, int]], top: float, height: float) -> Axes:
    """Axes with a column per layer and a line wherever a module ends."""
    axes = sheet.axes(_LEFT, top, WIDTH - _LEFT - _RIGHT, height)
    axes.set_xlim(0, count)
    axes.set_xticks([])
    axes.grid(axis="y", color=FAINT)
    if len(runs) <= 120:
        ends = [start for _, start, _ in runs[1:]]
        whole = axes.get_xaxis_transform()
        axes.vlines(ends, 0, 1, color="#c4c4c4", lw=0.6, zorder=0.5, transform=whole)
    axes.tick_params("y", labelcolor=MUTED)
    axes.spines["bottom"].set_color(INK)
    return axes
