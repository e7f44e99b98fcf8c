"""Text measured in inches, and cut or broken to the room that a plot has for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from itertools import takewhile

from matplotlib.font_manager import FontProperties, findfont, get_font

from inception_lab.report.plots.style import FONT, TEXT, TITLE
from inception_lab.report.text import one_line


def text_width(text: str, size: float = TEXT, weight: str = "normal") -> float:
    """Width of a line of text in inches."""
    # hinting draws letters a little wider than they are
    return 1.03 * sum(_advance(letter, weight) for letter in text) * size / 72


@cache
def _advance(letter: str, weight: str) -> float:
    """Distance from a letter to the next one, as a part of the font's size."""
    font = get_font(findfont(FontProperties(family=FONT, weight=weight)))
    font.set_size(100, 72)
    # the glyph of a letter that the font does not have is number 0, a box; FreeType gives 1/65536 of a pixel
    glyph = font.get_char_index(ord(letter))
    width = float(font.load_glyph(glyph).linearHoriAdvance) / 65536 / 100
    # other fonts, here or wherever an SVG is shown, draw Chinese as wide as high, an emoji a little wider
    is_wide = not glyph and unicodedata.east_asian_width(letter) in "WF"
    return (1.25 if ord(letter) > 0xFFFF else 1.0) if is_wide else width


def shorten(text: str, width: float, size: float = TEXT) -> str:
    """A text without its middle where it is wider than `width` inches, on one line."""
    text = one_line(text)
    if text_width(text, size) <= width:
        return text
    # the first guess takes all letters for equally wide
    keep = int(len(text) * width / text_width(text, size))
    while keep > 2 and text_width(_without_middle(text, keep), size) > width:
        keep -= 1
    return _without_middle(text, keep)


def _without_middle(text: str, keep: int) -> str:
    # the end of a module's path says more than its beginning
    return f"{text[: keep // 3]}…{text[-(keep - keep // 3 - 1) :]}"


def first_fitting(headings: Sequence[str], width: float) -> str:
    """The first of several headings that is no wider than `width` inches, else the last."""
    return next((text for text in headings if text_width(text, weight="bold") <= width), headings[-1])


def headline(name: str) -> str:
    """A name as it fits into a title."""
    return shorten(name, 4.5, TITLE)


def distinct(names: Sequence[str], width: float, size: float = TEXT) -> list[str]:
    """Names no wider than `width` inches, cut where they still differ."""
    short = [shorten(name, width, size) for name in names]
    if len(set(short)) == len(set(names)):
        return short
    # without their middles two are the same: drop what all long ones begin with instead, but for
    # a few letters that show where they part
    long = [name for name, text in zip(names, short, strict=True) if one_line(name) != text]
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*long, strict=False))
    start = max(len(list(alike)) - 8, 0)
    return [
        text if one_line(name) == text else _beginning(f"…{one_line(name[start:])}", width, size)
        for name, text in zip(names, short, strict=True)
    ]


def _beginning(text: str, width: float, size: float) -> str:
    """As much of the beginning of a text as fits into `width` inches."""
    keep = len(text)
    while keep > 1 and text_width(_first_letters(text, keep), size) > width:
        keep -= 1
    return _first_letters(text, keep)


def _first_letters(text: str, keep: int) -> str:
    return text if keep >= len(text) else f"{text[:keep]}…"


def wrap(text: str, width: float, size: float = TEXT, weight: str = "normal") -> list[str]:
    """A text in lines no wider than `width` inches."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size, weight) <= width:
            lines[-1] = longer
        else:
            lines.append(shorten(word, width * 0.85, size))
    return lines or [""]
