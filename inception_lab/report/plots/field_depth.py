"""Field along depth: what each layer sees of the input, and what each module mixes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

from matplotlib.figure import Figure

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, fitted, new_canvas
from inception_lab.report.plots.columns import module_of, modules_of, runs_of
from inception_lab.report.plots.field_layers import (
    AxisGroups,
    Layer,
    axis_groups,
    context_starts,
    count_without_window,
    layers_with_field,
    mixing_modules,
    pixels_of,
)
from inception_lab.report.plots.field_panel import (
    BAND,
    BAND_EDGE,
    BEHIND,
    CONTEXT,
    MARKERS,
    context_names_fit,
    draw_fields,
)
from inception_lab.report.plots.fitting import headline, text_width
from inception_lab.report.plots.module_names import longest_name, names_below, notes_below
from inception_lab.report.plots.stride_strip import LINES, draw_strides, stride_groups
from inception_lab.report.plots.style import INK, MUTED, SMALL
from inception_lab.report.plots.wording import context_line, outermost, ratio_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import layers_text, shape_text

_SYMBOLS, _BAND = {"o": "●", "D": "◆", "^": "▲"}, "band"
_LEFT, _FIELDS, _STRIDES, _GAP = 0.72, 3.0, 0.85, 0.42


def has_content(contents: ReportContents) -> bool:
    """True where a layer looks at a part of the input."""
    layers = layers_with_field(contents)
    return bool(contents.fit.input_size and layers and pixels_of(contents, layers))


def caption(contents: ReportContents) -> str:
    """The meaning of dots and bands, the last band's fields, and the layer that passes the input."""
    parts = ["A dot is the field of one layer", *_band_text(contents), _passing(contents)]
    layers = layers_with_field(contents)
    missing = _without_dot(layers)
    note = [f"no one number describes what {missing} layers see"] if missing else []
    return f"{'; '.join([*parts, *_context_text(contents, layers), *note])}."


def _context_text(contents: ReportContents, layers: Sequence[Layer]) -> list[str]:
    """The layers through which others see a whole axis, beside the fields that are drawn."""
    names = _context_names(contents, layers)
    count = sum(bool(layer.context) for layer in layers)
    where = f"in {count} of {len(layers)} layers" if count else "behind these layers"
    return [f"units also see a whole axis through {layers_text(names)}, {where}"] if names else []


def _context_names(contents: ReportContents, layers: Sequence[Layer]) -> list[str]:
    """The layers through which others see a whole axis, in order."""
    return list(chain(*context_starts(contents, layers).values()))


def _without_dot(layers: Sequence[Layer]) -> str:
    """The number of layers that have no dot, by their status."""
    counts = Counter(layer.status for layer in layers if layer.field is None)
    return " and ".join(f"{count} {status}" for status, count in counts.items())


def _band_text(contents: ReportContents) -> list[str]:
    ranges = mixing_modules(contents)
    if not ranges:
        return []
    outer = outermost([row["module"] for row in ranges])
    last = next(row for row in ranges if row["module"] == outer[-1])
    return [
        "a band reaches from the smallest field on any path through a module to the largest, "
        f"with the median channel as a line: {last['smallest']:,}, {last['median']:,} and "
        f"{last['largest']:,} pixels in {last['module']}"
    ]


def _passing(contents: ReportContents) -> str:
    beyond, size = contents.fit.exceeding, shape_text(contents.fit.input_size)
    local = _context_names(contents, layers_with_field(contents))
    if not beyond:
        paths = " on local paths" if local else ""
        return f"no layer sees more than the {size} pixels of the input{paths}"
    fields = "local fields" if local else "fields"
    return f"from {beyond[0]} on, {fields} are larger than the {size} pixels of the input"


def _title(contents: ReportContents, layers: Sequence[Layer]) -> str:
    gates, growth = _context_names(contents, layers), _growth(contents, layers)
    if gates:
        return f"Local fields {growth}; from {headline(gates[0])} on units also see a whole axis"
    within = "" if contents.fit.exceeding else f", within the input's {shape_text(contents.fit.input_size)}"
    return f"Fields {growth}{within}"


