"""Cost by module: what each module costs, stacked by its parallel branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, key_lines, new_canvas
from inception_lab.report.plots.fitting import distinct, headline, text_width
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, OUTSIDE, PALETTE, TEXT
from inception_lab.report.plots.wording import (
    branch_labels,
    context_line,
    leader,
    round_steps,
    share_text,
    tick_text,
)
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import rows_of

METRICS_SHOWN = ("macs", "params")
MOST_ROWS = 40
_PITCH, _BAR = 0.25, 0.7
_NO_BRANCH = "in no branch"


@dataclass(frozen=True)
class Bar:
    """One row of the plot.

    Attributes:
        name: Of the module.
        parts: Cost by metric and series; series without cost are absent.
        is_rest: True where it sums up several modules, and so is written and not drawn.
    """

    name: str
    parts: Mapping[str, Mapping[str, int]]
    is_rest: bool = False

    def total(self, metric: str) -> int:
        """Sum over all series."""
        return sum(self.parts[metric].values())


def bars_of(branches: DataFrame) -> list[Bar]:
    """A bar per module that has MACs or parameters, in order of execution."""
    rows = rows_of(branches)
    labels = branch_labels([(r["module"], r["branch"]) for r in rows if r["branch"]], len(PALETTE))
    modules: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        label = labels.get((row["module"], row["branch"]), _NO_BRANCH)
        parts = modules.setdefault(row["module"], {metric: {} for metric in METRICS_SHOWN})
        for metric in METRICS_SHOWN:
            if row[metric]:
                parts[metric][label] = parts[metric].get(label, 0) + row[metric]
    return [Bar(module, parts) for module, parts in modules.items() if any(parts.values())]


def has_content(contents: ReportContents) -> bool:
    """True where anything has a cost."""
    return bool(bars_of(contents.branches))


def caption(contents: ReportContents) -> str:
    """The modules and the branch with most of each cost, in one sentence."""
    bars = bars_of(contents.branches)
    parts = [_top_share(bars, metric) for metric in METRICS_SHOWN if _sum(bars, metric)]
    text = "; ".join([*parts, *_branch_share(bars)])
    return f"{text[0].upper()}{text[1:]}."


def _top_share(bars: Sequence[Bar], metric: str) -> str:
    values = [bar.total(metric) for bar in bars]
    name, whole = leader([bar.name for bar in bars], values), format_quantity(sum(values))
    each = " each" if values.count(max(values)) > 1 else ""
    top = f"{format_quantity(max(values))} of {whole} ({share_text(max(values), sum(values))})"
    return f"the most {_label(metric)} are in {name}, {top}{each}"


def _branch_share(bars: Sequence[Bar]) -> list[str]:
    """The branch that takes the most of the MACs in all branches, and its share; empty without branches."""
    sums: dict[str, int] = {}
    for bar in bars:
        for name, value in bar.parts["macs"].items():
            sums[name] = sums.get(name, 0) + value
    sums.pop(_NO_BRANCH, None)
    if not sums:
        return []
    name = leader(list(sums), list(sums.values()))
    share = share_text(max(sums.values()), sum(sums.values()))
    return [f"of the MACs in parallel branches, {share} are in {name}"]


def _title(bars: Sequence[Bar]) -> str:
    names = [bar.name for bar in bars]
    costs = [metric for metric in METRICS_SHOWN if _sum(bars, metric)]
    if len(bars) == 1:
        return f"All {' and '.join(map(_label, costs))} are in {headline(names[0])}"
    tops = {m: headline(leader(names, [bar.total(m) for bar in bars])) for m in costs}
    if len(set(tops.values())) == 1:
        return f"The most {' and the most '.join(map(_label, costs))} are in {tops[costs[0]]}"
    return f"The most MACs are in {tops['macs']}, the most parameters in {tops['params']}"


def _label(metric: str) -> str:
    label = METRICS[metric].label
    return label if label.isupper() or label == "MACs" else label.lower()


def _sum(bars: Sequence[Bar], metric: str) -> int:
    return sum(bar.total(metric) for bar in bars)


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """Two panels with a row per module: MACs and parameters, stacked by branch."""
    every = bars_of(contents.branches)
    bars = _dearest(every)
    key = _key(bars)
    top = 0.35 + 0.2 * len(key_lines(size, key, MARGIN)) if key else 0.15
    height = _PITCH * len(bars) + 0.1
    subtitle = f"Cost by module{', stacked by branch' if key else ''} · {context_line(contents.record)}"
    canvas = new_canvas(size, _title(every), subtitle, top + 0.25 + height + 0.35)
    canvas.key(MARGIN, 0.32, key)
    _draw_panels(canvas, bars, dict(key), top + 0.25, height)
    return canvas.figure


def _dearest(bars: Sequence[Bar]) -> list[Bar]:
    """The dearest bars in order of execution, and one that sums up the others."""
    if len(bars) <= MOST_ROWS:
        return list(bars)
    # a module is as dear as its larger share: of the net's MACs or of its parameters
    whole = {metric: _sum(bars, metric) or 1 for metric in METRICS_SHOWN}
    weight = [max(bar.total(m) / whole[m] for m in METRICS_SHOWN) for bar in bars]
    dearest = set(sorted(range(len(bars)), key=lambda i: -weight[i])[: MOST_ROWS - 1])
    rest = [bar for i, bar in enumerate(bars) if i not in dearest]
    others = {m: {_NO_BRANCH: total} if (total := _sum(rest, m)) else {} for m in METRICS_SHOWN}
    return [*(bars[i] for i in sorted(dearest)), Bar(f"{len(rest)} others", others, is_rest=True)]


def _key(bars: Sequence[Bar]) -> list[tuple[str, str]]:
    """Colours of the series, empty where there is but one."""
    names = dict.fromkeys(name for bar in bars for part in bar.parts.values() for name in part)
    outside = names.pop(_NO_BRANCH, True) is None
    if not names:
        return []
    return [*zip(names, PALETTE, strict=False), *([(_NO_BRANCH, OUTSIDE)] if outside else [])]


def _draw_panels(
    canvas: Canvas, bars: Sequence[Bar], key: Mapping[str, str], top: float, height: float
) -> None:
    labels = distinct([bar.name for bar in bars], 2.2)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    # behind its longest bar each panel keeps room for the bar's value
    value = 0.75
    width = (canvas.size.width - left - MARGIN - 2 * value) / 2
    for number, metric in enumerate(METRICS_SHOWN):
        at = left + number * (width + value)
        axes = canvas.axes(Box(at, top, width, height))
        whole = format_quantity(_sum(bars, metric))
        canvas.text(at, top - 0.08, f"{METRICS[metric].label}, {whole} in all", weight="bold")
        _draw_bars(axes, bars, metric, key)
        _scale(axes, bars, metric)
        axes.set_yticks(range(len(bars)), labels if number == 0 else [""] * len(bars))
        axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)


def _draw_bars(axes: Axes, bars: Sequence[Bar], metric: str, key: Mapping[str, str]) -> None:
    order = [*key] or [_NO_BRANCH]
    colours = [key.get(name, PALETTE[0]) for name in order]
    for row, bar in enumerate(bars):
        total = bar.total(metric)
        if bar.is_rest:
            axes.text(0, row, f"  {format_quantity(total)} together", va="center_baseline")
            continue
        values = [bar.parts[metric].get(name, 0) for name in order]
        starts = [0, *accumulate(values)][:-1]
        axes.barh([row] * len(order), values, _BAR, starts, color=colours, edgecolor="white", lw=0.5)
        text, colour = format_quantity(total), INK if total else MUTED
        axes.annotate(
            text, (total, row), (4, 0), textcoords="offset points", va="center_baseline", color=colour
        )


def _scale(axes: Axes, bars: Sequence[Bar], metric: str) -> None:
    """Ticks and limits; the rows go down from the first bar."""
    top = max(bar.total(metric) for bar in bars if not bar.is_rest) or 1
    steps = round_steps(top, 4)
    axes.set_xlim(0, top)
    axes.set_xticks(steps, map(tick_text, steps))
    axes.set_ylim(len(bars) - 0.5 + 0.1, -0.5 - 0.1)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
