"""The canvas that every plot is drawn on, measured in inches, with its title."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inception_lab.report.plots.fitting import shorten, text_width, wrap
from inception_lab.report.plots.style import MARGIN, MUTED, TEXT, TITLE
from inception_lab.report.sizes import PlotSize
from inception_lab.report.text import one_line

LINE = 0.18
"""Inches from one line of text to the next."""
_SQUARE, _KEY_LINE = 0.11, 0.2


class Box(NamedTuple):
    """A rectangle in inches: `left` from the edge of the canvas, `top` from the end of the title."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Canvas:
    """A figure whose parts are placed in inches from its upper left corner.

    Attributes:
        figure: The figure.
        size: That it is laid out for.
        height: Of the figure.
        top: Distance from the figure's upper edge to the end of the title and subtitle.
    """

    figure: Figure
    size: PlotSize
    height: float
    top: float

    def axes(self, box: Box) -> Axes:
        """Axes in a rectangle."""
        # matplotlib counts from the lower left corner, in parts of the figure
        below = self.height - self.top - box.top - box.height
        parts = (
            box.left / self.size.width,
            below / self.height,
            box.width / self.size.width,
            box.height / self.height,
        )
        return self.figure.add_axes(parts)

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        """A line of text whose baseline is at `top`, counted from where the title ends."""
        self.figure.text(left / self.size.width, 1 - (self.top + top) / self.height, one_line(text), **style)

    def lines(self, left: float, top: float, texts: Sequence[str], **style: Any) -> None:
        """Lines of text, the baseline of the first one at `top`."""
        for number, text in enumerate(texts):
            self.text(left, top + LINE * number, text, **style)

    def key(self, left: float, top: float, entries: Sequence[tuple[str, str]]) -> None:
        """Names behind squares of their colours, in lines as from `key_lines`."""
        for number, line in enumerate(key_lines(self.size, entries, left)):
            for x, name, colour in line:
                self._square(x, top + number * _KEY_LINE, colour)
                self.text(x + 0.16, top + number * _KEY_LINE, name, size=TEXT)

    def _square(self, left: float, top: float, colour: str) -> None:
        x, y = left / self.size.width, 1 - (self.top + top + 0.005) / self.height
        side = Rectangle((x, y), _SQUARE / self.size.width, _SQUARE / self.height, color=colour, lw=0)
        self.figure.add_artist(side)


def key_lines(
    size: PlotSize, entries: Sequence[tuple[str, str]], left: float
) -> list[list[tuple[float, str, str]]]:
    """The entries of a key in lines: inches from the left, name and colour of each."""
    lines: list[list[tuple[float, str, str]]] = [[]]
    x = left
    for name, colour in entries:
        short = shorten(name, 2.5)
        width = 0.16 + text_width(short) + 0.22
        # an entry that is wider than the canvas still gets a line
        if x + width > size.width and lines[-1]:
            lines.append([])
            x = left
        lines[-1].append((x, short, colour))
        x += width
    return lines


def room_below(size: PlotSize, title: str, subtitle: str) -> float:
    """Inches that a plot has below its title; infinitely many but on a slide.

    Args:
        size: Of the plot.
        title: As of `new_canvas`.
        subtitle: As of `new_canvas`.
    """
    return size.height - _top(*_heading(size, title, subtitle))


def fitted(size: PlotSize, heading: tuple[str, str], fixed: float, *heights: float) -> list[float]:
    """The heights of panels: as they are, or on a slide those that fill it.

    Args:
        size: Of the plot.
        heading: Title and subtitle, as of `new_canvas`.
        fixed: Inches that all beside the panels takes up.
        heights: Of the panels, in inches.
    """
    room = room_below(size, *heading) - fixed
    part = max(room, 0.5) / sum(heights) if size.is_slide else 1
    return [part * height for height in heights]


def new_canvas(size: PlotSize, title: str, subtitle: str, height: float) -> Canvas:
    """A canvas with a title.

    Args:
        size: To lay out for.
        title: The main finding, in one sentence.
        subtitle: The kind of plot, and the model and input that it is of.
        height: Of all that comes below, in inches; on a slide, at most what `room_below` returns.
    """
    titles, subtitles = _heading(size, title, subtitle)
    top = _top(titles, subtitles)
    whole = size.height if size.is_slide else top + height
    figure = Figure(figsize=(size.width, whole), facecolor="white", label=_label(title, subtitle))
    FigureCanvasAgg(figure)
    canvas = Canvas(figure, size, whole, top)
    for number, line in enumerate(titles):
        canvas.text(MARGIN, 0.32 + 0.24 * number - top, line, size=TITLE, weight="bold")
    # the subtitle's last line ends where the plot begins, the lines before it stand above
    for number, line in enumerate(reversed(subtitles)):
        canvas.text(MARGIN, 0.02 - 0.19 * number, line, color=MUTED)
    return canvas


def _label(title: str, subtitle: str) -> str:
    """The title of a file: the finding, and all that the subtitle says behind the kind of plot."""
    kind, _, subject = subtitle.partition(" · ")
    return one_line(f"{title} · {subject or kind}")


def _heading(size: PlotSize, title: str, subtitle: str) -> tuple[list[str], list[str]]:
    """The title and the subtitle in lines."""
    room = size.width - 2 * MARGIN
    return wrap(title, room, TITLE, "bold"), wrap(subtitle, room)


def _top(titles: Sequence[str], subtitles: Sequence[str]) -> float:
    """Inches from the upper edge to the end of the heading."""
    return 0.16 + 0.24 * len(titles) + 0.19 * len(subtitles)
