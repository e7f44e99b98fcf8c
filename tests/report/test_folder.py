from __future__ import annotations

import re
import signal
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inception_lab.errors import InceptionLabError
from inception_lab.report.folder import check_folder, replacing, report_folders

OURS = frozenset({"summary.json", "old.svg", "README.md"})
MARKER = '{"schema": 1, "tool": "inception_lab 0.1.0"}'


def _write(folder: Path, **files: str) -> None:
    with replacing(folder, OURS) as new:
        (new / "summary.json").write_text(MARKER)
        for name, text in files.items():
            (new / name).write_text(text)


def _state(place: Path) -> dict[str, str]:
    """Every file and folder beneath a place."""
    paths = sorted(place.rglob("*"))
    return {str(p.relative_to(place)): p.read_text() if p.is_file() else "/" for p in paths}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    folder = tmp_path / "report"
    _write(folder, **{"README.md": "first"})
    (folder / "notes.txt").write_text("mine")
    (folder / "drafts").mkdir()
    (folder / "drafts" / "a.txt").write_text("mine too")
    return folder


def test_missing_folders_are_made(tmp_path: Path) -> None:
    _write(tmp_path / "a" / "b" / "report")
    assert _state(tmp_path) == {"a": "/", "a/b": "/", "a/b/report": "/", "a/b/report/summary.json": MARKER}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "report").mkdir()
    _write(tmp_path / "report")
    assert "report/summary.json" in _state(tmp_path)


def test_own_files_are_replaced_and_the_users_stay(report: Path) -> None:
    (report / "old.svg").write_text("stale")
    report.chmod(0o750)
    _write(report, **{"README.md": "second"})
    assert _state(report) == {
        "README.md": "second",
        "drafts": "/",
        "drafts/a.txt": "mine too",
        "notes.txt": "mine",
        "summary.json": MARKER,
    }
    assert report.stat().st_mode & 0o777 == 0o750


def test_links_are_carried_over_as_links(report: Path) -> None:
    (report / "link").symlink_to("nowhere")
    _write(report)
    assert (report / "link").readlink() == Path("nowhere")


def test_a_report_behind_a_link_is_replaced_where_it_is(report: Path) -> None:
    link = report.with_name("latest")
    link.symlink_to(report)
    _write(link, **{"README.md": "second"})
    assert link.is_symlink()
    assert (report / "README.md").read_text() == "second"


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_an_interruption_leaves_the_old_report(report: Path, error: type[BaseException]) -> None:
    before = _state(report.parent)
    with pytest.raises(error), replacing(report, OURS):
        raise error
    assert _state(report.parent) == before


def test_an_interruption_leaves_nothing_of_a_new_report(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "a" / "b" / "report", OURS):
        raise KeyboardInterrupt
    assert _state(tmp_path) == {}


@pytest.mark.parametrize("after", [False, True], ids=["before the old one moves", "after it moved"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_interrupted_swap_leaves_the_old_report(
    report: Path, error: type[BaseException], after: bool
) -> None:
    before, rename, calls = _state(report.parent), Path.rename, []

    def interrupt(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 1 + after:
            raise error
        return rename(self, target)

    with patch.object(Path, "rename", interrupt), pytest.raises((KeyboardInterrupt, InceptionLabError)):
        _write(report)
    assert _state(report.parent) == before


def test_an_interrupted_cleaning_leaves_nothing_behind(report: Path) -> None:
    import inception_lab.report.folder as module

    remove = module.rmtree

    def interrupt(path: Path, ignore_errors: bool = False) -> None:
        signal.raise_signal(signal.SIGINT)
        remove(path, ignore_errors=ignore_errors)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with patch.object(module, "rmtree", interrupt), pytest.raises(KeyboardInterrupt):
            _write(report, **{"README.md": "second"})
    finally:
        signal.signal(signal.SIGINT, before)
    assert [path.name for path in report.parent.iterdir()] == ["report"]
    assert (report / "README.md").read_text() == "second"


def test_a_disk_that_refuses_is_said_in_one_line(report: Path) -> None:
    before = _state(report.parent)
    with pytest.raises(InceptionLabError) as refusal, replacing(report, OURS):
        raise OSError(28, "No space left on device")
    assert "No space left on device" in str(refusal.value)
    assert _state(report.parent) == before


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "no json",
        "[1]",
        '{"schema": 1}',
        '{"schema": 1, "tool": "other 1.0"}',
        '{"tool": "inception_lab 0.1.0"}',
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "summary.json").write_text(content)
    before = _state(tmp_path)
    with pytest.raises(InceptionLabError) as refusal:
        _write(tmp_path)
    assert refusal.value.exit_code == 2
    assert str(tmp_path) in str(refusal.value)
    assert "name another folder" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert _state(tmp_path) == before


@pytest.mark.parametrize("place", ["file", "file/report", "file/a/report", "/proc/nothing/report", "x" * 300])
def test_what_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InceptionLabError) as refusal:
        _write(tmp_path / place)
    assert refusal.value.exit_code == 2
    assert "\n" not in str(refusal.value)
    assert _state(tmp_path) == {"file": "mine"}


def test_a_loop_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InceptionLabError):
        _write(tmp_path / "loop")


