"""Field spectrum: the channels of each module by the field that they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, headline, shorten, text_width, wrap
from inception_lab.report.plots.style import INK, MARGIN, MUTED, SMALL, TEXT
from inception_lab.report.plots.wording import alike, context_line, outermost, ratio_text, round_decades
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import rows_of

MOST_ROWS = 60
# Light to dark in even steps, so that the order survives in grey and for any colour vision
COLOURS = LinearSegmentedColormap.from_list(
    "fields", ["#f7e9a0", "#b5d99c", "#66bfa8", "#3f9fb5", "#3a7ab5", "#41529f", "#37246e"]
)
_PITCH, _BAR, _TOP = 0.25, 0.76, 0.78
_GAP = 0.2
_WEIGHTS = {"from": "normal", "median": "bold", "to": "normal"}


@dataclass(frozen=True)
class Bar:
    """The channels of one module by what they see along an axis.

    Attributes:
        module: Its path.
        channels: Pairs of a field in pixels and the number of channels that carry it, the smallest first.
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


def bars_of(contents: ReportContents, axis: int) -> list[Bar]:
    """A bar per module, in order of execution; fields that only paths carry are left out."""
    medians = {r["module"]: r["median"] for r in rows_of(contents.field_ranges) if r["axis"] == axis}
    rows = [row for row in rows_of(contents.spectrum) if row["axis"] == axis and row["channels"]]
    return [
        Bar(module, tuple([(row["field"], row["channels"]) for row in fields]), medians[module])
        for module, fields in groupby(rows, key=lambda row: str(row["module"]))
    ]


def has_content(contents: ReportContents) -> bool:
    """True where the channels of a module see different fields."""
    return any(len(bar.channels) > 1 for bar in _all_bars(contents))


def _axes(contents: ReportContents) -> range:
    return range(len(contents.fit.input_size))


def _all_bars(contents: ReportContents) -> list[Bar]:
    return [bar for axis in _axes(contents) for bar in bars_of(contents, axis)]


def caption(contents: ReportContents) -> str:
    """The fields that the first module mixes and those of the last, in one sentence."""
    mixing = [bar for bar in _all_bars(contents) if len(bar.channels) > 1]
    outer = set(outermost([bar.module for bar in mixing]))
    mixing = [bar for bar in mixing if bar.module in outer]
    ends = dict.fromkeys([mixing[0], mixing[-1]])
    texts = [
        f"in {bar.module} from {bar.channels[0][0]:,} to {bar.channels[-1][0]:,} pixels "
        f"({ratio_text(bar.spread)}), {bar.median:,} the median"
        for bar in ends
    ]
    return f"Channels of one module see different fields: {'; '.join(texts)}.{_path_text(contents)}"


def _path_text(contents: ReportContents) -> str:
    """The fields of channels beside those of paths, in the last module; empty where they are the same."""
    last = bars_of(contents, 0)[-1]
    rows = [
        row for row in rows_of(contents.field_ranges) if row["axis"] == 0 and row["module"] == last.module
    ]
    low, high, shortest = last.channels[0][0], last.channels[-1][0], rows[0]["smallest"]
    if shortest == low:
        return ""
    return (
        f" A channel counts with the widest of the paths that lead to it: {low:,} to {high:,} pixels in "
        f"{last.module}, where single paths see {shortest:,} to {rows[0]['largest']:,}."
    )


def _title(contents: ReportContents) -> str:
    widest = max(_all_bars(contents), key=lambda bar: bar.spread)
    low, high = widest.channels[0][0], widest.channels[-1][0]
    return (
        f"Channels of one module see up to {ratio_text(widest.spread)} as far as others: "
        f"{low:,} to {high:,} pixels in {headline(widest.module)}"
    )


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """A row per module, stacked by field; a panel for each group of axes that see the same."""
    panels = alike([tuple(bars_of(contents, axis)) for axis in _axes(contents)])
    heading = _title(contents), f"Share of channels by receptive field · {context_line(contents.record)}"
    most = _most_rows(size, heading)
    rows = {axis: _furthest_apart(bars_of(contents, axis), most) for _, axis in panels}
    count = max(map(len, rows.values()))
    height, notes = _PITCH * count + 0.1, _notes(contents, size, most)
    canvas = new_canvas(size, *heading, _TOP + height + 0.35 + 0.2 * len(notes))
    norm = _norm([bar for bars in rows.values() for bar in bars])
    _draw_colour_bar(canvas, norm)
    labels = distinct([bar.module for bar in rows[0]], min(2.2, size.width / 4))
    left = MARGIN + max(map(text_width, labels)) + 0.12
    pitch = (size.width - left - MARGIN + _GAP) / len(panels)
    columns = _columns(pitch)
    for number, (name, axis) in enumerate(panels):
        # behind the bars each panel keeps room for its columns of pixels
        box = Box(left + number * pitch, _TOP, pitch - _GAP - max(columns.values()), height)
        axes = canvas.axes(box)
        _draw_bars(axes, rows[axis], norm)
        _scale(axes, labels if number == 0 else [""] * count, box.width)
        _write_numbers(axes, rows[axis], columns, box.width)
        _draw_headings(canvas, box, name if len(panels) > 1 else "share of channels", columns)
    for line, note in enumerate(notes):
        canvas.text(MARGIN, _TOP + height + 0.42 + 0.2 * line, note, color=MUTED, size=SMALL)
    return canvas.figure


