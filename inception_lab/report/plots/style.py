"""The style of every plot: its colours, its letters, and its lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib.style
from matplotlib.font_manager import fontManager

from inception_lab.report.matplotlib_import import without_warnings

MARGIN = 0.16
INK, MUTED, FAINT = "#1b1b1b", "#666666", "#dddddd"
MACS, PARAMS = "#2f6690", "#b4532a"
# After Paul Tol's bright scheme: told apart with any colour vision, light and dark in turn
PALETTE = ("#4477aa", "#66ccee", "#ee6677", "#ccbb44", "#228833", "#aa3377", "#bbaadd", "#885533")
FONT = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same
FURTHER_FONTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans SC", "Noto Sans KR",
    "WenQuanYi Zen Hei", "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "Malgun Gothic",
    "PingFang SC", "Heiti TC", "Apple SD Gothic Neo", "Arial Unicode MS",
)  # fmt: skip
"""Fonts of other letters, Chinese and Korean ones above all, for those that `FONT` does not have."""
TITLE, TEXT, SMALL = 12.5, 9.0, 8.0

_STYLE: dict[str, Any] = {
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
    # text that can be found, copied and edited
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # a fixed salt for the ids: the same bytes on every machine
    "svg.hashsalt": "inception_lab",
}


@contextmanager
def plot_style() -> Iterator[None]:
    """The style of all plots, as a context in which the user's own settings count for nothing."""
    style = _STYLE | {"font.family": font_families()}
    # a further font may lack the bold letters of a title
    with without_warnings(), matplotlib.style.context(style, after_reset=True):
        yield


@cache
def font_families() -> list[str]:
    """The font of every plot, then those of the further ones that this machine has."""
    present = {font.name for font in fontManager.ttflist}
    return [FONT, *(name for name in FURTHER_FONTS if name in present)]
