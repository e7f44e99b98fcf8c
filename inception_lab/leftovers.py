"""Temporary files and folders, named after the process that made them, and those that killed ones left."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from shutil import rmtree
from stat import S_ISDIR, S_ISREG
from time import time

from inception_lab.errors import checksum

MARK = ".inception_lab-"
OLD = ".replaced"
"""Folder within a temporary one, in which what is being replaced stands until its successor is in place."""
_DAY = 24 * 3600

_NAME = re.compile(rf"{re.escape(MARK)}(?P<machine>[0-9a-f]{{8}})-(?P<process>[1-9][0-9]*)-[0-9a-f]{{8}}-\w+")
_RUN = token_hex(4)
"""Tells this process from an earlier one of the same number, as the first one in a container has number 1."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_CONTAINER = Path("/proc/self/ns/pid")


def temporary_prefix() -> str:
    """Beginning of the names of this process's temporary files and folders, hidden ones.

    Example:
        >>> temporary_prefix().startswith(".inception_lab-")
        True
    """
    return f"{MARK}{_machine()}-{os.getpid()}-{_RUN}-"


def clear_leftovers(folder: Path) -> None:
    """Remove the temporary files and folders of the user's killed runs from a folder.

    What they were replacing goes back. Those of processes that live stay, as do those of other machines that
    are younger than a day, and whatever is named or made otherwise than by this tool.

    Args:
        folder: A folder; nothing is looked for below it.
    """
    with suppress(OSError):  # a folder that cannot be read
        for path in [*folder.glob(f"{MARK}*")]:
            with suppress(OSError):  # others clear it at the same time
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
        if not os.path.lexists(folder / path.name):
            path.rename(folder / path.name)


def _inside(folder: Path) -> Iterator[Path]:
    if folder.is_dir() and not folder.is_symlink():
        yield from sorted(folder.iterdir())


def _is_abandoned(path: Path) -> bool:
    """True of what a process of this machine made that has ended, and of what another made a day ago."""
    name = _NAME.fullmatch(path.name)
    if name is None or not _may_be_ours(path):
        return False
    if name["machine"] != _machine():
        return time() - path.lstat().st_mtime > _DAY
    if int(name["process"]) == os.getpid():
        return not path.name.startswith(temporary_prefix())
    return not _lives(int(name["process"]))


def _may_be_ours(path: Path) -> bool:
    """True of a file or folder of this user's that holds no link where this tool makes a folder."""
    facts = path.lstat()
    is_plain = S_ISREG(facts.st_mode) or S_ISDIR(facts.st_mode)
    # without users, as on Windows, all files have the owner 0
    is_owned = facts.st_uid == (os.getuid() if hasattr(os, "getuid") else 0)
    return is_plain and is_owned and not (path / OLD).is_symlink()


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
    if path.is_dir():
        rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _machine() -> str:
    """A short name of this machine since its start and of the container, as several may share a folder."""
    facts = [platform.node()]
    with suppress(OSError):  # where there is none, as outside of Linux
        facts.append(_BOOT.read_text(encoding="utf-8"))
    with suppress(OSError):
        facts.append(str(_CONTAINER.stat().st_ino))
    return checksum(" ".join(facts))
