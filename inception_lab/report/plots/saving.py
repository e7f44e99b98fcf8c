"""Reduction saving: how many times fewer MACs each module takes with its 1x1 reductions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from inception_lab.metrics import format_quantity
from inception_lab.report.branch_colours import COLOURS, GREYS, OTHER_BRANCHES
from inception_lab.report.branch_series import branch_label, branch_series, series_colours
from inception_lab.report.contents import ReportContents
from inception_lab.report.plots.canvas import Box, Canvas, key_lines, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, headline, shorten, text_width, wrap
from inception_lab.report.plots.module_bars import homes_of
from inception_lab.report.plots.pairs import Saving, macs_name, saving_of
from inception_lab.report.plots.rows import dearest, most_rows, row_pitch, run_name, runs_of_equal
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, SMALL, TEXT
from inception_lab.report.plots.wording import TIMES, change_text, context_line, ratio_text, round_decades
from inception_lab.report.sizes import PAGE, PlotSize

BAR = "#cfdbe6"
MARKERS: Mapping[str, str] = MappingProxyType(
    dict(zip((*COLOURS, GREYS[OTHER_BRANCHES]), "osD^vPXp<>d*h8", strict=True))
)
"""Of each colour of a kind of branch, which is told apart in grey too; read-only."""
_RATIO, _ENDS, _FOOT = 0.62, 1.3, 0.36


@dataclass(frozen=True)
class Row:
    """A module, several equal ones, or all small ones.

    Attributes:
        name: Of the module, or of several.
        naive: MACs without reductions.
        reduced: MACs as it is.
        branches: Kind and ratio of each branch that has MACs on both sides; none where it sums up others.
    """

    name: str
    naive: int
    reduced: int
    branches: tuple[tuple[str, float], ...] = ()

    @property
    def ratio(self) -> float:
        """Naive over reduced MACs, 1 where there are none."""
        return self.naive / self.reduced if self.reduced else 1.0


def rows_of_saving(contents: ReportContents) -> list[Row]:
    """A row per module in order of execution; equal neighbours are one."""
    saving = saving_of(contents)
    series, homes = branch_series(contents), _names(contents, saving)
    rows = []
    for pair in saving.modules:
        inside = [branch for branch in saving.branches if branch.module == pair.module]
        ratios = [(series[b.module, b.branch], b.ratio) for b in inside if b.naive and b.reduced]
        rows.append(Row(homes[pair.module], pair.naive, pair.reduced, tuple(ratios)))
    return [_together(run) for run in runs_of_equal(rows, lambda r: (r.naive, r.reduced, r.branches))]


def _together(run: Sequence[Row]) -> Row:
    name = run_name([row.name for row in run])
    return Row(name, len(run) * run[0].naive, len(run) * run[0].reduced, run[0].branches)


def _names(contents: ReportContents, saving: Saving) -> dict[str, str]:
    """The name of each module: that of the one around it where this has no other branches."""
    homes = homes_of(contents)
    count = Counter(homes[pair.module] for pair in saving.modules)
    return {p.module: homes[p.module] if count[homes[p.module]] == 1 else p.module for p in saving.modules}


def best_branch(contents: ReportContents) -> str:
    """The branch that saves most, by its kind where that is known."""
    saving = saving_of(contents)
    best = saving.best
    module = headline(_names(contents, saving)[best.module])
    kind = contents.branch_kinds.get((best.module, best.branch))
    return f"the {kind} branch of {module}" if kind else f"{module} {headline(best.branch)}"


def fitted_rows(rows: Sequence[Row], most: int) -> list[Row]:
    """The rows with most MACs without reductions, at most so many, the last of which sums up all others."""
    large, small = dearest([row.naive for row in rows], most)
    rest = [rows[place] for place in small]
    sums = sum(row.naive for row in rest), sum(row.reduced for row in rest)
    return [rows[place] for place in large] + [Row(f"{len(rest)} others", *sums)] * bool(rest)


def has_content(contents: ReportContents) -> bool:
    """True where a reduction changes the cost of anything."""
    return contents.has_saving


def caption(contents: ReportContents) -> str:
    """The meaning of bars and dots, and the numbers behind the best branch and the net."""
    saving = saving_of(contents)
    best, net = saving.best, saving.net
    without = f"{format_quantity(best.naive)} {macs_name(contents)} without"
    return (
        "A bar is a module, a dot one of its branches, each against the same without 1x1 reductions. "
        f"{best.name}: {without}, {format_quantity(best.reduced)} with; "
        f"the net: {format_quantity(net.naive)} without, {format_quantity(net.reduced)} with."
    )


def title_without_saving(contents: ReportContents) -> str:
    """A sentence on what reductions do to a net whose MACs they do not save; empty where they do."""
    saving, macs = saving_of(contents), macs_name(contents)
    if saving.net.ratio < 1:
        return f"Reductions cost {macs}: {ratio_text(1 / saving.net.ratio)} as many in the whole net"
    if saving.best.ratio == 1 or saving.net.ratio == 1:
        return f"Reductions leave the {macs} of the whole net as they are"
    return ""


def _title(contents: ReportContents) -> str:
    """The saving in the net and in the best branch, in one sentence."""
    saving = saving_of(contents)
    best, net = saving.best, saving.net
    if not_saved := title_without_saving(contents):
        return not_saved
    there = f"{ratio_text(best.ratio)} in {best_branch(contents)}"
    return f"Reductions save {macs_name(contents)}: {ratio_text(net.ratio)} fewer in the whole net, {there}"


def draw(contents: ReportContents, size: PlotSize = PAGE) -> Figure:
    """A row per module: a bar for it and a dot for each branch, how many times fewer MACs they take."""
    saving, every = saving_of(contents), rows_of_saving(contents)
    key = _key(contents, every)
    ratio = f"{macs_name(contents)} without reductions over those with them, by module"
    subtitle = f"{ratio[:1].upper()}{ratio[1:]} · {context_line(contents.record)}"
    title = _title(contents)
    notes = wrap(_note(contents, saving), size.width - 2 * MARGIN, SMALL)
    top = 0.35 + 0.2 * len(key_lines(size, key, MARGIN)) + 0.27
    foot = _FOOT + 0.17 * len(notes)
    room = room_below(size, title, subtitle) - top - foot
    rows = fitted_rows(every, most_rows(room))
    height = row_pitch(len(rows), room) * len(rows)
    canvas = new_canvas(size, title, subtitle, top + height + foot)
    _draw_key(canvas, key)
    _draw_panel(canvas, rows, dict(key), top, height)
    for number, line in enumerate(notes):
        canvas.text(MARGIN, top + height + 0.4 + 0.17 * number, line, color=MUTED, size=SMALL)
    return canvas.figure


def _key(contents: ReportContents, rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The module's bar, then the kinds of branches, and their colours."""
    names = {name for row in rows for name, _ in row.branches}
    return [("a module", BAR), *((n, colour) for n, colour in series_colours(contents).items() if n in names)]


