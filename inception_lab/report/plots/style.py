"""The style of every plot: its colours, its sizes, and its files."""

from __future__ import annotations

import io
import warnings
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

WIDTH = 9.375
"""Of every plot, in inches: 900 pixels on a page."""
MARGIN = 0.16
INK, MUTED, FAINT = "#1b1b1b", "#666666", "#dddddd"
MACS, PARAMS = "#2f6690", "#b4532a"
OUTSIDE = "#a3a3a3"
# After Paul Tol's bright scheme: told apart with any colour vision, light and dark in turn
PALETTE = ("#4477aa", "#66ccee", "#ee6677", "#ccbb44", "#228833", "#aa3377", "#bbaadd", "#885533")
FONT = "DejaVu Sans"  # comes with matplotlib, so that every machine draws the same
TITLE, TEXT, SMALL = 12.5, 9.0, 8.0

_STYLE: dict[str, Any] = {
    "font.family": [FONT],
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
    # letters as shapes, and a fixed salt for the ids: the same bytes on every machine
    "svg.fonttype": "path",
    "svg.hashsalt": "inception_lab",
}
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}


def plot_style() -> AbstractContextManager[None]:
    """The style of all plots, as a context in which the user's own settings count for nothing."""
    return matplotlib.style.context(_STYLE, after_reset=True)


def image(figure: Figure, kind: str) -> bytes:
    """A figure as a file, the same bytes every time.

    Args:
        figure: Drawn within `plot_style`, and saved within it.
        kind: `svg` or `png`.
    """
    file = io.BytesIO()
    with warnings.catch_warnings():
        # a letter that the font does not have is drawn as a box
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        figure.savefig(file, format=kind, dpi=144, metadata=_METADATA[kind])
    return file.getvalue()
