"""The sheet that every plot is drawn on: its style, its measures, its title, and how it is saved."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle

from inception_lab.report.text import one_line

WIDTH = 9.375
"""Of every sheet, in inches: 900 pixels on a page."""
MARGIN = 0.16
INK, MUTED, FAINT = "#1b1b1b", "#666666", "#dddddd"
MACS, PARAMS = "#2f6690", "#b4532a"
OUTSIDE = "#a3a3a3"
# After Paul Tol's bright scheme: told apart with any colour vision, light and dark in turn
PALETTE = ("#4477aa", "#66ccee", "#ee6677", "#ccbb44", "#228833", "#aa3377", "#bbaadd", "#885533")
TITLE, TEXT, SMALL = 12.5, 9.0, 8.0

_STYLE: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib, so that every machine draws the same
    "font.size": TEXT,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.grid.axis": "x",
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "svg.fonttype": "path",
    "svg.hashsalt": "inception_lab",
}
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def styled() -> AbstractContextManager[None]:
    """The style of all plots, whatever the user's own settings are."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def image(figure: Figure, kind: str) -> bytes:
    """A figure as a file, the same bytes every time.

    Args:
        figure: Drawn within `styled`, and saved within it.
        kind: `svg` or `png`.
    """
    file = io.BytesIO()
    figure.savefig(file, format=kind, dpi=144, metadata=_METADATA[kind])
    return file.getvalue()


@dataclass(frozen=True)
class Sheet:
    """A figure whose parts are placed in inches from its upper left corner.

    Attributes:
        figure: The figure.
        height: Of the figure.
        top: Where the title and subtitle end.
    """

    figure: Figure
    height: float
    top: float

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes in a rectangle, `top` counted from where the title ends."""
        below = self.height - self.top - top - height
        box = (left / WIDTH, below / self.height, width / WIDTH, height / self.height)
        return self.figure.add_axes(box)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """A line of text whose baseline is at `top`, counted from where the title ends."""
        self.figure.text(left / WIDTH, 1 - (self.top + top) / self.height, text, **style)

    def key(self, left: float, top: float, entries: Sequence[tuple[str, str]]) -> None:
        """Names behind squares of their colours, in lines as from `key_lines`."""
        for number, line in enumerate(key_lines(entries, left)):
            for x, name, colour in line:
                self._square(x, top + number * 0.2, colour)
                self.text(x + 0.16, top + number * 0.2, name, size=TEXT)

    def _square(self, left: float, top: float, colour: str) -> None:
        x, y = left / WIDTH, 1 - (self.top + top + 0.005) / self.height
        side = Rectangle((x, y), 0.11 / WIDTH, 0.11 / self.height, color=colour, lw=0)
        self.figure.add_artist(side)


def key_lines(entries: Sequence[tuple[str, str]], left: float) -> list[list[tuple[float, str, str]]]:
    """Where each entry of a key stands: lines of places from the left, names and colours."""
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = left
    for name, colour in entries:
        short = shortened(name, 2.5)
        width = 0.16 + text_width(short) + 0.22
        if x + width > WIDTH and lines[-1]:
            lines.append([])
            x = left
        lines[-1].append((x, short, colour))
        x += width
    return lines


def new_sheet(title: str, subtitle: str, height: float) -> Sheet:
    """A sheet with a title.

    Args:
        title: What is seen, in one sentence.
        subtitle: What it was seen in.
        height: Of what comes below, in inches.
    """
    room = WIDTH - 2 * MARGIN
    titles, subtitles = wrapped(title, room, TITLE, "bold"), wrapped(subtitle, room)
    top = 0.16 + 0.24 * len(titles) + 0.19 * len(subtitles)
    figure = Figure(figsize=(WIDTH, top + height), facecolor="white")
    FigureCanvasAgg(figure)
    sheet = Sheet(figure, top + height, top)
    for number, line in enumerate(titles):
        sheet.text(MARGIN, 0.32 + 0.24 * number - top, line, size=TITLE, weight="bold")
    for number, line in enumerate(reversed(subtitles)):
        sheet.text(MARGIN, 0.02 - 0.19 * number, line, color=MUTED)
    return sheet


def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Width of a line of text in inches."""
    # hinting draws letters a little wider than they are
    return 1.03 * sum(_advance(letter, weight) for letter in text) * size / 72


@cache
def _advance(letter: str, weight: str) -> float:
    """How far a letter moves the next one, as a part of the font's size."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight=weight)))
    font.set_size(100, 72)
    return float(font.load_char(ord(letter)).linearHoriAdvance) / 65536 / 100


def shortened(text: str, width: float, size: float = TEXT) -> str:
    """A text without its middle where it is wider than `width` inches, on one line."""
    text = one_line(text)
    if text_width(text, size) <= width:
        return text
    keep = int(len(text) * width / text_width(text, size))
    while keep > 2 and text_width(_without_middle(text, keep), size) > width:
        keep -= 1
    return _without_middle(text, keep)


def _without_middle(text: str, keep: int) -> str:
    # the end of a module's path says more than its beginning
    return f"{text[: keep // 3]}…{text[-(keep - keep // 3 - 1) :]}"


def headline(name: str) -> str:
    """A name as it fits into a title."""
    return shortened(name, 4.5, TITLE)


def distinct(names: Sequence[str], width: float, size: float = TEXT) -> list[str]:
    """Names no wider than `width` inches, cut where they still differ."""
    short = [shortened(name, width, size) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    long = [name for name, cut in zip(names, short, strict=True) if one_line(name) != cut]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*long, strict=False))
    start = max(len(list(alike)) - 8, 0)
    return [
        cut if one_line(name) == cut else _beginning(f"…{one_line(name[start:])}", width, size)
        for name, cut in zip(names, short, strict=True)
    ]


def _beginning(text: str, width: float, size: float) -> str:
    """As much of the beginning of a text as fits into `width` inches."""
    keep = len(text)
    while keep > 1 and text_width(_cut(text, keep), size) > width:
        keep -= 1
    return _cut(text, keep)


def _cut(text: str, keep: int) -> str:
    return text if keep >= len(text) else f"{text[:keep]}…"


def wrapped(text: str, width: float, size: float = TEXT, weight: str = "normal") -> list[str]:
    """A text in lines no wider than `width` inches."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shortened(word, width * 0.85, size))
    return lines or [""]
