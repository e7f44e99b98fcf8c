"""Files written whole or not at all: an interruption leaves the old one as it was."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory, TemporaryFile

from inception_lab import interrupts
from inception_lab.errors import InceptionLabError
from inception_lab.leftovers import clear_leftovers, temporary_prefix


def path_from(value: object) -> Path:
    """Return a value that users pass as a path as one.

    Raises:
        InceptionLabError: It is not a path, or text that no path can be.
    """
    try:
        path = Path(value)  # type: ignore[arg-type]
    except TypeError:
        path = Path("\0")
    if "\0" in str(path):
        raise InceptionLabError(f"{value!r} is not a path", hint="pass text such as 'folder/name'")
    return path


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before work is done for it.

    Args:
        path: The file, or a link to it; missing folders are not made yet.

    Raises:
        InceptionLabError: The file cannot be written.
    """
    with _failure_named(path):
        target = path.resolve()
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if target.exists() and not target.is_file():  # a device or a pipe
            return
        # permissions do not tell: a file system may be read-only, or not take files at all, as /proc
        with TemporaryFile(dir=next(place for place in target.parents if place.exists())):
            pass


def write_text(path: Path, text: str) -> None:
    """Write a text file at once or not at all.

    Args:
        path: The file, or a link to it; its folder is made where it is missing.
        text: Its content; it will end in one line break.

    Raises:
        InceptionLabError: The file cannot be written.
    """
    # names of layers may hold halves of surrogate pairs, which UTF-8 does not
    write_bytes(path, (text.rstrip("\n") + "\n").encode(errors="backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once or not at all.

    Args:
        path: The file, or a link to it; its folder is made where it is missing.
        content: Its bytes.

    Raises:
        InceptionLabError: The file cannot be written.
    """
    temporary: Path | None = None
    try:
        with _failure_named(path):
            target = path.resolve()
            if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
                target.write_bytes(content)
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(target.parent)
            # in the same folder, as only within one file system does replacing it happen at once
            with NamedTemporaryFile(dir=target.parent, prefix=temporary_prefix(), delete=False) as file:
                temporary = Path(file.name)
                file.write(content)
            temporary.chmod(0o666 & ~_umask())  # temporary files are made for their owner alone
            interrupts.check()
            temporary.replace(target)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def _failure_named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, RuntimeError) as error:  # before Python 3.13 a loop of links is a RuntimeError
        raise InceptionLabError(
            f"cannot be written: {getattr(error, 'strerror', None) or error}",
            where=str(path),
            hint="name another file",
        ) from error


@contextmanager
def written_together(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, whose files move into `folder` when all went well.

    Where anything is raised, Ctrl-C included, nothing of them is left, and `folder` is as it was. Files in it
    of other names stay.

    Args:
        folder: The place of the files; it and missing folders above it are made.

    Raises:
        InceptionLabError: It cannot be written.
    """
    made: list[Path] = []
    try:
        target = _resolved(folder)
        made += [place for place in (target, *target.parents) if not place.exists()]
        target.mkdir(parents=True, exist_ok=True)
        clear_leftovers(target)
        # within it, and so on the same file system, where a file moves at once or not at all
        with TemporaryDirectory(dir=target, prefix=temporary_prefix()) as place:
            yield Path(place)
            interrupts.check()
            with interrupts.deferred():
                _move_files(Path(place), target)
    except BaseException as error:
        # the innermost first: rmdir takes none that holds something, as another program may have written
        for empty in made:
            with suppress(OSError):
                empty.rmdir()
        if isinstance(error, OSError):
            raise InceptionLabError(
                f"cannot be written: {error.strerror or error}", where=str(folder), hint="name another folder"
            ) from error
        raise


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except RuntimeError as error:  # before Python 3.13 a loop of links
        raise OSError(str(error)) from error


def _move_files(source: Path, target: Path) -> None:
    paths = sorted(source.rglob("*"))
    # found out before the first one moves
    for path in paths:
        place = target / path.relative_to(source)
        if place.exists() and place.is_dir() != path.is_dir():
            raise FileExistsError(errno.EEXIST, f"{place.name} is in the way")
    for path in paths:
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(exist_ok=True)
        else:
            path.replace(place)


def _umask() -> int:
    mask = os.umask(0)  # it can be read by setting it alone
    os.umask(mask)
    return mask
