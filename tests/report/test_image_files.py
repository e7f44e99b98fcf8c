from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from xml.etree import ElementTree
from zlib import decompress

import matplotlib
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib import image as pixels
from matplotlib.figure import Figure
from support.hostile_names import HOSTILE_NAMES
from support.plot_layout import check_layout
from support.report_nets import inception, layer, net

from inception_lab.report.contents import ReportContents
from inception_lab.report.plots import MODEL_PLOTS
from inception_lab.report.plots.style import plot_style
from inception_lab.report.sizes import KINDS, PAGE, PAPER, SIZES, PlotSize
from inception_lab.report.text import one_line, subject_text

PLOT = MODEL_PLOTS["cost_along_depth"]
SVG = "{http://www.w3.org/2000/svg}"
NAMES = [*HOSTILE_NAMES, "<script>alert(1)</script>", "]]>", "🙂", "\0", "\ud800", "한국어", "&amp;"]
"""Names that would break out of the text around them, or that no font of ours has letters for."""


def _image(contents: ReportContents, kind: str, size: PlotSize = PAGE) -> bytes:
    return PLOT.images(contents, size, [kind])[kind]


def _svg(contents: ReportContents, size: PlotSize = PAGE) -> ElementTree.Element:
    return ElementTree.fromstring(_image(contents, "svg", size))


def _named(name: str) -> ReportContents:
    layers = [layer(name, "", 640, 9), *inception(2)]
    return net(layers, name)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
@pytest.mark.parametrize("kind", KINDS)
def test_any_name_can_be_drawn(name: str, kind: str) -> None:
    assert _image(_named(name), kind)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_are_text_and_not_markup(name: str) -> None:
    svg = _svg(_named(name))
    assert not list(svg.iter(f"{SVG}script"))
    assert any(one_line(name) in text for text in map(_text, svg.iter(f"{SVG}text")))


def _text(element: ElementTree.Element) -> str:
    return element.text or ""


def test_the_title_of_an_svg_is_that_of_the_plot(contents: ReportContents) -> None:
    svg = _svg(contents)
    title = svg[0]
    assert title.tag == f"{SVG}title"
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == title.text
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    finding = next(text for text in texts if text and text.startswith("Half of the"))
    assert title.text == f"{finding} · {subject_text(contents.record.context)}"


def test_the_title_of_a_file_names_the_variant() -> None:
    contents = _named("nin(num_classes=10)")
    subject = subject_text(contents.record.context)
    assert subject.startswith("nin(num_classes=10), input ")
    assert str(_svg(contents)[0].text).endswith(f" · {subject}")
    pdf = _image(_named("wide"), "pdf")
    assert b"wide, input" in pdf or "wide, input".encode("utf-16-be") in pdf


def _notes(monkeypatch: pytest.MonkeyPatch, name: str, kind: str) -> list[str]:
    """The texts about letters without a font in a figure, at the time that it is written."""
    notes: list[str] = []

    def write(figure: Figure, _: PlotSize) -> bytes:
        notes.extend(text.get_text() for text in figure.texts if "no font" in text.get_text())
        check_layout(figure)
        return b""

    monkeypatch.setattr("inception_lab.report.plots.image_files._WRITERS", dict.fromkeys(KINDS, write))
    for size in SIZES.values():
        _image(_named(name), kind, size)
    return notes


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_letters_that_no_font_has_are_noted(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr("inception_lab.report.plots.image_files.font_families", lambda: ["DejaVu Sans"])
    note = f"Letters that no font here has are boxes in the {kind.upper()}; an SVG has them"
    assert _notes(monkeypatch, "한국어", kind) == [note] * len(SIZES)
    assert _notes(monkeypatch, "Größe", kind) == []


def test_an_svg_has_every_letter_and_no_note() -> None:
    files = PLOT.images(_named("한국어"), PAGE, ["png", "svg"])
    svg = files["svg"].decode()
    assert "한국어" in svg
    assert "no font" not in svg


def test_fonts_have_others_to_fall_back_on(contents: ReportContents) -> None:
    styles = [text.attrib["style"] for text in _svg(contents).iter(f"{SVG}text")]
    assert styles
    assert all("'DejaVu Sans', " in style and "Verdana" in style for style in styles)
    assert all("sans-serif" in style for style in styles)


def test_fonts_of_this_machine_are_not_in_an_svg(
    contents: ReportContents, monkeypatch: pytest.MonkeyPatch
) -> None:
    families = ["DejaVu Sans", "DejaVu Sans Mono"]
    plain = {kind: _image(contents, kind) for kind in KINDS}
    for place in ("style", "image_files"):
        monkeypatch.setattr(f"inception_lab.report.plots.{place}.font_families", lambda: families)
    assert {kind: _image(contents, kind) for kind in KINDS} == plain


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_files_are_as_large_as_their_size(contents: ReportContents, size: PlotSize) -> None:
    width = size.width * size.scale
    svg = _svg(contents, size)
    assert svg.attrib["width"] == f"{72 * width:g}pt"
    assert svg.attrib["viewBox"].startswith(f"0 0 {72 * size.width:g} ")
    assert f"/MediaBox [ 0 0 {72 * width:g} ".encode() in _image(contents, "pdf", size)
    rows = pixels.imread(io.BytesIO(_image(contents, "png", size)))
    assert rows.shape[1] == pytest.approx(width * size.dpi, abs=1)
    assert np.ptp(rows) > 0.5


def test_an_svg_keeps_its_proportions(contents: ReportContents) -> None:
    svg = _svg(contents, PAPER)
    drawn = [float(svg.attrib[side].removesuffix("pt")) for side in ("width", "height")]
    laid_out = [float(side) for side in svg.attrib["viewBox"].split()[2:]]
    assert drawn == pytest.approx([PAPER.scale * side for side in laid_out], rel=1e-5)


def test_a_pdf_is_drawn_as_large_as_its_page(contents: ReportContents) -> None:
    pdf = _image(contents, "pdf", PAPER)
    streams = map(decompress, re.findall(rb"stream\n(x.*?)\nendstream", pdf, re.DOTALL))
    assert any(b"\n0.7777777778 0 0 0.7777777778 0 0 cm\n" in stream for stream in streams)


@pytest.mark.parametrize("kind", KINDS)
def test_files_carry_neither_date_nor_software(contents: ReportContents, kind: str) -> None:
    file = _image(contents, kind)
    assert not re.search(rb"dc:date|CreationDate|Producer|Software", file)
    assert matplotlib.__version__.encode() not in file


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bytes_every_time(contents: ReportContents, kind: str) -> None:
    assert _image(contents, kind) == _image(contents, kind)


def test_letters_of_a_pdf_are_text(contents: ReportContents) -> None:
    pdf = _image(contents, "pdf")
    # TrueType, and so copied and found, where Type 3 is refused by some publishers
    assert b"/Subtype /Type0" in pdf or b"/Subtype /TrueType" in pdf
    assert b"/Type3" not in pdf


def test_no_font_is_missing_on_any_machine() -> None:
    data = Path(matplotlib.get_data_path()).resolve()
    assert data in Path(font_manager.findfont("DejaVu Sans")).resolve().parents


def test_fonts_without_bold_letters_are_not_worth_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("matplotlib.font_manager")
    with plot_style():
        log.warning("Failed to find font weight bold")
    assert not caplog.records
    log.warning("the user's own plots may say so")
    assert caplog.records
