"""Reduction saving: each module without its 1x1 reductions against the module as it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, new_canvas
from inception_lab.report.plots.fitting import distinct, headline, shorten, text_width
from inception_lab.report.plots.pairs import Pair, Saving, saving_of
from inception_lab.report.plots.style import FAINT, INK, MACS, MARGIN, MUTED, PARAMS, SMALL, TEXT
from inception_lab.report.plots.wording import (
    TIMES,
    branch_labels,
    context_line,
    ratio_text,
    round_decades,
    tick_text,
)
from inception_lab.report.sizes import PAGE, PlotSize

MOST_ROWS, MOST_COLUMNS = 40, 5
_PITCH, _COLUMN, _TOP, _NAME = 0.27, 0.95, 0.66, 1.75


def has_content(contents: ReportContents) -> bool:
    """True where a reduction changes the cost of anything."""
    return contents.has_saving


def caption(contents: ReportContents) -> str:
    """The effect of the reductions on the best branch and on the net, in one sentence."""
    saving = saving_of(contents)
    best, net = saving.best, saving.net
    steps = [f"{pair.name} {ratio_text(pair.ratio)}" for pair in saving.levels()[1:-1]]
    return (
        f"Without reductions {best.name} would take {ratio_text(best.ratio)} its MACs "
        f"({format_quantity(best.naive)} against {format_quantity(best.reduced)}), "
        f"{', '.join(steps)}, and the whole net {ratio_text(net.ratio)} its MACs and "
        f"{ratio_text(net.weights_ratio)} its weights."
    )


def _title(saving: Saving) -> str:
    best, net = saving.best, saving.net
    return (
        f"Without reductions: {ratio_text(net.ratio)} the MACs in the whole net, "
        f"{ratio_text(best.ratio)} in {headline(best.name)}"
    )


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """A row per module: naive and reduced MACs, then the ratio of each branch; sums below."""
    saving = saving_of(contents)
    modules, levels = _dearest(saving.modules), saving.levels()
    rows = _PITCH * len(modules) + 0.1
    below = _TOP + rows + (0.75 if _has_additions(saving) else 0.5)
    subtitle = f"MACs without and with reductions, on the same input · {context_line(contents.record)}"
    canvas = new_canvas(size, _title(saving), subtitle, below + 0.25 + 0.3 * len(levels) + 0.1)
    labels, sums = (distinct([pair.name for pair in pairs], _NAME) for pairs in (modules, levels))
    left = MARGIN + 0.12 + max(map(text_width, (*labels, *sums)))
    columns = _columns(saving)
    # the columns of branches stand at the right edge, the modules take all that is free before them
    edge = size.width - MARGIN - _COLUMN * len(columns)
    _draw_modules(canvas, modules, labels, Box(left, _TOP, edge - left - 0.8, rows))
    for number, (name, pairs) in enumerate(columns.items()):
        box = Box(edge + number * _COLUMN, _TOP, 0.46, rows)
        _draw_column(canvas, name, [pairs.get(p.module, []) for p in modules], _limit(saving), box)
    _explain_columns(canvas, saving, edge, rows)
    _draw_levels(canvas, levels, sums, left, below + 0.25)
    return canvas.figure


def _dearest(modules: Sequence[Pair]) -> list[Pair]:
    """The modules that would be dearest without reductions, in order of execution."""
    dearest = sorted(modules, key=lambda pair: -pair.naive)[:MOST_ROWS]
    return [pair for pair in modules if pair in dearest]


def _limit(saving: Saving) -> float:
    return max(max(pair.ratio for pair in saving.branches), 1.5)


def _columns(saving: Saving) -> dict[str, dict[str, list[Pair]]]:
    """Branches of the same name by module, in columns."""
    labels = branch_labels([(pair.module, pair.branch) for pair in saving.branches], MOST_COLUMNS)
    columns: dict[str, dict[str, list[Pair]]] = {}
    for pair in saving.branches:
        column = columns.setdefault(labels[pair.module, pair.branch], {})
        column.setdefault(pair.module, []).append(pair)
    return columns


def _draw_modules(canvas: Canvas, modules: Sequence[Pair], labels: Sequence[str], box: Box) -> None:
    """Naive and reduced MACs of each module on a logarithmic axis: as long as the ratio is large."""
    axes = canvas.axes(box)
    _draw_module_key(canvas, _heading(len(modules)), box)
    for row, pair in enumerate(modules):
        ends = [pair.reduced, pair.naive]
        axes.plot(ends, [row, row], color=MACS, lw=2, alpha=0.45, zorder=1)
        axes.plot([pair.naive], [row], "o", ms=6.5, mfc="white", mec=MACS, mew=1.4)
        axes.plot([pair.reduced], [row], "o", ms=6.5, color=MACS)
        axes.annotate(
            ratio_text(pair.ratio), (max(ends), row), (8, 0), textcoords="offset points", va="center_baseline"
        )
    _scale(axes, [value for pair in modules for value in (pair.naive, pair.reduced) if value])
    _name_rows(axes, labels)


def _draw_module_key(canvas: Canvas, text: str, box: Box) -> None:
    canvas.text(box.left, box.top - 0.33, text, weight="bold")
    canvas.text(box.left, box.top - 0.11, "●", color=MACS)
    canvas.text(box.left + 0.15, box.top - 0.11, "as it is", color=MACS)
    canvas.text(box.left + 0.75, box.top - 0.11, "○", color=MACS)
    canvas.text(box.left + 0.9, box.top - 0.11, "without reductions", color=MUTED)


def _heading(count: int) -> str:
    return "MACs by module (log)" if count < MOST_ROWS else f"MACs of the {count} dearest (log)"


def _scale(axes: Axes, values: Sequence[float]) -> None:
    """A logarithmic axis of MACs, with room for half a dot beyond both ends."""
    low, high = (min(values), max(values)) if values else (1, 10)
    room = max((high / low) ** 0.06, 1.15)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    steps = round_decades(low / room, high * room)
    axes.set_xticks(steps, map(tick_text, steps))
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)


def _name_rows(axes: Axes, labels: Sequence[str]) -> None:
    """Names of the rows, which go down from the first one."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)


