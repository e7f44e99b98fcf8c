"""Plots as SVG within a page: shorter, in the page's colours, with ids of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_COLOURS: Mapping[str, str] = {
    "#1b1b1b": "var(--ink)", "#666666": "var(--muted)", "#dddddd": "var(--line)", "#ffffff": "var(--paper)",
    "#dbe4ee": "var(--same)", "#cfdbe6": "var(--same)", "#cddbe7": "var(--same)",
}  # fmt: skip
"""Colours of text, lines and pale grounds in plots, and those of the page in the light and in the dark."""

_DROPPED = re.compile(
    r"""^.*?(?=<svg)                                  # what a file begins with
    | <metadata>.*?</metadata> | <!--.*?--> | <defs>\s*<style.*?</style>\s*</defs>
    | \sxmlns(:xlink)?="[^"]*" | \sversion="[^"]*"
    | (?<=<svg)\s(width|height)="[^"]*"
    | (?<=<g)\sid="[^"]*"                             # nothing refers to groups
    | \stransform="rotate\(-?0\ [^"]*"
    | \sfont-family:[^;"]*;?                          # the page has a font
    """,
    re.DOTALL | re.VERBOSE,
)
_SIZES = re.compile(r"(?<=<svg)((?: (?!width|height)[\w:-]+=\"[^\"]*\")*) width=\"[^\"]*\" height=\"[^\"]*\"")
_ID = re.compile(r'(?<=\bid=")|(?<=href="#)|(?<=url\(#)')
_LENGTHS = re.compile(r'(?<= )(?:d|x|y|x1|x2|y1|y2|width|height|points|transform|viewBox)="[^"]*"')
_NUMBER = re.compile(r"-?\d+\.\d+")
_STEP = re.compile(r"([A-Za-z])([^A-Za-z]*)")
_EMPTY = re.compile(r"<g/>|<g>\s*</g>")
_STYLE = re.compile(r'(?<= )style="([^"]*)"')
_COLOUR = re.compile("|".join(_COLOURS))
_BETWEEN = re.compile(r">\s*\n\s*<")


@dataclass(frozen=True)
class Figure:
    """A plot as it stands on a page.

    Attributes:
        svg: As matplotlib writes it.
        caption: What it shows, in one sentence.
    """

    svg: str
    caption: str


def inline_svg(svg: str, name: str) -> str:
    """Return a plot for a page that holds other plots too.

    Args:
        svg: As matplotlib writes it.
        name: Of the plot, with which its ids begin.

    Example:
        >>> svg = '<?xml?><svg width="9pt" height="9pt"><path id="a" d="M 1.2345 2 L 3 4"/></svg>'
        >>> inline_svg(svg, "x")
        '<svg><path id="x-a" d="M1.2 2L3 4"/></svg>'
    """
    text = _DROPPED.sub("", _SIZES.sub(r"\1", svg, count=1)).replace("xlink:href", "href")
    text = _LENGTHS.sub(lambda match: _short(match[0]), _ID.sub(f"{name}-", text))
    text = _EMPTY.sub("", _BETWEEN.sub("><", text))
    return _with_classes(text.strip(), name)


def _with_classes(text: str, name: str) -> str:
    """The plot with each style written once, as matplotlib writes it at every mark."""
    styles = {style: f"{name}{number}" for number, style in enumerate(dict.fromkeys(_STYLE.findall(text)))}
    if not styles:
        return text
    rules = "".join(f".{rule}{{{_themed(style)}}}" for style, rule in styles.items())
    text = _STYLE.sub(lambda match: f'class="{styles[match[1]]}"', text)
    return text.replace(">", f"><style>{rules}</style>", 1)


def _themed(style: str) -> str:
    return _COLOUR.sub(lambda match: _COLOURS[match[0]], style).replace("; ", ";").replace(": ", ":")


def _short(attribute: str) -> str:
    """An attribute of lengths with one digit behind the point, a path without spaces around its letters."""
    text = _NUMBER.sub(lambda match: f"{float(match[0]):.1f}".removesuffix(".0"), attribute)
    return f'd="{short_path(text[3:-1])}"' if text.startswith("d=") else text


def short_path(path: str) -> str:
    """Return a path of SVG without spaces around its letters, each line along an axis by one number.

    Example:
        >>> short_path("M 1 2 L 5 2 L 5 9 L 7 8 z")
        'M1 2H5V9L7 8z'
    """
    x = y = ""
    parts = []
    for letter, numbers in _STEP.findall(path):
        ends = numbers.split()[-2:]
        if letter == "L" and x == ends[0] and y != ends[1]:
            parts.append(f"V{ends[1]}")
        elif letter == "L" and y == ends[1]:
            parts.append(f"H{ends[0]}")
        else:
            parts.append(letter + " ".join(numbers.split()))
        x, y = ends or ("", "")
    return "".join(parts)
