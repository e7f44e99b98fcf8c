"""reports/ holds what the tool writes: the tables, records and pages that scripts/reports.sh makes.

reports/zoo is the comparison that scripts/zoo.sh makes. Plots are drawn by the scripts alone, and reports of
real runs are of the machine that they name. After a change of what a report says,

    UPDATE_REPORTS=1 python -m pytest tests/test_reports.py

writes all that both scripts write here anew, plots included.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch

import inception_lab as il
from inception_lab.cli import main
from inception_lab.report.plots import Plot

ROOT = Path(__file__).resolve().parents[1]
UPDATE = bool(os.environ.get("UPDATE_REPORTS"))
SCRIPT = (ROOT / "scripts" / "reports.sh").read_text().replace("\\\n", "")
COMMANDS = [shlex.split(text) for text in re.findall(r"\.venv/bin/inception-lab (.*)", SCRIPT)]
"""The arguments of the commands in the script."""
TESTED = re.findall(r"^torch==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)

pytestmark = pytest.mark.skipif(
    torch.__version__.partition("+")[0] not in TESTED, reason="reports/ names the tested torch"
)


PLOT = re.compile("<figure>.*?</figure>", re.DOTALL)
"""A plot on a page of HTML."""


def run(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(arguments)
    assert not exit_.value.code


@pytest.fixture
def reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to write reports into, without plots; with the flag, reports/ itself, with them."""
    folder = ROOT if UPDATE else tmp_path
    if not UPDATE:
        monkeypatch.setattr(Plot, "images", lambda *_: {"svg": b"<svg></svg>"})
    monkeypatch.chdir(folder)
    (folder / "reports" / "claims").mkdir(parents=True, exist_ok=True)
    return folder / "reports"


def texts(reports: Path, names: Iterable[str]) -> dict[str, str]:
    """The files of several reports by their paths, but for plots."""
    files = (path for name in names for path in (reports / name).iterdir() if path.suffix != ".svg")
    return {str(path.relative_to(reports)): PLOT.sub("", path.read_text()) for path in files}


MODELS = COMMANDS[0][1:]


def drift(reports: Path, *names: str) -> list[str]:
    """The files that are not as they have been written."""
    new, old = texts(reports, names), texts(ROOT / "reports", names)
    return sorted(path for path in new.keys() | old.keys() if new.get(path) != old.get(path))


HINT = "UPDATE_REPORTS=1 python -m pytest tests/test_reports.py writes them anew"


def test_reports_are_what_the_tool_writes(reports: Path) -> None:
    for arguments in COMMANDS:
        run(arguments)
    assert drift(reports, *MODELS, "comparison", "claims") == [], HINT


def test_the_comparison_of_the_zoo_is_what_the_tool_writes(reports: Path) -> None:
    il.write_comparison(il.zoo_records(il.list_models()), reports / "zoo")
    assert drift(reports, "zoo") == [], HINT


@pytest.mark.parametrize("name", [*MODELS, "comparison", "zoo"])
def test_every_plot_that_a_page_shows_is_there(name: str) -> None:
    page = (ROOT / "reports" / name / "README.md").read_text()
    plots = set(re.findall(r"\]\((\w+\.svg)\)", page))
    assert plots == {path.name for path in (ROOT / "reports" / name).glob("*.svg")}


def test_the_script_has_the_commands_that_are_tested() -> None:
    assert [arguments[0] for arguments in COMMANDS] == ["report", "confirm"]
    assert len(MODELS) == 6


def test_reports_stay_small() -> None:
    files = [path for path in (ROOT / "reports").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 6 * 2**20
