"""A plot as a file: SVG, PNG or PDF, the same bytes every time."""

# mypy: allow-untyped-calls

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from xml.sax.saxutils import quoteattr

from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

from inception_lab.report.plots.style import MARGIN, MUTED, font_families
from inception_lab.report.sizes import PlotSize

_SVG_FONTS = "'DejaVu Sans', 'Bitstream Vera Sans', Verdana, 'Noto Sans', Arial, sans-serif"
"""Fonts for whatever shows an SVG file, alike in width; the same on every machine that writes one."""
_NOTE = 7.0
"""Size of the note above a title, which has this much room."""
_SVG_ROOT = re.compile(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"')


def image(figure: Figure, kind: str, size: PlotSize) -> bytes:
    """A figure as a file, the same bytes every time.

    Args:
        figure: Drawn within `plot_style`, and saved within it; its label is the title of the file.
        kind: A name from `inception_lab.report.sizes.KINDS`.
        size: That it was laid out for.
    """
    with warnings.catch_warnings(), _noted(figure, kind):
        # a letter that no font has is drawn as a box
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        return _WRITERS[kind](figure, size)


@contextmanager
def _noted(figure: Figure, kind: str) -> Iterator[None]:
    """The figure with a note above its title where letters of it become boxes; an SVG has every letter."""
    texts = "".join(text.get_text() for text in figure.findobj(Text))
    if kind == "svg" or all(map(_has_glyph, set(texts))):
        yield
        return
    words = f"Letters that no font here has are boxes in the {kind.upper()}; an SVG has them"
    width, height = figure.get_size_inches()
    note = figure.text(MARGIN / width, 1 - 0.13 / height, words, color=MUTED, size=_NOTE)
    try:
        yield
    finally:
        note.remove()


def _has_glyph(letter: str) -> bool:
    """True where a font of this machine has the letter."""
    fonts = (get_font(findfont(FontProperties(family=name))) for name in font_families())
    return letter.isspace() or any(font.get_char_index(ord(letter)) for font in fonts)


def _svg(figure: Figure, size: PlotSize) -> bytes:
    file, title = io.StringIO(), str(figure.get_label())
    figure.savefig(file, format="svg", metadata={"Title": title, "Date": None, "Creator": None})
    # this machine's fonts say nothing to another one, which has its own for other letters
    text = file.getvalue().replace(", ".join(map(repr, font_families())), _SVG_FONTS)
    width, height = (f"{72 * size.scale * inches:.6g}pt" for inches in figure.get_size_inches())
    facts = f'width="{width}" height="{height}" role="img" aria-label={quoteattr(title)}'
    return _SVG_ROOT.sub(lambda root: root[1] + facts, text, count=1).encode()


def _png(figure: Figure, size: PlotSize) -> bytes:
    file, dpi = io.BytesIO(), (size.dpi, size.dpi)
    figure.savefig(
        file, format="png", dpi=size.layout_dpi, metadata={"Software": None}, pil_kwargs={"dpi": dpi}
    )
    return file.getvalue()


def _pdf(figure: Figure, size: PlotSize) -> bytes:
    # as matplotlib's own `print_pdf`, which knows no scale; 72 points to an inch
    file, figure.dpi = io.BytesIO(), 72
    pdf = _ScaledPdf(file, str(figure.get_label()), size.scale)
    width, height = figure.get_size_inches()
    pdf.newPage(width, height)
    renderer = RendererPdf(pdf, size.layout_dpi, height, width)
    figure.draw(renderer)
    renderer.finalize()
    pdf.finalize()
    pdf.close()
    return file.getvalue()


class _ScaledPdf(PdfFile):
    """A PDF file on whose pages an inch of the layout is `scale` inches."""

    def __init__(self, file: io.BytesIO, title: str, scale: float) -> None:
        self.scale = scale
        unset = dict.fromkeys(("Creator", "Producer", "CreationDate"))
        super().__init__(file, metadata={"Title": title, **unset})

    def newPage(self, width: float, height: float) -> None:  # noqa: N802 - matplotlib's name
        """Begin a page, on which all that follows is scaled."""
        super().newPage(self.scale * width, self.scale * height)
        self.output(self.scale, 0, 0, self.scale, 0, 0, Op.concat_matrix)


_WRITERS: Mapping[str, Callable[[Figure, PlotSize], bytes]] = MappingProxyType(
    {"svg": _svg, "png": _png, "pdf": _pdf}
)
