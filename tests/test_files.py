"""Files are written whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from inception_lab.errors import InceptionLabError
from inception_lab.files import check_writable, write_bytes, write_text, written_together


@pytest.mark.parametrize(
    ("text", "content"), [("a", b"a\n"), ("a\n\n", b"a\n"), ("", b"\n"), ("é\nb", b"\xc3\xa9\nb\n")]
)
def test_a_text_ends_in_one_line_break(tmp_path, text, content):
    write_text(tmp_path / "file", text)
    assert (tmp_path / "file").read_bytes() == content


def test_missing_folders_are_made_and_nothing_else_is_left(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "file", b"\x00\r\n")
    write_bytes(tmp_path / "a" / "b" / "file", b"new")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"new"
    assert [path.name for path in tmp_path.rglob("*")] == ["a", "b", "file"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_an_interruption_leaves_the_old_file_alone(tmp_path, monkeypatch, error):
    path = tmp_path / "file"
    path.write_text("old")

    def fail(*_):
        raise error

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises((InceptionLabError, KeyboardInterrupt)) as failure:
        write_text(path, "new")
    if isinstance(error, OSError):
        line = f"{path}: cannot be written: No space left on device; name another file"
        assert (str(failure.value), failure.value.exit_code) == (line, 2)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o000, 0o666)])
def test_permissions_are_those_of_any_new_file(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder" / "file")
    write_text(tmp_path / "link", "a")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "file").read_text() == "a\n"


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "a")
        assert os.read(reader, 10) == b"a\n"
    finally:
        os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("place", ["folder", "file/within", "loop"])
def test_what_cannot_be_written_is_one_line(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InceptionLabError, match=r"cannot be written: .+; name another file") as refusal:
        write_text(tmp_path / place, "a")
    assert refusal.value.where.endswith(place)
    assert sorted(tmp_path.rglob("*")) == before


def test_files_of_a_folder_come_together_beside_others(tmp_path):
    folder = tmp_path / "a" / "folder"
    folder.mkdir(parents=True)
    (folder / "old").write_text("old")
    (folder / "other").write_text("other")
    with written_together(folder) as new:
        (new / "old").write_text("new")
        (new / "inner").mkdir()
        (new / "inner" / "file").write_text("file")
        assert (folder / "old").read_text() == "old"
    assert {p.name: p.read_text() for p in folder.rglob("*") if p.is_file()} == {
        "old": "new", "other": "other", "file": "file"
    }  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == ["inner", "old", "other"]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), OSError(28, "No space left")])
@pytest.mark.parametrize("existed", [False, True])
def test_an_interruption_leaves_nothing_of_a_folder(tmp_path, error, existed):
    folder = tmp_path / "a" / "folder"
    if existed:
        folder.mkdir(parents=True)

    def write_half():
        with written_together(folder) as new:
            (new / "file").write_text("half")
            raise error

    with pytest.raises((InceptionLabError, ValueError, KeyboardInterrupt)) as failure:
        write_half()
    if isinstance(error, OSError):
        assert str(failure.value) == f"{folder}: cannot be written: No space left; name another folder"
    else:
        assert failure.value is error
    assert [path.name for path in tmp_path.rglob("*")] == (["a", "folder"] if existed else [])


@pytest.mark.parametrize("place", ["file", "file/folder", "loop"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InceptionLabError, match="cannot be written"), written_together(tmp_path / place):
        pytest.fail("entered")


def write_new_files(folder):
    with written_together(folder) as place:
        (place / "first").write_text("new")
        (place / "inner").mkdir()
        (place / "inner" / "second").write_text("new")


def test_a_file_in_the_way_of_a_folder_is_found_before_anything_moves(tmp_path):
    (tmp_path / "inner").write_text("a file")
    (tmp_path / "first").write_text("old")
    with pytest.raises(InceptionLabError, match="inner is in the way"):
        write_new_files(tmp_path)
    assert (tmp_path / "first").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "inner"]


def test_a_file_that_can_be_written_is_not_made_yet(tmp_path):
    (tmp_path / "old").write_text("old")
    for path in (tmp_path / "new", tmp_path / "a" / "b" / "new", tmp_path / "old", Path(os.devnull)):
        check_writable(path)
    assert [(path.name, path.read_text()) for path in tmp_path.rglob("*")] == [("old", "old")]


@pytest.mark.parametrize(
    "name", ["", "file/new", "loop", "n" * 300 + "/new"], ids=["folder", "file", "loop", "long"]
)
def test_a_file_that_cannot_be_written_is_refused_as_writing_it_does(tmp_path, name):
    (tmp_path / "file").write_text("old")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for refuse in (check_writable, lambda path: write_text(path, "new")):
        with pytest.raises(InceptionLabError, match=r"cannot be written: .*; name another file") as error:
            refuse(tmp_path / name)
        assert (error.value.where, error.value.exit_code) == (str(tmp_path / name), 2)
