from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inception_lab.errors import InceptionLabError
from inception_lab.report.plots.style import SMALL, TEXT
from inception_lab.report.sizes import PAPER, SIZES, SLIDE, plot_kind, size_of


def test_a_column_of_a_paper() -> None:
    assert PAPER.width * PAPER.scale == 3.5
    assert TEXT * PAPER.scale == 7
    assert SMALL * PAPER.scale >= 6


def test_a_slide_has_large_text_on_16_by_9() -> None:
    assert SLIDE.width / SLIDE.height == pytest.approx(16 / 9)
    assert SLIDE.width * SLIDE.layout_dpi == pytest.approx(1920)
    assert TEXT * SLIDE.scale == pytest.approx(16)
    assert [size.is_slide for size in SIZES.values()] == [False, False, True]


@pytest.mark.parametrize("name", ["papr", "", None, 3, ["paper"]])
def test_no_other_size(name: Any) -> None:
    with pytest.raises(InceptionLabError, match="no size"):
        size_of(name)


@pytest.mark.parametrize("name", ["a.svg", "a.PNG", "b.c.pdf"])
def test_the_ending_names_the_kind(name: str) -> None:
    assert plot_kind(Path(name)) == name[-3:].lower()


@pytest.mark.parametrize("name", ["a", "a.jpg", ".svg", "svg"])
def test_nothing_is_drawn_into_other_files(name: str) -> None:
    with pytest.raises(InceptionLabError, match=r"cannot draw into '.*'; end it with .svg, .png or .pdf"):
        plot_kind(Path(name))
