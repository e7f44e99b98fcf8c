"""Texts measured as terminals show them: most characters take one cell, a Chinese one takes two."""

from __future__ import annotations

import re

ELLIPSIS = "…"
_WORD = re.compile("( *)([^ ]+)")


def cell_width(text: str) -> int:
    """Return the cells that a text takes on a terminal.

    Example:
        >>> cell_width("conv1"), cell_width("卷积1")
        (5, 5)
    """
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def to_left(text: str, width: int) -> str:
    """Return a text with spaces behind it, up to a width."""
    return text + " " * (width - cell_width(text))


def to_right(text: str, width: int) -> str:
    """Return a text with spaces before it, up to a width."""
    return " " * (width - cell_width(text)) + text


def shorten_middle(text: str, width: int) -> str:
    """Return a text without its middle where it is too long; the end of a path tells more than its beginning.

    Args:
        text: On one line.
        width: Cells that it may take, at least one.

    Example:
        >>> shorten_middle("inception3a.branch3.conv5x5.conv", 20), shorten_middle("特征提取主干网络", 9)
        ('incept….conv5x5.conv', '特…干网络')
    """
    if cell_width(text) <= width:
        return text
    start = _first_cells(text, (width - 1) // 3)
    room = width - 1 - cell_width(start)
    return start + ELLIPSIS + _first_cells(text[::-1], room)[::-1]


def shorten_end(text: str, width: int) -> str:
    """Return a text without its end where it is too long, as of a sentence the beginning tells more.

    Args:
        text: On one line.
        width: Cells that it may take, at least one.

    Example:
        >>> shorten_end("fvcore counts normalisation", 20), shorten_end("65,536 parameters", 12)
        ('fvcore counts …', '65,536 …')
    """
    if cell_width(text) <= width:
        return text
    start = _first_cells(text, width - 1)
    words = start.rpartition(" ")[0]
    return (f"{words} " if cell_width(words) >= width // 2 else start) + ELLIPSIS


def _first_cells(text: str, width: int) -> str:
    """The longest beginning of a text that takes no more cells."""
    for length in range(min(len(text), width), 0, -1):
        if cell_width(text[:length]) <= width:
            return text[:length]
    return ""


def wrap(text: str, width: int, below: int = 0) -> list[str]:
    """Break a text between its words, and words that no line can hold.

    Args:
        text: On one line; spaces within a line stay as they are.
        width: Cells of a line, at least two more than `below`.
        below: Spaces before each line but the first.

    Example:
        >>> wrap("fvcore counts normalisation", 16, below=2)
        ['fvcore counts', '  normalisation']
    """
    if cell_width(text) <= width:
        return [text]
    lines, line = [], ""
    for gap, word in _WORD.findall(text):
        gap = gap if line else gap[: width // 2]
        if line.strip() and cell_width(line + gap + word) > width:
            lines.append(line)
            line, gap = " " * below, ""
        while cell_width(line + gap + word) > width:
            piece = _first_cells(word, width - cell_width(line + gap)) or word[:1]
            lines.append(line + gap + piece)
            line, gap, word = " " * below, "", word[len(piece) :]
        line += gap + word
    return [*lines, line]
