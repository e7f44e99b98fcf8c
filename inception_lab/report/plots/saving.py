"""Reduction saving: each module without its 1x1 reductions against the module as it is."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inception_lab.metrics import format_quantity
from inception_lab.report.contents import ReportData
from inception_lab.report.plots.canvas import (
    FAINT,
    INK,
    MACS,
    MARGIN,
    MUTED,
    PARAMS,
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
from inception_lab.report.plots.pairs import Pair, Saving, saving
from inception_lab.report.plots.wording import (
    TIMES,
    context_line,
    ratio_text,
    round_decades,
    series,
    tick_text,
)

MOST_ROWS, MOST_COLUMNS = 40, 5
_PITCH, _COLUMN, _TOP, _NAME = 0.27, 0.95, 0.66, 1.75


def shown(data: ReportData) -> bool:
    """Whether a reduction changes the cost of anything."""
    return data.has_saving


def caption(data: ReportData) -> str:
    """What the reductions do to the best branch and to the net, in one sentence."""
    found = saving(data)
    best, net = found.best, found.net
    steps = [f"{pair.name} {ratio_text(pair.ratio)}" for pair in found.levels()[1:-1]]
    return (
        f"Without reductions {best.name} would take {ratio_text(best.ratio)} its MACs "
        f"({format_quantity(best.naive)} against {format_quantity(best.reduced)}), "
        f"{', '.join(steps)}, and the whole net {ratio_text(net.ratio)} its MACs and "
        f"{ratio_text(net.weights_ratio)} its weights."
    )


def _title(found: Saving) -> str:
    best, net = found.best, found.net
    return (
        f"Without reductions: {ratio_text(net.ratio)} the MACs in the whole net, "
        f"{ratio_text(best.ratio)} in {headline(best.name)}"
    )


def draw(data: ReportData) -> Figure:
    """A row per module: naive and reduced MACs, then the ratio of each branch; sums below."""
    found = saving(data)
    modules = _dearest(found.modules)
    rows = _PITCH * len(modules) + 0.1
    below = _TOP + rows + (0.75 if _added(found) else 0.5)
    levels = found.levels()
    height = below + 0.25 + 0.3 * len(levels) + 0.1
    subtitle = f"MACs without and with reductions, on the same input · {context_line(data.record)}"
    sheet = new_sheet(_title(found), subtitle, height)
    labels, sums = (distinct([pair.name for pair in pairs], _NAME) for pairs in (modules, levels))
    left = MARGIN + 0.12 + max(map(text_width, (*labels, *sums)))
    columns = _columns(found)
    edge = WIDTH - MARGIN - _COLUMN * len(columns)
    _dumbbells(sheet, modules, labels, (left, _TOP, edge - left - 0.8, rows))
    for number, (name, pairs) in enumerate(columns.items()):
        box = (edge + number * _COLUMN, _TOP, 0.46, rows)
        _branch_column(sheet, name, [pairs.get(p.module, []) for p in modules], _limit(found), box)
    _explain_columns(sheet, found, edge, rows)
    _levels(sheet, levels, sums, (left, below + 0.25))
    return sheet.figure


def _dearest(modules: Sequence[Pair]) -> list[Pair]:
    """The modules that would be dearest without reductions, in order of execution."""
    kept = sorted(modules, key=lambda pair: -pair.naive)[:MOST_ROWS]
    return [pair for pair in modules if pair in kept]


def _limit(found: Saving) -> float:
    return max(max(pair.ratio for pair in found.branches), 1.5)


def _columns(found: Saving) -> dict[str, dict[str, list[Pair]]]:
    """Branches of the same name by module, in columns."""
    names = series([(pair.module, pair.branch) for pair in found.branches], MOST_COLUMNS)
    columns: dict[str, dict[str, list[Pair]]] = {}
    for pair in found.branches:
        column = columns.setdefault(names[pair.module, pair.branch], {})
        column.setdefault(pair.module, []).append(pair)
    return columns


Box = tuple[float, float, float, float]


def _dumbbells(sheet: Sheet, modules: Sequence[Pair], labels: Sequence[str], box: Box) -> None:
    """Naive and reduced MACs of each module on a logarithmic axis: as long as the ratio is large."""
    axes = sheet.axes(*box)
    sheet.text(box[0], box[1] - 0.33, _heading(len(modules)), weight="bold")
    sheet.text(box[0], box[1] - 0.11, "●", color=MACS)
    sheet.text(box[0] + 0.15, box[1] - 0.11, "as it is", color=MACS)
    sheet.text(box[0] + 0.75, box[1] - 0.11, "○", color=MACS)
    sheet.text(box[0] + 0.9, box[1] - 0.11, "without reductions", color=MUTED)
    for row, pair in enumerate(modules):
        ends = [pair.reduced, pair.naive]
        axes.plot(ends, [row, row], color=MACS, lw=2, alpha=0.45, zorder=1)
        axes.plot([pair.naive], [row], "o", ms=6.5, mfc="white", mec=MACS, mew=1.4)
        axes.plot([pair.reduced], [row], "o", ms=6.5, color=MACS)
        axes.annotate(
            ratio_text(pair.ratio), (max(ends), row), (8, 0), textcoords="offset points", va="center_baseline"
        )
    _logarithmic(axes, [value for pair in modules for value in (pair.naive, pair.reduced) if value])
    _rows(axes, labels)


def _heading(count: int) -> str:
    return "MACs by module (log)" if count < MOST_ROWS else f"MACs of the {count} dearest (log)"


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    low, high = (min(values), max(values)) if values else (1, 10)
    room = max((high / low) ** 0.06, 1.15)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    steps = round_decades(low / room, high * room)
    axes.set_xticks(steps, map(tick_text, steps))
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)


def _rows(axes: Axes, labels: Sequence[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)


def _branch_column(sheet: Sheet, name: str, cells: Sequence[Sequence[Pair]], limit: float, box: Box) -> None:
    """The ratio of one branch of each module."""
    axes = sheet.axes(*box)
    sheet.text(box[0], box[1] - 0.11, shortened(name, _COLUMN - 0.1), weight="bold")
    for row, pairs in enumerate(cells):
        if pairs:
            _cell(axes, row, pairs)
    low = min([1.0, *(p.ratio for pairs in cells for p in pairs if p.ratio > 0)])
    axes.set_xscale("log")
    axes.set_xlim(low, max(limit, 1.01))
    steps = [1, *[step for step in (2, 5, 10, 100) if step <= limit][-1:]] if _varies(cells) else []
    axes.set_xticks(steps, [f"{step}{TIMES}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.axvline(1, color="#c4c4c4", lw=0.8, zorder=0)
    _rows(axes, [""] * len(cells))
    axes.spines["bottom"].set_visible(False)


def _varies(cells: Sequence[Sequence[Pair]]) -> bool:
    return any(pair.ratio not in (0, 1) for pairs in cells for pair in pairs)


def _added(found: Saving) -> bool:
    """Whether a branch has MACs only because of its reduction."""
    return any(pair.reduced and not pair.naive for pair in found.branches)


def _explain_columns(sheet: Sheet, found: Saving, left: float, rows: float) -> None:
    sheet.text(left, _TOP - 0.33, "Ratio of each branch", weight="bold")
    if _added(found):
        note = "+: MACs of a branch that takes none without reductions"
        sheet.text(WIDTH - MARGIN, _TOP + rows + 0.4, note, color=MUTED, size=SMALL, ha="right")


def _cell(axes: Axes, row: int, pairs: Sequence[Pair]) -> None:
    naive, reduced = sum(pair.naive for pair in pairs), sum(pair.reduced for pair in pairs)
    ratio = naive / reduced if reduced else 1.0
    text = ratio_text(ratio) if naive or not reduced else f"+{format_quantity(reduced)}"
    colour = INK if ratio > 1 else MUTED
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
        color=colour,
    )


def _levels(sheet: Sheet, levels: Sequence[Pair], labels: Sequence[str], corner: tuple[float, float]) -> None:
    """What remains of the saving, from one branch to the whole net, in MACs and in weights."""
    left, top = corner
    width, value = (WIDTH - MARGIN - left) / 2, 1.75
    for number, (what, colour) in enumerate((("MACs", MACS), ("weights", PARAMS))):
        at = left + number * width
        axes = sheet.axes(at, top, width - value, 0.3 * len(levels))
        sheet.text(at, top - 0.1, f"What remains, {what} without → with reductions", weight="bold")
        for row, pair in enumerate(levels):
            _level(axes, row, pair, number == 1, colour)
        axes.set_xlim(0, max(max(p.ratio, p.weights_ratio) for p in levels))
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
        _rows(axes, labels if number == 0 else [""] * len(labels))


def _level(axes: Axes, row: int, pair: Pair, weights: bool, colour: str) -> None:
    ratio = pair.weights_ratio if weights else pair.ratio
    ends = (pair.naive_weights, pair.reduced_weights) if weights else (pair.naive, pair.reduced)
    axes.barh([row], [ratio], 0.62, color=colour)
    text = f"{ratio_text(ratio)}   {' → '.join(map(format_quantity, ends))}"
    axes.annotate(text, (ratio, row), (5, 0), textcoords="offset points", va="center_baseline")
