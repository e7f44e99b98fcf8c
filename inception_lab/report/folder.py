"""Replacing a report folder at once or not at all."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy2, copymode, copytree, rmtree
from tempfile import mkdtemp

from inception_lab.errors import InceptionLabError
from inception_lab.record import SCHEMA

MARKERS = ("summary.json", "comparison.json")
"""The files, one of which every report holds."""
_OLD = "old"
_HINT = "name another one with --output"


@contextmanager
def replacing(folder: Path, ours: Collection[str]) -> Iterator[Path]:
    """A new folder to write into, which takes the place of `folder` when all went well.

    Where anything is raised, Ctrl-C included, the old folder stays as it was and nothing is left
    beside it. Files of the old folder that no report writes are carried over.

    Args:
        folder: Where the report will stand; missing folders above it are made.
        ours: Names of all files that a report may write.

    Raises:
        InceptionLabError: The folder holds something else than a report, or it cannot be written.
    """
    missing: list[Path] = []
    try:
        check_folder(folder)
        target = folder.resolve()
        missing += [place for place in target.parents if not place.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        with _workplace(target) as place:
            new = place / "new"
            new.mkdir()
            yield new
            _carry_over(target, new, ours)
            _swap(new, target)
    except BaseException as error:
        for empty in missing:
            with suppress(OSError):
                empty.rmdir()
        if isinstance(error, OSError):
            raise _refusal(folder, f"cannot be written: {error.strerror or error}") from error
        raise


def check_folder(folder: Path) -> None:
    """Refuse a folder that a report may not replace.

    Args:
        folder: Where a report will stand: missing, empty, or a report.

    Raises:
        InceptionLabError: It is a file, or the folder of something else, or the one in use.
    """
    try:
        target = folder.resolve()
        if not target.exists():
            return
        if not target.is_dir():
            raise _refusal(folder, "is a file")
        if any(target.iterdir()) and not _is_report(target):
            raise _refusal(folder, "holds files, but no report")
        if Path.cwd().is_relative_to(target):
            # its replacement would leave the caller in a folder that is gone
            raise _refusal(folder, "is in use as the current folder")
    except (OSError, RuntimeError) as error:  # before Python 3.13 a loop of links is a RuntimeError
        raise _refusal(folder, f"cannot be read: {error}") from error


def _refusal(folder: Path, what: str) -> InceptionLabError:
    return InceptionLabError(what, where=str(folder), hint=_HINT)


def _is_report(folder: Path) -> bool:
    return any(_is_ours(folder / name) for name in MARKERS)


def _is_ours(file: Path) -> bool:
    """Whether a file is a record that this tool wrote."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(data, dict)
        and data.get("schema") == SCHEMA
        and str(data.get("tool", "")).startswith("inception_lab ")
    )


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A hidden folder beside the report, gone in the end; an old report left in it goes back."""
    place = Path(mkdtemp(prefix=".inception_lab-", dir=target.parent))
    try:
        yield place
    finally:
        if (place / _OLD).exists() and not target.exists():
            (place / _OLD).rename(target)
        try:
            rmtree(place, ignore_errors=True)
        finally:
            rmtree(place, ignore_errors=True)  # the first one may have been interrupted


def _carry_over(old: Path, new: Path, ours: Collection[str]) -> None:
    """Copy what a report never writes from the old folder into the new one."""
    if not old.is_dir():
        return
    copymode(old, new)
    for found in old.iterdir():
        if found.name in ours:
            continue
        if found.is_dir() and not found.is_symlink():
            copytree(found, new / found.name, symlinks=True)
        else:
            copy2(found, new / found.name, follow_symlinks=False)


def _swap(new: Path, target: Path) -> None:
    """Put the new folder where the old one is, and the old one beside the new one."""
    if target.exists():
        target.rename(new.with_name(_OLD))
    new.rename(target)
