"""Cost by module: what each module costs, stacked by its parallel branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.metrics import METRICS, format_quantity
from inception_lab.report.contents import ReportData, rows_of
from inception_lab.report.plots.canvas import (
    FAINT,
    INK,
    MARGIN,
    MUTED,
    OUTSIDE,
    PALETTE,
    TEXT,
    WIDTH,
    Sheet,
    distinct,
    headline,
    key_lines,
    new_sheet,
    text_width,
)
from inception_lab.report.plots.wording import (
    context_line,
    leader,
    round_steps,
    series,
    share_text,
    tick_text,
)

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
        folded: Whether it sums up several modules, and so is written and not drawn.
    """

    name: str
    parts: Mapping[str, Mapping[str, int]]
    folded: bool = False

    def total(self, metric: str) -> int:
        """Sum over all series."""
        return sum(self.parts[metric].values())


def bars(branches: DataFrame) -> list[Bar]:
    """A bar per module that has MACs or parameters, in order of execution."""
    rows = rows_of(branches)
    names = series([(r["module"], r["branch"]) for r in rows if r["branch"]], len(PALETTE))
    parts: dict[str, dict[str, dict[str, int]]] = {}
    for row in rows:
        name = names.get((row["module"], row["branch"]), _NO_BRANCH)
        module = parts.setdefault(row["module"], {metric: {} for metric in METRICS_SHOWN})
        for metric in METRICS_SHOWN:
            if row[metric]:
                module[metric][name] = module[metric].get(name, 0) + row[metric]
    return [Bar(module, found) for module, found in parts.items() if any(found.values())]


def shown(data: ReportData) -> bool:
    """Whether anything has a cost."""
    return bool(bars(data.branches))


def caption(data: ReportData) -> str:
    """Where most of the cost is, in one sentence."""
    found = bars(data.branches)
    parts = [_top_share(found, metric) for metric in METRICS_SHOWN if _sum(found, metric)]
    text = "; ".join([*parts, *_branch_share(found)])
    return f"{text[0].upper()}{text[1:]}."


def _top_share(found: Sequence[Bar], metric: str) -> str:
    values = [bar.total(metric) for bar in found]
    name, whole = leader([bar.name for bar in found], values), format_quantity(sum(values))
    each = " each" if values.count(max(values)) > 1 else ""
    top = f"{format_quantity(max(values))} of {whole} ({share_text(max(values), sum(values))})"
    return f"the most {_label(metric)} are in {name}, {top}{each}"


def _branch_share(found: Sequence[Bar]) -> list[str]:
    """Which branch takes the most of what all branches cost."""
    sums: dict[str, int] = {}
    for bar in found:
        for name, value in bar.parts["macs"].items():
            sums[name] = sums.get(name, 0) + value
    sums.pop(_NO_BRANCH, None)
    if not sums:
        return []
    name = leader(list(sums), list(sums.values()))
    share = share_text(max(sums.values()), sum(sums.values()))
    return [f"of the MACs in parallel branches, {share} are in {name}"]


def _title(found: Sequence[Bar]) -> str:
    names = [bar.name for bar in found]
    costs = [metric for metric in METRICS_SHOWN if _sum(found, metric)]
    if len(found) == 1:
        return f"All {' and '.join(map(_label, costs))} are in {headline(names[0])}"
    tops = {m: headline(leader(names, [bar.total(m) for bar in found])) for m in costs}
    if len(set(tops.values())) == 1:
        return f"The most {' and the most '.join(map(_label, costs))} are in {tops[costs[0]]}"
    return f"The most MACs are in {tops['macs']}, the most parameters in {tops['params']}"


def _label(metric: str) -> str:
    label = METRICS[metric].label
    return label if label.isupper() or label == "MACs" else label.lower()


def _sum(found: Sequence[Bar], metric: str) -> int:
    return sum(bar.total(metric) for bar in found)


def draw(data: ReportData) -> Figure:
    """Two panels with a row per module: MACs and parameters, stacked by branch."""
    every = bars(data.branches)
    found = _folded(every)
    key = _key(found)
    top = 0.35 + 0.2 * len(key_lines(key, MARGIN)) if key else 0.15
    height = _PITCH * len(found) + 0.1
    subtitle = f"Cost by module{', stacked by branch' if key else ''} · {context_line(data.record)}"
    sheet = new_sheet(_title(every), subtitle, top + 0.25 + height + 0.35)
    sheet.key(MARGIN, 0.32, key)
    _panels(sheet, found, dict(key), top + 0.25, height)
    return sheet.figure


def _folded(found: Sequence[Bar]) -> list[Bar]:
    """The dearest bars in order of execution, and one that sums up the others."""
    if len(found) <= MOST_ROWS:
        return list(found)
    whole = {metric: _sum(found, metric) or 1 for metric in METRICS_SHOWN}
    weight = [max(bar.total(m) / whole[m] for m in METRICS_SHOWN) for bar in found]
    kept = set(sorted(range(len(found)), key=lambda i: -weight[i])[: MOST_ROWS - 1])
    rest = [bar for i, bar in enumerate(found) if i not in kept]
    others = {m: {_NO_BRANCH: total} if (total := _sum(rest, m)) else {} for m in METRICS_SHOWN}
    return [*(found[i] for i in sorted(kept)), Bar(f"{len(rest)} others", others, folded=True)]


def _key(found: Sequence[Bar]) -> list[tuple[str, str]]:
    """Colours of the series, empty where there is but one."""
    names = dict.fromkeys(name for bar in found for part in bar.parts.values() for name in part)
    outside = names.pop(_NO_BRANCH, True) is None
    if not names:
        return []
    return [*zip(names, PALETTE, strict=False), *([(_NO_BRANCH, OUTSIDE)] if outside else [])]


def _panels(sheet: Sheet, found: Sequence[Bar], key: Mapping[str, str], top: float, height: float) -> None:
    labels = distinct([bar.name for bar in found], 2.2)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    value = 0.75
    width = (WIDTH - left - MARGIN - 2 * value) / 2
    for number, metric in enumerate(METRICS_SHOWN):
        at = left + number * (width + value)
        axes = sheet.axes(at, top, width, height)
        whole = format_quantity(_sum(found, metric))
        sheet.text(at, top - 0.08, f"{METRICS[metric].label}, {whole} in all", weight="bold")
        _stack(axes, found, metric, key)
        axes.set_yticks(range(len(found)), labels if number == 0 else [""] * len(found))
        axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)


def _stack(axes: Axes, found: Sequence[Bar], metric: str, key: Mapping[str, str]) -> None:
    order = [*key] or [_NO_BRANCH]
    for row, bar in enumerate(found):
        if bar.folded:
            axes.text(0, row, f"  {format_quantity(bar.total(metric))} together", va="center_baseline")
            continue
        values = [bar.parts[metric].get(name, 0) for name in order]
        colours = [key.get(name, PALETTE[0]) for name in order]
        starts = [0, *accumulate(values)][:-1]
        axes.barh([row] * len(order), values, _BAR, starts, color=colours, edgecolor="white", lw=0.5)
        text, colour = format_quantity(bar.total(metric)), INK if bar.total(metric) else MUTED
        axes.annotate(
            text, (sum(values), row), (4, 0), textcoords="offset points", va="center_baseline", color=colour
        )
    top = max(bar.total(metric) for bar in found if not bar.folded) or 1
    steps = round_steps(top, 4)
    axes.set_xlim(0, top)
    axes.set_xticks(steps, map(tick_text, steps))
    axes.set_ylim(len(found) - 0.5 + 0.1, -0.5 - 0.1)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)