def _growth(contents: ReportContents, layers: Sequence[Layer]) -> str:
    """The largest field on local paths, beside the input that it passes."""
    size, beyond = contents.fit.input_size, contents.fit.exceeding
    most = max(pixels_of(contents, layers))
    growth = f"grow to {most:,} pixels"
    if not beyond:
        return growth
    module = headline(module_of(beyond[0], modules_of(contents.branches)))
    if len(set(size)) > 1:
        return f"{growth} and pass the input's {shape_text(size)} in {module}"
    return f"{growth}, {ratio_text(most / size[0])} the input, and pass it in {module}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Two panels above one another, a column per layer: fields in pixels, and strides."""
    layers = layers_with_field(contents)
    groups, room = axis_groups(contents, layers), size.width - _LEFT - BEHIND
    names = names_below(runs_of([layer.module for layer in layers]), room / len(layers), longest_name(size))
    notes = notes_below(size, names, *_axis_text(contents, layers), *_context_text(contents, layers))
    key = _key(contents, layers, groups)
    # from above: a key, a rule where any layer sees a whole axis, fields, a heading, strides, names
    top = 0.3 + 0.2 * _flow(size, key)[-1].line
    starts = context_starts(contents, layers)
    top += 0.2 + 0.12 * bool(starts) + 0.16 * context_names_fit(starts, len(layers), names.pitch)
    heading = _title(contents, layers), f"Receptive field along depth · {context_line(contents.record)}"
    fixed = top + _GAP + names.height + 0.24 + 0.18 * len(notes)
    fields, strides = fitted(size, heading, fixed, _FIELDS, _STRIDES)
    canvas = new_canvas(size, *heading, fixed + fields + strides)
    for place in _flow(size, key):
        _draw_entry(canvas, place)
    draw_fields(canvas, contents, layers, names, groups, Box(_LEFT, top, room, fields))
    strip = top + fields + _GAP
    _head_strides(canvas, layers, strip)
    draw_strides(canvas, layers, names, Box(_LEFT, strip, room, strides))
    names.draw(canvas, _LEFT, strip + strides)
    for line, note in enumerate(notes):
        at = strip + strides + names.height + 0.3 + 0.18 * line
        canvas.text(_LEFT, at, note, color=MUTED, size=SMALL)
    return canvas.figure


class _Entry(NamedTuple):
    """A mark and its meaning; the heading has no mark."""

    symbol: str
    label: str
    colour: str


def _key(contents: ReportContents, layers: Sequence[Layer], groups: AxisGroups) -> list[_Entry]:
    """The heading of the panel of fields, and the meaning of every mark in it."""
    key = [_Entry("", "Field in pixels (log)", INK)]
    for number, ((name, _), (marker, colour)) in enumerate(zip(groups, MARKERS, strict=False)):
        label = f"{name} if different" if number else "a layer" + f" ({name})" * (len(groups) > 1)
        key.append(_Entry(_SYMBOLS[marker], label, colour))
    if mixing_modules(contents):
        key += [_Entry("—", "a module's median", INK), _Entry(_BAND, "range over single paths", BAND)]
    if context_starts(contents, layers):
        key.append(_Entry("▼", "also sees a whole axis", CONTEXT))
    return key


class _Place(NamedTuple):
    """The place of an entry of the key."""

    entry: _Entry
    line: int
    left: float


def _flow(size: PlotSize, key: Sequence[_Entry]) -> list[_Place]:
    """The entries of the key in as few lines as hold them."""
    places, line, at = [], 0, _LEFT
    for entry in key:
        weight = "normal" if entry.symbol else "bold"
        width = 0.18 * bool(entry.symbol) + text_width(entry.label, weight=weight)
        if at + width > size.width and at > _LEFT:
            line, at = line + 1, _LEFT
        places.append(_Place(entry, line, at))
        at += width + 0.22
    return places


def _draw_entry(canvas: Canvas, place: _Place) -> None:
    (symbol, label, colour), line, left = place
    top = 0.3 + 0.2 * line
    if symbol == _BAND:
        frame = {"facecolor": BAND, "edgecolor": BAND_EDGE, "lw": 0.8, "pad": 0.8}
        canvas.text(left + 0.02, top, "   ", bbox=frame, size=SMALL)
    else:
        canvas.text(left, top, symbol, color=colour)
    style = {} if symbol else {"weight": "bold"}
    canvas.text(left + 0.18 * bool(symbol), top, label, **style)


def _head_strides(canvas: Canvas, layers: Sequence[Layer], top: float) -> None:
    """The heading of the strip, and the axis of each line where there are several."""
    text = "Stride in pixels (log)"
    canvas.text(_LEFT, top - 0.12, text, weight="bold")
    groups = stride_groups(layers)
    if len(groups) > 1:
        entries = [(name, colour) for (name, _), (colour, _) in zip(groups, LINES, strict=False)]
        canvas.key(_LEFT + text_width(text, weight="bold") + 0.3, top - 0.12, entries)


def _axis_text(contents: ReportContents, layers: Sequence[Layer]) -> list[str]:
    """The layers that have a column, and those that have none."""
    noun = "layer" if len(layers) == 1 else "layers"
    text = f"{len(layers)} {noun} with MACs and pools that see a part of the input, in order of execution"
    others, missing = count_without_window(contents), _without_dot(layers)
    left_out = f"; {others} that see{'s' * (others == 1)} all of it left out" * bool(others)
    return [text + left_out, *([f"no dot: {missing}"] if missing else [])]
