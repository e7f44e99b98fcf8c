"""Folders of reports: their names, and their replacement at once or not at all."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from shutil import copy2, copymode, copytree, rmtree
from tempfile import mkdtemp

from inception_lab.errors import InceptionLabError
from inception_lab.record import SCHEMA

MARKERS = ("summary.json", "comparison.json")
"""The files, one of which every report holds."""
_OLD = "old"
_HINT = "name another folder"

_PLAIN_KEYWORD = r"\w+=(?:[\w.+-]+|'[a-z_][\w-]*')"
_PLAIN_KEYWORDS = re.compile(rf"{_PLAIN_KEYWORD}(?:, {_PLAIN_KEYWORD})*", re.ASCII)
"""Keywords that remain distinct in the name of a folder: numbers, constants, and text unlike these."""
_LONGEST = 100
"""Of the part of a name that keywords make up; systems take 255 bytes."""


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
        with _workplace(target) as place:
            new = place / "new"
            new.mkdir()
            yield new
            _carry_over(target, new, ours)
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
        InceptionLabError: It is a file, or the folder of something else, or the one in use.
    """
    try:
        target = folder.resolve()
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
        raise _refusal(folder, f"cannot be read: {error}") from error


def report_folders(models: Sequence[str], parent: Path) -> list[Path]:
    """A folder for the report of each of several models; not every system takes a colon in a name.

    Args:
        models: Names of models, such as `googlenet`, `torchvision.models:resnet50` or `nin(num_classes=10)`.
        parent: The folder around theirs.

    Raises:
        InceptionLabError: Two models would share a folder.

    Example:
        >>> models = ["vgg16", "package.nets:build(width=0.5)"]
        >>> [folder.name for folder in report_folders(models, Path("reports"))]
        ['vgg16', 'package.nets.build-width=0.5']
    """
    folders = [parent / _folder_name(model) for model in models]
    if len(set(folders)) < len(folders):
        raise InceptionLabError("two models would share a folder", hint="write one of them to another folder")
    return folders


def _folder_name(model: str) -> str:
    spec, _, rest = model.partition("(")
    keywords = rest.removesuffix(")")
    words = re.sub(r"[^\w.=+-]+", "-", re.sub(r"['\"]", "", keywords), flags=re.ASCII).strip("-")
    if not (_PLAIN_KEYWORDS.fullmatch(keywords) and len(words) <= _LONGEST):
        # what is left of any other keywords may be the same for two variants
        words = f"{words[:_LONGEST]}-{sha256(keywords.encode()).hexdigest()[:8]}"
    name = spec.replace(":", ".")
    return f"{name}-{words}" if rest else name


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
    place = Path(mkdtemp(prefix=".inception_lab-", dir=target.parent))
    try:
        yield place
    finally:
        # interrupted between the two moves of `_swap`
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
        target.rename(new.with_name(_OLD))
    new.rename(target)
