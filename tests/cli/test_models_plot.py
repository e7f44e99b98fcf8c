"""`inception-lab models`: its groups, and its plot."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.typed import typed

from inception_lab.models.cards import CARDS

Capture = pytest.CaptureFixture[str]


def test_a_family_is_named_once(capsys: Capture) -> None:
    _, text, _ = typed(capsys, "models")
    lines = text.splitlines()
    rows = lines[next(k for k, line in enumerate(lines) if line.startswith("---")) + 1 : -1]
    named = [row.split()[0] for row in rows if not row.startswith(" ")]
    assert named == list(dict.fromkeys(card.family for card in CARDS.values()))
    assert len(rows) == len(CARDS)


def test_programs_read_the_family_of_every_model(capsys: Capture) -> None:
    _, text, _ = typed(capsys, "models", "--format", "csv")
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == [card.family for card in CARDS.values()]


def test_the_plot_of_a_family(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "zoo.svg"
    code, text, _ = typed(capsys, "models", "--family", "inception", "--plot", str(path))
    assert code == 0
    assert "inception_v4" in text
    picture = path.read_text()
    assert "inception_v2 (a reconstruction)" in picture
    assert "vgg16" not in picture


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--plot", "zoo.gif"], "zoo.gif'; end it with .svg, .png or .pdf"),
        (["--size", "paper"], "--size without --plot"),
        (["--family", "tutorial", "--plot", "zoo.svg"], "fewer than two models have errors"),
        (["--family", "nin", "--plot", "zoo.svg"], "fewer than two models have errors"),
    ],
)
def test_what_cannot_be_drawn_is_refused(
    arguments: list[str], line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.chdir(tmp_path)
    code, text, error = typed(capsys, "models", *arguments)
    assert (code, text) == (2, "")
    assert line in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
