"""Cost along depth: what each layer costs, and how the costs add up from input to output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.contents import ReportData
from inception_lab.report.plots.canvas import (
    MACS,
    MARGIN,
    MUTED,
    PARAMS,
    SMALL,
    WIDTH,
    Sheet,
    new_sheet,
    shortened,
    text_width,
)
from inception_lab.report.plots.columns import (
    Run,
    marks,
    module_of,
    modules_of,
    name_modules,
    names_height,
    panel,
    runs,
)
from inception_lab.report.plots.wording import context_line, round_steps, share_text, tick_text

COLOURS = {"macs": MACS, "params": PARAMS}
_LEFT, _RIGHT, _SUMS, _EACH = 0.72, 0.3, 2.0, 1.15
_ROOM = WIDTH - _LEFT - _RIGHT


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
    modules = modules_of(data.branches)
    return [
        Layer(row["layer"], module_of(row["layer"], modules), row["macs"], row["params"])
        for row in data.record.layers
        if row["macs"] or row["params"]
    ]


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
    by_module = runs([layer.module for layer in found])
    pitch = _ROOM / len(found)
    names = marks(by_module, pitch)
    room = names_height(names)
    tops = (0.5, 0.5 + _SUMS + 0.4, 0.5 + _SUMS + _EACH + 0.8)
    end = tops[2] + _EACH
    subtitle = f"Cost along depth · {context_line(data.record)}"
    sheet = new_sheet(_title(found), subtitle, end + room + 0.4)
    _sums(sheet, found, by_module, tops[0])
    for top, metric in zip(tops[1:], COLOURS, strict=True):
        _each(sheet, found, by_module, metric, top)
    name_modules(sheet, names, _LEFT, pitch, end)
    sheet.text(_LEFT, end + room + 0.3, _axis_text(len(found)), color=MUTED, size=SMALL)
    return sheet.figure


def _axis_text(count: int) -> str:
    layers = "layer" if count == 1 else "layers"
    return f"{count} {layers} with MACs or parameters, in order of execution, by module"


def _sums(sheet: Sheet, found: Sequence[Layer], by_module: Sequence[Run], top: float) -> None:
    axes = panel(sheet, by_module, (_LEFT, top, _ROOM, _SUMS))
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


def _each(sheet: Sheet, found: Sequence[Layer], by_module: Sequence[Run], metric: str, top: float) -> None:
    values = [getattr(layer, metric) for layer in found]
    axes = panel(sheet, by_module, (_LEFT, top, _ROOM, _EACH))
    pitch = 72 * _ROOM / len(values)
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
