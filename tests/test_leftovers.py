"""Temporary files and folders of killed runs are cleared away, and only those."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inception_lab.files import write_text, written_together
from inception_lab.leftovers import MARK, clear_leftovers, temporary_prefix
from inception_lab.report.folder import replacing

DAYS = 24 * 3600


def prefix_of_a_dead_process():
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    return temporary_prefix().replace(f"-{os.getpid()}-", f"-{ended.pid}-")


def aged(path, days):
    when = path.lstat().st_mtime - days * DAYS
    os.utime(path, (when, when))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_a_dead_process_left_goes(tmp_path):
    (tmp_path / f"{prefix_of_a_dead_process()}a").write_text("half")
    (tmp_path / f"{prefix_of_a_dead_process()}b" / "new").mkdir(parents=True)
    clear_leftovers(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [None, f"{MARK}elsewhere-1-abc", f"{MARK}abc", MARK, ".other-1-abc", "inception_lab"],
)
def test_what_lives_and_what_others_made_stays(tmp_path, name):
    name = name or f"{temporary_prefix()}abc"
    (tmp_path / name).write_text("theirs")
    clear_leftovers(tmp_path)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(("name", "stays"), [("elsewhere-1-abc", False), ("abc", False), (None, True)])
def test_of_another_machine_and_of_an_older_version_what_is_older_than_a_day_goes(tmp_path, name, stays):
    path = tmp_path / (f"{MARK}{name}" if name else f"{temporary_prefix()}abc")
    path.touch()
    aged(path, 1.1)
    clear_leftovers(tmp_path)
    assert path.exists() == stays


def test_a_link_goes_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    (tmp_path / f"{prefix_of_a_dead_process()}a").symlink_to(tmp_path / "theirs")
    clear_leftovers(tmp_path)
    assert names(tmp_path) == ["theirs"]
    assert names(tmp_path / "theirs") == ["file"]


def test_a_folder_that_is_not_there_is_no_fault(tmp_path):
    clear_leftovers(tmp_path / "absent")
    assert names(tmp_path) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from unittest.mock import patch
from inception_lab.report.folder import replacing
rename, calls = Path.rename, []
def rename_once(self, target):
    calls.append(self)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
with patch.object(Path, "rename", rename_once), replacing(Path(sys.argv[1]), {"summary.json"}) as new:
    (new / "summary.json").write_text("{}")
"""
"""Killed between the two moves, when nothing stands in the place of the report."""


def test_a_report_whose_replacement_was_killed_half_way_comes_back_with_the_next_one(tmp_path):
    report = tmp_path / "report"
    report.mkdir()
    marker = '{"schema": 1, "tool": "inception_lab 0.1.0"}'
    (report / "summary.json").write_text(marker)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(report)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [name.startswith(MARK) for name in names(tmp_path)] == [True]
    with replacing(tmp_path / "another", {"summary.json"}) as new:
        (new / "summary.json").write_text(marker)
    assert names(tmp_path) == ["another", "report"]
    assert (report / "summary.json").read_text() == marker


@pytest.mark.parametrize("write", ["file", "folder"])
def test_whoever_writes_next_clears_them_away(tmp_path, write):
    leftover = Path(tmp_path / f"{prefix_of_a_dead_process()}a")
    leftover.mkdir()
    if write == "file":
        write_text(tmp_path / "file", "text")
    else:
        with written_together(tmp_path) as new:
            (new / "file").touch()
    assert names(tmp_path) == ["file"]
