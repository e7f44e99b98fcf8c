"""Cost by module: what each module costs, stacked by its parallel branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.branch_colours import COLOURS, NO_BRANCH
from inception_lab.report.branch_series import metrics_shown, series_colours
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, key_lines, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, first_fitting, headline, text_width
from inception_lab.report.plots.module_bars import (
    Bar,
    bars_of,
    fitted_bars,
    total,
)
from inception_lab.report.plots.rows import most_rows, row_pitch
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, TEXT
from inception_lab.report.plots.wording import context_line, leader, round_steps, share_text, tick_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.text import label_within

_BAR, _FOOT = 0.74, 0.45
_VALUE = 0.62
"""Behind its longest bar each panel keeps room for the bar's value."""


def has_content(contents: ReportContents) -> bool:
    """True where anything has a cost."""
    return bool(bars_of(contents))


def caption(contents: ReportContents) -> str:
    """The dearest modules and the kind of branch with most MACs in numbers, in one sentence."""
    bars = bars_of(contents)
    macs, params = metrics_shown(contents)
    parts = [_top_share(bars, metric) for metric in (macs, params) if total(bars, metric)]
    return f"{'; '.join([*parts, *_branch_share(bars, macs)])}. The bars add up to the whole net."


def _top_share(bars: Sequence[Bar], metric: str) -> str:
    values = [bar.total(metric) for bar in bars]
    name, whole = leader([bar.name for bar in bars], values), format_quantity(sum(values))
    each = " each" if values.count(max(values)) > 1 else ""
    top = f"{format_quantity(max(values))} of {whole} {label_within(metric)}"
    return f"{name}: {top} ({share_text(max(values), sum(values))}){each}"


def _branch_share(bars: Sequence[Bar], macs: str) -> list[str]:
    """The branch that takes the most of the MACs in all branches, and its share; empty without branches."""
    sums: dict[str, int] = {}
    for bar in bars:
        for name, value in bar.parts[macs].items():
            sums[name] = sums.get(name, 0) + value
    sums.pop(NO_BRANCH, None)
    if not sums:
        return []
    name = leader(list(sums), list(sums.values()))
    share = share_text(max(sums.values()), sum(sums.values()))
    return [f"of the {label_within(macs)} in parallel branches, {share} in {name}"]


def _title(bars: Sequence[Bar]) -> str:
    names = [bar.name for bar in bars]
    costs = [metric for metric in bars[0].parts if total(bars, metric)]
    if len(bars) == 1:
        return f"All {' and '.join(map(label_within, costs))} are in {headline(names[0])}"
    tops = {m: headline(leader(names, [bar.total(m) for bar in bars])) for m in costs}
    if len(set(tops.values())) == 1:
        return f"The most {' and the most '.join(map(label_within, costs))} are in {tops[costs[0]]}"
    macs, params = costs
    return f"The most {label_within(macs)} are in {tops[macs]}, the most parameters in {tops[params]}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Two panels with a row per module: MACs and parameters, stacked by branch."""
    bars = bars_of(contents)
    key = _key(contents, bars)
    title = _title(bars)
    subtitle = f"Cost by module{', stacked by branch' if key else ''} · {context_line(contents.record)}"
    top = (0.35 + 0.2 * len(key_lines(size, key, MARGIN)) if key else 0.15) + 0.25
    room = room_below(size, title, subtitle) - top - _FOOT
    rows = fitted_bars(bars, most_rows(room))
    height = row_pitch(len(rows), room) * len(rows)
    canvas = new_canvas(size, title, subtitle, top + height + _FOOT)
    canvas.key(MARGIN, 0.32, key)
    _draw_panels(canvas, rows, dict(key), top, height)
    return canvas.figure


def _key(contents: ReportContents, bars: Sequence[Bar]) -> list[tuple[str, str]]:
    """Colours of the series, empty where there is but one."""
    names = {name for bar in bars for part in bar.parts.values() for name in part}
    if names <= {NO_BRANCH}:
        return []
    return [(name, colour) for name, colour in series_colours(contents).items() if name in names]


def _draw_panels(
    canvas: Canvas, bars: Sequence[Bar], key: Mapping[str, str], top: float, height: float
) -> None:
    labels = distinct([bar.name for bar in bars], 0.28 * canvas.size.width)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    width = (canvas.size.width - left - MARGIN) / 2 - _VALUE
    for number, metric in enumerate(bars[0].parts):
        at = left + number * (width + _VALUE)
        axes = canvas.axes(Box(at, top, width, height))
        canvas.text(at, top - 0.08, _heading(bars, metric, width + _VALUE - 0.05), weight="bold")
        _draw_bars(axes, bars, metric, key)
        _scale(axes, bars, metric, width)
        axes.set_yticks(range(len(bars)), labels if number == 0 else [""] * len(bars))
        axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)


def _heading(bars: Sequence[Bar], metric: str, room: float) -> str:
    label = METRICS[metric].label
    short = f"{label}, {format_quantity(total(bars, metric))}"
    return first_fitting((f"{short} in all", short, label), room)


def _draw_bars(axes: Axes, bars: Sequence[Bar], metric: str, key: Mapping[str, str]) -> None:
    order = [*key] or [NO_BRANCH]
    colours = [key.get(name, COLOURS[0]) for name in order]
    for row, bar in enumerate(bars):
        value = bar.total(metric)
        values = [bar.parts[metric].get(name, 0) for name in order]
        starts = [0, *accumulate(values)][:-1]
        # what is summed up is no module: a lighter bar
        alpha = 0.55 if bar.is_rest else 1
        axes.barh(
            [row] * len(order), values, _BAR, starts, color=colours, alpha=alpha, edgecolor="white", lw=0.5
        )
        text, colour = format_quantity(value), INK if value else MUTED
        axes.annotate(
            text, (value, row), (4, 0), textcoords="offset points", va="center_baseline", color=colour
        )


def _scale(axes: Axes, bars: Sequence[Bar], metric: str, width: float) -> None:
    """Ticks and limits; the rows go down from the first bar."""
    top = max(bar.total(metric) for bar in bars) or 1
    steps = round_steps(top, max(int(width / 0.55), 2))
    axes.set_xlim(0, top)
    axes.set_xticks(steps, map(tick_text, steps))
    axes.set_ylim(len(bars) - 0.5 + 0.1, -0.5 - 0.1)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
