"""Sizes of plots: on a page, in a column of a paper, on a slide; and the kinds of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path
from types import MappingProxyType

from inception_lab.errors import InceptionLabError, nearest

KINDS = ("svg", "png", "pdf")
"""The kinds of files that a plot can be written to, by their endings."""


@dataclass(frozen=True)
class PlotSize:
    """The width and height that a plot is laid out for, and how large it is then drawn.

    A plot is laid out in inches around text of 9 points, and drawn `scale` times as large: narrow and
    small for a paper, with little on it and large for a slide, always with the same proportions.

    Attributes:
        name: Its name on the command line.
        width: Of the layout, in inches.
        scale: Drawn inches for each inch of the layout.
        height: Of the layout, in inches; infinite where a plot is as tall as its content.
        dpi: Pixels to a drawn inch of a PNG file.
        kinds: The files of each plot in a report.
    """

    name: str
    width: float
    scale: float
    height: float
    dpi: int
    kinds: tuple[str, ...]

    @property
    def is_slide(self) -> bool:
        """True where every plot is of the same height."""
        return isfinite(self.height)

    @property
    def layout_dpi(self) -> float:
        """Pixels to an inch of the layout."""
        return self.dpi * self.scale


PAGE = PlotSize("page", 9.375, 1, inf, 144, ("svg",))
"""900 pixels wide on a web page, text of 9 points."""
PAPER = PlotSize("paper", 4.5, 7 / 9, inf, 300, ("svg", "pdf"))
"""3.5 inches wide, a column of a paper, text of 7 points; LaTeX takes the PDF."""
SLIDE = PlotSize("slide", 7.5, 16 / 9, 7.5 * 9 / 16, 144, ("svg", "png"))
"""13.33 x 7.5 inches, a slide of 16:9, text of 16 points."""

SIZES: Mapping[str, PlotSize] = MappingProxyType({size.name: size for size in (PAGE, PAPER, SLIDE)})
"""Every size by its name, read-only."""


def size_of(name: str, kinds: Sequence[str] = ()) -> PlotSize:
    """Return a size by its name.

    Args:
        name: `page`, `paper` or `slide`.
        kinds: Endings of files that each plot of a report is written to beside those of the size.

    Raises:
        InceptionLabError: There is no such size, or no such kind of file.

    Example:
        >>> size = size_of("paper")
        >>> size.width * size.scale, size.kinds
        (3.5, ('svg', 'pdf'))
        >>> size_of("page", ["png"]).kinds
        ('svg', 'png')
    """
    if not isinstance(name, str) or name not in SIZES:
        raise InceptionLabError(f"no size {name!r}", hint=nearest(str(name), SIZES))
    for kind in kinds:
        if kind not in KINDS:
            raise InceptionLabError(f"no kind of plot {kind!r}", hint=nearest(str(kind), KINDS))
    size = SIZES[name]
    return replace(size, kinds=tuple(dict.fromkeys([*size.kinds, *kinds])))


def plot_kind(path: Path) -> str:
    """Return the kind of file that a path's ending names.

    Args:
        path: Such as `field.svg` or `field.PDF`.

    Raises:
        InceptionLabError: Nothing can be drawn into such a file.

    Example:
        >>> plot_kind(Path("field.PDF"))
        'pdf'
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in KINDS:
        raise InceptionLabError(f"cannot draw into {str(path)!r}", hint="end it with .svg, .png or .pdf")
    return kind
