"""MACs beside time: each module's share of the multiply-accumulates and its share of the time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pandas import DataFrame

from inception_lab.report.plots.canvas import Box, Canvas, new_canvas, room_below
from inception_lab.report.plots.fitting import distinct, headline, text_width
from inception_lab.report.plots.style import FAINT, INK, MARGIN, MUTED, PARAMS, TEXT
from inception_lab.report.plots.wording import ratio_text, round_steps, share_text
from inception_lab.report.sizes import PAGE, PlotSize
from inception_lab.report.tables import rows_of
from inception_lab.report.text import subject_text

# Far apart in hue and in lightness: told apart in grey and with any colour vision
MACS, TIME = "#a9c3da", PARAMS
MOST_ROWS = 40
LEAST_SHARE = 0.5
"""Percent of the MACs and of the time below which modules are summed up in one row."""

_PITCH, _LEAST_PITCH, _BAR = 0.36, 0.27, 0.36
_VALUE, _RATIO, _TOP, _FOOT = 0.62, 1.05, 0.62, 0.35


@dataclass(frozen=True, eq=False)
class MacsAndTime:
    """The shares of each module, and the run that they are of.

    Attributes:
        context: Of the times: `model`, `input_shapes`, `mode`, `dtype`, `machine`, `threads`.
        table: As `macs_beside_time` returns it.
        note: Says where the rounds are too noisy to judge, else empty.
    """

    context: Mapping[str, Any]
    table: DataFrame
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """One row of the plot.

    Attributes:
        name: Of the module.
        macs: Percent of the step's MACs.
        time: Percent of the step's time.
        is_rest: True where it sums up several modules.
    """

    name: str
    macs: float
    time: float
    is_rest: bool = False

    @property
    def ratio(self) -> float:
        """Time over MACs; a module without MACs has none."""
        return self.time / self.macs


def pairs_of(table: DataFrame, most: int = MOST_ROWS) -> list[Pair]:
    """A pair per module in order of execution, at most so many; small ones are summed up in one more."""
    pairs = [Pair(row["module"], row["macs_share"], row["share"]) for row in rows_of(table)]
    by_size = sorted(pairs, key=lambda pair: -max(pair.macs, pair.time))
    large = [pair for pair in by_size[:most] if max(pair.macs, pair.time) >= LEAST_SHARE]
    small = [pair for pair in pairs if pair not in large]
    if len(small) == 1 and len(pairs) <= most:
        return pairs
    return [*(pair for pair in pairs if pair in large), *([_sum_of(small)] if small else [])]


def _sum_of(pairs: Sequence[Pair]) -> Pair:
    macs, time = sum(pair.macs for pair in pairs), sum(pair.time for pair in pairs)
    return Pair(f"{len(pairs)} others", macs, time, is_rest=True)


def has_content(subject: MacsAndTime) -> bool:
    """True where there are MACs and time."""
    table = subject.table
    return bool(table["macs"].sum()) and bool(table["share"].sum() > 0)


def caption(subject: MacsAndTime) -> str:
    """The time of what has no MACs, and the modules that are farthest from their share, in one sentence."""
    idle = f"modules without MACs take {_percent(_without_macs(subject.table))} of the time"
    pairs = [pair for pair in pairs_of(subject.table) if pair.macs and pair.time and not pair.is_rest]
    if not pairs:
        return f"{idle[0].upper()}{idle[1:]}."
    slow, fast = (pick(pairs, key=lambda pair: pair.ratio) for pick in (max, min))
    return (
        f"A module's share of the time is from {ratio_text(fast.ratio)} ({fast.name}) to "
        f"{ratio_text(slow.ratio)} ({slow.name}) its share of the MACs; {idle}."
    )


def _without_macs(table: DataFrame) -> float:
    return float(table["share"][table["macs"] == 0].sum())


def _title(subject: MacsAndTime) -> str:
    idle = _without_macs(subject.table)
    if idle >= 5:
        return f"{_percent(idle)} of the time goes to modules without MACs"
    top = max(pairs_of(subject.table), key=lambda pair: abs(pair.time - pair.macs))
    return f"{headline(top.name)}: {_percent(top.macs)} of the MACs, {_percent(top.time)} of the time"


def _percent(share: float) -> str:
    return share_text(share, 100)


def _subtitle(subject: MacsAndTime) -> str:
    facts = subject.context
    threads = f"{facts['threads']} thread{'s' * (facts['threads'] != 1)}"
    run = f"{subject_text(facts)}, {facts['dtype']}"
    noise = f", {subject.note}" if subject.note else ""
    return f"MACs beside time by module · {run} · {facts['machine']}, {threads}{noise}"


def draw(subject: MacsAndTime, size: PlotSize = PAGE) -> Figure:
    """A row per module with a bar for its MACs, one for its time, and the ratio of the two."""
    title, subtitle = _title(subject), _subtitle(subject)
    room = room_below(size, title, subtitle) - _TOP - _FOOT
    pairs = pairs_of(subject.table, int(min(room / _LEAST_PITCH - 1, MOST_ROWS)))
    height = min(_PITCH * len(pairs) + 0.1, room)
    canvas = new_canvas(size, title, subtitle, _TOP + height + _FOOT)
    canvas.key(MARGIN, 0.32, [("share of the MACs", MACS), ("share of the time", TIME)])
    labels = distinct([pair.name for pair in pairs], 0.28 * size.width)
    left = MARGIN + max(map(text_width, labels)) + 0.12
    width = size.width - left - _VALUE - _RATIO - MARGIN
    axes = canvas.axes(Box(left, _TOP, width, height))
    _draw_bars(axes, pairs)
    _scale(axes, pairs, labels, width)
    _write_ratios(canvas, pairs, height / (len(pairs) + 0.2))
    return canvas.figure


def _draw_bars(axes: Axes, pairs: Sequence[Pair]) -> None:
    for row, pair in enumerate(pairs):
        for offset, share, colour in ((-_BAR / 2, pair.macs, MACS), (_BAR / 2, pair.time, TIME)):
            axes.barh(row + offset, share, _BAR, color=colour)
            axes.annotate(
                f"{share:.1f} %" if share else "",
                (share, row + offset),
                (4, 0),
                textcoords="offset points",
                va="center_baseline",
                size=TEXT - 1,
            )


def _scale(axes: Axes, pairs: Sequence[Pair], labels: Sequence[str], width: float) -> None:
    """Ticks and limits; the rows go down from the first module."""
    most = max(max(pair.macs, pair.time) for pair in pairs)
    steps = round_steps(most, min(max(int(width / 0.55), 2), 5))
    axes.set_xlim(0, most)
    axes.set_xticks(steps, [f"{step:g} %" for step in steps])
    axes.set_yticks(range(len(pairs)), labels)
    axes.set_ylim(len(pairs) - 0.5 + 0.1, -0.5 - 0.1)
    axes.tick_params("y", labelsize=TEXT, labelcolor=INK, pad=6)
    axes.grid(axis="x", color=FAINT)
    axes.spines["bottom"].set_visible(False)
    axes.axvline(0, color=MUTED, lw=0.8)


def _write_ratios(canvas: Canvas, pairs: Sequence[Pair], pitch: float) -> None:
    """The time over the MACs of each module, in a column at the right edge."""
    right = canvas.size.width - MARGIN
    canvas.text(right, _TOP - 0.12, "time \N{DIVISION SIGN} MACs", weight="bold", ha="right")
    for row, pair in enumerate(pairs):
        if pair.is_rest:
            continue
        text, colour = (ratio_text(pair.ratio), INK) if pair.macs else ("no MACs", MUTED)
        # a baseline so far below the middle of the row centres the digits
        canvas.text(right, _TOP + pitch * (row + 0.6) + 0.045, text, color=colour, ha="right")