def test_the_current_folder_is_refused(report: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(report / "drafts")
    with pytest.raises(InceptionLabError, match="current folder"):
        check_folder(Path(".."))


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/"), min_size=1, max_size=50
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(NAMES, NAMES.filter(lambda name: name not in OURS))
def test_any_folder_and_any_note(tmp_path_factory: pytest.TempPathFactory, folder: str, note: str) -> None:
    place = tmp_path_factory.mktemp("any") / folder
    _write(place)
    (place / note).write_text("mine")
    _write(place)
    assert _state(place) == {"summary.json": MARKER, note: "mine"}
    assert [path.name for path in place.parent.iterdir()] == [folder]


def test_each_of_several_models_has_a_folder_of_its_own() -> None:
    folders = report_folders([("googlenet", ()), ("torchvision.models:alexnet", ())], Path("all"))
    assert folders == [Path("all/googlenet"), Path("all/torchvision.models.alexnet")]
    with pytest.raises(InceptionLabError, match=r"^named twice: nin batch8; name each model once$"):
        report_folders([("nin", ["batch8"]), ("nin", ()), ("nin", ["batch8"])], Path("all"))


def test_variants_of_one_model_have_short_folders_of_their_own() -> None:
    models = [
        "nin", "nin(num_classes=10)", "my.nets:Net(se=False, width=0.5)", "n:N(act='relu')",
        "n:N(act='relu/6')", "n:N(act='relu:6')", "n:N(a='1')", "n:N(a=1)", "n:N(a=[1])", "n:N(a=(1,))",
        f"n:N(a='{'x' * 300}')", f"n:N(a='{'x' * 301}')", "n:N(a='inf')", "n:N(a=inf)", "n:N(a=-inf)",
        "a.b:net", "a:b.net", "a/b.py:net", "a.b.py:net", "n:N(a='x-batch8')", "n:N(a='arg-b=1')",
        "n:N(mask=3)", "n:N(a=True)", "n:N(a='True')", "n:N(a='')", "模:N", "块:N", "\ud800:N", "\ud801:N",
    ]  # fmt: skip
    subjects = [(model, ()) for model in models]
    subjects += [("n:N(a='x')", ["batch8"]), ("n:N(a='x')", ["arg-b=1"]), ("n:N", ["input-mask=3"])]
    subjects += [("n:N", ["3x8x8", "train", "adam"]), ("n:N", ["3x8x8.int64"]), ("n:N", ["arg-[1, 2]"])]
    names = [folder.name for folder in report_folders(subjects, Path("all"))]
    assert names[:4] == ["nin", "nin-num_classes=10", "my.nets.Net-se=False-width=0.5", "n.N-act=relu"]
    assert len(set(names)) == len(names)
    assert all(len(name) < 170 and re.fullmatch(r"[\w.=-]+", name) and name.encode() for name in names)
    assert {"n.N-a=x-batch8", "n.N-3x8x8-train-adam", "n.N-input-mask=3"} <= set(names)


def test_names_that_some_systems_do_not_tell_apart_have_folders_of_their_own(tmp_path: Path) -> None:
    both = [("n:Net", ()), ("n:net", ())]
    together = [folder.name for folder in report_folders(both, tmp_path)]
    assert len({name.casefold() for name in together}) == 2
    # in two commands, in either order
    for subject in (*both, *both):
        (folder,) = report_folders([subject], tmp_path)
        folder.mkdir(exist_ok=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(together)
