"""Text of the page can be read in the light and in the dark: contrast as WCAG 2.2 defines it."""

import re
from itertools import product
from pathlib import Path

import pytest

from inception_lab.report import html
from inception_lab.report.html.inline_svg import inline_svg
from inception_lab.report.plots.field_panel import BAND
from inception_lab.report.plots.memory_timeline import LASTING
from inception_lab.report.plots.saving import BAR

CSS = (Path(html.__file__).parent / "page.css").read_text()
LIGHT, DARK, PRINT = (
    dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6})", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)
)
MOST = int(re.search(r"calc\(var\(--t, 0\) \* (\d+)%\)", CSS)[1]) / 100
"""The part of that colour in the box with most of a metric."""


def channels(colour):
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]


def mixed(first, second, part):
    return [part * a + (1 - part) * b for a, b in zip(channels(first), channels(second), strict=True)]


def luminance(rgb):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_the_formula():
    assert contrast(channels("#000"), channels("#fff")) == pytest.approx(21)
    # the lightest grey that passes on white
    assert contrast(channels("#767676"), channels("#fff")) == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_text_stands_out(theme):
    for text in ("ink", "muted", "accent"):
        for ground in ("paper", "sheet"):
            assert contrast(channels(theme[text]), channels(theme[ground])) >= 4.5, (text, ground)


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_boxes_of_the_map_can_be_read_however_much_colour_they_have(theme):
    for part, ground in product((0, MOST / 2, MOST), ("paper", "sheet")):
        assert contrast(channels(theme["ink"]), mixed(theme["heat"], theme[ground], part)) >= 4.5
    # a border is no text
    assert contrast(channels(theme["edge"]), channels(theme["paper"])) >= 3


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_marked_rows_can_be_read(theme):
    assert contrast(channels(theme["ink"]), channels(theme["mark"])) >= 4.5


@pytest.mark.parametrize("theme", [LIGHT, DARK, PRINT], ids=["light", "dark", "print"])
def test_text_on_pale_grounds_of_plots_can_be_read(theme):
    grounds = {
        inline_svg(f'<svg><path style="fill: {colour}"/></svg>', "x") for colour in (LASTING, BAR, BAND)
    }
    assert len(grounds) == 1
    assert "{fill:var(--same)}" in grounds.pop()
    assert contrast(channels(theme["ink"]), channels(theme["same"])) >= 4.5
