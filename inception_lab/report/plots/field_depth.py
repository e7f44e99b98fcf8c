"""Field along depth: what each layer sees of the input, and what each module mixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, nan
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inception_lab.record import Row
from inception_lab.report.contents import ReportData, field_status, rows_of
from inception_lab.report.plots.canvas import (
    INK,
    MACS,
    MUTED,
    PARAMS,
    SMALL,
    WIDTH,
    Sheet,
    headline,
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
from inception_lab.report.plots.wording import alike, context_line, outermost, ratio_text, round_decades
from inception_lab.report.text import shape_text

BAND = "#9db8cf"
MARKERS = (("o", MACS), ("D", "#aa3377"), ("^", "#228833"))
"""Marker and colour of each group of axes that see different fields."""
_SYMBOLS = {"o": "●", "D": "◆", "^": "▲"}
_LEFT, _RIGHT, _TOP, _HEIGHT = 0.72, 1.15, 0.5, 3.3
_ROOM = WIDTH - _LEFT - _RIGHT
_APART = 0.15


@dataclass(frozen=True)
class Layer:
    """A layer that looks at the input through a part of it.

    Attributes:
        name: Its path.
        module: The module that it stands in.
        status: Of the field.
        field: Pixels along each axis; None where it is not exact.
        stride: Pixels between the fields of neighbours along each axis; None with the field.
    """

    name: str
    module: str
    status: str
    field: tuple[int, ...] | None
    stride: tuple[float, ...] | None


def layers(data: ReportData) -> list[Layer]:
    """The convolutions and pools, in order of execution, without those that see everything."""
    modules = modules_of(data.branches)
    return [
        Layer(row["layer"], module_of(row["layer"], modules), field_status(row), *_numbers(row))
        for row in _leaves(data.record.layers)
        if (row["macs"] or "Pool" in row["type"]) and not _sees_everything(row)
    ]


def _leaves(rows: Sequence[Row]) -> list[Row]:
    """The layers that hold no other."""
    parts = [row["layer"].split(".") for row in rows]
    holders = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
    return [row for row in rows if row["layer"] not in holders]


def _sees_everything(row: Row) -> bool:
    return field_status(row) == "exact" and not row.get("stride")


def _numbers(row: Row) -> tuple[tuple[int, ...] | None, tuple[float, ...] | None]:
    if field_status(row) != "exact":
        return None, None
    return tuple(row["receptive_field"]), tuple(row["stride"])


@dataclass(frozen=True)
class Band:
    """The fields that a module mixes along one axis.

    Attributes:
        start: Column of the module's first layer.
        end: The column after its last layer's.
        smallest: On any path, in pixels.
        median: Over channels.
        largest: Of any channel.
    """

    start: int
    end: int
    smallest: int
    median: int
    largest: int


def bands(data: ReportData, found: Sequence[Layer], axis: int) -> list[Band]:
    """A band per module that mixes fields, the outer ones first."""
    made = []
    for row in mixing(data):
        inside = [n for n, layer in enumerate(found) if layer.name.startswith(f"{row['module']}.")]
        if inside and row["axis"] == axis:
            made.append(Band(inside[0], inside[-1] + 1, row["smallest"], row["median"], row["largest"]))
    return sorted(made, key=lambda band: band.start - band.end)


def mixing(data: ReportData) -> list[dict[str, Any]]:
    """The modules with paths of several fields."""
    return [row for row in rows_of(data.seen) if row["smallest"] < row["largest"]]


def shown(data: ReportData) -> bool:
    """Whether a layer looks at a part of the input."""
    found = layers(data)
    return bool(data.fit and found and _fields(data, found))


def _fields(data: ReportData, found: Sequence[Layer]) -> list[int]:
    """All fields that are drawn."""
    of_layers = [pixels for layer in found for pixels in layer.field or ()]
    return of_layers + [row[end] for row in rows_of(data.seen) for end in ("smallest", "largest")]


def caption(data: ReportData) -> str:
    """What a dot and a band are, what the last band mixes, and where the input ends, in one sentence."""
    parts = ["A dot is the field of one layer", *_band_text(data), _passing(data)]
    missing = _missing(layers(data))
    note = [f"no one number describes what {missing} layers see"] if missing else []
    return f"{'; '.join([*parts, *note])}."


def _missing(found: Sequence[Layer]) -> str:
    """How many layers have no dot, by their status."""
    counts = Counter(layer.status for layer in found if layer.field is None)
    return " and ".join(f"{count} {status}" for status, count in counts.items())


def _band_text(data: ReportData) -> list[str]:
    mixed = mixing(data)
    if not mixed:
        return []
    outer = outermost([row["module"] for row in mixed])
    last = next(row for row in mixed if row["module"] == outer[-1])
    return [
        "a band reaches from the smallest field on any path through a module to the largest, "
        f"with the median channel as a line: {last['smallest']:,}, {last['median']:,} and "
        f"{last['largest']:,} pixels in {last['module']}"
    ]


def _passing(data: ReportData) -> str:
    beyond, size = data.fit["exceeding"], shape_text(data.fit["input_size"])
    if not beyond:
        return f"no layer sees more than the {size} pixels of the input"
    return f"from {beyond[0]} on, fields are larger than the {size} pixels of the input"


def _title(data: ReportData, found: Sequence[Layer]) -> str:
    size = data.fit["input_size"]
    most, beyond = max(_fields(data, found)), data.fit["exceeding"]
    grown = f"Fields grow to {most:,} pixels"
    if not beyond:
        return f"{grown}, within the input's {shape_text(size)}"
    module = headline(module_of(beyond[0], modules_of(data.branches)))
    if len(set(size)) > 1:
        return f"{grown} and pass the input's {shape_text(size)} in {module}"
    return f"{grown}, {ratio_text(most / size[0])} the input, and pass it in {module}"


def draw(data: ReportData) -> Figure:
    """One panel: a column per layer, fields and strides in pixels on a logarithmic axis."""
    found = layers(data)
    by_module = runs([layer.module for layer in found])
    pitch = _ROOM / len(found)
    names = marks(by_module, pitch)
    room = names_height(names)
    end = _TOP + _HEIGHT
    subtitle = f"Receptive field along depth · {context_line(data.record)}"
    sheet = new_sheet(_title(data, found), subtitle, end + room + 0.4)
    series = _series(data, found)
    _key(sheet, series, bool(mixing(data)))
    _panel(sheet, data, found, by_module, series)
    name_modules(sheet, names, _LEFT, pitch, end)
    sheet.text(_LEFT, end + room + 0.3, _axis_text(found), color=MUTED, size=SMALL)
    return sheet.figure


Series = Sequence[tuple[str, int]]


def _series(data: ReportData, found: Sequence[Layer]) -> Series:
    """Names of the axes along which fields are the same, and the first of them."""
    count = len(data.fit["input_size"])
    rows = rows_of(data.seen)
    return alike(
        [
            (
                tuple([layer.field and layer.field[axis] for layer in found]),
                tuple([(r["module"], r["smallest"], r["largest"]) for r in rows if r["axis"] == axis]),
            )
            for axis in range(count)
        ]
    )


def _key(sheet: Sheet, series: Series, mixed: bool) -> None:
    text = "Field in pixels (log)"
    sheet.text(_LEFT, _TOP - 0.16, text, weight="bold")
    x = _LEFT + text_width(text, weight="bold") + 0.3
    for number, ((name, _), marker) in enumerate(zip(series, MARKERS, strict=False)):
        label = f"{name} if different" if number else "a layer" + f" ({name})" * (len(series) > 1)
        x = _entry(sheet, x, _SYMBOLS[marker[0]], label, marker[1])
    if mixed:
        x = _entry(sheet, x, "—", "a module's median", INK)
        sheet.key(x, _TOP - 0.16, [("and its range", BAND)])


def _entry(sheet: Sheet, left: float, symbol: str, label: str, colour: str) -> float:
    """A symbol and what it stands for; returns where the next one may begin."""
    sheet.text(left, _TOP - 0.16, symbol, color=colour)
    sheet.text(left + 0.15, _TOP - 0.16, label)
    return left + 0.15 + text_width(label) + 0.2


def _panel(
    sheet: Sheet, data: ReportData, found: Sequence[Layer], by_module: Sequence[Run], series: Series
) -> None:
    axes = panel(sheet, by_module, (_LEFT, _TOP, _ROOM, _HEIGHT))
    _bands(axes, data, found, series)
    _dots(axes, found, series)
    _strides(axes, found, series)
    low, high = _limits(data, found)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    steps = round_decades(low, high, 12)
    axes.set_yticks(steps, [f"{step:,g}" for step in steps])
    axes.set_yticks([], minor=True)
    for size in dict.fromkeys(data.fit["input_size"]):
        axes.axhline(size, color=PARAMS, lw=1.3, ls=(0, (5, 2)), zorder=2.5)
    inches = _HEIGHT / log(high / low)
    lines = [(log(line.pixels / low) * inches, line) for line in _lines(data, found, series)]
    _label_lines(sheet, lines, _ROOM / len(found))


def _bands(axes: Axes, data: ReportData, found: Sequence[Layer], series: Series) -> None:
    """Filled along the first axis; along another one an outline, where it differs."""
    first = bands(data, found, 0)
    for band in first:
        axes.add_patch(_box(band, facecolor=BAND, alpha=0.5, lw=0))
        axes.hlines(band.median, band.start, band.end, color=INK, lw=1.2, zorder=2)
    for (_, axis), (_, colour) in zip(series[1:], MARKERS[1:], strict=False):
        for band in [band for band in bands(data, found, axis) if band not in first]:
            axes.add_patch(_box(band, facecolor="none", edgecolor=colour, lw=0.9, ls=":"))


def _box(band: Band, **style: Any) -> Rectangle:
    corner = (band.start, band.smallest)
    return Rectangle(corner, band.end - band.start, band.largest - band.smallest, zorder=1, **style)


def _dots(axes: Axes, found: Sequence[Layer], series: Series) -> None:
    """A dot per layer along the first axis; along another one where it differs."""
    size = min(5.0, max(2.2, 72 * _ROOM / len(found) * 0.8))
    for (_, axis), (marker, colour) in zip(series, MARKERS, strict=False):
        placed = [(n + 0.5, f[axis]) for n, f in _known(found) if axis == 0 or f[axis] != f[0]]
        x, y = zip(*placed, strict=True) if placed else ((), ())
        axes.plot(x, y, marker, color=colour, ms=size, mec="white", mew=0.3, zorder=3)


def _known(found: Sequence[Layer]) -> list[tuple[int, tuple[int, ...]]]:
    return [(number, layer.field) for number, layer in enumerate(found) if layer.field]


def _strides(axes: Axes, found: Sequence[Layer], series: Series) -> None:
    """A step line per group of axes, broken where the stride is not known."""
    for _, axis in series:
        values = [layer.stride[axis] if layer.stride else nan for layer in found]
        axes.stairs(values, range(len(values) + 1), baseline=None, color=MUTED, lw=1.1, zorder=2)


def _limits(data: ReportData, found: Sequence[Layer]) -> tuple[float, float]:
    strides = [pixels for layer in found for pixels in layer.stride or () if pixels > 0]
    drawn = [*_fields(data, found), *strides, *data.fit["input_size"]]
    return min(drawn) / 1.25, max(drawn) * 1.25


class Line(NamedTuple):
    """A line across the panel.

    Attributes:
        pixels: Its height at its end.
        end: Column where it ends.
        text: What it is.
        colour: Its own.
    """

    pixels: float
    end: int
    text: str
    colour: str


def _lines(data: ReportData, found: Sequence[Layer], series: Series) -> list[Line]:
    """The sizes of the input, and the last strides that are known."""
    sizes, count = data.fit["input_size"], len(found)
    groups = alike(sizes)
    inputs = [
        Line(sizes[axis], count, f"input {f'{name} ' * (len(groups) > 1)}{sizes[axis]}", PARAMS)
        for name, axis in groups
    ]
    ends = [(number + 1, layer.stride) for number, layer in enumerate(found) if layer.stride][-1:]
    strides = [
        Line(stride[axis], end, f"stride {stride[axis]:g}", MUTED)
        for end, stride in ends
        for _, axis in series
    ]
    return [*inputs, *dict.fromkeys(strides)]


def _label_lines(sheet: Sheet, lines: Sequence[tuple[float, Line]], pitch: float) -> None:
    """Names behind the ends of lines at their heights, as far as they keep apart."""
    below = -_APART
    for height, line in sorted(lines):
        below = max(height, below + _APART)
        at = _LEFT + pitch * line.end + 0.06
        short = shortened(line.text, WIDTH - at - 0.02, SMALL)
        sheet.text(at, _TOP + _HEIGHT - below + 0.04, short, color=line.colour, size=SMALL)


def _axis_text(found: Sequence[Layer]) -> str:
    layers = "layer" if len(found) == 1 else "layers"
    text = f"{len(found)} {layers} with MACs and pools that see a part of the input, in order of execution"
    return text + f"; no dot: {_missing(found)}" * bool(_missing(found))
