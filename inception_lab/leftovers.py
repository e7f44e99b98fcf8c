"""Temporary files and folders, named after the process that made them, and those that killed ones left."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from time import time

MARK = ".inception_lab-"
OLD = ".replaced"
"""Folder within a temporary one, in which what is being replaced stands until its successor is in place."""
_DAY = 24 * 3600


def temporary_prefix() -> str:
    """Beginning of the names of this process's temporary files and folders, hidden ones.

    Example:
        >>> temporary_prefix().startswith(".inception_lab-")
        True
    """
    return f"{MARK}{_machine()}-{os.getpid()}-"


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of killed runs from a folder.

    What they were replacing goes back. Those of processes that live stay, as do those of other machines that
    are younger than a day.

    Args:
        folder: A folder; nothing is looked for below it.
    """
    with suppress(OSError):  # a folder that cannot be read; others clear it at the same time
        for path in [*folder.glob(f"{MARK}*")]:
            if _is_abandoned(path):
                put_back(path, folder)
                _remove(path)


def put_back(place: Path, folder: Path) -> None:
    """Move what was being replaced back to where it stood, unless something stands there.

    Args:
        place: A temporary folder.
        folder: The folder in which it stood.
    """
    for path in _inside(place / OLD):
        if not (folder / path.name).exists():
            path.rename(folder / path.name)


def _inside(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from sorted(folder.iterdir())


def _is_abandoned(path: Path) -> bool:
    """True of what a process of this machine made that has ended, and of what has been there for a day."""
    machine, _, rest = path.name.removeprefix(MARK).partition("-")
    process = rest.partition("-")[0]
    if machine == _machine() and process.isdecimal():
        return not _lives(int(process))
    return time() - path.lstat().st_mtime > _DAY


def _lives(process: int) -> bool:
    if os.name == "nt":  # where this signal would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _machine() -> str:
    """A short name of this machine, as folders may be shared by several."""
    return sha256(platform.node().encode()).hexdigest()[:8]