def _most_rows(size: PlotSize, heading: tuple[str, str]) -> int:
    """The most rows that a plot has: fewer on a slide, where two lines stand below them."""
    room = room_below(size, *heading) - _TOP - 0.85
    return max(int(room / _PITCH), 1) if size.is_slide else MOST_ROWS


def _columns(pitch: float) -> Mapping[str, float]:
    """The columns of numbers behind a panel, and their right ends in inches from its bars."""
    return {"from": 0.5, "median": 1.1, "to": 1.6} if pitch > 3 else {"median": 0.6}


def _notes(contents: ReportContents, size: PlotSize, most: int) -> list[str]:
    """The lines below the plot."""
    others = len(bars_of(contents, 0)) - most
    noun = "modules whose channels differ less are" if others > 1 else "module whose channels differ less is"
    left_out = [f"{others} {noun} left out."] if others > 0 else []
    return wrap(" ".join([*left_out, _path_text(contents)]), size.width - 2 * MARGIN, SMALL)


def _furthest_apart(bars: Sequence[Bar], most: int) -> list[Bar]:
    """The modules whose fields are furthest apart, in order of execution."""
    furthest = sorted(bars, key=lambda bar: -bar.spread)[:most]
    return [bar for bar in bars if bar in furthest]


def _norm(bars: Sequence[Bar]) -> LogNorm:
    """The scale of colours of the bars that are drawn, the same in all panels."""
    fields = [field for bar in bars for field, _ in bar.channels]
    return LogNorm(min(fields), max(fields))


def _draw_colour_bar(canvas: Canvas, norm: LogNorm) -> None:
    """Pixels by colour."""
    text = "Field in pixels (log)"
    canvas.text(MARGIN, 0.3, text, weight="bold")
    at = MARGIN + text_width(text, weight="bold") + 0.15
    axes = canvas.axes(Box(at, 0.19, min(3.2, canvas.size.width - at - 0.4), 0.12))
    bar = canvas.figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    steps = round_decades(norm.vmin or 1, norm.vmax or 1)
    axes.set_xticks(steps, [f"{step:,.0f}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.tick_params("x", pad=2)


def _draw_headings(canvas: Canvas, box: Box, name: str, columns: Mapping[str, float]) -> None:
    """The name of the panel, and those of the columns of numbers behind it."""
    short = shorten(name.capitalize(), box.width - 0.15)
    canvas.text(box.left, box.top - 0.08, short, weight="bold")
    for heading, right in columns.items():
        style: dict[str, Any] = {"weight": _WEIGHTS[heading], "ha": "right"}
        canvas.text(box.left + box.width + right, box.top - 0.08, heading.capitalize(), **style)


def _draw_bars(axes: Axes, bars: Sequence[Bar], norm: LogNorm) -> None:
    """Shares of channels, in the colours of their fields."""
    for row, bar in enumerate(bars):
        starts = [0.0, *accumulate(bar.shares)][:-1]
        style: dict[str, Any] = {"color": [COLOURS(norm(field)) for field, _ in bar.channels]}
        axes.barh([row] * len(starts), bar.shares, _BAR, starts, edgecolor="white", lw=0.5, **style)


def _write_numbers(axes: Axes, bars: Sequence[Bar], columns: Mapping[str, float], width: float) -> None:
    """The smallest, the median and the largest field of each module, as far as there are columns."""
    for row, bar in enumerate(bars):
        numbers = {"from": bar.channels[0][0], "median": bar.median, "to": bar.channels[-1][0]}
        for heading, right in columns.items():
            style: dict[str, Any] = {"weight": _WEIGHTS[heading], "ha": "right", "va": "center_baseline"}
            axes.text(1 + right / width, row, f"{numbers[heading]:,}", **style)


def _scale(axes: Axes, labels: Sequence[str], width: float) -> None:
    """Shares along the panel, with a line at half; the rows go down from the first module."""
    axes.set_xlim(0, 1)
    shares = (0, 25, 50, 75, 100) if width > 1.8 else (0, 50, 100) if width > 0.9 else (0, 100)
    axes.set_xticks([share / 100 for share in shares], [f"{share} %" if share else "0" for share in shares])
    axes.axvline(0.5, color=INK, lw=1.2, zorder=0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
