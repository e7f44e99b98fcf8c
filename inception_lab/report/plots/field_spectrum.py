"""Field spectrum: which share of each module's channels sees how far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from inception_lab.report.contents import ReportData, rows_of
from inception_lab.report.plots.canvas import (
    INK,
    MARGIN,
    MUTED,
    SMALL,
    TEXT,
    WIDTH,
    Sheet,
    distinct,
    headline,
    new_sheet,
    shortened,
    text_width,
)
from inception_lab.report.plots.wording import alike, context_line, outermost, ratio_text, round_decades

MOST_ROWS = 60
# Light to dark in even steps, so that the order survives in grey and for any colour vision
COLOURS = LinearSegmentedColormap.from_list(
    "fields", ["#f7e9a0", "#b5d99c", "#66bfa8", "#3f9fb5", "#3a7ab5", "#41529f", "#37246e"]
)
_PITCH, _BAR, _TOP = 0.25, 0.76, 0.78


@dataclass(frozen=True)
class Bar:
    """The channels of one module by what they see along an axis.

    Attributes:
        module: Its path.
        channels: How many carry each field in pixels, the smallest field first.
        median: The median field over channels.
    """

    module: str
    channels: tuple[tuple[int, int], ...]
    median: int

    @property
    def shares(self) -> list[float]:
        """Of all channels, field by field."""
        counts = [count for _, count in self.channels]
        return [count / sum(counts) for count in counts]

    @property
    def spread(self) -> float:
        """The largest field over the smallest."""
        return self.channels[-1][0] / self.channels[0][0]


def bars(data: ReportData, axis: int) -> list[Bar]:
    """A bar per module, in order of execution; fields that only paths carry are left out."""
    medians = {row["module"]: row["median"] for row in rows_of(data.seen) if row["axis"] == axis}
    rows = [row for row in rows_of(data.spectrum) if row["axis"] == axis and row["channels"]]
    return [
        Bar(module, tuple([(row["field"], row["channels"]) for row in inside]), medians[module])
        for module, inside in groupby(rows, key=lambda row: str(row["module"]))
    ]


def shown(data: ReportData) -> bool:
    """Whether the channels of a module see different fields."""
    return any(len(bar.channels) > 1 for bar in _every(data))


def _axes(data: ReportData) -> range:
    return range(len(data.fit.get("input_size", ())))


def _every(data: ReportData) -> list[Bar]:
    return [bar for axis in _axes(data) for bar in bars(data, axis)]


def caption(data: ReportData) -> str:
    """How far fields are apart in the first module and in the last, in one sentence."""
    mixed = [bar for bar in _every(data) if len(bar.channels) > 1]
    outer = set(outermost([bar.module for bar in mixed]))
    mixed = [bar for bar in mixed if bar.module in outer]
    ends = dict.fromkeys([mixed[0], mixed[-1]])
    texts = [
        f"in {bar.module} from {bar.channels[0][0]:,} to {bar.channels[-1][0]:,} pixels "
        f"({ratio_text(bar.spread)}), {bar.median:,} the median"
        for bar in ends
    ]
    return f"Channels of one module see different fields: {'; '.join(texts)}."


def _title(data: ReportData) -> str:
    widest = max(_every(data), key=lambda bar: bar.spread)
    low, high = widest.channels[0][0], widest.channels[-1][0]
    return (
        f"Channels of one module see up to {ratio_text(widest.spread)} as far as others: "
        f"{low:,} to {high:,} pixels in {headline(widest.module)}"
    )


def draw(data: ReportData) -> Figure:
    """A row per module, stacked by field; a panel for each group of axes that see the same."""
    panels = alike([tuple(bars(data, axis)) for axis in _axes(data)])
    rows = {axis: _kept(bars(data, axis)) for _, axis in panels}
    count = max(map(len, rows.values()))
    height = _PITCH * count + 0.1
    subtitle = f"Share of channels by receptive field, the median in bold · {context_line(data.record)}"
    sheet = new_sheet(_title(data), subtitle, _TOP + height + 0.35 + 0.2 * (_left_out(data) > 0))
    norm = _norm(data)
    _colour_bar(sheet, norm)
    labels = distinct([bar.module for bar in rows[0]], 2.2)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    width = (WIDTH - left - MARGIN) / len(panels)
    for number, (name, axis) in enumerate(panels):
        box = (left + number * width, _TOP, width - 0.85, height)
        axes = sheet.axes(*box)
        _stack(axes, rows[axis], norm, box[2])
        _ticks(axes, labels if number == 0 else [""] * count)
        _headings(sheet, box, name if len(panels) > 1 else "share of channels")
    if _left_out(data):
        note = f"{_left_out(data)} modules whose channels differ less are left out"
        sheet.text(left, _TOP + height + 0.42, note, color=MUTED, size=SMALL)
    return sheet.figure


def _kept(found: Sequence[Bar]) -> list[Bar]:
    """The modules whose fields are furthest apart, in order of execution."""
    furthest = sorted(found, key=lambda bar: -bar.spread)[:MOST_ROWS]
    return [bar for bar in found if bar in furthest]


def _left_out(data: ReportData) -> int:
    return max(len(bars(data, 0)) - MOST_ROWS, 0)


def _norm(data: ReportData) -> LogNorm:
    fields = [field for bar in _every(data) for field, _ in bar.channels]
    return LogNorm(min(fields), max(fields))


def _colour_bar(sheet: Sheet, norm: LogNorm) -> None:
    """Pixels by colour."""
    text = "Field in pixels (log)"
    sheet.text(MARGIN, 0.3, text, weight="bold")
    at = MARGIN + text_width(text, weight="bold") + 0.15
    axes = sheet.axes(at, 0.19, 3.2, 0.12)
    bar = sheet.figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    steps = round_decades(norm.vmin or 1, norm.vmax or 1)
    axes.set_xticks(steps, [f"{step:,.0f}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.tick_params("x", pad=2)


def _headings(sheet: Sheet, box: tuple[float, float, float, float], name: str) -> None:
    left, top, width, _ = box
    sheet.text(left, top - 0.08, shortened(name.capitalize(), width - 0.15), weight="bold")
    sheet.text(left + width + 0.06, top - 0.08, "Median", weight="bold")


def _stack(axes: Axes, found: Sequence[Bar], norm: LogNorm, width: float) -> None:
    for row, bar in enumerate(found):
        starts = [0.0, *accumulate(bar.shares)]
        colours = [COLOURS(norm(field)) for field, _ in bar.channels]
        whole = [row] * len(colours)
        axes.barh(whole, bar.shares, _BAR, starts[:-1], color=colours, edgecolor="white", lw=0.5)
        for (field, _), (start, end), colour in zip(bar.channels, pairwise(starts), colours, strict=True):
            weight = "bold" if field == bar.median else "normal"
            if text_width(f"{field:,}", SMALL, weight) + 0.08 <= (end - start) * width:
                style: dict[str, Any] = {
                    "color": INK if _light(colour) else "white",
                    "size": SMALL,
                    "weight": weight,
                }
                middle = (start + end) / 2
                axes.text(middle, row, f"{field:,}", ha="center", va="center_baseline", **style)
        axes.annotate(
            f"{bar.median:,} px", (1, row), (5, 0), textcoords="offset points", va="center_baseline"
        )


def _light(colour: Sequence[float]) -> bool:
    red, green, blue = colour[:3]
    return 0.3 * red + 0.59 * green + 0.11 * blue > 0.5


def _ticks(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.axvline(0.5, color=INK, lw=1.2, zorder=0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