def _draw_column(canvas: Canvas, name: str, cells: Sequence[Sequence[Pair]], limit: float, box: Box) -> None:
    """The ratio of one branch of each module."""
    axes = canvas.axes(box)
    canvas.text(box.left, box.top - 0.11, shorten(name, _COLUMN - 0.1), weight="bold")
    for row, pairs in enumerate(cells):
        if pairs:
            _draw_cell(axes, row, pairs)
    low = min([1.0, *(p.ratio for pairs in cells for p in pairs if p.ratio > 0)])
    axes.set_xscale("log")
    axes.set_xlim(low, max(limit, 1.01))
    # there is room for two ticks: the ratio of 1, and the largest round one within the limit
    steps = [1, *[step for step in (2, 5, 10, 100) if step <= limit][-1:]] if _varies(cells) else []
    axes.set_xticks(steps, [f"{step}{TIMES}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color="#c4c4c4", lw=0.8, zorder=0)
    _name_rows(axes, [""] * len(cells))
    axes.spines["bottom"].set_visible(False)


def _varies(cells: Sequence[Sequence[Pair]]) -> bool:
    return any(pair.ratio not in (0, 1) for pairs in cells for pair in pairs)


def _has_additions(saving: Saving) -> bool:
    """True where a branch has MACs only because of its reduction."""
    return any(pair.reduced and not pair.naive for pair in saving.branches)


def _explain_columns(canvas: Canvas, saving: Saving, left: float, rows: float) -> None:
    canvas.text(left, _TOP - 0.33, "Ratio of each branch", weight="bold")
    if _has_additions(saving):
        note = "+: MACs of a branch that takes none without reductions"
        canvas.text(canvas.size.width - MARGIN, _TOP + rows + 0.4, note, color=MUTED, size=SMALL, ha="right")


def _draw_cell(axes: Axes, row: int, pairs: Sequence[Pair]) -> None:
    naive_macs, reduced_macs = sum(pair.naive for pair in pairs), sum(pair.reduced for pair in pairs)
    ratio = naive_macs / reduced_macs if reduced_macs else 1.0
    # a branch that takes MACs with reductions alone has no ratio: these are written as an addition
    is_ratio = naive_macs or not reduced_macs
    text = ratio_text(ratio) if is_ratio else f"+{format_quantity(reduced_macs)}"
    if ratio > 0 and isfinite(ratio) and ratio != 1:
        axes.plot([1, ratio], [row, row], color=MACS, lw=2, alpha=0.45, zorder=1)
        axes.plot([ratio], [row], "o", ms=5, color=MACS, clip_on=False)
    axes.annotate(
        text,
        (max(ratio, 1), row),
        (6, 0),
        textcoords="offset points",
        va="center_baseline",
        size=SMALL,
        color=INK if ratio > 1 else MUTED,
    )


def _draw_levels(
    canvas: Canvas, levels: Sequence[Pair], labels: Sequence[str], left: float, top: float
) -> None:
    """The saving that remains, from one branch to the whole net, in MACs and in weights."""
    macs = [(pair.ratio, pair.naive, pair.reduced) for pair in levels]
    weights = [(pair.weights_ratio, pair.naive_weights, pair.reduced_weights) for pair in levels]
    most = max(ratio for ratio, _, _ in (*macs, *weights))
    width, value = (canvas.size.width - MARGIN - left) / 2, 1.75
    panels = (("MACs", macs, MACS, labels), ("weights", weights, PARAMS, [""] * len(labels)))
    for number, (quantity, bars, colour, names) in enumerate(panels):
        at = left + number * width
        axes = canvas.axes(Box(at, top, width - value, 0.3 * len(levels)))
        canvas.text(at, top - 0.1, f"What remains, {quantity} without → with reductions", weight="bold")
        for row, (ratio, *ends) in enumerate(bars):
            axes.barh([row], [ratio], 0.62, color=colour)
            text = f"{ratio_text(ratio)}   {' → '.join(map(format_quantity, ends))}"
            axes.annotate(text, (ratio, row), (5, 0), textcoords="offset points", va="center_baseline")
        axes.set_xlim(0, most)
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        _name_rows(axes, names)
