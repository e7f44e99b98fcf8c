"""Temporary files and folders of killed runs are cleared away, and only those."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inception_lab import leftovers
from inception_lab.files import write_text, written_together
from inception_lab.leftovers import MARK, OLD, clear_leftovers, put_back, temporary_prefix
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
    [
        None, MARK, f"{MARK}abc", f"{MARK}notes", f"{MARK}elsewhere-1-abc", f"{MARK}0123abcd-1-abc",
        f"{MARK}0123abcd-x-01234567-abc", f"{MARK}0123abcd-0-01234567-abc",
        f"{MARK}0123abcd-1-01234567-abc.txt", f"{MARK}0123abcd-1-01234567-", ".other-0123abcd-1-01234567-abc",
        "inception_lab",
    ],
)  # fmt: skip
@pytest.mark.parametrize("days", [0, 1.1])
def test_what_lives_and_what_is_not_ours_stays_however_old(tmp_path, name, days):
    path = tmp_path / (name or f"{temporary_prefix()}abc")
    path.write_text("theirs")
    aged(path, days)
    clear_leftovers(tmp_path)
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize(("days", "stays"), [(0.9, True), (1.1, False)])
def test_of_another_machine_what_is_older_than_a_day_goes(tmp_path, days, stays):
    path = tmp_path / f"{MARK}0123abcd-1-01234567-abc"
    path.touch()
    aged(path, days)
    clear_leftovers(tmp_path)
    assert path.exists() == stays


def test_what_an_earlier_process_of_the_same_number_left_goes(tmp_path):
    prefix, process = temporary_prefix().split(f"-{os.getpid()}-")[0], os.getpid()
    (tmp_path / f"{prefix}-{process}-01234567-abc").touch()
    clear_leftovers(tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("fact", ["_BOOT", "_CONTAINER"])
def test_another_start_and_another_container_of_one_host_name_are_other_machines(tmp_path, monkeypatch, fact):
    dead = tmp_path / f"{prefix_of_a_dead_process()}a"
    dead.touch()
    with monkeypatch.context() as patch:
        (tmp_path / "fact").write_text("another")
        patch.setattr(leftovers, fact, tmp_path / "fact")
        clear_leftovers(tmp_path)
        assert dead.exists()
    clear_leftovers(tmp_path)
    assert not dead.exists()


@pytest.mark.parametrize("days", [0, 1.1])
def test_a_link_stays_with_what_it_leads_to(tmp_path, days):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "file").touch()
    link = tmp_path / f"{prefix_of_a_dead_process()}a"
    link.symlink_to(tmp_path / "theirs")
    when = link.lstat().st_mtime - days * DAYS
    os.utime(link, (when, when), follow_symlinks=False)
    clear_leftovers(tmp_path)
    assert names(tmp_path) == sorted([link.name, "theirs"])
    assert names(tmp_path / "theirs") == ["file"]


@pytest.mark.parametrize("prefix", [f"{MARK}evil", f"{MARK}0123abcd-1-01234567-", None])
def test_nothing_comes_out_of_a_folder_that_is_linked_to(tmp_path, prefix):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "file").touch()
    (tmp_path / "shared").mkdir()
    planted = tmp_path / "shared" / f"{prefix or prefix_of_a_dead_process()}a"
    planted.mkdir()
    (planted / OLD).symlink_to(tmp_path / "home")
    aged(planted, 1.1)
    write_text(tmp_path / "shared" / "file.txt", "text")
    assert names(tmp_path / "shared") == sorted([planted.name, "file.txt"])
    assert names(tmp_path / "home") == ["file"]


def test_what_another_user_made_stays(tmp_path, monkeypatch):
    path = tmp_path / f"{prefix_of_a_dead_process()}a"
    path.touch()
    monkeypatch.setattr(os, "getuid", lambda: path.lstat().st_uid + 1)
    clear_leftovers(tmp_path)
    assert path.exists()


def test_what_was_replaced_does_not_take_the_place_of_a_link(tmp_path):
    place = tmp_path / f"{temporary_prefix()}a"
    (place / OLD / "report").mkdir(parents=True)
    (tmp_path / "report").symlink_to(tmp_path / "absent")
    put_back(place, tmp_path)
    assert (tmp_path / "report").is_symlink()
    assert names(place / OLD) == ["report"]


def test_one_that_cannot_be_cleared_leaves_the_others_to_be(tmp_path, monkeypatch):
    for letter in "ab":
        (tmp_path / f"{prefix_of_a_dead_process()}{letter}").touch()

    def refuse_the_first(*_, **__):
        monkeypatch.undo()
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refuse_the_first)
    clear_leftovers(tmp_path)
    assert len(names(tmp_path)) == 1


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