def _note(contents: ReportContents, saving: Saving) -> str:
    """The axis, and the branches that have no ratio."""
    text = f"Times fewer {macs_name(contents)}, on a logarithmic axis"
    only = [pair for pair in saving.branches if pair.reduced and not pair.naive]
    kinds = dict.fromkeys(branch_label(contents, pair.module, pair.branch) for pair in only)
    if not kinds:
        return text
    names = shorten(", ".join(kinds), 3)
    extra = format_quantity(sum(pair.reduced for pair in only))
    return f"{text}; no dot for {names}: it takes MACs with reductions alone, {extra} in all"


def _draw_key(canvas: Canvas, key: Sequence[tuple[str, str]]) -> None:
    canvas.key(MARGIN, 0.32, key[:1])
    for line, entries in enumerate(key_lines(canvas.size, key, MARGIN)):
        for x, name, colour in entries:
            if colour in MARKERS:
                _draw_marker(canvas, x + 0.05, 0.28 + 0.2 * line, colour)
                canvas.text(x + 0.16, 0.32 + 0.2 * line, name, size=TEXT)


def _draw_marker(canvas: Canvas, left: float, top: float, colour: str) -> None:
    x, y = left / canvas.size.width, 1 - (canvas.top + top) / canvas.height
    canvas.figure.add_artist(Line2D([x], [y], marker=MARKERS[colour], ms=6, color=colour, ls="none"))


def _draw_panel(
    canvas: Canvas, rows: Sequence[Row], key: Mapping[str, str], top: float, height: float
) -> None:
    labels = distinct([row.name for row in rows], 0.28 * canvas.size.width)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    right = canvas.size.width - MARGIN
    axes = canvas.axes(Box(left, top, right - _RATIO - _ENDS - left, height))
    for number, row in enumerate(rows):
        axes.barh(number, row.ratio - 1, 0.72, 1, color=BAR)
        for name, ratio in row.branches:
            style: dict[str, Any] = {"color": key[name], "mec": "white", "mew": 0.5, "clip_on": False}
            axes.plot([ratio], [number], MARKERS[key[name]], ms=5.5, **style)
    _scale(axes, rows)
    axes.set_yticks(range(len(rows)), labels)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    _write_numbers(canvas, rows, right, top, height)


def _scale(axes: Axes, rows: Sequence[Row]) -> None:
    """A logarithmic axis with a line at 1, and room for half a dot beyond both ends."""
    ratios = [1.0, *(row.ratio for row in rows), *(ratio for row in rows for _, ratio in row.branches)]
    low, high = min(r for r in ratios if r > 0), max(ratios)
    room = max((high / low) ** 0.05, 1.03)
    axes.set_xscale("log")
    axes.set_xlim(low / room, high * room)
    steps = round_decades(low / room, high * room, 4)
    axes.set_xticks(steps, [f"{step:g}{TIMES}" for step in steps])
    axes.set_xticks([], minor=True)
    axes.set_ylim(len(rows) - 0.5 + 0.1, -0.5 - 0.1)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(1, color=MUTED, lw=0.8)


def _write_numbers(canvas: Canvas, rows: Sequence[Row], right: float, top: float, height: float) -> None:
    """The ratio of each module, and the MACs behind it, in columns at the right edge."""
    pitch = height / (len(rows) + 0.2)
    canvas.text(right - _ENDS, top - 0.1, "fewer", weight="bold", ha="right")
    canvas.text(right, top - 0.1, change_text("without", "with"), ha="right", color=MUTED)
    for number, row in enumerate(rows):
        # a baseline so far below the middle of the row centres the digits
        at = top + pitch * (number + 0.6) + 0.045
        canvas.text(right - _ENDS, at, ratio_text(row.ratio), ha="right", weight="bold")
        ends = change_text(format_quantity(row.naive), format_quantity(row.reduced))
        canvas.text(right, at, ends, ha="right", color=MUTED)
