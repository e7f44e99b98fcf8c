"""Field spectrum: the channels of each module by the field that they carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise
from typing import Any

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas
from inception_lab.report.plots.fitting import distinct, headline, shorten, text_width
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
    return f"Channels of one module see different fields: {'; '.join(texts)}."


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
    rows = {axis: _furthest_apart(bars_of(contents, axis)) for _, axis in panels}
    count = max(map(len, rows.values()))
    height = _PITCH * count + 0.1
    subtitle = f"Share of channels by receptive field, the median in bold · {context_line(contents.record)}"
    others = max(len(bars_of(contents, 0)) - MOST_ROWS, 0)
    canvas = new_canvas(size, _title(contents), subtitle, _TOP + height + 0.35 + 0.2 * (others > 0))
    norm = _norm(contents)
    _draw_colour_bar(canvas, norm)
    labels = distinct([bar.module for bar in rows[0]], 2.2)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    width = (size.width - left - MARGIN) / len(panels)
    for number, (name, axis) in enumerate(panels):
        # behind the bars each panel keeps room for the median in pixels
        box = Box(left + number * width, _TOP, width - 0.85, height)
        axes = canvas.axes(box)
        _draw_bars(axes, rows[axis], norm, box.width)
        _scale(axes, labels if number == 0 else [""] * count)
        _draw_headings(canvas, box, name if len(panels) > 1 else "share of channels")
    if others:
        note = f"{others} modules whose channels differ less are left out"
        canvas.text(left, _TOP + height + 0.42, note, color=MUTED, size=SMALL)
    return canvas.figure


def _furthest_apart(bars: Sequence[Bar]) -> list[Bar]:
    """The modules whose fields are furthest apart, in order of execution."""
    furthest = sorted(bars, key=lambda bar: -bar.spread)[:MOST_ROWS]
    return [bar for bar in bars if bar in furthest]


def _norm(contents: ReportContents) -> LogNorm:
    """The scale of colours, the same in all panels."""
    fields = [field for bar in _all_bars(contents) for field, _ in bar.channels]
    return LogNorm(min(fields), max(fields))


def _draw_colour_bar(canvas: Canvas, norm: LogNorm) -> None:
    """Pixels by colour."""
    text = "Field in pixels (log)"
    canvas.text(MARGIN, 0.3, text, weight="bold")
    at = MARGIN + text_width(text, weight="bold") + 0.15
    axes = canvas.axes(Box(at, 0.19, 3.2, 0.12))
    bar = canvas.figure.colorbar(ScalarMappable(norm, COLOURS), cax=axes, orientation="horizontal")
    bar.outline.set_visible(False)
    steps = round_decades(norm.vmin or 1, norm.vmax or 1)
    axes.set_xticks(steps, [f"{step:,.0f}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.tick_params("x", pad=2)


def _draw_headings(canvas: Canvas, box: Box, name: str) -> None:
    short = shorten(name.capitalize(), box.width - 0.15)
    canvas.text(box.left, box.top - 0.08, short, weight="bold")
    canvas.text(box.left + box.width + 0.06, box.top - 0.08, "Median", weight="bold")


def _draw_bars(axes: Axes, bars: Sequence[Bar], norm: LogNorm, width: float) -> None:
    for row, bar in enumerate(bars):
        starts = [0.0, *accumulate(bar.shares)]
        colours = [COLOURS(norm(field)) for field, _ in bar.channels]
        rows = [row] * len(colours)
        axes.barh(rows, bar.shares, _BAR, starts[:-1], color=colours, edgecolor="white", lw=0.5)
        for (field, _), (start, end), colour in zip(bar.channels, pairwise(starts), colours, strict=True):
            weight = "bold" if field == bar.median else "normal"
            # only fields that fit into their part of the bar are written
            if text_width(f"{field:,}", SMALL, weight) + 0.08 <= (end - start) * width:
                ink = INK if _is_light(colour) else "white"
                style: dict[str, Any] = {"color": ink, "size": SMALL, "weight": weight}
                middle = (start + end) / 2
                axes.text(middle, row, f"{field:,}", ha="center", va="center_baseline", **style)
        axes.annotate(
            f"{bar.median:,} px", (1, row), (5, 0), textcoords="offset points", va="center_baseline"
        )


def _is_light(colour: Sequence[float]) -> bool:
    red, green, blue = colour[:3]
    return 0.3 * red + 0.59 * green + 0.11 * blue > 0.5


def _scale(axes: Axes, labels: Sequence[str]) -> None:
    """Shares along the panel, with a line at half; the rows go down from the first module."""
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    axes.axvline(0.5, color=INK, lw=1.2, zorder=0.5)
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.spines["bottom"].set_visible(False)
