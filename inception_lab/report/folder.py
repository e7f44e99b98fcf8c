"""Folders of reports: their names, and their replacement at once or not at all."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import copy2, copymode, copytree, rmtree
from tempfile import TemporaryFile, mkdtemp
from unicodedata import normalize

from inception_lab import interrupts
from inception_lab.errors import InceptionLabError, checksum, listed
from inception_lab.leftovers import OLD, clear_leftovers, put_back, temporary_prefix
from inception_lab.record import SCHEMA

MARKERS = ("summary.json", "comparison.json")
"""The files, one of which every report holds."""
_HINT = "name another folder"

_PLAIN_VALUE = r"(?:[\w.+-]+|'(?!(?:inf|nan)')[a-z_]\w*')"
_PLAIN_NAME = re.compile(rf"\w[\w.]*(?::\w+)?(?:\(\w+={_PLAIN_VALUE}(?:, \w+={_PLAIN_VALUE})*\))?", re.ASCII)
"""Names of models that remain distinct in those of folders: keywords are numbers, constants, or text unlike
these."""
_PLAIN_WORD = re.compile(r"(?:(?:input|arg)-(?:\w+=)?)?[\w.]+", re.ASCII)
_LONGEST = 150
"""Of the name of a folder; systems take 255 bytes."""


@contextmanager
def replacing(folder: Path, ours: Collection[str]) -> Iterator[Path]:
    """Yield a new folder to write into, which takes the place of `folder` when all went well.

    Where anything is raised, Ctrl-C included, the old folder stays as it was and nothing is left
    beside it. Files of the old folder that no report writes are carried over.

    Args:
        folder: The place of the report; missing folders above it are made.
        ours: Names of all files that a report may write.

    Raises:
        InceptionLabError: The folder is in use or holds something else than a report, or it cannot be
            written.
    """
    missing: list[Path] = []
    try:
        check_folder(folder)
        target = folder.resolve()
        missing += [place for place in target.parents if not place.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target.parent)
        with _workplace(target) as place:
            new = place / "new"
            new.mkdir()
            yield new
            _carry_over(target, new, ours)
            interrupts.check()
            with interrupts.deferred():
                _swap(new, target)
    except BaseException as error:
        # the innermost first: rmdir takes none that holds something, as another program may have written
        for empty in missing:
            with suppress(OSError):
                empty.rmdir()
        if isinstance(error, OSError):
            raise _refusal(folder, f"cannot be written: {error.strerror or error}") from error
        raise


def check_folder(folder: Path) -> None:
    """Refuse a folder that a report may not replace.

    Args:
        folder: The place of a report: missing, empty, or a report.

    Raises:
        InceptionLabError: It is a file, or the folder of something else, or the one in use, or it cannot be
            written.
    """
    try:
        target = folder.resolve()
        # permissions do not tell: a file system may be read-only, or not take files at all, as /proc
        with TemporaryFile(dir=next(place for place in (target.parent, *target.parents) if place.exists())):
            pass
        if not target.exists():
            return
        if not target.is_dir():
            raise _refusal(folder, "is a file")
        if any(target.iterdir()) and not _is_report(target):
            raise _refusal(folder, "holds files, but not a report")
        if Path.cwd().is_relative_to(target):
            # its replacement would leave the caller in a folder that is gone
            raise _refusal(folder, "is in use as the current folder")
    except (OSError, RuntimeError) as error:  # before Python 3.13 a loop of links is a RuntimeError
        raise _refusal(folder, f"cannot be written: {getattr(error, 'strerror', None) or error}") from error


def report_folders(subjects: Sequence[tuple[str, Sequence[str]]], parent: Path) -> list[Path]:
    """A folder for the report of each of several models, which no other variant has.

    Not every system takes a colon in a name, or tells small letters from capitals.

    Args:
        subjects: Names of models, such as `googlenet` or `mynet:MyNet(width=0.5)`, each with words for what
            else tells its run from the run by default, such as `batch8`.
        parent: The folder around theirs.

    Raises:
        InceptionLabError: A subject is there twice.

    Example:
        >>> subjects = [("vgg16", ["batch8", "train"]), ("package.nets:build(width=0.5)", ())]
        >>> [folder.name for folder in report_folders(subjects, Path("reports"))]
        ['vgg16-batch8-train', 'package.nets.build-width=0.5']
    """
    texts = [" ".join([model, *words]) for model, words in subjects]
    if twice := [text for text, count in Counter(texts).items() if count > 1]:
        raise InceptionLabError(f"named twice: {listed(twice)}", hint="name each model once")
    taken = _names_within(parent)
    folders = []
    for text, (model, words) in zip(texts, subjects, strict=True):
        name = _folder_name(model, words)
        if any(other != name and _folded(other) == _folded(name) for other in taken):
            name = f"{name}-{checksum(text)}"
        taken.add(name)
        folders.append(parent / name)
    return folders


def _folded(name: str) -> str:
    """A name as systems see it that tell neither capitals nor ways to write an accent apart."""
    return normalize("NFC", name).casefold()


def _names_within(folder: Path) -> set[str]:
    try:
        return {path.name for path in folder.iterdir()}
    except OSError:  # missing, or to be refused when it is written
        return set()


def _folder_name(model: str, words: Sequence[str]) -> str:
    plain = _PLAIN_NAME.fullmatch(model) and all(map(_PLAIN_WORD.fullmatch, words))
    text = re.sub(r"['\")]", "", "-".join([model, *words])).replace(":", ".")
    name = re.sub(r"[^\w.=+-]+", "-", text).strip("-.") or "model"
    if plain and len(name) <= _LONGEST:
        return name
    # what is left of it may be the same for two variants
    return f"{name.encode()[:_LONGEST].decode(errors='ignore')}-{checksum(' '.join([model, *words]))}"


def _refusal(folder: Path, what: str) -> InceptionLabError:
    return InceptionLabError(what, where=str(folder), hint=_HINT)


def _is_report(folder: Path) -> bool:
    return any(_is_ours(folder / name) for name in MARKERS)


def _is_ours(file: Path) -> bool:
    """True for a record that this tool wrote."""
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
    # beside it, and so on the same file system, where a folder moves at once or not at all
    place = Path(mkdtemp(prefix=temporary_prefix(), dir=target.parent))
    try:
        yield place
    finally:
        with interrupts.deferred():
            put_back(place, target.parent)  # where the second move of `_swap` failed
            rmtree(place, ignore_errors=True)


def _carry_over(old: Path, new: Path, ours: Collection[str]) -> None:
    """Copy what a report never writes from the old folder into the new one."""
    if not old.is_dir():
        return
    copymode(old, new)
    for path in old.iterdir():
        if path.name in ours:
            continue
        if path.is_dir() and not path.is_symlink():
            copytree(path, new / path.name, symlinks=True)
        else:
            copy2(path, new / path.name, follow_symlinks=False)


def _swap(new: Path, target: Path) -> None:
    """Put the new folder where the old one is, and the old one beside the new one."""
    # no rename replaces a folder that holds files; between these two there is none, see `_workplace`
    if target.exists():
        old = new.with_name(OLD)
        old.mkdir()
        target.rename(old / target.name)
    new.rename(target)
