"""Tables and facts fitted into the width of a terminal, in colour where it has any."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from inception_lab.report.cells import cell_width, shorten_middle, to_left, to_right, wrap
from inception_lab.report.text import escape_markdown, one_line

Style = Literal["bold", "dim", "red", "green", "yellow", "cyan"]

LEAST_WIDTH = 20
"""A terminal that says that it is narrower is not believed."""
LONG = 40
"""Lines of a table that has its answer above it, too."""

_GAP = "  "
_LEAST_ROOM = 12
"""Cells that a column of texts keeps, however little room there is."""
_WORDS_ROOM = 17
"""The same of a column of words, such as a class or a verdict."""
PATH_PART = 0.4
"""The part of the width that a column of paths keeps, as whole paths matter more than one column more."""

_CODES: dict[Style, int] = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}
_BAR = 5
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BLOCKS = re.compile("[█-▏]+")
_WORDS: dict[str, Style] = {
    "0": "dim", "agree": "green", "confirmed": "green", "passed": "green", "explained": "yellow",
    "off": "yellow", "bound": "yellow", "warned": "yellow", "unexplained": "red", "contradicted": "red",
    "failed": "red", "error": "red",
}  # fmt: skip
"""Styles of cells that are one of these words, or begin with one."""


@dataclass(frozen=True)
class Screen:
    """The place where people read a text.

    Attributes:
        width: Cells of a line; None for a file of lines as long as they are, such as Markdown.
        colour: Understand escape sequences for colours.
    """

    width: int | None = 80
    colour: bool = False

    def paint(self, text: str, style: Style) -> str:
        r"""Return a text in a style, where there is colour.

        Example:
            >>> Screen(colour=True).paint("MACs", "bold"), Screen().paint("MACs", "bold")
            ('\x1b[1mMACs\x1b[0m', 'MACs')
        """
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text.strip() else text

    def lines(self, text: str, below: int = 0) -> list[str]:
        """Return a text as lines that fit, without anything that a terminal could take for a command.

        Args:
            text: Prose, names of a user's layers in it or not.
            below: Spaces before each line but the first.
        """
        safe_text = one_line(text)
        return [safe_text] if self.width is None else wrap(safe_text, self.width, min(below, self.width // 2))


UNWRAPPED = Screen(width=None)
"""A file in which lines are as long as they are."""


@dataclass(frozen=True)
class Column:
    """A column of a table, as texts.

    Attributes:
        name: As people type it.
        heading: Above it, in words.
        texts: A cell for each row.
        is_number: Its texts stand on the right.
        shrinks: They may be shortened, as numbers and bars never are.
        part: The part of the width that it keeps, if it has so long texts; None for a word or two.
        shorten: The way in which they are shortened.
    """

    name: str
    heading: str
    texts: Sequence[str]
    is_number: bool = False
    shrinks: bool = True
    part: float | None = None
    shorten: Callable[[str, int], str] = shorten_middle

    @cached_property
    def body(self) -> int:
        """The width of its widest cell."""
        return max(map(cell_width, self.texts), default=0)

    def least(self, width: int) -> int:
        """The cells of a width below which it says nothing any more."""
        longest_word = max(map(cell_width, self.heading.split()), default=0)
        room = _WORDS_ROOM if self.part is None else max(_LEAST_ROOM, int(self.part * width))
        return min(max(min(self.body, room if self.shrinks else width), longest_word), width)

    def lines(self, width: int) -> Iterator[str]:
        """The cells in a width."""
        place = to_right if self.is_number else to_left
        return (place(self.shorten(text, width), width) for text in self.texts)

    def heading_width(self, lines: int) -> int:
        """The least width in which the heading takes so many lines."""
        full = cell_width(self.heading)
        return next((size for size in range(2, full) if len(wrap(self.heading, size)) <= lines), full)

    def heading_lines(self, width: int) -> list[str]:
        """The heading in a width, on as many lines as it takes."""
        place = to_right if self.is_number else to_left
        return [place(line, width) for line in wrap(self.heading, width)]


def fitted_table(columns: Sequence[Column], importance: Sequence[str], screen: Screen, rest: str = "") -> str:
    """Return a table that is no wider than a screen, each row on one line.

    Headings break first, then long texts are shortened, then the columns that matter least are left out and
    named below.

    Args:
        columns: From left to right.
        importance: Names of columns, those that stay longest first; others follow from left to right. The
            first one says what a row is of, and stays.
        screen: Where it is read.
        rest: Of the rows that it has not, in words.

    Example:
        >>> layers, macs = Column("layer", "Layer", ["stem.conv"]), Column("macs", "MACs", ["118 M"], True)
        >>> columns = [layers, macs, Column("reason", "Reason", ["global mean"])]
        >>> print(fitted_table(columns, ["layer", "macs"], Screen(20)), end="")
        Layer       MACs
        ---------  -----
        stem.conv  118 M
        left out at 20
        columns: reason;
        --wide shows
        everything
    """
    width = screen.width or sum(column.body + cell_width(column.heading + _GAP) for column in columns)
    fitting = _columns_that_fit(columns, importance, width)
    widths = _widths(fitting, width)
    lines = [*_heading_lines(fitting, widths, screen)]
    bodies = zip(*(column.lines(size) for column, size in zip(fitting, widths, strict=True)), strict=True)
    lines += [_GAP.join(_painted(cell, screen) for cell in row).rstrip() for row in bodies]
    lines += screen.lines(rest) if rest else []
    if left_out := [column.name for column in columns if column not in fitting]:
        note = f"left out at {width} columns: {', '.join(left_out)}; --wide shows everything"
        lines += [screen.paint(line, "dim") for line in screen.lines(note)]
    return "".join(f"{line}\n" for line in lines)


def _columns_that_fit(columns: Sequence[Column], importance: Sequence[str], width: int) -> list[Column]:
    """The column that matters most, and of the others as many as there is room for."""
    # a name that stands there twice counts where it stands first
    rank = {name: number for number, name in enumerate(dict.fromkeys(importance))}
    first, *others = sorted(columns, key=lambda column: rank.get(column.name, len(rank)))
    fitting, room = [first], width - first.least(width)
    for column in others:
        least = len(_GAP) + column.least(width)
        if least <= room:
            fitting.append(column)
            room -= least
    return [column for column in columns if column in fitting]


def _widths(columns: Sequence[Column], width: int) -> list[int]:
    """The least widths, and what is left over for texts first and for headings of fewer lines then."""
    widths = [column.least(width) for column in columns]
    rest = width - sum(widths) - len(_GAP) * (len(columns) - 1)
    first = max(0, min(columns[0].body - widths[0], rest))
    widths[0] += first
    rest -= _spread(rest - first, columns, widths) + first
    most = max(len(wrap(column.heading, size)) for column, size in zip(columns, widths, strict=True))
    for lines in range(1, most):
        wider = [max(size, column.heading_width(lines)) for column, size in zip(columns, widths, strict=True)]
        if sum(wider) - sum(widths) <= rest:
            return wider
    return widths


def _spread(rest: int, columns: Sequence[Column], widths: list[int]) -> int:
    """Widen columns cell by cell, as long as some want more, and return the cells that they took."""
    cells = 0
    while hungry := [n for n, column in enumerate(columns) if column.body > widths[n]][: rest - cells]:
        for number in hungry:
            widths[number] += 1
        cells += len(hungry)
    return cells


def _heading_lines(columns: Sequence[Column], widths: Sequence[int], screen: Screen) -> Iterator[str]:
    """The headings, whose last lines stand side by side, and the rule below."""
    headings = [column.heading_lines(size) for column, size in zip(columns, widths, strict=True)]
    most = max(map(len, headings))
    blocks = [
        [" " * size] * (most - len(lines)) + lines for lines, size in zip(headings, widths, strict=True)
    ]
    yield from (screen.paint(_GAP.join(line).rstrip(), "bold") for line in zip(*blocks, strict=True))
    yield screen.paint(_GAP.join("-" * size for size in widths), "dim")


def _painted(cell: str, screen: Screen) -> str:
    """A cell with its bar in colour, or all of it where it is a word that matters."""
    if not screen.colour:
        return cell
    text = cell.strip()
    if style := _WORDS.get(re.split("[ :]", text, maxsplit=1)[0]):
        return cell.replace(text, screen.paint(text, style), 1)
    return _BLOCKS.sub(lambda bar: screen.paint(bar[0], "cyan"), cell)


def bar_text(part: float, largest: float) -> str:
    """A share in percent with its bar, as long beside that of the largest one; nothing for none.

    Example:
        >>> bar_text(21.9, 21.9), bar_text(0.8, 21.9), bar_text(0, 21.9)
        ('21.9 % █████', ' 0.8 % ▏', '')
    """
    if part <= 0 or largest <= 0:
        return ""
    full, rest = divmod(max(1, round(8 * _BAR * part / largest)), 8)
    number = f"{part:4.1f}" if part < 99.95 else " 100"
    return f"{number} % {'█' * full}{_EIGHTHS[rest]}".rstrip()


def facts_text(facts: Iterable[tuple[str, str]], label_width: int, screen: Screen) -> str:
    """Return a line for each label with its text, which goes on below itself where it is long.

    Args:
        facts: A label in capitals is a warning; a text without one has the whole line.
        label_width: Cells of the labels.
        screen: Where they are read.

    Example:
        >>> facts = [("Peak", "36.5 MiB"), ("Note", "runs for real on the CPU")]
        >>> print(facts_text(facts, 6, Screen(24)), end="")
        Peak   36.5 MiB
        Note   runs for real on
               the CPU
    """
    return "".join(
        f"{line}\n" for label, text in facts for line in _fact_lines(label, text, label_width, screen)
    )


def _fact_lines(label: str, text: str, label_width: int, screen: Screen) -> list[str]:
    if not label:
        return screen.lines(text, below=2)
    first, *others = screen.lines(f"{label:<{label_width}} {text}", label_width + 1)
    style: Style = "yellow" if label.isupper() else "bold"
    return [screen.paint(first[: len(label)], style) + first[len(label) :], *others]


def fitted_text(text: str, screen: Screen) -> str:
    r"""Return lines that fit a screen, what is too long going on below itself, further in.

    Args:
        text: Lines, some of them indented; one that begins with the word of a verdict has its colour.
        screen: Where it is read.

    Example:
        >>> print(fitted_text("failed  mobile\n  params: 7.21 M is above 7 M\n", Screen(22)), end="")
        failed  mobile
          params: 7.21 M is
            above 7 M
    """
    lines = (line for whole in text.splitlines() for line in _fitted_lines(whole, screen))
    return "".join(f"{line}\n" for line in lines)


def _fitted_lines(line: str, screen: Screen) -> Iterator[str]:
    first, *others = screen.lines(line, below=len(line) - len(line.lstrip(" ")) + 2)
    word = first.partition(" ")[0]
    yield screen.paint(word, _WORDS[word]) + first[len(word) :] if word in _WORDS else first
    yield from others


def page(subject: str, table: str, answer: str, screen: Screen) -> str:
    """Return a table below the line that says what it is of; a long one has the answer first and last.

    Args:
        subject: What was analysed, on one line.
        table: The rows.
        answer: The totals, or what else the table comes to.
        screen: Where it is read.
    """
    safe_subject = escape_markdown(subject) if screen is UNWRAPPED else subject
    head = "".join(f"{screen.paint(line, 'bold')}\n" for line in screen.lines(safe_subject, below=2))
    is_long = screen is not UNWRAPPED and table.count("\n") > LONG
    parts = [head, *[answer] * is_long, table, answer]
    return "\n".join(f"{part.rstrip()}\n" for part in parts if part.strip())
